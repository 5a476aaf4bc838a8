//! A picture in memory, its text and its PNG file.
//!
//! A pixel has three bytes and no transparency, which suffices for the programs' pictures. Text is
//! written in the fonts that are part of embedded-graphics, at their original size and without
//! smoothing. They have the Latin-1 characters; others are shown as `?`.

use std::convert::Infallible;
use std::io::{self, Write};

use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::iso_8859_1::{FONT_6X10, FONT_7X13, FONT_9X15, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;
use embedded_graphics::text::{Baseline, Text};

/// The font of titles.
pub const TITLE: &MonoFont<'static> = &FONT_10X20;
/// The font of labels.
pub const LABEL: &MonoFont<'static> = &FONT_9X15;
/// The font of small text.
pub const SMALL: &MonoFont<'static> = &FONT_7X13;

/// A picture: rows from the top, pixels from the left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue of `width * height` pixels.
    pub pixels: Vec<[u8; 3]>,
}

impl Image {
    /// A picture of one colour.
    pub fn new(width: usize, height: usize, background: Rgb888) -> Self {
        Self { width, height, pixels: vec![bytes(background); width * height] }
    }

    /// The pixel in column `x` of row `y`, if there is one.
    pub fn pixel(&self, x: usize, y: usize) -> Option<[u8; 3]> {
        if x < self.width { self.pixels.get(y * self.width + x).copied() } else { None }
    }

    /// Fills the part of a rectangle that lies within the picture.
    pub fn fill(&mut self, left: i32, top: i32, width: usize, height: usize, colour: Rgb888) {
        let size = Size::new(width as u32, height as u32);
        let Ok(()) = self.fill_solid(&Rectangle::new(Point::new(left, top), size), colour);
    }

    /// Writes text with its top left corner at a point.
    pub fn text(&mut self, text: &str, left: i32, top: i32, font: &MonoFont<'_>, colour: Rgb888) {
        let style = MonoTextStyle::new(font, colour);
        let text = shown(text);
        let Ok(_) =
            Text::with_baseline(&text, Point::new(left, top), style, Baseline::Top).draw(self);
    }

    /// Writes text as [`Image::text`] does, with an outline that keeps it legible over lines.
    pub fn text_with_rim(
        &mut self,
        text: &str,
        (left, top): (i32, i32),
        font: &MonoFont<'_>,
        colour: Rgb888,
        rim: Rgb888,
    ) {
        for (x, y) in [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1), (-1, 1), (1, -1)] {
            self.text(text, left + x, top + y, font, rim);
        }
        self.text(text, left, top, font, colour);
    }

    /// Writes the picture as a PNG file.
    ///
    /// # Errors
    /// The errors of `target`; a picture without pixels, which PNG does not allow.
    pub fn write_png(&self, target: impl Write) -> io::Result<()> {
        let mut encoder = png::Encoder::new(target, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(self.pixels.as_flattened())?;
        writer.finish()?;
        Ok(())
    }
}

impl OriginDimensions for Image {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height as u32)
    }
}

impl DrawTarget for Image {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> Result<(), Infallible> {
        for Pixel(Point { x, y }, colour) in pixels {
            let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
                continue;
            };
            if x < self.width && y < self.height {
                self.pixels[y * self.width + x] = bytes(colour);
            }
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, colour: Rgb888) -> Result<(), Infallible> {
        let inside = area.intersection(&self.bounding_box());
        let (left, top) = (inside.top_left.x as usize, inside.top_left.y as usize);
        for row in top..top + inside.size.height as usize {
            let start = row * self.width + left;
            self.pixels[start..start + inside.size.width as usize].fill(bytes(colour));
        }
        Ok(())
    }
}

/// Width and height of a text in pixels.
pub fn text_size(text: &str, font: &MonoFont<'_>) -> (i32, i32) {
    let step = font.character_size.width + font.character_spacing;
    let width = text.chars().count() as u32 * step;
    (width.min(i32::MAX as u32) as i32, font.character_size.height as i32)
}

/// The largest font in which a title fits into `width`; if it fits in none, the title is shortened.
pub fn fit(title: &str, width: i32) -> (&'static MonoFont<'static>, String) {
    let fonts = [TITLE, LABEL, SMALL, &FONT_6X10];
    if let Some(font) = fonts.into_iter().find(|font| text_size(title, font).0 <= width) {
        return (font, title.to_owned());
    }
    let room = (width / text_size("x", &FONT_6X10).0).max(3) as usize;
    let start: String = title.chars().take(room - 3).collect();
    (&FONT_6X10, start + "...")
}

/// The text on one line, because the fonts would draw a line feed as one.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn bytes(colour: Rgb888) -> [u8; 3] {
    [colour.r(), colour.g(), colour.b()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const INK: Rgb888 = Rgb888::new(10, 20, 30);

    #[test]
    fn a_png_file_holds_every_pixel() {
        let mut image = Image::new(7, 5, Rgb888::WHITE);
        image.fill(2, 1, 3, 2, INK);
        let mut file = Vec::new();
        image.write_png(&mut file).unwrap();
        let mut reader = png::Decoder::new(io::Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (7, 5));
        assert_eq!(pixels, image.pixels.as_flattened());
    }

    #[test]
    fn what_lies_outside_is_not_drawn() {
        let mut image = Image::new(4, 3, Rgb888::WHITE);
        image.fill(-5, -5, 6, 6, INK);
        image.fill(100, 100, 6, 6, INK);
        image.text("outside", -1000, 2, TITLE, INK);
        assert_eq!(image.pixels.iter().filter(|pixel| **pixel == [10, 20, 30]).count(), 1);
        assert_eq!((image.pixel(0, 0), image.pixel(4, 0)), (Some([10, 20, 30]), None));
    }

    #[test]
    fn text_takes_the_room_that_was_measured() {
        let mut image = Image::new(200, 40, Rgb888::WHITE);
        image.text("25 °C\n", 10, 5, TITLE, INK);
        let (width, height) = text_size("25 °C\n", TITLE);
        let inked = |x: usize, y: usize| image.pixel(x, y) == Some([10, 20, 30]);
        let places: Vec<_> = (0..40)
            .flat_map(|y| (0..200).map(move |x| (x, y)))
            .filter(|(x, y)| inked(*x, *y))
            .collect();
        assert!(!places.is_empty());
        assert!(
            places.iter().all(|(x, y)| (10..10 + width as usize).contains(x)
                && (5..5 + height as usize).contains(y))
        );
    }

    #[test]
    fn a_title_gets_smaller_before_it_is_cut() {
        let size = |title, width| fit(title, width).0.character_size;
        assert_eq!(size("plate", 100), TITLE.character_size);
        assert_eq!(size("a heated plate", 100), SMALL.character_size);
        assert_eq!(fit(&"x".repeat(99), 60).1, "xxxxxxx...");
        assert_eq!(fit("title", 0).1, "...");
    }
}
