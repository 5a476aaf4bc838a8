//! The tests that every pool must pass.
//!
//! A backend describes its pools in an implementation of [`Backend`] and calls
//! [`conformance_tests!`], which writes one `#[test]` for each body of this crate. A body is
//! generic over the pool.
//!
//! No body waits for a fixed time. Each waits for an event, under a [`watchdog`] that ends the test
//! program if the event does not come.

pub mod arrays;
pub mod bands;
pub mod errors;
pub mod functions;
mod gate;
pub mod lifetimes;
pub mod maps;
#[cfg(not(farm_sanitized))]
pub mod values;
pub mod wakers;
pub mod watchdog;

use farm_core::Farm;

/// A kind of pool to test.
pub trait Backend {
    /// The type of the pool.
    type Pool: Farm + 'static;

    /// Whether arguments and results are encoded, so that a value that cannot be encoded is an
    /// error.
    const ENCODES: bool;

    /// Whether tasks run concurrently with the caller, so that a submitted task can be unfinished.
    const CONCURRENT: bool;

    /// Creates a pool of `workers` workers.
    fn pool(workers: usize) -> Self::Pool;
}

/// Writes the tests of a backend: `conformance_tests!(MyBackend);`.
#[macro_export]
macro_rules! conformance_tests {
    ($backend:ty) => {
        $crate::values_tests! { $backend }
        $crate::conformance_tests! { @bodies $backend;
            arrays: a_frozen_array_is_read_by_all_and_thawed_when_the_last_is_back,
                bands_are_written_by_their_tasks_and_joined,
                every_element_type_and_up_to_three_dimensions,
                a_panic_in_a_band_leaves_the_array_and_names_its_rows,
                a_band_that_a_task_drops_goes_back_to_its_split,
                a_reference_can_be_returned,
                a_handle_in_an_argument_that_cannot_be_encoded_is_not_lost;
            bands: bands_of_several_arrays_go_to_one_task,
                rows_that_are_only_written_are_given_back,
                bands_of_any_plain_data_and_any_number_of_axes,
                a_task_that_is_started_again_finds_its_rows_as_they_were,
                a_handle_that_is_kept_beyond_its_task_is_told_by_name,
                a_task_may_share_its_handles_with_threads_of_its_own,
                a_band_that_somebody_still_holds_is_not_sent,
                the_master_is_done_with_an_argument_before_its_task_begins,
                rows_are_as_they_were_when_the_last_attempt_cannot_begin,
                a_band_that_is_thrown_in_a_panic_is_torn,
                a_handle_that_is_left_out_of_a_decoded_argument_is_an_error,
                an_argument_that_panics_when_it_is_dropped_is_an_error_of_its_task,
                a_task_cannot_make_the_farm_forget_what_it_keeps;
            errors: a_panic_carries_message_place_and_backtrace,
                a_panic_whose_payload_is_no_string_is_told,
                what_cannot_be_encoded_or_decoded_is_an_error_twenty_times_in_a_row,
                large_errors_from_every_task_do_not_block_the_end,
                a_task_cannot_submit,
                errors_name_the_function_the_item_and_the_label;
            functions: every_kind_of_function_without_captures_can_be_sent,
                large_arguments_and_results_arrive_whole,
                long_values_grow_as_they_are_encoded,
                submitted_tasks_answer_in_any_order_of_asking,
                unread_results_hold_up_no_task,
                unread_results_hold_up_no_end_of_a_pool,
                a_handle_is_a_future,
                many_threads_submit_to_one_pool;
            lifetimes: arguments_and_results_are_freed_when_map_returns,
                a_timeout_expires_and_the_pool_still_works,
                terminate_with_ten_thousand_long_tasks_queued_is_prompt,
                shutdown_waits_for_all_tasks,
                a_cancelled_task_never_runs,
                a_hundred_thousand_tasks_wait_in_line,
                a_panic_is_retried_on_request_or_the_request_is_refused,
                dropping_a_handle_cancels_nothing;
            maps: empty_input_gives_an_empty_result,
                distribute_cuts_for_the_workers_of_the_pool,
                more_workers_than_items,
                more_items_than_are_kept_in_flight,
                results_are_in_the_order_of_the_items,
                the_error_of_the_lowest_index_is_returned,
                map_each_returns_every_outcome,
                for_each_does_every_item,
                an_input_that_panics_reaches_the_caller_and_leaves_the_pool_usable,
                an_endless_input_is_not_taken_far_ahead,
                imap_keeps_a_bounded_number_between_its_input_and_its_reader,
                imap_goes_on_after_an_error,
                an_input_may_wait_until_earlier_items_are_dropped,
                a_panic_is_not_told_with_the_place_of_another;
            wakers: a_waker_may_wait_for_other_tasks_of_its_pool,
                a_waker_may_end_its_pool,
                wakers_that_panic_harm_nobody,
                a_handle_that_has_given_its_outcome_says_so,
                many_tasks_are_awaited_together;
        }
    };
    (@bodies $backend:ty; $($module:ident: $($body:ident),* ;)*) => {
        $($(
            #[test]
            fn $body() {
                $crate::watchdog::guard(stringify!($body), || $crate::$module::$body::<$backend>());
            }
        )*)*
    };
}

/// Writes the tests of a backend that take long to compile.
#[cfg(not(farm_sanitized))]
#[doc(hidden)]
#[macro_export]
macro_rules! values_tests {
    ($backend:ty) => {
        $crate::conformance_tests! { @bodies $backend;
            values: values_of_every_type_go_through_as_through_json,
                values_that_json_cannot_hold_go_through,
                a_value_that_refuses_says_why,
                values_that_lie_deep_in_each_other_go_through,
                a_value_that_is_too_deep_to_be_looked_at_first_is_one_clear_error;
        }
    };
}

/// Writes no tests under sanitizers, which check the data that threads and processes share.
#[cfg(farm_sanitized)]
#[doc(hidden)]
#[macro_export]
macro_rules! values_tests {
    ($backend:ty) => {};
}
