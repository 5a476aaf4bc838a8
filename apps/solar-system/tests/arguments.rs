//! Wrong arguments and files: the program prints one line with the option, its value and what is
//! allowed, and touches no file.

use std::fs;

use app_testing::Workplace;

const PROGRAM: &str = env!("CARGO_BIN_EXE_solar-system");

/// A folder with files and a folder that a wrong run could destroy.
fn place() -> Workplace {
    let place = Workplace::new(PROGRAM);
    for name in ["old.csv", "old.npy", "old.png"] {
        fs::write(place.path(name), "old").unwrap();
    }
    fs::create_dir(place.path("folder")).unwrap();
    place
}

#[test]
fn a_wrong_value_is_named_with_its_option_and_what_is_allowed() {
    let place = place();
    let number = "must be a finite number";
    let above_zero = "must be a finite number above 0";
    let asteroids = "must be a whole number from 0 to 1000000";
    let count = "must be a whole number from 1 to 18446744073709551615";
    let seed = "must be a whole number from 0 to 18446744073709551615";
    for (wrong, allowed) in [
        ("--step 0", above_zero),
        ("--step -1", above_zero),
        ("--step nan", above_zero),
        ("--step inf", above_zero),
        ("--days nan", number),
        ("--days -inf", number),
        ("--days soon", number),
        ("--years inf", number),
        ("--years 1e400", number),
        ("--asteroids -1", asteroids),
        ("--asteroids 1000001", asteroids),
        ("--asteroids 99999999999999999999999999", asteroids),
        ("--seed -1", seed),
        ("--seed 18446744073709551616", seed),
        ("--every 0", count),
        ("--workers 0", "must be a whole number from 1 to 1024"),
        ("--workers 1025", "must be a whole number from 1 to 1024"),
        ("--retries -1", "must be a whole number from 0 to 1000"),
        ("--retries 1001", "must be a whole number from 0 to 1000"),
        ("--retries once", "must be a whole number from 0 to 1000"),
        ("--backend gpu", "must be one of mono, process, rayon"),
        ("--bodies sun", "must be one of emb, earth-moon"),
        (
            "--integrator euler",
            "must be one of leapfrog, yoshida4, symplectic8, hermite4, dop853, ias15",
        ),
        ("--gravity mond", "must be one of newton, 1pn"),
        ("--ephemeris de405", "must be one of de421, de440"),
        ("--accuracy 0", above_zero),
        ("--samples 0", "must be a whole number from 1 to 1000000000"),
    ] {
        let outputs = "--final-state old.csv --output old.npy --image old.png";
        let told = place.refusal(&format!("{outputs} {wrong}"));
        assert_eq!(told, format!("{wrong}: {allowed} (see --help)"));
    }
}

#[test]
fn days_and_years_exclude_each_other_and_are_both_named() {
    let told = place().refusal("--days 3 --years 2 --output old.npy");
    assert!(told.starts_with("--days 3: cannot be used with --years 2"), "{told}");
}

#[test]
fn an_output_that_cannot_be_written_is_told_before_the_run() {
    let place = place();
    // This run would take practically for ever.
    let long = "--years 1e6";
    for option in ["--final-state", "--output", "--energy", "--image"] {
        for (path, reason) in [
            ("no/place", "the directory no does not exist"),
            ("folder", "is a directory"),
            ("new/", "must be a file, not a directory"),
            ("old.npy/place", "old.npy is not a directory"),
        ] {
            let told = place.refusal(&format!("{long} {option} {path}"));
            assert_eq!(told, format!("{option} {path}: {reason}"));
        }
    }
    let told = place.refusal(&format!("{long} --final-state old.csv --output folder/../old.csv"));
    assert_eq!(told, "--output folder/../old.csv: must be another file than that of --final-state");
}

#[test]
fn a_run_of_more_steps_than_can_be_counted_is_refused() {
    let place = place();
    for (span, step) in
        [("--days 1e300", ""), ("--years -1e308", ""), ("--days 1.5", "--step 1e-300")]
    {
        let told = place.refusal(&format!("{span} {step} --output old.npy"));
        assert!(told.starts_with(span) && told.contains(step), "{told}");
        assert!(told.ends_with(": must be a run of at most 2^53 steps"), "{told}");
    }
}

#[test]
fn a_trajectory_that_does_not_fit_into_memory_says_how_large_it_is() {
    let long = "--days 1e15 --asteroids 0 --output old.npy";
    let told = place().refusal(&format!("{long} --step 1 --every 1"));
    assert!(told.starts_with("--every 1: a trajectory of 1000000000000001 samples "), "{told}");
    assert!(told.contains(" 11 bodies does not fit into memory"), "{told}");
    let told =
        place().refusal("--days 1e15 --asteroids 1000000 --output old.npy --samples 1000000000");
    assert!(
        told.starts_with("--samples 1000000000: a trajectory of 1000000001 samples "),
        "{told}"
    );
}

#[test]
fn what_a_method_has_no_use_for_is_refused_with_what_it_takes() {
    let place = place();
    for (arguments, told) in [
        ("--integrator ias15 --step 1", "--step 1: ias15 chooses its steps; say --accuracy, "),
        ("--integrator dop853 --step 1", "--step 1: dop853 chooses its steps; say --accuracy, "),
        ("--every 3", "--every 3: ias15 chooses its steps; say --samples"),
        (
            "--integrator leapfrog --accuracy 1e-9",
            "--accuracy 0.000000001: leapfrog takes fixed steps; ",
        ),
        (
            "--step 1 --accuracy 1e-9",
            "--accuracy 0.000000001: symplectic8 takes fixed steps; say --step",
        ),
        (
            "--accuracy 1e-20",
            "--accuracy 1e-20: must be from 1e-10 to 1e-3; what is less is lost in rounding",
        ),
        ("--integrator dop853 --accuracy 0.1", "--accuracy 0.1: must be from 1e-14 to 1e-3; "),
    ] {
        let refusal = place.refusal(&format!("{arguments} --output old.npy"));
        assert!(refusal.starts_with(&told.replace("0.000000001", "1e-9")), "{refusal}");
    }
    let told = place.refusal("--samples 3 --every 2 --step 1");
    assert!(told.contains("--samples 3: cannot be used with --every"), "{told}");
}

#[test]
fn a_step_that_makes_a_method_unstable_is_told_with_the_bound() {
    let place = place();
    for (arguments, told) in [
        (
            "--integrator leapfrog --step 30",
            "--step 30: must be below 28.0 days, where leapfrog becomes unstable: mercury goes round in 88.0 days",
        ),
        (
            "--integrator yoshida4 --step 100",
            "--step 100: must be below 22.0 days, where yoshida4 becomes unstable: mercury goes round in 88.0 days",
        ),
        ("--step 20", "--step 20: must be below 13."),
    ] {
        let refusal = place.refusal(&format!("{arguments} --years 1 --output old.npy"));
        assert!(refusal.starts_with(told), "{refusal}");
        assert!(refusal.contains("unstable"), "{refusal}");
    }
}
