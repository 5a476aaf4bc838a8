//! The conformance tests, for this pool.

use farm_conformance::Backend;
use farm_mono::Pool;

struct ThisPool;

impl Backend for ThisPool {
    type Pool = Pool;
    const ENCODES: bool = true;
    const CONCURRENT: bool = false;

    fn pool(workers: usize) -> Pool {
        Pool::builder().workers(workers).build().expect("a pool")
    }
}

farm_conformance::conformance_tests!(ThisPool);
