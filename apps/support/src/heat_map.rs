//! The picture of a plate: temperature as colour, with lines at round temperatures and a scale
//! beside it.
//!
//! Cells are square and the last row is at the top, because y grows upwards. A large field is
//! averaged down to the size of a screen, and a small one is enlarged by a whole factor, so that
//! all cells have the same size. A plate that would be very narrow on the picture is drawn wider:
//! only then are its cells not square. Cells with NaN are grey, also after averaging, so that holes
//! do not vanish.

use std::ops::Range;

use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use ndarray::{Array2, ArrayView2, s};

use crate::colours::inferno;
use crate::image::{Image, LABEL, TITLE, fit, text_size};
use crate::isotherms::Isotherms;
use crate::ticks::ticks;

/// The longest side of a field that is averaged down, in pixels.
const LARGE: usize = 900;
/// A field whose longer side is below this is enlarged up to about this many pixels.
const SMALL: usize = 600;
/// The shortest side of any field, in pixels.
const NARROW: usize = 60;

/// The approximate number of isotherms.
const LINES: usize = 10;

const MARGIN: usize = 24;
const HEAD: usize = 64;
const BAR_WIDTH: usize = 22;
const BAR_LEAST: usize = 200;
const TICK: usize = 6;
const INK: Rgb888 = Rgb888::new(40, 40, 40);

/// Draws a field with a title and a colour scale.
///
/// # Shapes
/// `field: (ny + 2, nx + 2)`, the boundary included; row 0 is at the bottom of the picture.
pub fn heat_map(field: ArrayView2<'_, f64>, title: &str) -> Image {
    let (rows, columns) = field.dim();
    let (width, height) = drawn_size(columns, rows);
    let scale = Scale::of(field);
    let bar_height = height.max(BAR_LEAST);
    let marks = ticks(scale.low, scale.high, (bar_height / 40).clamp(4, 8));
    let widest = marks.labels.iter().map(|label| text_size(label, LABEL).0).max().unwrap_or(0);

    let bar_left = MARGIN + width + MARGIN;
    let labels_left = bar_left + BAR_WIDTH + TICK + 4;
    let right = labels_left + (widest as usize).max(18) + MARGIN;
    let (title_font, title) = fit(title, right.max(480) as i32 - 2 * MARGIN as i32);
    let title_width = text_size(&title, title_font).0;
    let mut image = Image::new(
        right.max(title_width as usize + 2 * MARGIN),
        HEAD + bar_height + MARGIN,
        Rgb888::WHITE,
    );
    let middle = image.width as i32 / 2;
    let title_top = (HEAD as i32 - 20 - text_size("", title_font).1) / 2 + 2;
    image.text(&title, middle - title_width / 2, title_top, title_font, INK);

    // If the title is the widest part, everything below it is centred as one block.
    let shift = (image.width - right) / 2;
    let (left, top) = (MARGIN + shift, HEAD + (bar_height - height) / 2);
    frame(&mut image, left, top, width, height);
    let samples = averaged(field, (width, height));
    // A line at the lowest or highest temperature would go around half of the plate.
    let inside = |value: &f64| scale.low < *value && *value < scale.high;
    let levels: Vec<f64> =
        ticks(scale.low, scale.high, LINES).values.into_iter().filter(inside).collect();
    let isotherms = Isotherms::new(samples.view(), (width, height), &levels);
    draw_field(&mut image, samples.view(), &scale, &isotherms, (left, top), (width, height));
    draw_bar(&mut image, &scale, &levels, bar_left + shift, bar_height);
    for (value, label) in marks.values.iter().zip(&marks.labels) {
        let up = scale.share(*value) * (bar_height - 1) as f64;
        let y = (HEAD + bar_height - 1) as i32 - up.round() as i32;
        image.fill((bar_left + shift + BAR_WIDTH + 1) as i32, y, TICK, 1, INK);
        image.text(label, (labels_left + shift) as i32, y - 7, LABEL, INK);
    }
    let label_left = bar_left + shift + BAR_WIDTH / 2 - 5;
    image.text("T", label_left as i32, HEAD as i32 - 24, TITLE, INK);
    image
}

