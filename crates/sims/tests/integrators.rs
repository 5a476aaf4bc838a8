//! The integrators compared with a reference run and with their own order, and the quantities that
//! gravity conserves.

use std::convert::Infallible;
use std::fmt::Display;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use serde::Deserialize;
use sims::nbody::{
    Bodies, Body, Ephemeris, Forces, Integrator, OnFarm, PostNewtonian, Serial, Simulation, System,
    belt,
};

const REFERENCE: &str = include_str!("data/integrator_reference.csv");

/// One body after steps of one day.
#[derive(Deserialize)]
struct Row {
    integrator: String,
    t_d: f64,
    name: String,
    x_au: f64,
    y_au: f64,
    z_au: f64,
    vx_au_d: f64,
    vy_au_d: f64,
    vz_au_d: f64,
}

fn simulation(integrator: Integrator, start: System) -> Simulation<Serial> {
    let gravity = Serial::new(&start);
    Simulation::new(start, gravity, integrator)
}

fn advance(simulation: &mut Simulation<Serial>, dt: f64, steps: usize) {
    for _ in 0..steps {
        simulation.step(dt).expect("the bodies stay apart");
    }
}

/// The longest step for the reference: one day, or no limit for an adaptive method.
fn longest(integrator: Integrator) -> f64 {
    if integrator.accuracy().is_some() { f64::INFINITY } else { 1.0 }
}

fn run(integrator: Integrator, dt: f64, steps: usize) -> System {
    let mut run = simulation(integrator, Ephemeris::De421.initial_conditions(Bodies::Emb));
    advance(&mut run, dt, steps);
    run.into_system()
}

fn distance(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).mapv(|x| x * x).sum().sqrt()
}

#[test]
fn a_year_ends_where_the_reference_says() {
    let rows: Vec<Row> = csv::Reader::from_reader(REFERENCE.as_bytes())
        .into_deserialize()
        .collect::<Result<_, _>>()
        .expect("the reference is well-formed");
    for (label, integrator) in [
        ("verlet_kdk", Integrator::Leapfrog),
        ("yoshida4_dkd", Integrator::Yoshida4),
        ("hermite4_pec", Integrator::Hermite4),
        ("ias15", Integrator::Ias15),
    ] {
        let rows: Vec<_> = rows.iter().filter(|row| row.integrator == label).collect();
        let mut run = simulation(integrator, Ephemeris::De421.initial_conditions(Bodies::Emb));
        run.advance_to(rows[0].t_d, longest(integrator)).expect("the bodies stay apart");
        assert_eq!(run.time(), rows[0].t_d);
        let system = run.system();
        assert_eq!(rows.len(), system.len());
        for (row, body) in rows.iter().zip(system.bodies()) {
            assert_eq!(row.name, body.name);
            let position = [row.x_au, row.y_au, row.z_au];
            let velocity = [row.vx_au_d, row.vy_au_d, row.vz_au_d];
            for c in 0..3 {
                assert!((body.position[c] - position[c]).abs() < 1e-12, "{label} {}", row.name);
                assert!((body.velocity[c] - velocity[c]).abs() < 1e-13, "{label} {}", row.name);
            }
        }
    }
}

#[test]
fn halving_the_step_shows_the_order() {
    for (integrator, order, dt) in [
        (Integrator::Leapfrog, 2.0, 0.5),
        (Integrator::Yoshida4, 4.0, 0.5),
        (Integrator::Hermite4, 4.0, 0.25),
        (Integrator::Symplectic8, 8.0, 4.0),
    ] {
        let [coarse, middle, fine] =
            [dt, dt / 2.0, dt / 4.0].map(|dt| run(integrator, dt, (32.0 / dt) as usize).positions);
        let measured = (distance(&coarse, &middle) / distance(&middle, &fine)).log2();
        assert!((measured - order).abs() < 0.2, "{} has order {measured}", integrator.name());
    }
}

#[test]
fn halving_the_longest_step_shows_the_order_of_adaptive_methods() {
    let planets = Ephemeris::De421.initial_conditions(Bodies::Emb);
    // On a nearly circular orbit the errors follow the order even with steps of nearly half a
    // period. IAS15 needs steps of that length for its errors to exceed rounding, and the next
    // order then contributes a little.
    let start: System = [0, 2].map(|i| planets.body(i)).into_iter().collect();
    for (integrator, order, dt, tolerance) in
        [(Integrator::Dop853, 8.0, 12.0, 0.2), (Integrator::Ias15, 15.0, 100.0, 0.5)]
    {
        let [coarse, middle, fine] = [dt, dt / 2.0, dt / 4.0].map(|longest| {
            let (start, gravity) = (start.clone(), Serial::new(&start));
            let mut run = Simulation::with_accuracy(start, gravity, integrator, f64::INFINITY);
            // No error is too large, so the steps grow up to the longest allowed one, in the same
            // way in all three runs.
            run.advance_to(4.0 * dt, dt).expect("the bodies stay apart");
            let grown = run.steps();
            run.advance_to(20.0 * dt, longest).expect("the bodies stay apart");
            assert_eq!((run.steps() - grown) as f64 * longest, 16.0 * dt);
            run.into_system().positions
        });
        let measured = (distance(&coarse, &middle) / distance(&middle, &fine)).log2();
        let right = (measured - order).abs() < tolerance;
        assert!(right, "{} has order {measured}", integrator.name());
    }
}

