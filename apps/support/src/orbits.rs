//! The picture of the Solar System, seen from the north pole of the ecliptic.
//!
//! Mercury is a hundred times nearer to the Sun than Pluto. A logarithmic scale would bend the
//! orbits, so there are two maps side by side: one to just beyond the main belt, and one to the
//! farthest body; a single one if all bodies fit on one map. Asteroids are too many for paths and
//! are shown as points at their last position.

use std::f64::consts::{FRAC_PI_2, TAU};

use embedded_graphics::pixelcolor::Rgb888;
use ndarray::ArrayView3;

use crate::canvas::Canvas;
use crate::image::{Image, LABEL, SMALL, fit, text_size};
use crate::labels::{Area, Labels};
use crate::orbit_panel::{Panel, Place};
use crate::ticks::ticks;

/// The inclination of the Earth's axis, J2000, in degrees (IAU 1976).
const OBLIQUITY: f64 = 23.439_291_1;
/// The range of the inner map in AU, which includes all of the main belt.
const INNER: f64 = 3.6;
/// There are two maps if a body is farther from the Sun than this, in AU.
const SPLIT: f64 = 5.0;
/// The largest number of samples of a path that are drawn.
const SAMPLES: usize = 5_000;
/// The number of directions from the Sun in which the rings may be labelled.
const RAYS: u32 = 72;

const SIDE: i32 = 640;
const MARGIN: i32 = 20;
const HEAD: i32 = 58;
const FOOT: i32 = 34;

const SKY: Rgb888 = Rgb888::new(13, 15, 26);
const RING: Rgb888 = Rgb888::new(46, 51, 72);
const RIM: Rgb888 = Rgb888::new(74, 81, 110);
const NOTE: Rgb888 = Rgb888::new(138, 145, 168);
const TEXT: Rgb888 = Rgb888::new(232, 234, 242);
const SUN: Rgb888 = Rgb888::new(255, 214, 92);
const DUST: Rgb888 = Rgb888::new(112, 116, 136);

/// Draws the bodies' paths and their last positions; body 0 is the Sun, in the middle.
///
/// If a whole orbit is known it is drawn faintly below the path, because a body may have covered
/// only a small part of it.
///
/// # Shapes
/// `trajectory: (samples, bodies, 3)`, one of `names` for each body, and for each body the
/// positions of its orbit relative to the Sun, or `None`. Bodies named `asteroid-...` are points.
///
/// # Units
/// AU, equatorial J2000.
pub fn orbits(
    names: &[String],
    trajectory: ArrayView3<'_, f64>,
    whole: &[Option<Vec<[f64; 3]>>],
    title: &str,
) -> Image {
    let system = System::of(names, trajectory, whole);
    let ranges = system.ranges();
    let width = MARGIN + ranges.len() as i32 * (SIDE + MARGIN);
    let height = HEAD + SIDE + FOOT;
    let mut canvas = Canvas::new(width as usize, height as usize, SKY);
    let mut writing = Vec::new();
    for (index, range) in ranges.iter().enumerate() {
        let left = MARGIN + index as i32 * (SIDE + MARGIN);
        let farther = index > 0;
        system.draw(&mut canvas, &mut writing, (left, HEAD), *range, farther);
    }
    let mut image = canvas.finish();
    for text in writing {
        let font = if text.small { SMALL } else { LABEL };
        image.text_with_rim(&text.text, (text.left, text.top), font, text.colour, SKY);
    }
    let (font, title) = fit(title, width - 2 * MARGIN);
    let (title_width, title_height) = text_size(&title, font);
    let (left, top) = ((width - title_width) / 2, (HEAD - 10 - title_height) / 2 + 2);
    image.text(&title, left, top, font, TEXT);
    let note = "seen from the north pole of the ecliptic, x towards the equinox of J2000";
    image.text(note, MARGIN, height - FOOT + 12, SMALL, NOTE);
    let count = system.asteroids.len();
    if count > 0 {
        let note = format!("{count} {}", if count == 1 { "asteroid" } else { "asteroids" });
        let left = width - MARGIN - text_size(&note, SMALL).0;
        let fits = left > MARGIN + 560;
        image.text(&note, left, if fits { height - FOOT + 12 } else { HEAD + 2 }, SMALL, NOTE);
    }
    image
}

/// A body that is drawn with its path.
struct Planet {
    name: String,
    path: Vec<Place>,
    /// The positions of its whole orbit; empty if they are not known.
    orbit: Vec<Place>,
    /// The position at the last sample.
    last: Place,
    /// The largest distance from the Sun.
    reach: f64,
    colour: Rgb888,
}

/// All bodies, relative to the Sun and seen from the pole of the ecliptic.
struct System {
    sun: Option<String>,
    planets: Vec<Planet>,
    asteroids: Vec<Place>,
}

/// A text that is written after the shapes are finished.
struct Writing {
    text: String,
    left: i32,
    top: i32,
    small: bool,
    colour: Rgb888,
}

