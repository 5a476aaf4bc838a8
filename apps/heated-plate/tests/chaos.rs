//! The program while its workers are killed.

const PROGRAM: &str = env!("CARGO_BIN_EXE_heated-plate");
const RUN: &str = "--size 600 --sweeps 10000";

#[test]
fn workers_that_are_killed_all_the_time_change_no_bit() {
    app_testing::kills_change_nothing(PROGRAM, RUN);
}

#[test]
fn a_worker_that_is_lost_and_replaced_is_in_the_summary() {
    app_testing::a_loss_is_in_the_summary(PROGRAM, RUN);
}
