#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]
use farm_core::prelude::*;
use std::time::Instant;
fn f(x: u64) -> u64 { std::hint::black_box(x) + 1 }
fn main() {
    farm_process::init();
    let w: usize = std::env::args().nth(1).map_or(1, |s| s.parse().unwrap());
    let pool = farm_process::Pool::builder().workers(w).build().unwrap();
    for _ in 0..5 {
        let n = 200_000;
        let t = Instant::now();
        for i in 0..n { assert_eq!(pool.apply(f, i).unwrap(), i + 1); }
        let rt = t.elapsed().as_nanos() as f64 / n as f64;
        let t = Instant::now();
        let handles: Vec<_> = (0..n).map(|i| pool.submit(f, i)).collect();
        let sub = t.elapsed().as_nanos() as f64 / n as f64;
        for (i, h) in handles.into_iter().enumerate() { assert_eq!(h.get().unwrap(), i as u64 + 1); }
        let all = t.elapsed().as_nanos() as f64 / n as f64;
        let t = Instant::now();
        let v: Vec<u64> = pool.map(f, 0..n).unwrap();
        let map = t.elapsed().as_nanos() as f64 / n as f64;
        assert_eq!(v.len(), n as usize);
        println!("round trip {rt:.0} ns, submit {sub:.0}, pipelined {all:.0} ns, map {map:.0}");
    }
}