#[test]
fn symplectic_methods_keep_their_order_with_relativity() {
    let ends = |integrator: Integrator, dt: f64| {
        let start = Ephemeris::De421.initial_conditions(Bodies::Emb);
        let gravity = Exaggerated(PostNewtonian::new(Serial::new(&start), &start));
        let mut run = Simulation::new(start, gravity, integrator);
        run.advance_to(32.0, dt).expect("the bodies stay apart");
        run.into_system().positions
    };
    for (integrator, order, dt) in [
        (Integrator::Leapfrog, 2.0, 0.5),
        (Integrator::Yoshida4, 4.0, 0.5),
        (Integrator::Symplectic8, 8.0, 4.0),
    ] {
        let exact = ends(Integrator::Ias15, f64::INFINITY);
        let [coarse, fine] = [dt, dt / 2.0].map(|dt| distance(&ends(integrator, dt), &exact));
        let measured = (coarse / fine).log2();
        assert!((measured - order).abs() < 0.2, "{} has order {measured}", integrator.name());
    }
}

/// Relativity with the speed of light divided by a hundred, which multiplies the corrections by
/// 1e4.
struct Exaggerated(PostNewtonian<Serial>);

impl Forces for Exaggerated {
    type Error = Infallible;

    fn attraction(
        &mut self,
        positions: ArrayView2<f64>,
        out: ArrayViewMut2<f64>,
    ) -> Result<(), Infallible> {
        self.0.attraction(positions, out)
    }

    fn accelerations_and_jerks(
        &mut self,
        _: ArrayView2<f64>,
        _: ArrayView2<f64>,
        _: ArrayViewMut2<f64>,
        _: ArrayViewMut2<f64>,
    ) -> Result<(), Infallible> {
        unreachable!("no method of this test asks for jerks")
    }

    fn has_corrections(&self) -> bool {
        true
    }

    fn add_corrections(
        &self,
        positions: ArrayView2<f64>,
        velocities: ArrayView2<f64>,
        mut out: ArrayViewMut2<f64>,
    ) {
        let mut corrections = Array2::zeros(out.raw_dim());
        self.0.add_corrections(positions, velocities, corrections.view_mut());
        out.scaled_add(1e4, &corrections);
    }
}

#[test]
fn energy_stays_within_the_error_of_the_integrator() {
    for (integrator, dt, steps, bound) in [
        (Integrator::Leapfrog, 1.0, 365, 3e-6),
        (Integrator::Yoshida4, 0.25, 4 * 365, 1e-10),
        (Integrator::Hermite4, 0.25, 4 * 365, 1e-9),
        (Integrator::Symplectic8, 4.0, 91, 1e-11),
        (Integrator::Dop853, 4.0, 365, 1e-14),
        (Integrator::Ias15, 4.0, 230, 1e-15),
    ] {
        let mut state = simulation(integrator, Ephemeris::De421.initial_conditions(Bodies::Emb));
        let before = state.system().total_energy();
        for _ in 0..steps {
            advance(&mut state, dt, 1);
            let error = (state.system().total_energy() / before - 1.0).abs();
            assert!(error < bound, "{}: {error:e}", integrator.name());
        }
        assert!(state.time() >= 364.0, "{} {}", integrator.name(), state.time());
    }
}

#[test]
fn angular_momentum_is_conserved() {
    let before = run(Integrator::Leapfrog, 1.0, 0).angular_momentum();
    let size = before.map(|l| l * l).iter().sum::<f64>().sqrt();
    for integrator in Integrator::ALL {
        // Symplectic methods conserve it with any step, the others to within their error.
        let bound = if integrator == Integrator::Hermite4 { 1e-10 } else { 1e-13 };
        let mut run = simulation(integrator, Ephemeris::De421.initial_conditions(Bodies::Emb));
        run.advance_to(365.0, longest(integrator)).expect("the bodies stay apart");
        let after = run.system().angular_momentum();
        for c in 0..3 {
            let error = (after[c] - before[c]).abs() / size;
            assert!(error < bound, "{}: {error:e}", integrator.name());
        }
    }
}

