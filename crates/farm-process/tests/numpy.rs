//! Another program looks into shared arrays: Python, by `numpy.memmap`.
//!
//! The variable `FARM_PYTHON` names a Python that has numpy. If it is not set, `python3` is tried.

farm_process::init_before_main!();

mod common;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::io::{BufRead, BufReader, Lines, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use common::{Folder, pool, take_number, wait_until};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_process::Pool;
use farm_shm::bytemuck::{Pod, Zeroable};
use farm_shm::{Band, Element, SharedArray};
use ndarray::{Axis, Dimension};

/// A Python that has numpy: the one that is named, or else `python3` if it has numpy.
fn python() -> Option<OsString> {
    let has_numpy = |python: &OsStr| {
        let output = Command::new(python).args(["-c", "import numpy"]).output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    if let Some(named) = std::env::var_os("FARM_PYTHON") {
        has_numpy(&named).unwrap_or_else(|error| panic!("FARM_PYTHON={named:?}: {error}"));
        return Some(named);
    }
    let found = OsString::from("python3");
    has_numpy(&found).map_err(|_| eprintln!("not tried: python3 has no numpy")).ok()?;
    Some(found)
}

/// The Python program: it opens the array, and prints the value of each expression that it reads.
///
/// `rows()` has a letter for each row: `o` if all of it is old, `n` if all of it is new, `m` if
/// some of it is old and the rest is new.
const SCRIPT: &str = "
import numpy, sys

array, is_made_of = eval(sys.argv[1]), eval(sys.argv[2])
numbers = numpy.arange(array.size).reshape(array.shape) % 100

def rows():
    look = array.copy()
    old, new = is_made_of(look, numbers), is_made_of(look, numbers + 100)
    return ''.join(
        'o' if o.all() else 'n' if n.all() else 'm' if (o | n).all() else '?'
        for o, n in zip(old, new)
    )

for line in sys.stdin:
    try:
        print(eval(line), flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
";

/// An element that is a number is made of that number.
const IS_NUMBER: &str = "lambda array, number: array == number";

/// A Python process that has an array open.
struct Reader {
    process: Child,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Reader {
    fn open<T: Element, D: Dimension>(
        python: &OsStr,
        array: &SharedArray<T, D>,
        is_made_of: &str,
    ) -> Self {
        let mut process = Command::new(python)
            .args(["-c", SCRIPT, &array.describe().to_string(), is_made_of])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let ask = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, ask, answers }
    }

    /// The value of an expression in Python, or the error.
    fn ask(&mut self, expression: &str) -> String {
        writeln!(self.ask, "{expression}").unwrap();
        self.answers.next().expect("Python has not ended").unwrap()
    }

    fn end(mut self) {
        drop(self.ask);
        assert!(self.process.wait().unwrap().success());
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Element `k` in row-major order. It is made of a number below 100 if it is old, and of that
/// number plus 100 if it is new.
fn element<T: From<u8>>(k: usize, is_new: bool) -> T {
    T::from((k % 100) as u8 + 100 * u8::from(is_new))
}

fn is_all<T, D>(array: &SharedArray<T, D>, is_new: bool) -> bool
where
    T: Element + From<u8> + PartialEq,
    D: Dimension,
{
    array.view().iter().enumerate().all(|(k, x)| *x == element(k, is_new))
}

/// Writes to some of a band's rows.
fn write<T, D>(band: &mut Band<T, D>, rows: Range<usize>, is_new: bool)
where
    T: Element + From<u8>,
    D: Dimension,
{
    let row: usize = band.shape()[1..].iter().product();
    let first = (band.rows().start + rows.start) * row;
    let mut view = band.view_mut();
    let elements = view.slice_axis_mut(Axis(0), rows.into());
    elements.into_iter().zip(first..).for_each(|(x, k)| *x = element(k, is_new));
}

/// A task that makes its band old.
fn make_old<T: Element + From<u8>, D: Dimension>(mut band: Band<T, D>) -> Band<T, D> {
    let rows = band.rows().len();
    write(&mut band, 0..rows, false);
    band
}

/// A task that makes its band new. It keeps making the last row old and new in turns, until the
/// folder has a file `enough`.
fn make_new<T, D>((mut band, folder): (Band<T, D>, PathBuf)) -> Band<T, D>
where
    T: Element + From<u8>,
    D: Dimension,
{
    let last = band.rows().len() - 1;
    write(&mut band, 0..last, true);
    take_number(&folder);
    let mut is_new = false;
    while !folder.join("enough").exists() {
        is_new = !is_new;
        write(&mut band, last..last + 1, is_new);
        std::thread::yield_now();
    }
    write(&mut band, last..last + 1, true);
    band
}

/// Python looks into an array of ten rows before, while and after two tasks write to it.
fn look_in<T, D>(
    pool: &Pool,
    python: &OsStr,
    mut array: SharedArray<T, D>,
    header: &str,
    is_made_of: &str,
) where
    T: Element + From<u8> + PartialEq + Debug,
    D: Dimension + 'static,
{
    let path = array.describe().path;
    array.view_mut().iter_mut().enumerate().for_each(|(k, x)| *x = element(k, false));

    let mut reader = Reader::open(python, &array, is_made_of);
    assert_eq!(reader.ask("array.shape, array.dtype.str, array.mode"), header);
    assert_eq!(reader.ask("rows()"), "oooooooooo");

    let folder = Folder::new();
    let (split, bands) = array.split([0..5, 5..10]).unwrap();
    let tasks = bands.into_iter().map(|band| pool.submit(make_new, (band, folder.0.clone())));
    let tasks: Vec<_> = tasks.collect();
    wait_until(|| folder.files().len() == tasks.len());
    let mut seen = BTreeSet::new();
    while !seen.is_superset(&BTreeSet::from(["o4", "n4", "o9", "n9"].map(str::to_owned))) {
        let rows = reader.ask("rows()");
        assert_eq!(format!("{} {}", &rows[0..4], &rows[5..9]), "nnnn nnnn");
        for last in [4, 9] {
            let state = &rows[last..=last];
            assert!("onm".contains(state), "{rows}");
            seen.insert(format!("{state}{last}"));
        }
    }
    std::fs::write(folder.0.join("enough"), "").unwrap();
    let bands = tasks.into_iter().map(|task| task.get().unwrap()).collect();
    let array = split.join(bands).unwrap();
    assert_eq!(reader.ask("rows()"), "nnnnnnnnnn");
    assert!(is_all(&array, true));

    reader.end();
    assert!(path.exists(), "the array survives its reader");
    let (split, bands) = array.split([0..5, 5..10]).unwrap();
    let array = split.join(pool.map(make_old, bands).unwrap()).unwrap();
    assert!(is_all(&array, false));

    let mut reader = Reader::open(python, &array, is_made_of);
    assert_eq!(reader.ask("rows()"), "oooooooooo");
    reader.kill();
    assert!(path.exists(), "the array survives its reader's death");
    assert!(is_all(&array, false));
}

/// A struct whose fields the test describes to numpy.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[bytemuck(crate = "farm_shm::bytemuck")]
#[repr(C)]
struct Particle {
    place: [f64; 2],
    mass: f32,
    kind: i32,
}

impl From<u8> for Particle {
    fn from(number: u8) -> Self {
        let x = f64::from(number);
        Self { place: [x, x + 0.5], mass: f32::from(number), kind: -i32::from(number) }
    }
}

const IS_PARTICLE: &str = "lambda array, number: (
    lambda particles:
        (particles['place'] == numpy.stack([number, number + 0.5], axis=-1)).all(axis=-1)
        & (particles['mass'] == number)
        & (particles['kind'] == -number)
)(array.view(numpy.dtype([('place', '<f8', 2), ('mass', '<f4'), ('kind', '<i4')])))";

#[test]
fn numpy_reads_an_array_while_tasks_write_it_and_the_array_survives_its_reader() {
    guard("look in", || {
        let Some(python) = python() else { return };
        let pool = pool(2);
        let floats = SharedArray::<f64, _>::zeros((10, 700)).unwrap();
        look_in(&pool, &python, floats, "((10, 700), '<f8', 'r')", IS_NUMBER);
        let integers = SharedArray::<i32, _>::zeros(10).unwrap();
        look_in(&pool, &python, integers, "((10,), '<i4', 'r')", IS_NUMBER);
        let bytes = SharedArray::<u8, _>::zeros((10, 3, 5)).unwrap();
        look_in(&pool, &python, bytes, "((10, 3, 5), '|u1', 'r')", IS_NUMBER);
        let particles = SharedArray::<Particle, _>::zeros((10, 2)).unwrap();
        look_in(&pool, &python, particles, "((10, 2), '|V24', 'r')", IS_PARTICLE);
    });
}

#[test]
fn numpy_cannot_write() {
    guard("write", || {
        let Some(python) = python() else { return };
        let array = SharedArray::<f64, _>::from_fn(10, |k| element(k, false)).unwrap();
        let mut reader = Reader::open(&python, &array, IS_NUMBER);
        for attempt in [
            "exec('array[3] = 7')",
            "array.fill(7)",
            "numpy.add(array, 1, out=array)",
            "array.setflags(write=True)",
        ] {
            let answer = reader.ask(attempt);
            assert!(answer.starts_with("ValueError"), "{attempt}: {answer}");
        }
        assert_eq!(reader.ask("rows()"), "oooooooooo");
        reader.end();
        assert!(is_all(&array, false));
    });
}

#[test]
fn an_array_is_removed_although_numpy_has_it_open() {
    guard("removed", || {
        let Some(python) = python() else { return };
        let array = SharedArray::<f64, _>::from_fn(10, |k| element(k, true)).unwrap();
        let path = array.describe().path;
        let mut reader = Reader::open(&python, &array, IS_NUMBER);
        assert_eq!(reader.ask("rows()"), "nnnnnnnnnn");
        drop(array);
        assert!(!path.exists());
        assert_eq!(reader.ask("rows()"), "nnnnnnnnnn", "what is open stays readable");
        reader.end();
    });
}
