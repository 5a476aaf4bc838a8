//! Pictures of computed results, checked for the features that a reader must find.
//!
//! With `SAMPLE_PICTURES=<directory>` the pictures are kept there, for people to look at.

use std::f64::consts::TAU;
use std::path::PathBuf;

use app_support::heat_map::heat_map;
use app_support::image::Image;
use app_support::orbits::orbits;
use app_support::output::write_png;
use ndarray::{Array2, Array3, ArrayViewMut1, Axis, array};

/// Writes a picture to the folder for samples, and checks that it is a PNG file.
fn keep(name: &str, image: &Image) {
    let scratch = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("SAMPLE_PICTURES").map(PathBuf::from);
    let file = folder.as_deref().unwrap_or(scratch.path()).join(name).with_extension("png");
    write_png(&file, image).unwrap();
    assert!(std::fs::read(file).unwrap().starts_with(b"\x89PNG"));
}

/// A plate that is warm at the top and on the right, after some sweeps.
fn plate(rows: usize, columns: usize, sweeps: usize) -> Array2<f64> {
    let mut field = Array2::zeros((rows, columns));
    field.row_mut(rows - 1).fill(100.0);
    field.column_mut(columns - 1).fill(40.0);
    for _ in 0..sweeps {
        for row in 1..rows - 1 {
            for column in 1..columns - 1 {
                field[[row, column]] = 0.25
                    * (field[[row - 1, column]]
                        + field[[row + 1, column]]
                        + field[[row, column - 1]]
                        + field[[row, column + 1]]);
            }
        }
    }
    field
}

/// Planets on ellipses in the ecliptic, given in equatorial coordinates: (samples, bodies, 3).
fn system(samples: usize, days: f64, asteroids: usize) -> (Vec<String>, Array3<f64>) {
    let planets = [
        ("mercury", 0.387, 0.206, 77.5),
        ("venus", 0.723, 0.007, 131.5),
        ("earth", 1.0, 0.017, 102.9),
        ("mars", 1.524, 0.093, 336.0),
        ("jupiter", 5.203, 0.048, 14.7),
        ("saturn", 9.537, 0.054, 92.6),
        ("uranus", 19.19, 0.047, 170.9),
        ("neptune", 30.07, 0.009, 44.9),
        ("pluto", 39.48, 0.249, 224.1),
    ];
    let mut bodies: Vec<(String, f64, f64, f64)> = vec![("sun".into(), 0.0, 0.0, 0.0)];
    bodies.extend(planets.map(|(name, axis, shape, angle)| (name.into(), axis, shape, angle)));
    bodies.extend((0..asteroids).map(|n| {
        let spread = |step: f64| (n as f64 * step).fract();
        let axis = 2.1 + 1.2 * spread(0.618_034);
        (format!("asteroid-{n}"), axis, 0.15 * spread(0.414_214), 360.0 * spread(0.732_051))
    }));
    let tilt = 23.439_291_1_f64.to_radians();
    // The Sun is not at the origin.
    let mut trajectory = Array3::from_elem((samples, bodies.len(), 3), 0.01);
    for ((sample, body), mut place) in lanes(&mut trajectory) {
        let (_, size, shape, angle) = &bodies[body];
        if *size == 0.0 {
            continue;
        }
        let time = days * sample as f64 / (samples.max(2) - 1) as f64;
        let mean = TAU * (time / 365.25 / size.powf(1.5) + (body as f64 * 0.377).fract());
        let centre = (0..8).fold(mean, |centre, _| mean + shape * centre.sin());
        let along = size * (centre.cos() - shape);
        let across = size * (1.0 - shape * shape).sqrt() * centre.sin();
        let turn = angle.to_radians();
        let x = along * turn.cos() - across * turn.sin();
        let y = along * turn.sin() + across * turn.cos();
        place += &array![x, y * tilt.cos(), y * tilt.sin()];
    }
    (bodies.into_iter().map(|body| body.0).collect(), trajectory)
}

