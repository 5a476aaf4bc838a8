#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]
use farm_core::prelude::*;
use std::time::Instant;
fn f(x: u64) -> u64 { std::hint::black_box(x) + 1 }
fn main() {
    farm_process::init();
    let w: usize = std::env::args().nth(1).map_or(1, |s| s.parse().unwrap());
    let what = std::env::args().nth(2).unwrap_or_default();
    let pool = farm_process::Pool::builder().workers(w).build().unwrap();
    let end = Instant::now() + std::time::Duration::from_secs(3);
    let mut best = [f64::MAX; 4];
    while Instant::now() < end {
        let n = 100_000;
        let mut note = |i: usize, t: Instant, n: u64| best[i] = best[i].min(t.elapsed().as_nanos() as f64 / n as f64);
        if what.contains('r') || what.is_empty() {
            let t = Instant::now();
            for i in 0..n { assert_eq!(pool.apply(f, i).unwrap(), i + 1); }
            note(0, t, n);
        }
        if what.contains('p') || what.is_empty() {
            let t = Instant::now();
            let handles: Vec<_> = (0..n).map(|i| pool.submit(f, i)).collect();
            note(1, t, n);
            for (i, h) in handles.into_iter().enumerate() { assert_eq!(h.get().unwrap(), i as u64 + 1); }
            note(2, t, n);
        }
        if what.contains('m') || what.is_empty() {
            let t = Instant::now();
            let v: Vec<u64> = pool.map(f, 0..10 * n).unwrap();
            note(3, t, 10 * n);
            assert_eq!(v.len(), 10 * n as usize);
        }
    }
    println!("{w} workers, best: round trip {:.0} ns, submit {:.0}, pipelined {:.0} ns, map {:.1}", best[0], best[1], best[2], best[3]);
}
