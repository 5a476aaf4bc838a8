//! Sums and maxima over rows, in an order that depends on the column alone: eight lanes, then a
//! tree over them.

use super::super::rows::at_full_width;

const LANES: usize = 8;

/// The dot product of two rows.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    at_full_width(
        #[inline(always)]
        || {
            let (a, a_rest) = a.as_chunks::<LANES>();
            let (b, b_rest) = b.as_chunks::<LANES>();
            let mut sums = [0.0; LANES];
            for (a, b) in a.iter().zip(b) {
                for lane in 0..LANES {
                    sums[lane] += a[lane] * b[lane];
                }
            }
            for (sum, (a, b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
                *sum += a * b;
            }
            tree(sums)
        },
    )
}

/// The largest absolute value; NaN if an element is NaN or infinite.
pub(crate) fn size(a: &[f64]) -> f64 {
    at_full_width(
        #[inline(always)]
        || {
            let (chunks, rest) = a.as_chunks::<LANES>();
            let (mut largest, mut spoilt) = ([0.0_f64; LANES], [0.0_f64; LANES]);
            let mut look = |lane: usize, x: f64| {
                largest[lane] = if x.abs() > largest[lane] { x.abs() } else { largest[lane] };
                // The product is 0 if x is finite, and NaN otherwise.
                spoilt[lane] += 0.0 * x;
            };
            for chunk in chunks {
                for (lane, x) in chunk.iter().enumerate() {
                    look(lane, *x);
                }
            }
            for (lane, x) in rest.iter().enumerate() {
                look(lane, *x);
            }
            if tree(spoilt) == 0.0 { largest.into_iter().fold(0.0, f64::max) } else { f64::NAN }
        },
    )
}

fn tree([a, b, c, d, e, f, g, h]: [f64; LANES]) -> f64 {
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_the_largest_absolute_value_and_forgets_no_nan() {
        for n in 1..40 {
            for at in 0..n {
                let mut a = vec![0.5; n];
                a[at] = -2.0;
                assert_eq!(size(&a), 2.0);
                for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    a[at] = bad;
                    assert!(size(&a).is_nan());
                }
            }
        }
        assert_eq!(size(&[]), 0.0);
    }

    #[test]
    fn a_sum_of_products_of_whole_numbers_is_exact() {
        for n in 0..40 {
            let a: Vec<_> = (0..n).map(f64::from).collect();
            let b: Vec<_> = a.iter().map(|x| 3.0 - x).collect();
            let exact: f64 = (0..n).map(|i| f64::from(i * (3 - i))).sum();
            assert_eq!(dot(&a, &b), exact);
        }
    }
}