/// The range of the colours.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// The range from the smallest to the largest number; widened if they are equal, and 0 to 1 if
    /// there is none.
    fn of(field: ArrayView2<'_, f64>) -> Self {
        let finite = field.iter().copied().filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return Self { low: 0.0, high: 1.0 };
        }
        if low < high {
            return Self { low, high };
        }
        let room = if low == 0.0 { 1.0 } else { (low.abs() * 0.05).max(f64::MIN_POSITIVE) };
        Self { low: (low - room).max(f64::MIN), high: (high + room).min(f64::MAX) }
    }

    /// The position of a value, 0 at the low end and 1 at the high end. It is computed from halves,
    /// because a difference may overflow.
    fn share(&self, value: f64) -> f64 {
        (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)
    }
}

/// The width and height in pixels of a field of `columns` and `rows`.
fn drawn_size(columns: usize, rows: usize) -> (usize, usize) {
    let longest = columns.max(rows).max(1);
    let side = |cells: usize| {
        let pixels = if longest > LARGE {
            (cells as f64 * LARGE as f64 / longest as f64).round() as usize
        } else {
            cells * (SMALL / longest).max(1)
        };
        pixels.max(NARROW)
    };
    (side(columns), side(rows))
}

/// The cells that a pixel shows: those that it covers, and at least the one that it lies in.
fn covered(pixel: usize, pixels: usize, cells: usize) -> Range<usize> {
    let start = pixel * cells / pixels;
    start..((pixel + 1) * cells / pixels).max(start + 1).min(cells)
}

/// The mean of the cells that each pixel shows; the cells themselves if they are not smaller than a
/// pixel.
fn averaged(field: ArrayView2<'_, f64>, (width, height): (usize, usize)) -> Array2<f64> {
    let (rows, columns) = field.dim();
    if rows == 0 || columns == 0 {
        return Array2::from_elem((1, 1), f64::NAN);
    }
    let (down, across) = (rows.min(height), columns.min(width));
    Array2::from_shape_fn((down, across), |(j, i)| {
        let cells = field.slice(s![covered(j, down, rows), covered(i, across, columns)]);
        let count = cells.len() as f64;
        cells.iter().map(|value| value / count).sum()
    })
}

fn draw_field(
    image: &mut Image,
    samples: ArrayView2<'_, f64>,
    scale: &Scale,
    isotherms: &Isotherms<'_>,
    (left, top): (usize, usize),
    (width, height): (usize, usize),
) {
    let (rows, columns) = samples.dim();
    for y in 0..height {
        let row = covered(height - 1 - y, height, rows).start;
        let line = (top + y) * image.width + left;
        for x in 0..width {
            let value = samples[[row, covered(x, width, columns).start]];
            let share = if value.is_finite() { scale.share(value) } else { f64::NAN };
            let colour = inferno(share);
            let (cover, level) = isotherms.cover(x, y).unwrap_or_default();
            image.pixels[line + x] = inked(colour, cover, scale.share(level));
        }
    }
}

/// A colour below a line: darker if the colour is bright, and brighter if it is dark.
fn inked(colour: Rgb888, cover: f64, share: f64) -> [u8; 3] {
    let (ink, strength) = if share > 0.6 { (0.0, 0.55) } else { (255.0, 0.55) };
    let cover = strength * cover;
    let mix = |part: u8| (f64::from(part) * (1.0 - cover) + ink * cover).round() as u8;
    [colour.r(), colour.g(), colour.b()].map(mix)
}

fn draw_bar(image: &mut Image, scale: &Scale, levels: &[f64], left: usize, height: usize) {
    frame(image, left, HEAD, BAR_WIDTH, height);
    debug_assert!(scale.low < scale.high);
    for y in 0..height {
        let share = (height - 1 - y) as f64 / (height - 1) as f64;
        image.fill(left as i32, (HEAD + y) as i32, BAR_WIDTH, 1, inferno(share));
    }
    for share in levels.iter().map(|level| scale.share(*level)) {
        let [red, green, blue] = inked(inferno(share), 1.0, share);
        let y = (HEAD + height - 1) as i32 - (share * (height - 1) as f64).round() as i32;
        image.fill(left as i32, y, BAR_WIDTH, 1, Rgb888::new(red, green, blue));
    }
}

