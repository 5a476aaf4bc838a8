//! One round map of the Solar System: conversion from AU to pixels, and paths.
//!
//! Between two samples a path is drawn around the Sun, on the ellipse through these samples and a
//! third one near by. Chords would turn the orbits of the inner planets into stars if samples are a
//! month apart. The ellipse has the Sun in its focus: `1 / r = a + b cos(angle) + c sin(angle)`,
//! which is linear in the unknowns. If the ellipse does not fit, angle and distance change evenly,
//! and if the distance changes much, the path is a straight line.

use std::f64::consts::{PI, TAU};

use embedded_graphics::pixelcolor::Rgb888;

use crate::canvas::Canvas;

/// A place in pixels or AU.
pub(crate) type Place = (f64, f64);

/// Paths with turns below this angle, in radians, are drawn straight.
const STRAIGHT: f64 = 0.05;
/// The number of samples before and after a sample from which the third point of its ellipse may be
/// taken.
const NEAR_BY: usize = 12;
/// The shortest line that is drawn, in pixels.
const SHORTEST: f64 = 0.5;

/// A map with the Sun in the middle, clipped at its rim.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panel {
    /// The position of the Sun, in pixels.
    pub(crate) centre: Place,
    /// The distance from the Sun to the rim, in pixels.
    pub(crate) radius: f64,
    /// The distance from the Sun to the rim, in AU.
    pub(crate) range: f64,
}

impl Panel {
    /// The position of a body in pixels. The north of the ecliptic points to the reader, so y
    /// points upwards.
    pub(crate) fn at(&self, (x, y): Place) -> Place {
        let scale = self.pixels(1.0);
        (self.centre.0 + x * scale, self.centre.1 - y * scale)
    }

    /// The length in pixels of a distance in AU.
    pub(crate) fn pixels(&self, distance: f64) -> f64 {
        distance / self.range * self.radius
    }

    /// Whether a body is on the map; false if a coordinate is NaN.
    pub(crate) fn shows(&self, (x, y): Place) -> bool {
        x.hypot(y) <= self.range
    }

    /// Draws a path through samples; a sample that is not finite interrupts it.
    pub(crate) fn path(&self, canvas: &mut Canvas, samples: &[Place], colour: Rgb888) {
        let mut pen: Option<Place> = None;
        let mut last: Option<Place> = None;
        for (index, &sample) in samples.iter().enumerate() {
            if !is_place(sample) {
                (pen, last) = (None, None);
                continue;
            }
            for place in way(samples, index) {
                match pen {
                    Some(from) if self.pixels(distance(from, place)) < SHORTEST => {}
                    Some(from) => {
                        self.line(canvas, from, place, colour);
                        pen = Some(place);
                    }
                    None => pen = Some(place),
                }
            }
            last = Some(sample);
        }
        if let (Some(from), Some(to)) = (pen, last) {
            self.line(canvas, from, to, colour);
        }
    }

    /// Draws the part of a line that is on the map.
    fn line(&self, canvas: &mut Canvas, from: Place, to: Place, colour: Rgb888) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        // |from + t (to - from)|^2 = range^2, with 0 <= t <= 1 on the line.
        let a = dx * dx + dy * dy;
        let half_b = from.0 * dx + from.1 * dy;
        let c = from.0 * from.0 + from.1 * from.1 - self.range * self.range;
        let under_root = half_b * half_b - a * c;
        if !(a > 0.0 && under_root > 0.0) {
            return;
        }
        let root = under_root.sqrt();
        let (enter, leave) = (((-half_b - root) / a).max(0.0), ((-half_b + root) / a).min(1.0));
        if enter < leave {
            let point = |t: f64| self.at((from.0 + t * dx, from.1 + t * dy));
            canvas.line(point(enter), point(leave), 1.7, colour);
        }
    }
}

/// The places along the path from the previous sample to this one, which is included.
fn way(samples: &[Place], index: usize) -> Vec<Place> {
    let to = samples[index];
    let Some(from) = index.checked_sub(1).map(|before| samples[before]).filter(|p| is_place(*p))
    else {
        return vec![to];
    };
    let (near, far) = (from.0.hypot(from.1), to.0.hypot(to.1));
    let start = angle(from);
    let mut turn = angle(to) - start;
    if turn.abs() > PI {
        turn -= TAU.copysign(turn);
    }
    let steps = (turn.abs() / STRAIGHT).ceil() as usize;
    if steps < 2 || near.min(far) <= 0.0 || near.max(far) > 3.0 * near.min(far) {
        return vec![to];
    }
    let at = |step: usize| start + turn * step as f64 / steps as f64;
    let ellipse = ellipse(samples, index).filter(|ellipse| {
        let sane = near.min(far) / 2.0..near.max(far) * 2.0;
        (0..=steps).all(|step| sane.contains(&ellipse.radius(at(step))))
    });
    let radius = |step: usize| match &ellipse {
        Some(ellipse) => ellipse.radius(at(step)),
        None => near + (far - near) * step as f64 / steps as f64,
    };
    let on_the_way =
        (1..steps).map(|step| (radius(step) * at(step).cos(), radius(step) * at(step).sin()));
    on_the_way.chain([to]).collect()
}

/// A path around the Sun, given by the terms of `1 / r`.
struct Ellipse([f64; 3]);

