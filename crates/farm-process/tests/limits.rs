//! Limits of the system: a pool works under a limit, or reports in one line which limit is in its
//! way.

farm_process::init_before_main!();

mod common;

use common::{TRANSPORTS, builder_by, part, play, pool_by};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_process::Transport;
use farm_shm::{ArrayRef, SharedArray};
use ndarray::Ix1;

/// The mappings of this process that the farm has made: the name of each, and whether a core dump
/// leaves it out.
fn mappings(_: ()) -> Vec<(String, bool)> {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut mappings = Vec::new();
    for line in smaps.lines() {
        let first = line.split(' ').next().unwrap_or_default();
        if first.contains('-') && !first.contains(':') {
            mappings.push((line.to_owned(), false));
        } else if let Some(flags) = line.strip_prefix("VmFlags:") {
            mappings.last_mut().unwrap().1 = flags.split(' ').any(|flag| flag == "dd");
        }
    }
    mappings.retain(|(name, _)| name.contains("/memfd:farm-") || name.contains("/dev/shm/farm-"));
    mappings
}

/// A task that returns [`mappings`] while it has an array open.
fn mappings_with(array: ArrayRef<f64, Ix1>) -> (f64, Vec<(String, bool)>) {
    (array.view()[0], mappings(()))
}

#[test]
fn what_the_farm_maps_is_left_out_of_dumps_in_every_process() {
    guard("dumps", || {
        for transport in TRANSPORTS {
            let pool = pool_by(transport, 2);
            let array = SharedArray::<f64, _>::zeros(1000).unwrap().freeze();
            let (_, in_worker) = pool.apply(mappings_with, array.clone()).unwrap();
            let here = mappings(());
            for (mappings, least) in [(here, 1), (in_worker, 1)] {
                let lanes = if transport == Transport::Lanes { 3 } else { 0 };
                assert!(mappings.len() >= least + lanes, "{mappings:#?}");
                assert!(mappings.iter().all(|(_, is_left_out)| *is_left_out), "{mappings:#?}");
            }
        }
    });
}

/// Uses a pool, and returns one line about the outcome.
fn use_a_pool(transport: Transport) -> String {
    let pool = match builder_by(transport, 2).build() {
        Ok(pool) => pool,
        Err(error) => return format!("not built: {error}"),
    };
    let zeros = |length: usize| vec![0_u8; length];
    match pool.apply(zeros, 1 << 20) {
        Ok(zeros) => assert!(zeros == [0; 1 << 20]),
        Err(error) => return format!("refused: {error}"),
    }
    let sum = |values: Vec<u64>| (values.iter().sum::<u64>(), values);
    for length in [10, 10_000, 300_000] {
        let values: Vec<u64> = (0..length).collect();
        match pool.apply(sum, values.clone()) {
            Ok((total, back)) => {
                assert_eq!(total, length * (length - 1) / 2);
                assert_eq!(back, values);
            }
            Err(error) => return format!("refused: {error}"),
        }
    }
    assert!(pool.map(common::square, 0..1000).unwrap().into_iter().eq((0..1000).map(|x| x * x)));
    drop(pool);
    match SharedArray::<f64, _>::zeros(1 << 17) {
        Ok(_) => "works".to_owned(),
        Err(error) => format!("no array: {error}"),
    }
}

/// The limits, as `ulimit` takes them, and the text that a report of each must contain; `None` if
/// everything has to work.
const LIMITS: [(&str, Option<&str>); 20] = [
    ("-v 60000", Some("ulimit -v")),
    ("-v 110000", Some("ulimit -v")),
    ("-v 200000", None),
    ("-v 250000", None),
    ("-v 300000", None),
    ("-v 400000", None),
    ("-v 600000", None),
    ("-v 1000000", None),
    ("-v 2000000", None),
    ("-v 10000000", None),
    ("-f 0", Some("ulimit -f")),
    ("-f 1", Some("ulimit -f")),
    ("-f 100", Some("ulimit -f")),
    ("-f 1000", Some("ulimit -f")),
    ("-f 10000", None),
    ("-f 10000000", None),
    ("-n 20", Some("ulimit -n")),
    ("-n 200", None),
    ("-l 0", None),
    ("-s 256", None),
];

#[test]
#[allow(clippy::print_stdout, reason = "it is how the test hears of it")]
fn under_every_limit_a_pool_works_or_says_in_one_line_what_limits_it() {
    let name = "under_every_limit_a_pool_works_or_says_in_one_line_what_limits_it";
    if let Some(part) = part() {
        let transport = TRANSPORTS[usize::from(part == "channel")];
        println!("\nOUTCOME {}", use_a_pool(transport).replace('\n', "\\n"));
        return;
    }
    guard(name, || {
        let mut wrong = Vec::new();
        for (limit, hint) in LIMITS {
            for part in ["lanes", "channel"] {
                // A shell sets the limit, and then becomes the program.
                let program = play(name, part);
                let mut shell = std::process::Command::new("sh");
                shell.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")]);
                shell.arg(program.get_program()).args(program.get_args());
                for (key, value) in program.get_envs() {
                    shell.env(key, value.unwrap_or_default());
                }
                let output = shell.stdin(std::process::Stdio::null()).output().unwrap();
                let [out, err] = [output.stdout, output.stderr]
                    .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                let outcome = out.lines().find_map(|line| line.strip_prefix("OUTCOME "));
                let is_right = match (outcome, hint) {
                    (Some("works"), _) => true,
                    (Some(line), Some(hint)) => line.contains(hint) && !line.contains("\\n"),
                    _ => false,
                };
                eprintln!("ulimit {limit}, {part}: {outcome:?}");
                if !is_right || !output.status.success() || err.contains("panicked") {
                    wrong.push(format!(
                        "ulimit {limit}, {part}: {outcome:?} {} {err}",
                        output.status
                    ));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn a_program_that_locks_its_memory_pays_for_what_is_used_alone() {
    let name = "a_program_that_locks_its_memory_pays_for_what_is_used_alone";
    if part().is_some() {
        for transport in TRANSPORTS {
            // SAFETY: the call changes where pages of this process may be, and nothing else.
            let locked = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
            let outcome = use_a_pool(transport);
            let is_told = outcome.contains("mlockall") || outcome.contains("works");
            assert!(locked != 0 || is_told, "{outcome}");
            let pool = pool_by(transport, 2);
            // SAFETY: as above; the call also concerns pages that are mapped already.
            unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
            common::is_usable(&pool);
            drop(pool);
            // SAFETY: as above.
            unsafe { libc::munlockall() };
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: usize = peak.trim().trim_end_matches(" kB").trim().parse().unwrap();
        assert!(peak < 1 << 20, "{peak} KiB");
        return;
    }
    guard(name, || {
        let output = play(name, "master").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}
