//! The places at which tests let workers die. Outside the tests of this crate, these functions do
//! nothing.

#[cfg(test)]
mod tests;

/// A message is about to be sent or received, or has just been.
#[inline]
pub(crate) fn at_message() {
    #[cfg(test)]
    tests::MESSAGES.pass();
}

/// A step of waking the master is done.
#[inline]
pub(crate) fn at_wake_step() {
    #[cfg(test)]
    tests::WAKE_STEPS.pass();
}
