//! x
#![allow(missing_docs)]
use farm_core::Farm;
use sims::plate::*;
use std::time::Instant;
fn run(name: &str, farm: &impl Farm, n: usize, m: Method) {
    let plate = Plate { nx: n, ny: n, top: 100.0, bottom: 0.0, left: 0.0, right: 0.0 };
    let mut r = Relaxation::new(&plate, m).unwrap();
    r = r.advance(farm, 8).unwrap().0;
    let rounds = 5;
    let sweeps = (4e8 / (n * n) as f64).clamp(32.0, 3000.0) as usize / 32 * 32;
    let mut best = f64::INFINITY;
    for _ in 0..rounds {
        let t = Instant::now();
        r = r.advance(farm, sweeps).unwrap().0;
        best = best.min(t.elapsed().as_secs_f64() / sweeps as f64);
    }
    println!("{name} {n} {m:?}: {:.0} M/s", (n * n) as f64 / best / 1e6);
}
fn main() {
    farm_process::init();
    let args: Vec<String> = std::env::args().collect();
    let method = match args[1].as_str() {
        "j" => Method::Jacobi,
        "s" => Method::Sor,
        "c" => Method::Chebyshev,
        _ => Method::Heat { ratio: 0.2 },
    };
    for n in args[2].split(',').map(|n| n.parse().unwrap()) {
        run("mono", &farm_mono::Pool::new().unwrap(), n, method);
        for w in [1, 2] {
            run(
                &format!("process/{w}"),
                &farm_process::Pool::builder().workers(w).build().unwrap(),
                n,
                method,
            );
            run(
                &format!("rayon/{w}"),
                &farm_rayon::Pool::builder().workers(w).build().unwrap(),
                n,
                method,
            );
        }
    }
}
