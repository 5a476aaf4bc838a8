//! Lines of equal value over a field that is drawn as colours.
//!
//! At each pixel the field is interpolated between the surrounding samples. The distance to a level
//! is about the difference in value divided by the gradient at that pixel. So the part of a pixel
//! that a line covers depends on that pixel alone, and lines are smooth and equally thin
//! everywhere.

use ndarray::ArrayView2;

/// Half the width of a line, in pixels.
const HALF_WIDTH: f64 = 0.6;

/// Samples of a field, spread evenly over `width` by `height` pixels; row 0 is at the bottom.
pub(crate) struct Isotherms<'a> {
    samples: ArrayView2<'a, f64>,
    width: usize,
    height: usize,
    levels: &'a [f64],
    /// Where the field changes by less than this from one pixel to the next, it counts as constant,
    /// and no line is drawn.
    flat: f64,
}

impl<'a> Isotherms<'a> {
    pub(crate) fn new(
        samples: ArrayView2<'a, f64>,
        (width, height): (usize, usize),
        levels: &'a [f64],
    ) -> Self {
        let step = if let [low, high, ..] = levels { high - low } else { 0.0 };
        Self { samples, width, height, levels, flat: step * 1e-4 }
    }

    /// The fraction of a pixel that a line covers, from 0 to 1, and the level of the line. The
    /// pixel is in column `x` of row `y`, counted from the top.
    pub(crate) fn cover(&self, x: usize, y: usize) -> Option<(f64, f64)> {
        let (x, y) = (x as f64 + 0.5, (self.height - 1 - y) as f64 + 0.5);
        let here = self.at(x, y);
        let gradient = (0.5 * (self.at(x + 1.0, y) - self.at(x - 1.0, y)))
            .hypot(0.5 * (self.at(x, y + 1.0) - self.at(x, y - 1.0)));
        let away = |level: f64| (here - level).abs();
        let level = self.levels.iter().copied().min_by(|a, b| away(*a).total_cmp(&away(*b)))?;
        let cover = (HALF_WIDTH + 0.5 - away(level) / gradient).min(1.0);
        (gradient > self.flat && (here + gradient).is_finite() && cover > 0.0)
            .then_some((cover, level))
    }

    /// The field at a point in pixels from the bottom left, interpolated between the centres of the
    /// samples.
    fn at(&self, x: f64, y: f64) -> f64 {
        let (rows, columns) = self.samples.dim();
        let (left, right, across) = between(x, self.width, columns);
        let (low, high, up) = between(y, self.height, rows);
        let mix = |a: f64, b: f64, share: f64| if share == 0.0 { a } else { a + (b - a) * share };
        let below = mix(self.samples[[low, left]], self.samples[[low, right]], across);
        let above = mix(self.samples[[high, left]], self.samples[[high, right]], across);
        mix(below, above, up)
    }
}

/// The two samples between whose centres a point lies, and its position between them from 0 to 1.
fn between(point: f64, pixels: usize, samples: usize) -> (usize, usize, f64) {
    let last = (samples - 1) as f64;
    let place = (point * samples as f64 / pixels as f64 - 0.5).clamp(0.0, last);
    let first = place.floor();
    (first as usize, (first + 1.0).min(last) as usize, place - first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn covers(field: &Array2<f64>, size: (usize, usize), levels: &[f64]) -> Vec<Vec<f64>> {
        let isotherms = Isotherms::new(field.view(), size, levels);
        let cover = |x, y| isotherms.cover(x, y).map_or(0.0, |(cover, _)| cover);
        (0..size.1).map(|y| (0..size.0).map(|x| cover(x, y)).collect()).collect()
    }

    #[test]
    fn a_line_is_where_the_field_has_the_value() {
        // The centre of column i is at 10 i + 5 pixels.
        let field = Array2::from_shape_fn((10, 10), |(_, i)| i as f64);
        for line in covers(&field, (100, 100), &[2.0, 6.5]) {
            let lit: Vec<_> = (0..100).filter(|x| line[*x] > 0.3).collect();
            assert_eq!(lit, [24, 25, 69, 70]);
        }
    }

    #[test]
    fn the_top_of_the_picture_is_the_last_row() {
        let field = Array2::from_shape_fn((100, 4), |(j, _)| j as f64);
        let covered = covers(&field, (4, 100), &[90.0]);
        assert!(covered[9][1] == 1.0 && covered[90][1] == 0.0);
    }

    #[test]
    fn what_is_level_or_no_number_has_no_line() {
        let level = Array2::from_elem((5, 5), 3.0);
        let hole = Array2::from_elem((5, 5), f64::NAN);
        for field in [level, hole] {
            assert!(
                covers(&field, (50, 50), &[3.0, 4.0]).iter().flatten().all(|cover| *cover == 0.0)
            );
        }
    }

    #[test]
    fn a_field_of_one_sample_is_drawn() {
        assert_eq!(covers(&Array2::zeros((1, 1)), (3, 3), &[0.0, 1.0])[1][1], 0.0);
    }
}