impl Ellipse {
    fn radius(&self, angle: f64) -> f64 {
        1.0 / (self.0[0] + self.0[1] * angle.cos() + self.0[2] * angle.sin())
    }
}

/// The ellipse through a sample, the previous one, and the nearby sample that is farthest aside of
/// both; `None` if all of them are too close together.
fn ellipse(samples: &[Place], index: usize) -> Option<Ellipse> {
    let (from, to) = (angle(samples[index - 1]), angle(samples[index]));
    let spread = |third: f64| (to - third).sin() + (third - from).sin() + (from - to).sin();
    let third = (index.saturating_sub(NEAR_BY)..samples.len().min(index + NEAR_BY))
        .filter(|other| is_place(samples[*other]))
        .max_by(|a, b| {
            let [a, b] = [a, b].map(|other| spread(angle(samples[*other])).abs());
            a.total_cmp(&b)
        })?;
    let angles = [from, to, angle(samples[third])];
    let inverse = [index - 1, index, third].map(|i| 1.0 / samples[i].0.hypot(samples[i].1));
    // Cramer's rule for rows (1, cos, sin).
    let (cos, sin) = (angles.map(f64::cos), angles.map(f64::sin));
    let determinant = |a: [f64; 3], b: [f64; 3], c: [f64; 3]| {
        a[0] * (b[1] * c[2] - b[2] * c[1]) - b[0] * (a[1] * c[2] - a[2] * c[1])
            + c[0] * (a[1] * b[2] - a[2] * b[1])
    };
    let one = [1.0; 3];
    let all = determinant(one, cos, sin);
    let terms = [
        determinant(inverse, cos, sin),
        determinant(one, inverse, sin),
        determinant(one, cos, inverse),
    ];
    (all.abs() > 0.3).then(|| Ellipse(terms.map(|term| term / all)))
}

fn angle((x, y): Place) -> f64 {
    y.atan2(x)
}

fn is_place((x, y): Place) -> bool {
    x.is_finite() && y.is_finite()
}

fn distance(one: Place, other: Place) -> f64 {
    (one.0 - other.0).hypot(one.1 - other.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_graphics::pixelcolor::RgbColor;

    const PANEL: Panel = Panel { centre: (50.0, 50.0), radius: 40.0, range: 2.0 };

    fn drawn(samples: &[Place]) -> Vec<Place> {
        let mut canvas = Canvas::new(100, 100, Rgb888::BLACK);
        PANEL.path(&mut canvas, samples, Rgb888::WHITE);
        let image = canvas.finish();
        let lit = |index: usize| image.pixels[index][0] > 60;
        let lit = (0..image.pixels.len()).filter(|index| lit(*index));
        lit.map(|index| ((index % 100) as f64 + 0.5 - 50.0, (index / 100) as f64 + 0.5 - 50.0))
            .collect()
    }

    #[test]
    fn four_samples_of_a_circle_are_drawn_as_a_circle() {
        let samples = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0), (1.0, 0.0)];
        let lit = drawn(&samples);
        assert!(lit.len() > 100, "{}", lit.len());
        assert!(lit.iter().all(|place| (place.0.hypot(place.1) - 20.0).abs() < 2.0));
    }

    #[test]
    fn an_ellipse_that_is_hardly_sampled_is_drawn_as_one() {
        let radius = |angle: f64| 1.0 / (1.0 + 0.4 * (angle - 0.7).cos());
        let places = |step: f64, count: i32| {
            let angles = (0..count).map(move |n| step * f64::from(n));
            angles.map(|angle| (radius(angle) * angle.cos(), radius(angle) * angle.sin()))
        };
        // Each sample is nearly half an orbit after the previous one.
        let coarse: Vec<_> = places(2.9, 200).collect();
        let drawn = (1..200).flat_map(|index| way(&coarse, index));
        for place in drawn.skip(100) {
            let apart = place.0.hypot(place.1) - radius(angle(place));
            assert!(apart.abs() < 1e-6, "{apart}");
        }
    }

    #[test]
    fn what_leaves_the_map_is_cut_at_its_rim() {
        let lit = drawn(&[(0.0, 0.0), (1e12, 1e12)]);
        assert!(lit.len() > 30);
        assert!(lit.iter().all(|place| place.0.hypot(place.1) < 42.0));
        assert!(drawn(&[(3.0, 1.0), (3.0, -1.0), (1e300, 0.0)]).is_empty());
    }

    #[test]
    fn a_sample_without_a_number_interrupts_the_path() {
        let samples = [(-1.0, 0.5), (-0.5, 0.5), (f64::NAN, 0.5), (0.5, 0.5), (1.0, 0.5)];
        let lit = drawn(&samples);
        assert!(!lit.is_empty());
        assert!(lit.iter().all(|place| place.0.abs() > 8.0));
    }

    #[test]
    fn the_reader_looks_from_the_north() {
        assert_eq!(PANEL.at((2.0, 0.0)), (90.0, 50.0));
        assert_eq!(PANEL.at((0.0, 2.0)), (50.0, 10.0));
        assert!(PANEL.shows((1.9, 0.0)) && !PANEL.shows((2.1, 0.0)));
        assert!(!PANEL.shows((f64::NAN, 0.0)));
    }
}