/// Draws a line of one pixel around an area that is filled later.
fn frame(image: &mut Image, left: usize, top: usize, width: usize, height: usize) {
    image.fill(left as i32 - 1, top as i32 - 1, width + 2, height + 2, INK);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::colours::NO_NUMBER;
    use ndarray::Array2;

    fn bytes(colour: Rgb888) -> [u8; 3] {
        [colour.r(), colour.g(), colour.b()]
    }

    fn count(image: &Image, colour: Rgb888) -> usize {
        image.pixels.iter().filter(|pixel| **pixel == bytes(colour)).count()
    }

    #[test]
    fn the_last_row_is_on_top() {
        let field = Array2::from_shape_fn((10, 10), |(row, _)| row as f64);
        let image = heat_map(field.view(), "");
        let (x, top, bottom) = (MARGIN + 5, HEAD + 5, HEAD + 595);
        assert_eq!(image.pixel(x, top), Some(bytes(inferno(1.0))));
        assert_eq!(image.pixel(x, bottom), Some(bytes(inferno(0.0))));
    }

    #[test]
    fn small_fields_are_enlarged_and_large_ones_averaged() {
        assert_eq!(drawn_size(10, 10), (600, 600));
        assert_eq!(drawn_size(7, 5), (595, 425));
        assert_eq!(drawn_size(500, 400), (500, 400));
        assert_eq!(drawn_size(900, 30), (900, 60));
        assert_eq!(drawn_size(4000, 2000), (900, 450));
        assert_eq!(drawn_size(1, 1), (600, 600));
    }

    #[test]
    fn very_unequal_sides_give_a_picture_all_the_same() {
        for (rows, columns) in [(3, 20_000), (20_000, 3), (3, 3), (1, 1), (0, 5), (0, 0)] {
            let image = heat_map(Array2::zeros((rows, columns)).view(), "long");
            assert!(image.width < 1200 && image.height < 1200, "{rows} {columns}");
            assert_eq!(image.pixels.len(), image.width * image.height);
        }
    }

    #[test]
    fn every_cell_is_in_exactly_one_pixel_of_an_averaged_field() {
        for (pixels, cells) in [(900, 901), (900, 4321), (60, 61), (7, 7)] {
            let mut next = 0;
            for pixel in 0..pixels {
                let range = covered(pixel, pixels, cells);
                assert_eq!(range.start, next);
                next = range.end;
            }
            assert_eq!(next, cells);
        }
    }

    #[test]
    fn a_hole_is_grey_also_when_averaged() {
        let mut field = Array2::from_shape_fn((2000, 2000), |(row, _)| row as f64);
        assert_eq!(count(&heat_map(field.view(), ""), NO_NUMBER), 0);
        field[[1000, 1000]] = f64::NAN;
        assert_eq!(count(&heat_map(field.view(), ""), NO_NUMBER), 1);
        let holes = Array2::from_elem((5, 5), f64::INFINITY);
        assert_eq!(count(&heat_map(holes.view(), ""), NO_NUMBER), 600 * 600);
    }

    #[test]
    fn a_constant_field_has_the_middle_colour() {
        for value in [0.0, 20.0, -1e-300, 5e-324, f64::MAX, f64::MIN] {
            let image = heat_map(Array2::from_elem((12, 12), value).view(), "");
            let inside = image.pixel(MARGIN + 300, HEAD + 300).unwrap();
            assert_ne!(inside, bytes(NO_NUMBER), "{value}");
            assert_ne!(inside, bytes(Rgb888::WHITE), "{value}");
        }
    }

    #[test]
    fn the_widest_range_is_drawn_in_both_colours() {
        let mut field = Array2::from_elem((10, 10), f64::MIN);
        field[[9, 9]] = f64::MAX;
        let image = heat_map(field.view(), "");
        assert_eq!(image.pixel(MARGIN + 5, HEAD + 500), Some(bytes(inferno(0.0))));
        assert_eq!(image.pixel(MARGIN + 595, HEAD + 5), Some(bytes(inferno(1.0))));
    }

    #[test]
    fn any_title_is_taken() {
        for title in ["", "plate\nwith lines", "Δ≈ü", &"long ".repeat(500)] {
            let image = heat_map(Array2::zeros((4, 4)).view(), title);
            assert!(image.width < 1200);
        }
    }
}
