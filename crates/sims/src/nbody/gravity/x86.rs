//! [`Lanes`] with the instructions of AVX-512 and AVX2.
//!
//! Neither uses square roots or divisions: both start from an estimate y of x^(-1/2) and correct
//! it. With e = 1 - x y^2,
//!
//! x^(-3/2) = y^3 (1 - e)^(-3/2) = y^3 (1 + 3/2 e + 15/8 e^2 + 35/16 e^3 + ...),
//!
//! cut after e^3. The error is 315/128 e^4, or 6e-16 for the |e| < 1.3e-4 of either estimate.
//!
//! Source of the integer estimate: Robertson, A brief history of InvSqrt (2012), for double
//! precision.

use std::arch::x86_64::{__m256d, __m512d};

use pulp::Simd;
use pulp::x86::{V3, V4};

use super::lanes::Lanes;

impl Lanes<8> for V4 {
    type Vector = __m512d;

    #[inline(always)]
    fn splat(self, x: f64) -> __m512d {
        self.avx512f._mm512_set1_pd(x)
    }

    #[inline(always)]
    fn load(self, numbers: &[f64; 8]) -> __m512d {
        pulp::cast(*numbers)
    }

    #[inline(always)]
    fn store(self, numbers: &mut [f64; 8], v: __m512d) {
        *numbers = pulp::cast(v);
    }

    #[inline(always)]
    fn add(self, a: __m512d, b: __m512d) -> __m512d {
        self.avx512f._mm512_add_pd(a, b)
    }

    #[inline(always)]
    fn sub(self, a: __m512d, b: __m512d) -> __m512d {
        self.avx512f._mm512_sub_pd(a, b)
    }

    #[inline(always)]
    fn mul(self, a: __m512d, b: __m512d) -> __m512d {
        self.avx512f._mm512_mul_pd(a, b)
    }

    #[inline(always)]
    fn div(self, a: __m512d, b: __m512d) -> __m512d {
        self.avx512f._mm512_div_pd(a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        self.avx512f._mm512_fmadd_pd(a, b, c)
    }

    #[inline(always)]
    fn negate_mul_add(self, a: __m512d, b: __m512d, c: __m512d) -> __m512d {
        self.avx512f._mm512_fnmadd_pd(a, b, c)
    }

    #[inline(always)]
    fn rotate(self, v: __m512d, k: usize) -> __m512d {
        pulp::cast(self.rotate_left_f64s(pulp::cast(v), k))
    }

    /// Starts from the processor's estimate, which is exact to 2^-14.
    #[inline(always)]
    fn inverse_cube(self, x: __m512d) -> __m512d {
        inverse_cube_from(self, x, self.avx512f._mm512_rsqrt14_pd(x))
    }
}

impl Lanes<4> for V3 {
    type Vector = __m256d;

    #[inline(always)]
    fn splat(self, x: f64) -> __m256d {
        self.avx._mm256_set1_pd(x)
    }

    #[inline(always)]
    fn load(self, numbers: &[f64; 4]) -> __m256d {
        pulp::cast(*numbers)
    }

    #[inline(always)]
    fn store(self, numbers: &mut [f64; 4], v: __m256d) {
        *numbers = pulp::cast(v);
    }

    #[inline(always)]
    fn add(self, a: __m256d, b: __m256d) -> __m256d {
        self.avx._mm256_add_pd(a, b)
    }

    #[inline(always)]
    fn sub(self, a: __m256d, b: __m256d) -> __m256d {
        self.avx._mm256_sub_pd(a, b)
    }

    #[inline(always)]
    fn mul(self, a: __m256d, b: __m256d) -> __m256d {
        self.avx._mm256_mul_pd(a, b)
    }

    #[inline(always)]
    fn div(self, a: __m256d, b: __m256d) -> __m256d {
        self.avx._mm256_div_pd(a, b)
    }

    #[inline(always)]
    fn mul_add(self, a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        self.fma._mm256_fmadd_pd(a, b, c)
    }

    #[inline(always)]
    fn negate_mul_add(self, a: __m256d, b: __m256d, c: __m256d) -> __m256d {
        self.fma._mm256_fnmadd_pd(a, b, c)
    }

    #[inline(always)]
    fn rotate(self, v: __m256d, k: usize) -> __m256d {
        pulp::cast(self.rotate_left_f64s(pulp::cast(v), k))
    }

    /// Starts from an integer estimate, which halves the exponent and leaves |e| < 0.07. A step of
    /// third order, y (1 - e)^(-1/2) = y (1 + e/2 + 3/8 e^2 + ...), reduces that to 6e-5. The
    /// coefficients are Taylor's, adjusted so that the error is evenly distributed over |e| < 0.07
    /// (Chebyshev's economisation of the terms 5/16 e^3 and 35/128 e^4).
    #[inline(always)]
    fn inverse_cube(self, x: __m256d) -> __m256d {
        const MAGIC: i64 = 0x5FE6_EB50_C7B5_37A9;
        const REACH: f64 = 0.07 * 0.07;
        const FIRST: f64 = 0.5 + 0.75 * REACH * 5.0 / 16.0;
        const SECOND: f64 = 3.0 / 8.0 + REACH * 35.0 / 128.0;
        let half = self.avx2._mm256_srli_epi64::<1>(pulp::cast(x));
        let magic = self.avx._mm256_set1_epi64x(MAGIC);
        let y: __m256d = pulp::cast(self.avx2._mm256_sub_epi64(magic, half));
        let e = self.negate_mul_add(x, self.mul(y, y), self.splat(1.0));
        let p = self.mul_add(e, self.splat(SECOND), self.splat(FIRST));
        inverse_cube_from(self, x, self.mul_add(self.mul(y, e), p, y))
    }
}

/// Computes x^(-3/2) from an estimate of x^(-1/2), by the series in the module's description.
#[inline(always)]
fn inverse_cube_from<const N: usize, L: Lanes<N>>(
    lanes: L,
    x: L::Vector,
    y: L::Vector,
) -> L::Vector {
    let y2 = lanes.mul(y, y);
    let y3 = lanes.mul(y, y2);
    let e = lanes.negate_mul_add(x, y2, lanes.splat(1.0));
    let p = lanes.mul_add(e, lanes.splat(35.0 / 16.0), lanes.splat(15.0 / 8.0));
    let p = lanes.mul_add(e, p, lanes.splat(1.5));
    lanes.mul_add(lanes.mul(y3, e), p, y3)
}
