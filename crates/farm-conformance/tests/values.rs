//! The codec with the values that the conformance tests send through every pool.

use farm_conformance::values::values_of_every_type_go_through_the_codec;
use farm_conformance::watchdog::guard;

#[test]
fn values_of_every_type_come_back_through_the_codec() {
    guard(
        "values_of_every_type_come_back_through_the_codec",
        values_of_every_type_go_through_the_codec,
    );
}
