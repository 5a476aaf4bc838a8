//! Yoshida's composition of three leapfrogs, drift-kick-drift, of lengths w1, w0 and w1:
//!
//! w1 = 1 / (2 - 2^(1/3)), w0 = 1 - 2 w1 = -2^(1/3) w1.
//!
//! Order 4, symplectic, reversible in time. A step takes three evaluations of the forces; the
//! middle leapfrog goes backwards. The error after a fixed time is proportional to dt^4: for the
//! same error, if more than a few digits are wanted, the steps can be far longer than those of the
//! leapfrog.
//!
//! Source: Yoshida, Construction of higher order symplectic integrators, Phys. Lett. A 150 (1990)
//! 262.

/// The cube root of two as a literal, because `f64::cbrt` is not a `const fn`.
const CBRT_2: f64 = 1.259_921_049_894_873_2;
const W1: f64 = 1.0 / (2.0 - CBRT_2);
const W0: f64 = -CBRT_2 * W1;

/// The lengths of the leapfrogs, as fractions of the step.
pub const WEIGHTS: [f64; 3] = [W1, W0, W1];