#[test]
fn going_back_in_time_returns_to_the_start() {
    for integrator in Integrator::ALL {
        // A method that is not reversible ends at a distance given by its errors.
        let bound = match integrator {
            Integrator::Hermite4 => 1e-2,
            Integrator::Dop853 => 1e-10,
            _ => 1e-12,
        };
        let start = Ephemeris::De421.initial_conditions(Bodies::EarthMoon);
        let gravity = PostNewtonian::new(Serial::new(&start), &start);
        let mut state = Simulation::new(start.clone(), gravity, integrator);
        for days in [200.0, 0.0] {
            state.advance_to(days, longest(integrator)).expect("the bodies stay apart");
            let moved = distance(&state.system().positions, &start.positions);
            let right = if days == 0.0 { moved < bound } else { moved > 1.0 };
            assert!(right, "{}: {moved:e}", integrator.name());
        }
    }
}

#[test]
fn an_adaptive_method_lands_where_it_is_told_and_forgets_no_step() {
    let start = Ephemeris::De421.initial_conditions(Bodies::Emb);
    for integrator in [Integrator::Dop853, Integrator::Ias15] {
        let mut free = simulation(integrator, start.clone());
        free.advance_to(200.0, f64::INFINITY).expect("the bodies stay apart");
        let mut stopped = simulation(integrator, start.clone());
        for time in [1e-9, 50.0, 50.0 + 1e-6, 100.1, 200.0 - 1e-9, 200.0] {
            stopped.advance_to(time, f64::INFINITY).expect("the bodies stay apart");
            assert_eq!(stopped.time(), time);
        }
        assert!(stopped.steps() < free.steps() + 15, "{} steps", stopped.steps());
        let apart = distance(&free.system().positions, &stopped.system().positions);
        assert!(apart < 1e-10, "{}: {apart:e}", integrator.name());
    }
}

#[test]
fn asteroids_do_not_dictate_the_steps() {
    let planets = Ephemeris::De421.initial_conditions(Bodies::Emb);
    let mut belt = belt::asteroid_belt(20, 1, &planets.body(0));
    // Two asteroids are very close to each other.
    for c in 0..3 {
        belt.positions[[1, c]] = belt.positions[[0, c]] + 1e-9;
    }
    for integrator in [Integrator::Dop853, Integrator::Ias15] {
        let mut alone = simulation(integrator, planets.clone());
        let mut all = simulation(integrator, planets.clone().join(&belt));
        for run in [&mut alone, &mut all] {
            run.advance_to(100.0, f64::INFINITY).expect("the bodies stay apart");
        }
        assert_eq!(alone.steps(), all.steps());
    }
}

#[test]
fn a_closer_accuracy_makes_a_smaller_error() {
    let exact = run(Integrator::Symplectic8, 0.25, 4 * 100).positions;
    let start = Ephemeris::De421.initial_conditions(Bodies::Emb);
    let errors = [1e-6, 1e-9, 1e-12].map(|accuracy| {
        let (start, gravity) = (start.clone(), Serial::new(&start));
        let mut run = Simulation::with_accuracy(start, gravity, Integrator::Dop853, accuracy);
        run.advance_to(100.0, f64::INFINITY).expect("the bodies stay apart");
        distance(&run.system().positions, &exact)
    });
    assert!(errors[1] < errors[0] / 50.0 && errors[2] < errors[1] / 50.0, "{errors:?}");
}

#[test]
fn a_run_stops_at_the_step_that_loses_a_body_and_names_it() {
    let mut start = Ephemeris::De421.initial_conditions(Bodies::Emb);
    // Mars is so fast that its position is infinite at the end of the step.
    start.velocities[[4, 0]] = 1e308;
    let mut run = simulation(Integrator::Leapfrog, start);
    let told = run.advance_to(200.0, 100.0).expect_err("it cannot go on").to_string();
    let expected =
        "step 1 has left mars without a finite place or velocity, 100 days from the start";
    assert_eq!(told, expected);
}

#[test]
fn bodies_on_top_of_each_other_are_named_before_the_first_step() {
    for integrator in Integrator::ALL {
        let mut start = Ephemeris::De421.initial_conditions(Bodies::EarthMoon);
        let earth = start.positions.row(3).to_owned();
        start.positions.row_mut(4).assign(&earth);
        let told = simulation(integrator, start).step(1.0).expect_err("it cannot start");
        assert_eq!(told.to_string(), "earth and moon are at the same place");
    }
}

