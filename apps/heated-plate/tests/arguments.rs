//! Wrong arguments and files: one line that says which, its value and what is allowed, and no file is
//! touched.

use std::fs;

use app_testing::Workplace;
use rustix::fs::statvfs;

const PROGRAM: &str = env!("CARGO_BIN_EXE_heated-plate");

/// A folder in which something could be destroyed.
fn place() -> Workplace {
    let place = Workplace::new(PROGRAM);
    fs::write(place.path("old.npy"), "old").unwrap();
    fs::write(place.path("old.png"), "old").unwrap();
    fs::create_dir(place.path("folder")).unwrap();
    place
}

#[test]
fn a_wrong_value_is_named_with_its_option_and_what_is_allowed() {
    let place = place();
    let cells = "must be a whole number from 1 to 1099511627776";
    let count = "must be a whole number from 1 to 18446744073709551615";
    let temperature = "must be a number from -1e100 to 1e100";
    let bound = "must be a finite number above 0";
    for (wrong, allowed) in [
        ("--nx 0", cells),
        ("--ny 0", cells),
        ("--size 0", cells),
        ("--nx -5", cells),
        ("--size 2.5", cells),
        ("--size 1099511627777", cells),
        ("--ny 99999999999999999999999999", cells),
        ("--workers 0", "must be a whole number from 1 to 1024"),
        ("--workers 1025", "must be a whole number from 1 to 1024"),
        ("--retries -1", "must be a whole number from 0 to 1000"),
        ("--retries 1001", "must be a whole number from 0 to 1000"),
        ("--retries once", "must be a whole number from 0 to 1000"),
        ("--workers two", "must be a whole number from 1 to 1024"),
        ("--sweeps 0", count),
        ("--sweeps 18446744073709551616", count),
        ("--tolerance 0", bound),
        ("--tolerance -1", bound),
        ("--tolerance inf", bound),
        ("--tolerance NaN", bound),
        ("--top nan", temperature),
        ("--bottom inf", temperature),
        ("--left -inf", temperature),
        ("--right 1e400", temperature),
        ("--top hot", temperature),
        ("--backend gpu", "must be one of mono, process, rayon"),
        ("--method gauss", "must be one of jacobi"),
    ] {
        let told = place.refusal(&format!("--output old.npy --image old.png {wrong}"));
        assert_eq!(told, format!("{wrong}: {allowed} (see --help)"));
    }
}

#[test]
fn options_that_exclude_each_other_are_both_named() {
    let place = place();
    let told = place.refusal("--sweeps 5 --tolerance 0.5 --output old.npy");
    assert!(told.starts_with("--sweeps 5: cannot be used with --tolerance 0.5"), "{told}");
    for other in ["--nx 4", "--ny 4"] {
        let told = place.refusal(&format!("--size 3 {other} --output old.npy"));
        assert!(told.starts_with(&format!("--size 3: cannot be used with {other}")), "{told}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_told_before_the_run() {
    let place = place();
    for option in ["--output", "--image"] {
        for (path, reason) in [
            ("no/plate", "the directory no does not exist"),
            ("folder", "is a directory"),
            ("new/", "must be a file, not a directory"),
            ("old.npy/plate", "old.npy is not a directory"),
        ] {
            // This run would never come to its end.
            let long = "--size 300 --sweeps 1000000000";
            let told = place.refusal(&format!("{long} {option} {path}"));
            assert_eq!(told, format!("{option} {path}: {reason}"));
        }
    }
    let told = place.refusal("--output old.npy --image folder/../old.npy");
    assert_eq!(told, "--image folder/../old.npy: must be another file than that of --output");
}

/// A size as it is printed, such as `23.1 GiB`, in bytes.
fn bytes(number: &str, unit: &str) -> f64 {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = units.iter().position(|known| *known == unit).expect("a unit of memory");
    number.parse::<f64>().unwrap() * 1024_f64.powi(power as i32)
}

#[test]
fn a_plate_that_does_not_fit_into_shared_memory_says_how_much_is_there() {
    let place = place();
    for size in ["--size 100000000", "--nx 1099511627776", "--nx 1000000000 --ny 1000000"] {
        let told = place.refusal(&format!("{size} --output old.npy"));
        let told = told.strip_prefix(&format!("{size}: ")).expect(&told);
        let words: Vec<_> = told.split([' ', ';']).collect();
        let is = words.iter().position(|word| *word == "free").expect(told);
        assert_eq!(words[2..6], ["of", "shared", "memory", "are"], "{told}");
        let (needed, free) = (bytes(words[0], words[1]), bytes(words[is - 3], words[is - 2]));
        let there = statvfs("/dev/shm").unwrap();
        let all = (there.f_blocks * there.f_frsize) as f64;
        // What is printed is rounded to a tenth.
        assert!(0.0 < free && free <= all * 1.1 && all < needed, "{told}");
    }
}

#[test]
fn a_plate_that_no_address_can_count_is_refused() {
    let place = place();
    for (n, side) in [("99999999999", "100000000001"), ("1099511627776", "1099511627778")] {
        let size = format!("--nx {n} --ny {n}");
        let told = place.refusal(&format!("{size} --output old.npy"));
        assert!(told.starts_with(&format!("{size}: ")) && told.contains(side), "{told}");
        assert!(told.contains("larger than the address space"), "{told}");
    }
}

#[test]
fn a_tolerance_that_rounding_does_not_allow_names_the_bound_that_was_reached() {
    let place = place();
    let told = place.failure("--size 10 --tolerance 1e-30 --output old.npy --image old.png", 1);
    let start = "--tolerance 1e-30: rounding keeps the bound on the error from falling below ";
    let reached = told.strip_prefix(start).and_then(|rest| rest.split_once(" K (after "));
    let (bound, sweeps) = reached.expect(&told);
    assert!(sweeps.strip_suffix(" sweeps)").unwrap().parse::<usize>().unwrap() > 100, "{told}");
    // The bound is the truth: what is larger can be had, and what is smaller cannot.
    let bound: f64 = bound.parse().unwrap();
    assert!(0.0 < bound && bound < 1e-12, "{told}");
    let larger = place.run(&format!("--size 10 --tolerance {:e} --quiet", bound * 1.001));
    assert_eq!(larger.code, Some(0), "{larger:?}");
    place.failure(&format!("--size 10 --tolerance {:e} --output old.npy", bound * 0.999), 1);
}
