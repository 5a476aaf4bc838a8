//! Measures how much of the cores' time goes to the tasks:
//! `cargo bench -p benches --bench efficiency`.
//!
//! The bench maps busy work of known length, and its table says what share of the ideal speed is
//! reached. The ideal is all of the work, evenly shared by the workers. The work is a count of
//! steps, not a deadline, so it takes longer if the system takes a core away; the clock only says
//! beforehand how long a step takes. The master needs a core too: with as many workers as cores,
//! the processes cannot reach 100 %.
//!
//! `threads` is the same work cut by hand into one part per thread. It shows what the machine can
//! do without any overhead. (If all long tasks are in one part, cutting by hand is slow as well.)
#![allow(clippy::print_stdout, reason = "it is a program")]

#[allow(dead_code, reason = "this bench maps, and only on some")]
mod backends;

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use backends::{Backend, Process, Rayon, RayonBare, Task};
use farm_core::distribute;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

/// Steps of busy work.
type Steps = u64;

struct Spin;

impl Task for Spin {
    type Argument = Steps;
    type Result = u64;

    /// Each step depends on the one before it, and the compiler cannot merge two of them.
    fn run(steps: Steps) -> u64 {
        let step = |x: u64, _| (x ^ (x >> 29)).wrapping_mul(6_364_136_223_846_793_005);
        (0..black_box(steps)).fold(1, step)
    }
}

/// Threads, each of which gets its part of the work in one piece.
struct Threads(usize);

impl Backend for Threads {
    const NAME: &'static str = "threads";

    fn start(workers: usize) -> Self {
        Self(workers)
    }

    fn caller<T: Task>(&self) -> impl FnMut(T::Argument) -> T::Result {
        T::run
    }

    fn submit_all<T: Task>(&self, arguments: &[T::Argument]) -> Vec<T::Result>
    where
        T::Argument: Copy + Sync,
    {
        self.map::<T>(arguments)
    }

    fn map<T: Task>(&self, arguments: &[T::Argument]) -> Vec<T::Result>
    where
        T::Argument: Copy + Sync,
    {
        let run = |part: &[T::Argument]| part.iter().copied().map(T::run).collect::<Vec<_>>();
        std::thread::scope(|scope| {
            let parts = distribute(arguments.len(), self.0).into_iter();
            let start = |part| scope.spawn(move || run(&arguments[part]));
            let threads: Vec<_> = parts.map(start).collect();
            threads.into_iter().flat_map(|t| t.join().expect("no task fails")).collect()
        })
    }
}

/// How many seconds a step takes on a core that has nothing else to do: the median of many tries.
fn step_seconds() -> f64 {
    const STEPS: Steps = 100_000;
    let time = || {
        let begin = Instant::now();
        black_box(Spin::run(STEPS));
        begin.elapsed().as_secs_f64() / STEPS as f64
    };
    median((0..201).map(|_| time()).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The lengths of the tasks that are mapped.
enum Workload {
    Even(Duration),
    /// One task in a hundred takes a hundred times as long.
    Uneven(Duration, Place),
}

/// Where the long tasks are.
enum Place {
    First,
    Last,
    Random,
}

impl Workload {
    fn tasks(&self, count: usize) -> Vec<Duration> {
        let (length, place) = match self {
            Self::Even(length) => return vec![*length; count],
            Self::Uneven(length, place) => (*length, place),
        };
        let mut tasks = vec![length * 100; count / 100];
        tasks.resize(count, length);
        match place {
            Place::First => {}
            Place::Last => tasks.reverse(),
            Place::Random => tasks.shuffle(&mut Pcg64::seed_from_u64(1)),
        }
        tasks
    }
}

/// How the figures are measured.
struct Method {
    step_seconds: f64,
    runs: usize,
    /// Even tasks are so many that the pool takes at least this long for them.
    at_least: Duration,
}

impl Method {
    /// The share of the ideal speed that a backend reaches.
    fn share<B: Backend>(&self, backend: &B, workers: usize, work: &Workload) -> f64 {
        let run = |count| {
            let steps = |length: Duration| (length.as_secs_f64() / self.step_seconds) as Steps;
            let tasks: Vec<_> = work.tasks(count).into_iter().map(steps).collect();
            let ideal = tasks.iter().sum::<Steps>() as f64 * self.step_seconds / workers as f64;
            let begin = Instant::now();
            let results = backend.map::<Spin>(&tasks);
            let took = begin.elapsed();
            assert_eq!(results.len(), count);
            assert_eq!(results[count / 2], Spin::run(tasks[count / 2]));
            (ideal / took.as_secs_f64(), took)
        };
        let mut count = 100;
        match work {
            // How well uneven tasks can be distributed depends on their number, so it is fixed.
            Workload::Uneven(..) => count = 2_000,
            Workload::Even(_) => {
                while run(count).1 < self.at_least {
                    count *= 4;
                }
            }
        }
        median((0..self.runs).map(|_| run(count).0).collect())
    }

    fn row<B: Backend>(&self, workers: usize, columns: &[(&str, Workload)]) {
        print!("{:14}", format!("{}/{workers}", B::NAME));
        let backend = B::start(workers);
        for (_, work) in columns {
            print!("{:9.1} %", 100.0 * self.share(&backend, workers, work));
            let _ = std::io::stdout().flush();
        }
        println!();
    }
}

fn main() {
    farm_process::init();
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (runs, at_least) =
        if is_test { (1, Duration::ZERO) } else { (5, Duration::from_millis(50)) };
    let method = Method { step_seconds: step_seconds(), runs, at_least };

    let us = Duration::from_micros;
    let columns = [
        ("1 us", Workload::Even(us(1))),
        ("10 us", Workload::Even(us(10))),
        ("100 us", Workload::Even(us(100))),
        ("1 ms", Workload::Even(us(1000))),
        ("first", Workload::Uneven(us(10), Place::First)),
        ("last", Workload::Uneven(us(10), Place::Last)),
        ("random", Workload::Uneven(us(10), Place::Random)),
    ];
    println!("share of the ideal speed; a step of work takes {:.3} ns", method.step_seconds * 1e9);
    println!("first, last, random: 2000 tasks of 10 us, but 20 of them, in that place, of 1 ms\n");
    print!("{:14}", "");
    columns.iter().for_each(|(name, _)| print!("{name:>11}"));
    println!();
    for workers in [1, 2] {
        method.row::<Threads>(workers, &columns);
        method.row::<RayonBare>(workers, &columns);
        method.row::<Rayon>(workers, &columns);
        method.row::<Process>(workers, &columns);
    }
}
