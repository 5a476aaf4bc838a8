//! A worker that goes on writing to its results, as a stray pointer of a library would. Values of
//! types for which not all bytes are valid are copied before they are checked, so the caller gets a
//! valid value, or an error.

farm_process::init_before_main!();

mod common;

use std::fmt::Debug;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Once;
use std::thread;

use common::pool;
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_core::{Data, TaskFn};

/// The length of a result: bytes, characters or flags.
const LENGTH: usize = 4_000_000;

/// How many changed results, and how many errors, are enough for the test.
const DISTURBED: usize = 40;

/// Finds a result in this process's lane that consists of `value` alone; returns the address of its
/// middle.
fn place_of(value: u8) -> Option<usize> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let memory = File::open("/proc/self/mem").unwrap();
    let mut page = [0; 4096];
    for line in maps.lines().filter(|line| line.contains("memfd:farm-lane")) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).unwrap());
        for at in (start..end).step_by(page.len()) {
            // There is nothing to read after the end of the file.
            if memory.read_exact_at(&mut page, at as u64).is_err() {
                break;
            }
            if page != [value; 4096] {
                continue;
            }
            // The result may be incomplete, or this may be a page near its end.
            let there = at + LENGTH / 2;
            let is_whole = memory.read_exact_at(&mut page, there as u64).is_ok();
            return (is_whole && page == [value; 4096]).then_some(there);
        }
    }
    None
}

/// Starts a thread that writes `values` in turn to a result that consists of the first of them,
/// once there is one.
fn scribble(values: &'static [u8]) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        thread::spawn(|| {
            let place = loop {
                match place_of(values[0]) {
                    Some(place) => break std::ptr::with_exposed_provenance_mut::<u8>(place),
                    None => thread::yield_now(),
                }
            };
            for value in values.iter().cycle() {
                (0..2000).for_each(|_| std::hint::spin_loop());
                // SAFETY: none, since a wild write is what is tested. The lane stays mapped as long
                // as this process lives.
                unsafe { place.write_volatile(*value) };
            }
        });
    });
}

/// A task whose result is text, while a thread writes bytes to it that are not.
fn text(_: usize) -> String {
    scribble(b"a\xffb");
    "a".repeat(LENGTH)
}

/// A task whose result is flags, while a thread writes bytes to it that are not.
fn flags(_: usize) -> Vec<bool> {
    scribble(&[1, 0xff, 0]);
    vec![true; LENGTH]
}

/// Asks for results until enough of them are changed or refused. Each must be valid, or an error.
fn ask<R: Data + PartialEq + Debug>(
    task: impl TaskFn<usize, R>,
    whole: R,
    is_valid: impl Fn(&R) -> bool,
) {
    let pool = pool(1);
    let (mut changed, mut refused) = (0, 0);
    while changed < DISTURBED || refused < DISTURBED {
        match pool.apply(task, 0) {
            Ok(result) => {
                assert!(is_valid(&result), "it is not what its type says");
                changed += usize::from(result != whole);
            }
            Err(error) => {
                assert!(matches!(error, TaskError::Decode { .. }), "{error}");
                refused += 1;
            }
        }
    }
}

#[test]
fn text_that_its_worker_goes_on_writing_is_text_or_an_error() {
    guard("text_that_its_worker_goes_on_writing_is_text_or_an_error", || {
        let is_text =
            |text: &String| std::str::from_utf8(std::hint::black_box(text.as_bytes())).is_ok();
        ask(text, "a".repeat(LENGTH), is_text);
    });
}

#[test]
fn flags_that_their_worker_goes_on_writing_are_flags_or_an_error() {
    guard("flags_that_their_worker_goes_on_writing_are_flags_or_an_error", || {
        let are_flags = |flags: &Vec<bool>| {
            let bytes: &[u8] = bytemuck::cast_slice(flags);
            std::hint::black_box(bytes).iter().all(|byte| *byte <= 1)
        };
        ask(flags, vec![true; LENGTH], are_flags);
    });
}