/// Each (sample, body) with its three coordinates.
fn lanes(
    trajectory: &mut Array3<f64>,
) -> impl Iterator<Item = ((usize, usize), ArrayViewMut1<'_, f64>)> {
    let bodies = trajectory.dim().1;
    let lanes = trajectory.lanes_mut(Axis(2)).into_iter().enumerate();
    lanes.map(move |(index, place)| ((index / bodies, index % bodies), place))
}

#[test]
fn plates_of_all_shapes() {
    keep("plate", &heat_map(plate(102, 102, 800).view(), "Heated plate, 100 x 100 points"));
    keep("plate-small", &heat_map(plate(6, 8, 50).view(), "Heated plate, 6 x 4 points"));
    let large = Array2::from_shape_fn((1502, 2002), |(row, column)| {
        20.0 + 5e-3 * ((row as f64 / 90.0).sin() + (column as f64 / 130.0).cos())
    });
    keep("plate-large", &heat_map(large.view(), "Heated plate, 2000 x 1500 points"));
    keep("plate-wide", &heat_map(plate(5, 1002, 300).view(), "Heated plate, 1000 x 3 points"));
    keep("plate-high", &heat_map(plate(402, 12, 300).view(), "Heated plate, 10 x 400 points"));
    let title = "Heated plate, 10 x 10 points, without any heat, by the process pool, 12 workers";
    keep("plate-constant", &heat_map(Array2::from_elem((12, 12), 20.0).view(), title));
    let mut holes = plate(42, 62, 100);
    holes.row_mut(20).fill(f64::NAN);
    keep("plate-holes", &heat_map((holes * 1e7).view(), "A plate with a hole"));
}

#[test]
fn solar_systems_of_all_sizes() {
    for (name, samples, days, asteroids) in [
        ("system", 500, 365.25 * 250.0, 3000),
        ("system-coarse", 60, 365.25 * 5.0, 200),
        ("system-one-sample", 1, 0.0, 0),
        ("system-two-samples", 2, 60.0, 1),
    ] {
        let (names, trajectory) = system(samples, days, asteroids);
        let title = format!("Solar system, {:.0} days, {asteroids} asteroids", days);
        let image = orbits(&names, trajectory.view(), &[], &title);
        assert_eq!(image.pixel(0, 0), image.pixel(image.width - 1, image.height - 1));
        keep(name, &image);
    }
}

#[test]
fn parts_of_the_solar_system() {
    let (names, trajectory) = system(400, 1500.0, 0);
    let inner = trajectory.slice(ndarray::s![.., ..5, ..]);
    let one_map = orbits(&names[..5], inner, &[], "The inner planets");
    keep("system-inner", &one_map);
    let two_maps = orbits(&names, trajectory.view(), &[], "All planets");
    assert!(two_maps.width > one_map.width);
    assert_eq!(two_maps.height, one_map.height);
}

#[test]
fn systems_that_are_hardly_one_give_a_picture_all_the_same() {
    let names: Vec<String> = ["sun", "earth"].map(Into::into).into();
    for shape in [(0, 0, 3), (0, 2, 3), (3, 0, 3), (3, 1, 3), (3, 2, 3), (1, 5, 3)] {
        for value in [0.0, f64::NAN, f64::INFINITY, 1e300] {
            let mut trajectory = Array3::from_elem(shape, value);
            if shape.1 > 1 {
                trajectory.slice_mut(ndarray::s![.., 0, ..]).fill(0.0);
            }
            let image = orbits(&names, trajectory.view(), &[], "nothing");
            assert_eq!(image.pixels.len(), image.width * image.height);
        }
    }
}

#[test]
fn bodies_in_one_place_do_not_hide_each_others_names() {
    let names: Vec<String> = (0..40).map(|n| format!("body number {n}")).collect();
    let trajectory = Array3::from_shape_fn((1, 40, 3), |(_, body, _)| f64::from(body.min(1) as u8));
    keep("system-crowd", &orbits(&names, trajectory.view(), &[], "A crowd"));
}

#[test]
fn a_body_that_flew_away_is_drawn() {
    let (names, mut trajectory) = system(50_000, 365.25 * 1000.0, 10);
    trajectory.slice_mut(ndarray::s![40_000.., 4, ..]).fill(1e12);
    keep("system-escape", &orbits(&names, trajectory.view(), &[], "Mars flew away"));
}
