//! Smooth lines and discs.
//!
//! Shapes are drawn three times as large as they will be, and each block of nine pixels is then
//! averaged to one: edges become smooth, though no drawing routine supports transparency. Text is
//! added later, on the [`Image`], because the fonts are drawn pixel by pixel.

use embedded_graphics::geometry::Point;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Circle, Line, PrimitiveStyle};

use crate::image::Image;
use crate::labels::Area;

/// The pixels drawn for each final pixel, along each side.
const SCALE: usize = 3;

/// Coordinates beyond this are not drawn: no picture is that large, and a line to such a point
/// would take very long.
const FAR: f64 = 1e5;

/// A picture that is being drawn; all lengths are in pixels of the finished picture, from its top
/// left.
#[derive(Debug, Clone)]
pub struct Canvas(Image);

impl Canvas {
    /// An empty picture.
    pub fn new(width: usize, height: usize, background: Rgb888) -> Self {
        Self(Image::new(width * SCALE, height * SCALE, background))
    }

    /// Draws a line; nothing if an end is not finite or very far outside.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), width: f64, colour: Rgb888) {
        if let (Some(from), Some(to)) = (point(from), point(to)) {
            let style = PrimitiveStyle::with_stroke(colour, length(width));
            let Ok(()) = Line::new(from, to).into_styled(style).draw(&mut self.0);
        }
    }

    /// Draws a filled circle; nothing if its centre is not finite or very far outside.
    pub fn disc(&mut self, centre: (f64, f64), radius: f64, colour: Rgb888) {
        self.circle(centre, radius, PrimitiveStyle::with_fill(colour));
    }

    /// Draws the outline of a circle, as [`Canvas::disc`] does its area.
    pub fn ring(&mut self, centre: (f64, f64), radius: f64, width: f64, colour: Rgb888) {
        self.circle(centre, radius, PrimitiveStyle::with_stroke(colour, length(width)));
    }

    /// The fraction of an area, 0 to 1, whose colour is not `background`.
    pub(crate) fn ink(&self, area: Area, background: Rgb888) -> f64 {
        let background = [background.r(), background.g(), background.b()];
        let scaled = |value: i32| usize::try_from(value).unwrap_or(0) * SCALE;
        let columns = scaled(area.left)..scaled(area.right).min(self.0.width);
        let rows = scaled(area.top)..scaled(area.bottom).min(self.0.height);
        let all = (columns.len() * rows.len()).max(1);
        let inked: usize = rows
            .map(|row| {
                let columns = columns.clone().map(|column| row * self.0.width + column);
                columns.filter(|index| self.0.pixels[*index] != background).count()
            })
            .sum();
        inked as f64 / all as f64
    }

    /// The finished picture.
    pub fn finish(self) -> Image {
        let (width, height) = (self.0.width / SCALE, self.0.height / SCALE);
        let mut image = Image::new(width, height, Rgb888::BLACK);
        for (index, pixel) in image.pixels.iter_mut().enumerate() {
            let (left, top) = (index % width * SCALE, index / width * SCALE);
            let mut sum = [0_u32; 3];
            for row in top..top + SCALE {
                let start = row * self.0.width + left;
                for part in &self.0.pixels[start..start + SCALE] {
                    sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += u32::from(*part));
                }
            }
            let parts = (SCALE * SCALE) as u32;
            *pixel = sum.map(|sum| ((sum + parts / 2) / parts) as u8);
        }
        image
    }

    fn circle(&mut self, centre: (f64, f64), radius: f64, style: PrimitiveStyle<Rgb888>) {
        if let (Some(centre), true) = (point(centre), radius < FAR) {
            let circle = Circle::with_center(centre, length(radius * 2.0));
            let Ok(()) = circle.into_styled(style).draw(&mut self.0);
        }
    }
}

fn point((x, y): (f64, f64)) -> Option<Point> {
    let near = x.abs() < FAR && y.abs() < FAR;
    let scale = |value: f64| (value * SCALE as f64).round() as i32;
    near.then(|| Point::new(scale(x), scale(y)))
}

fn length(pixels: f64) -> u32 {
    (pixels * SCALE as f64).round().max(1.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_smooth_and_areas_are_full() {
        let mut canvas = Canvas::new(41, 41, Rgb888::BLACK);
        canvas.disc((20.0, 20.0), 10.0, Rgb888::WHITE);
        let image = canvas.finish();
        assert_eq!((image.width, image.height), (41, 41));
        assert_eq!(image.pixel(20, 20), Some([255; 3]));
        assert_eq!(image.pixel(5, 5), Some([0; 3]));
        assert!(image.pixels.iter().any(|pixel| (50..200).contains(&pixel[0])));
        let area: u32 = image.pixels.iter().map(|pixel| u32::from(pixel[0])).sum();
        assert!((f64::from(area) / 255.0 / 314.16 - 1.0).abs() < 0.05, "{area}");
    }

    #[test]
    fn ink_is_the_part_that_is_drawn_on() {
        let mut canvas = Canvas::new(40, 40, Rgb888::BLACK);
        canvas.line((0.0, 20.0), (40.0, 20.0), 4.0, Rgb888::WHITE);
        let area = |left, top, right, bottom| Area { left, top, right, bottom };
        assert_eq!(canvas.ink(area(0, 0, 40, 10), Rgb888::BLACK), 0.0);
        assert!((canvas.ink(area(5, 10, 35, 30), Rgb888::BLACK) - 0.2).abs() < 0.03);
        assert_eq!(canvas.ink(area(-50, -50, -10, -10), Rgb888::BLACK), 0.0);
        assert_eq!(canvas.ink(area(90, 90, 99, 99), Rgb888::BLACK), 0.0);
    }

    #[test]
    fn points_without_a_place_are_not_drawn() {
        let mut canvas = Canvas::new(10, 10, Rgb888::BLACK);
        canvas.line((f64::NAN, 0.0), (5.0, 5.0), 1.0, Rgb888::WHITE);
        canvas.line((0.0, 0.0), (1e300, f64::INFINITY), 1.0, Rgb888::WHITE);
        canvas.disc((-1e9, 3.0), 2.0, Rgb888::WHITE);
        canvas.ring((5.0, 5.0), f64::NAN, 2.0, Rgb888::WHITE);
        assert!(canvas.finish().pixels.iter().all(|pixel| *pixel == [0; 3]));
    }
}
