//! The places at which this crate's tests let workers die. Outside these tests, the functions here
//! do nothing.

#[cfg(test)]
mod tests;

/// Called before and after a message is sent or received.
#[inline]
pub(crate) fn at_message() {
    #[cfg(test)]
    tests::MESSAGES.pass();
}

/// Called after each step of waking the master.
#[inline]
pub(crate) fn at_wake_step() {
    #[cfg(test)]
    tests::WAKE_STEPS.pass();
}
