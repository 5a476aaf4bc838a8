//! Round numbers for scales and rings, and their labels.
//!
//! Steps are 1, 2 or 5 times a power of ten. A range may be as wide as `f64` allows, or only a few
//! units in the last place: differences are computed from halves, and labels have enough digits to
//! distinguish neighbours.

/// Marks on a scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticks {
    /// The positions of the marks, ascending.
    pub values: Vec<f64>,
    /// The texts beside the marks.
    pub labels: Vec<String>,
}

/// Round numbers between `low` and `high`, about `wanted` of them and at most twice as many.
///
/// None if the range is empty or not finite.
pub fn ticks(low: f64, high: f64, wanted: usize) -> Ticks {
    let wanted = wanted.max(2);
    let spacing = (high / 2.0 - low / 2.0) / wanted as f64 * 2.0;
    if !spacing.is_finite() || spacing <= 0.0 {
        return Ticks { values: Vec::new(), labels: Vec::new() };
    }
    let step = round_step(spacing);
    // A mark may exceed the end of the range by a rounding error; it is kept.
    let slack = step * 1e-9;
    let first = (low / step - 1e-9).ceil();
    let values: Vec<f64> = (0..=2 * wanted)
        .map(|index| (first + index as f64) * step)
        .take_while(|value| value.is_finite() && *value <= high + slack)
        .map(|value| value.clamp(low, high))
        .collect();
    let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let labels = values.iter().map(|value| label(*value, step, largest)).collect();
    Ticks { values, labels }
}

/// The smallest round number that is at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = step / power;
    let round = [1.0, 2.0, 5.0].into_iter().find(|round| factor <= round * (1.0 + 1e-9));
    round.unwrap_or(10.0) * power
}

fn label(value: f64, step: f64, largest: f64) -> String {
    let value = if value.abs() < step / 2.0 { 0.0 } else { value };
    let digits = |power: f64| (-(step / power).log10() - 1e-9).ceil().clamp(0.0, 16.0) as usize;
    if !(1e-3..1e6).contains(&largest) {
        if value == 0.0 {
            return "0".into();
        }
        let power = 10_f64.powf(value.abs().log10().floor());
        format!("{value:.*e}", digits(power))
    } else {
        format!("{value:.*}", digits(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_numbers_within_the_range() {
        let found = ticks(0.0, 100.0, 5);
        assert_eq!(found.values, [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(found.labels, ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(ticks(0.13, 0.38, 5).labels, ["0.15", "0.20", "0.25", "0.30", "0.35"]);
        assert_eq!(ticks(-1.0, 1.0, 4).labels, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(ticks(0.0, 49.0, 5).labels, ["0", "10", "20", "30", "40"]);
    }

    #[test]
    fn very_large_and_very_small_numbers_have_exponents() {
        assert_eq!(ticks(0.0, 5e7, 5).labels[1..3], ["1e7", "2e7"]);
        assert_eq!(ticks(0.0, 3e-5, 3).labels, ["0", "1e-5", "2e-5", "3e-5"]);
    }

    #[test]
    fn neighbours_differ_in_print_and_no_range_is_too_wide_or_too_narrow() {
        let ranges = [
            (-f64::MAX, f64::MAX),
            (0.0, f64::MIN_POSITIVE * 100.0),
            (1e6, 1e6 + 1.0),
            (99.99, 100.0),
            (-1e-3, 1e3),
            (-300.0, -299.0),
        ];
        for (low, high) in ranges {
            let found = ticks(low, high, 5);
            assert!((2..=10).contains(&found.values.len()), "{low} {high}: {found:?}");
            let mut labels = found.labels.clone();
            labels.dedup();
            assert_eq!(labels, found.labels);
        }
    }

    #[test]
    fn an_empty_range_has_no_marks() {
        for (low, high) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            assert!(ticks(low, high, 5).values.is_empty());
        }
    }
}
