//! Wrong arguments and files: the program prints one line with the option, its value and what is
//! allowed, and touches no file.

use std::fs;

use app_testing::Workplace;
use rustix::fs::statvfs;

const PROGRAM: &str = env!("CARGO_BIN_EXE_heated-plate");

/// A folder with files and a folder that a wrong run could destroy.
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
        ("--method gauss", "must be one of jacobi, sor, chebyshev, multigrid"),
        ("--time 0", bound),
        ("--mask-temperature hot", temperature),
        (
            "--ratio 0.26",
            "must be a number above 0 and at most 0.25: with more the steps are unstable",
        ),
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
            // This run would take practically for ever.
            let long = "--size 300 --sweeps 1000000000";
            let told = place.refusal(&format!("{long} {option} {path}"));
            assert_eq!(told, format!("{option} {path}: {reason}"));
        }
    }
    let told = place.refusal("--output old.npy --image folder/../old.npy");
    assert_eq!(told, "--image folder/../old.npy: must be another file than that of --output");
}

/// Converts a printed size, such as `23.1 GiB`, to bytes.
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
        // The printed sizes are rounded to a tenth.
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
fn a_tolerance_below_rounding_is_refused_at_once_with_the_floor() {
    let place = place();
    for method in ["jacobi", "sor", "chebyshev", "multigrid"] {
        // With this tolerance Jacobi's method would never end.
        let run = format!("--size 2000 --method {method} --tolerance 1e-30 --output old.npy");
        let told = place.refusal(&run);
        let floor = told.strip_prefix("--tolerance 1e-30: must be at least ").expect(&told);
        let floor = floor.strip_suffix(" K, where rounding ends for these temperatures");
        let floor: f64 = floor.expect(&told).parse().unwrap();
        assert!(0.0 < floor && floor < 1e-11, "{told}");
        let above =
            place.run(&format!("--size 10 --method {method} --tolerance {floor:e} --quiet"));
        assert!(matches!(above.code, Some(0 | 1)), "{above:?}");
    }
}

#[test]
fn what_is_missing_or_too_much_is_named() {
    let place = place();
    for (wrong, told) in [
        ("--ratio 0.2", "--ratio 0.2: needs --time T or --sweeps M to say how long (see --help)"),
        ("--initial 1:1:1", "--initial: needs --time T or --sweeps M to say how long (see --help)"),
        ("--mask-temperature 5", "--mask-temperature 5: needs --mask FILE"),
        ("--mask none.npy", "--mask none.npy: No such file or directory (os error 2)"),
        ("--mask old.npy", "--mask old.npy: I/O error: failed to fill whole buffer"),
        ("--mask folder", "--mask folder: must be a .png or a .npy file"),
    ] {
        assert_eq!(place.refusal(&format!("{wrong} --image old.png")), told);
    }
    for wrong in ["1:1", "1:1:1:1", "0:1:1", "1:1:nan", ";", "1,1,1"] {
        let told = place.refusal(&format!("--time 1 --initial {wrong}"));
        let start = format!("--initial {wrong}: must be waves K:L:C;...");
        assert!(told.starts_with(&start), "{told}");
    }
    for other in ["--method sor", "--tolerance 1", "--sweeps 5"] {
        let told = place.refusal(&format!("--time 0.5 {other}"));
        assert!(told.contains("--time 0.5") && told.contains(other), "{told}");
    }
}
