//! What is tested of values on every pool, and here of what encodes them.

use farm_conformance::values::values_of_every_type_go_through_the_codec;
use farm_conformance::watchdog::guard;

#[test]
fn values_of_every_type_come_back_through_the_codec() {
    guard(
        "values_of_every_type_come_back_through_the_codec",
        values_of_every_type_go_through_the_codec,
    );
}
