//! Arithmetic on N bodies side by side: the kernel's only interface to the processor.
//!
//! [`Portable`] is plain Rust and has the same bits on every machine; the other implementations are
//! in `x86`.

/// Arithmetic on N numbers at a time. Lane l of a result depends on lane l of the operands alone,
/// except for [`rotate`](Lanes::rotate).
pub(in crate::nbody) trait Lanes<const N: usize>: Copy {
    type Vector: Copy;

    fn splat(self, x: f64) -> Self::Vector;
    fn load(self, numbers: &[f64; N]) -> Self::Vector;
    fn store(self, numbers: &mut [f64; N], v: Self::Vector);
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// a b + c, rounded once on levels with fused instructions.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// c - a b, rounded once on levels with fused instructions.
    fn negate_mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// Lane l of the result is lane (l + k) mod N of `v`.
    fn rotate(self, v: Self::Vector, k: usize) -> Self::Vector;

    /// x^(-3/2) with a relative error below 2e-15 for x from 1e-200 to 1e200; infinite or NaN for
    /// x = 0.
    fn inverse_cube(self, x: Self::Vector) -> Self::Vector;
}

/// Plain Rust on two lanes, as wide as the vector registers of every 64-bit processor.
#[derive(Clone, Copy)]
pub(super) struct Portable;

type Two = [f64; 2];

impl Lanes<2> for Portable {
    type Vector = Two;

    #[inline(always)]
    fn splat(self, x: f64) -> Two {
        [x; 2]
    }

    #[inline(always)]
    fn load(self, numbers: &Two) -> Two {
        *numbers
    }

    #[inline(always)]
    fn store(self, numbers: &mut Two, v: Two) {
        *numbers = v;
    }

    #[inline(always)]
    fn add(self, a: Two, b: Two) -> Two {
        [a[0] + b[0], a[1] + b[1]]
    }

    #[inline(always)]
    fn sub(self, a: Two, b: Two) -> Two {
        [a[0] - b[0], a[1] - b[1]]
    }

    #[inline(always)]
    fn mul(self, a: Two, b: Two) -> Two {
        [a[0] * b[0], a[1] * b[1]]
    }

    #[inline(always)]
    fn div(self, a: Two, b: Two) -> Two {
        [a[0] / b[0], a[1] / b[1]]
    }

    #[inline(always)]
    fn mul_add(self, a: Two, b: Two, c: Two) -> Two {
        [a[0] * b[0] + c[0], a[1] * b[1] + c[1]]
    }

    #[inline(always)]
    fn negate_mul_add(self, a: Two, b: Two, c: Two) -> Two {
        [c[0] - a[0] * b[0], c[1] - a[1] * b[1]]
    }

    #[inline(always)]
    fn rotate(self, v: Two, k: usize) -> Two {
        [v[k % 2], v[(k + 1) % 2]]
    }

    #[inline(always)]
    fn inverse_cube(self, x: Two) -> Two {
        [1.0 / (x[0] * x[0].sqrt()), 1.0 / (x[1] * x[1].sqrt())]
    }
}
