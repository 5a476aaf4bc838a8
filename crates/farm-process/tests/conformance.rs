//! The conformance tests of all pools, on this pool with each of its transports.

farm_process::init_before_main!();

use farm_conformance::Backend;
use farm_process::{Pool, Transport};

struct ByLanes;

impl Backend for ByLanes {
    type Pool = Pool;
    const ENCODES: bool = true;
    const CONCURRENT: bool = true;

    fn pool(workers: usize) -> Pool {
        Pool::builder().workers(workers).build().expect("a pool")
    }
}

struct ByChannel;

impl Backend for ByChannel {
    type Pool = Pool;
    const ENCODES: bool = true;
    const CONCURRENT: bool = true;

    fn pool(workers: usize) -> Pool {
        let builder = Pool::builder().workers(workers).transport(Transport::Channel);
        builder.build().expect("a pool")
    }
}

mod by_lanes {
    farm_conformance::conformance_tests!(super::ByLanes);
}

mod by_channel {
    farm_conformance::conformance_tests!(super::ByChannel);
}
