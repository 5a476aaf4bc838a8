//! Wrong arguments and files: one line that says which, its value and what is allowed, and no file is
//! touched.

use std::fs;

use app_testing::Workplace;

const PROGRAM: &str = env!("CARGO_BIN_EXE_solar-system");

/// A folder in which something could be destroyed.
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
        ("--integrator euler", "must be one of leapfrog, yoshida4"),
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
    // This run would never come to its end.
    let long = "--years 1e6";
    for option in ["--final-state", "--output", "--image"] {
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
        assert!(told.starts_with(&format!("{span} ")) && told.contains(step), "{told}");
        assert!(told.ends_with(": must be a run of at most 2^53 steps"), "{told}");
    }
}

#[test]
fn a_trajectory_that_does_not_fit_into_memory_says_how_large_it_is() {
    let told = place().refusal("--days 1e15 --every 1 --asteroids 0 --output old.npy");
    assert!(told.starts_with("--every 1: a trajectory of 1000000000000001 samples "), "{told}");
    assert!(told.contains(" 10 bodies does not fit into memory"), "{told}");
}
