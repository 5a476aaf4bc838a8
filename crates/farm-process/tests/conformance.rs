//! What every pool promises, on this one.

farm_process::init_before_main!();

use farm_conformance::Backend;
use farm_process::Pool;

struct ThisPool;

impl Backend for ThisPool {
    type Pool = Pool;
    const ENCODES: bool = true;
    const CONCURRENT: bool = true;

    fn pool(workers: usize) -> Pool {
        Pool::builder().workers(workers).build().expect("a pool")
    }
}

farm_conformance::conformance_tests!(ThisPool);
