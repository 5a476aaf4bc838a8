//! The program while its workers are killed.

const PROGRAM: &str = env!("CARGO_BIN_EXE_solar-system");
const RUN: &str = "--integrator leapfrog --asteroids 2500 --days 1000";

#[test]
fn workers_that_are_killed_all_the_time_change_no_bit() {
    app_testing::kills_change_nothing(PROGRAM, RUN);
}

#[test]
fn a_worker_that_is_lost_and_replaced_is_in_the_summary() {
    app_testing::a_loss_is_in_the_summary(PROGRAM, RUN);
}