impl System {
    fn of(
        names: &[String],
        trajectory: ArrayView3<'_, f64>,
        whole: &[Option<Vec<[f64; 3]>>],
    ) -> Self {
        let (samples, bodies, axes) = trajectory.dim();
        let mut system = Self { sun: None, planets: Vec::new(), asteroids: Vec::new() };
        let bodies = bodies.min(names.len());
        if samples == 0 || bodies == 0 || axes < 3 {
            return system;
        }
        system.sun = Some(names[0].clone());
        let place = |sample: usize, body: usize| {
            let [x, y, z] = std::array::from_fn(|axis| {
                trajectory[[sample, body, axis]] - trajectory[[sample, 0, axis]]
            });
            seen([x, y, z])
        };
        // The last sample is included for any stride.
        let stride = samples.div_ceil(SAMPLES);
        for (body, name) in names.iter().enumerate().take(bodies).skip(1) {
            let last = place(samples - 1, body);
            if name.starts_with("asteroid-") {
                system.asteroids.push(last);
                continue;
            }
            let path: Vec<Place> = (0..samples)
                .step_by(stride)
                .map(|sample| place(sample, body))
                .chain([last])
                .collect();
            let orbit: Vec<Place> = match whole.get(body) {
                Some(Some(places)) => places.iter().map(|place| seen(*place)).collect(),
                _ => Vec::new(),
            };
            let distances = path.iter().chain(&orbit).map(|(x, y)| x.hypot(*y));
            let reach = distances.filter(|reach| reach.is_finite()).fold(0.0, f64::max);
            let colour = colour_of(name, system.planets.len());
            system.planets.push(Planet { name: name.clone(), path, orbit, last, reach, colour });
        }
        // Moons, which have no whole orbit, are drawn first and so below their planets.
        system.planets.sort_by_key(|planet| !planet.orbit.is_empty());
        system
    }

    /// The ranges of the maps, in AU: the inner one and the outer one, or a single one.
    fn ranges(&self) -> Vec<f64> {
        let distances = self.asteroids.iter().map(|(x, y)| x.hypot(*y));
        let distances: Vec<f64> = distances.filter(|reach| reach.is_finite()).collect();
        let belt = distances.iter().copied().fold(0.0, f64::max);
        let planets = self.planets.iter().map(|planet| planet.reach).fold(0.0, f64::max);
        // A distant asteroid must not make the planets' orbits small.
        let farthest = if planets > 0.0 { planets } else { belt };
        let near = distances.iter().any(|reach| *reach <= INNER)
            || self.planets.iter().any(|planet| planet.reach <= INNER);
        let whole = if farthest > 0.0 { farthest * 1.08 } else { 1.0 };
        if farthest > SPLIT && near {
            vec![INNER, whole]
        } else {
            vec![whole.max(if planets > 0.0 { (belt * 1.08).min(SPLIT) } else { 0.0 })]
        }
    }

    /// Draws one map into a square with its corner at `(left, top)`.
    fn draw(
        &self,
        canvas: &mut Canvas,
        writing: &mut Vec<Writing>,
        (left, top): (i32, i32),
        range: f64,
        farther: bool,
    ) {
        let half = f64::from(SIDE / 2);
        let centre = (f64::from(left) + half, f64::from(top) + half);
        let panel = Panel { centre, radius: half - 8.0, range };
        let mut labels = Labels::new(Area { left, top, right: left + SIDE, bottom: top + SIDE });
        let rings = draw_rings(canvas, &panel);
        for asteroid in self.asteroids.iter().filter(|place| panel.shows(**place)) {
            canvas.disc(panel.at(*asteroid), 0.8, DUST);
        }
        // The outer map leaves out the inner planets, which would be a blot around the Sun.
        let shown = || self.planets.iter().filter(|planet| !farther || planet.reach > INNER);
        for planet in shown() {
            panel.path(canvas, &planet.orbit, mixed(planet.colour, SKY, 0.26));
        }
        for planet in shown() {
            panel.path(canvas, &planet.path, mixed(planet.colour, SKY, 0.72));
        }
        canvas.disc(centre, if farther { 4.0 } else { 6.0 }, SUN);
        labels.take(Area::around(pixel(centre), (14, 14)));
        let visible: Vec<&Planet> = shown().filter(|planet| panel.shows(planet.last)).collect();
        for planet in &visible {
            let dot = panel.at(planet.last);
            canvas.disc(dot, 4.2, planet.colour);
            labels.take(Area::around(pixel(dot), (10, 10)));
        }
        label_rings(canvas, &panel, &rings, &mut labels, writing);
        let named = visible.iter().map(|planet| (&planet.name, planet.last, planet.colour));
        let sun = self.sun.iter().filter(|_| !farther).map(|name| (name, (0.0, 0.0), SUN));
        for (name, place, colour) in named.chain(sun) {
            let dot = panel.at(place);
            let ink = |area| canvas.ink(area, SKY);
            let Some(area) = labels.place(pixel(dot), text_size(name, LABEL), ink) else {
                continue;
            };
            point_out(canvas, dot, area, colour);
            let text = name.clone();
            writing.push(Writing { text, left: area.left, top: area.top, small: false, colour });
        }
    }
}

