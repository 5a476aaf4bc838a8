//! How the program ends early, by a signal, by SIGKILL or by the loss of a worker, and how it
//! continues after a pause.

const PROGRAM: &str = env!("CARGO_BIN_EXE_solar-system");
const LONG_RUN: &str = "--years 1e6 --asteroids 6000 --integrator leapfrog";

#[test]
fn a_signal_ends_the_run_on_every_pool_and_leaves_nothing() {
    app_testing::a_signal_ends_all(PROGRAM, LONG_RUN);
}

#[test]
fn a_signal_ends_a_run_whose_workers_are_coming_up() {
    app_testing::a_signal_while_starting(PROGRAM, LONG_RUN);
}

#[test]
fn workers_end_with_a_program_that_is_killed() {
    app_testing::a_kill_ends_the_workers(PROGRAM, LONG_RUN);
}

#[test]
fn workers_that_are_stopped_end_with_a_program_that_is_killed() {
    app_testing::a_kill_ends_stopped_workers(PROGRAM, LONG_RUN);
}

#[test]
fn a_program_that_is_stopped_and_continued_ends_as_if_it_had_not_been() {
    // A run of many short tasks that takes some seconds.
    let run = "--asteroids 8000 --days 30 --integrator leapfrog";
    app_testing::a_pause_changes_nothing(PROGRAM, run, "S");
}

#[test]
fn the_loss_of_a_worker_ends_the_run_with_one_line() {
    app_testing::a_lost_worker_is_one_line(PROGRAM, LONG_RUN);
}
