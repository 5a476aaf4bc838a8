//! The conformance tests, for this pool.

use farm_conformance::Backend;
use farm_rayon::Pool;

struct ThisPool;

impl Backend for ThisPool {
    type Pool = Pool;
    const ENCODES: bool = false;
    const CONCURRENT: bool = true;

    fn pool(workers: usize) -> Pool {
        Pool::builder().workers(workers).build().expect("a pool")
    }
}

farm_conformance::conformance_tests!(ThisPool);