/// A position in equatorial coordinates as seen from the pole of the ecliptic.
fn seen([x, y, z]: [f64; 3]) -> Place {
    let (sin, cos) = OBLIQUITY.to_radians().sin_cos();
    (x, y * cos + z * sin)
}

/// A distance ring: its radius in pixels and its label.
type Ring = (f64, String);

/// Draws the rim of the map, and rings at round numbers of AU.
fn draw_rings(canvas: &mut Canvas, panel: &Panel) -> Vec<Ring> {
    canvas.ring(panel.centre, panel.radius, 1.0, RIM);
    let marks = ticks(0.0, panel.range, 6);
    let radii = marks.values.iter().map(|value| panel.pixels(*value));
    let rings = radii.zip(marks.labels.iter().map(|label| format!("{label} AU")));
    // No ring lies within the Sun's disc, or so near to the rim that both look like one.
    let rings: Vec<Ring> =
        rings.filter(|(radius, _)| (12.0..panel.radius - 4.0).contains(radius)).collect();
    for (radius, _) in &rings {
        canvas.ring(panel.centre, *radius, 1.0, RING);
    }
    rings
}

/// Writes the labels of the rings along the ray on which they cover the fewest lines.
fn label_rings(
    canvas: &Canvas,
    panel: &Panel,
    rings: &[Ring],
    labels: &mut Labels,
    writing: &mut Vec<Writing>,
) {
    let area = |(radius, text): &Ring, angle: f64| {
        let (width, height) = text_size(text, SMALL);
        let (right, up) = (angle.cos(), angle.sin());
        // A label is placed outside its ring, but within the rim.
        let aside =
            (right * f64::from(width) / 2.0).abs() + (up * f64::from(height) / 2.0).abs() + 2.0;
        let outside = radius + aside;
        let away = if outside + aside < panel.radius { outside } else { radius - aside };
        let centre = (panel.centre.0 + away * right, panel.centre.1 - away * up);
        Area::around(pixel(centre), (width, height))
    };
    let rays = (0..RAYS).map(|ray| FRAC_PI_2 + TAU * f64::from(ray) / f64::from(RAYS));
    let cost = |angle: f64| {
        let hidden: f64 = rings
            .iter()
            .map(|ring| labels.cover(area(ring, angle), |area| canvas.ink(area, SKY)))
            .sum();
        hidden + 0.02 * (1.0 - angle.sin())
    };
    let best = rays.map(|angle| (cost(angle), angle)).min_by(|a, b| a.0.total_cmp(&b.0));
    let Some((_, angle)) = best else { return };
    for ring in rings {
        let Area { left, top, .. } = area(ring, angle);
        labels.take(area(ring, angle));
        writing.push(Writing { text: ring.1.clone(), left, top, small: true, colour: NOTE });
    }
}

/// Draws a thin line from a dot to its name, if the name is not directly beside it.
fn point_out(canvas: &mut Canvas, dot: Place, area: Area, colour: Rgb888) {
    let end = (
        dot.0.clamp(f64::from(area.left), f64::from(area.right)),
        dot.1.clamp(f64::from(area.top + 2), f64::from(area.bottom - 2)),
    );
    if (end.0 - dot.0).hypot(end.1 - dot.1) > 13.0 {
        canvas.line(dot, end, 0.7, mixed(colour, SKY, 0.5));
    }
}

fn pixel((x, y): Place) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

/// A mixture of two colours, with the fraction `share` of the first.
fn mixed(one: Rgb888, other: Rgb888, share: f64) -> Rgb888 {
    use embedded_graphics::pixelcolor::RgbColor;
    let mix = |a: u8, b: u8| (f64::from(a) * share + f64::from(b) * (1.0 - share)).round() as u8;
    Rgb888::new(mix(one.r(), other.r()), mix(one.g(), other.g()), mix(one.b(), other.b()))
}

/// The planets in about their familiar colours; other bodies get colours in turn.
fn colour_of(name: &str, index: usize) -> Rgb888 {
    const KNOWN: [(&str, [u8; 3]); 10] = [
        ("mercury", [184, 172, 162]),
        ("venus", [236, 200, 120]),
        ("earth", [104, 176, 255]),
        ("moon", [200, 200, 205]),
        ("mars", [238, 104, 72]),
        ("jupiter", [222, 172, 122]),
        ("saturn", [240, 220, 150]),
        ("uranus", [142, 232, 228]),
        ("neptune", [108, 138, 255]),
        ("pluto", [206, 162, 222]),
    ];
    const OTHERS: [[u8; 3]; 6] = [
        [126, 214, 138],
        [255, 146, 168],
        [118, 214, 240],
        [244, 178, 96],
        [186, 156, 255],
        [206, 226, 112],
    ];
    let known = KNOWN.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
    let [red, green, blue] = known.map_or(OTHERS[index % OTHERS.len()], |(_, colour)| *colour);
    Rgb888::new(red, green, blue)
}
