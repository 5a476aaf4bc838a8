//! The initial conditions of DE421; see [`Ephemeris`](super::Ephemeris).

use super::{Bodies, Ephemeris, System};

/// [`Ephemeris::initial_conditions`] of DE421.
#[must_use]
pub fn initial_conditions(bodies: Bodies) -> System {
    Ephemeris::De421.initial_conditions(bodies)
}