#[test]
fn bodies_that_meet_on_the_way_stop_the_run_at_that_step_and_are_named() {
    // The bodies have no mass, so that only their motion brings two of them to the same position:
    // from half a day on.
    let body = |name: &str, x: f64, speed: f64| Body {
        name: name.into(),
        gm: 0.0,
        position: [x, 0.0, 0.0],
        velocity: [speed, 0.0, 0.0],
    };
    let meeting = [body("ahead", 1.0, 0.0), body("behind", 1.0 + f64::EPSILON, -f64::EPSILON)];
    let others = (2..3000).map(|i| body("other", f64::from(i), 0.0));
    let few: System = others.clone().take(3).chain(meeting.clone()).collect();
    let many: System = others.chain(meeting).collect();
    let farm = farm_rayon::Pool::builder().workers(2).build().expect("there are threads");
    for integrator in Integrator::ALL {
        let on_farm = OnFarm::new(&farm, &many).expect("there is memory");
        assert!(!on_farm.inline());
        for (time, step, told) in [
            run_into_each_other(few.clone(), Serial::new(&few), integrator),
            run_into_each_other(many.clone(), Serial::new(&many), integrator),
            run_into_each_other(many.clone(), on_farm, integrator),
        ] {
            assert!(time <= 0.75, "{}: {time}", integrator.name());
            let expected =
                format!("ahead and behind have met in step {step}, {time} days from the start");
            assert_eq!(told, expected, "{}", integrator.name());
        }
    }
}

/// The time and the step at which a run of one day stops, and its message.
fn run_into_each_other<F: Forces<Error: Display>>(
    start: System,
    gravity: F,
    integrator: Integrator,
) -> (f64, u64, String) {
    let mut run = Simulation::new(start, gravity, integrator);
    let told = run.advance_to(1.0, 0.25).expect_err("two bodies meet").to_string();
    (run.time(), run.steps() + 1, told)
}

/// A body at rest on the x axis.
fn resting(name: &str, gm: f64, x: f64) -> Body {
    Body { name: name.into(), gm, position: [x, 0.0, 0.0], velocity: [0.0; 3] }
}

#[test]
fn an_adaptive_method_names_the_bodies_that_fall_together() {
    for integrator in [Integrator::Dop853, Integrator::Ias15] {
        for place in [0.0, 3.0] {
            let bodies = [resting("far", 1e-6, 90.0), resting("one", 3e-4, place - 1.0)];
            let start = bodies.into_iter().chain([resting("other", 3e-4, place + 1.0)]).collect();
            let mut run = simulation(integrator, start);
            let told = run.advance_to(200.0, f64::INFINITY).expect_err("they meet").to_string();
            assert!(told.starts_with("one and other have met in step"), "{told}");
            assert!((run.time() - 128.25).abs() < 0.1, "{}", run.time());
        }
    }
}

#[test]
fn ias15_names_bodies_whose_distance_has_lost_its_digits() {
    for (place, gm) in [(30.0, 1e-13), (1e5, 1e-15)] {
        let pair = [resting("one", gm, place), resting("other", gm, place + 1e-8)];
        let start = [resting("sun", 3e-4, 0.0)].into_iter().chain(pair).collect();
        let mut run = simulation(Integrator::Ias15, start);
        let told = run.advance_to(1.0, f64::INFINITY).expect_err("they meet").to_string();
        assert!(told.starts_with("one and other have met in step"), "{told}");
    }
}

#[test]
fn an_adaptive_method_does_not_jump_over_a_meeting_of_bodies_at_rest() {
    for integrator in [Integrator::Dop853, Integrator::Ias15] {
        let pair = [resting("one", 1e-13, 30.0), resting("other", 1e-13, 30.0 + 1e-8)];
        let start = [resting("sun", 3e-4, 0.0)].into_iter().chain(pair).collect();
        let mut run = simulation(integrator, start);
        run.step(1.0).expect("they have not met yet");
        let x = run.system().positions.column(0).to_vec();
        assert!(x[1] < x[2] && x[2] - x[1] < 1e-8, "{}: {x:?}", integrator.name());
    }
}

#[test]
fn an_accuracy_beyond_all_digits_is_not_blamed_on_the_bodies() {
    for integrator in [Integrator::Dop853, Integrator::Ias15] {
        let start = Ephemeris::De421.initial_conditions(Bodies::EarthMoon);
        let gravity = Serial::new(&start);
        let mut run = Simulation::with_accuracy(start, gravity, integrator, 1e-120);
        let told = run.step(1.0).expect_err("no step is so short").to_string();
        let expected =
            "step 1 has become too short to go on, 0 days from the start: ask for less accuracy";
        assert_eq!(told, expected);
    }
}
