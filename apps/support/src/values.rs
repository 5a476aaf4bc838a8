//! Value parsers for clap: numbers with an allowed range.
//!
//! A parser's message says only what is allowed; [`crate::usage`] puts the option and the value
//! before it. Rust's own `from_str` would accept `inf` and `nan`, and its message for a typing
//! error is "invalid float literal".

/// A finite number.
///
/// # Errors
/// Text that is not a number, is not finite or is too large for an `f64`.
pub fn finite(text: &str) -> Result<f64, String> {
    number(text, "must be a finite number", |_| true)
}

/// A finite number above zero.
///
/// # Errors
/// As [`finite`], and zero or less.
pub fn positive(text: &str) -> Result<f64, String> {
    number(text, "must be a finite number above 0", |x| x > 0.0)
}

/// A finite number, zero or more.
///
/// # Errors
/// As [`finite`], and less than zero.
pub fn non_negative(text: &str) -> Result<f64, String> {
    number(text, "must be a finite number, 0 or more", |x| x >= 0.0)
}

/// A whole number, one or more.
///
/// # Errors
/// Text that is not a whole number, zero, and numbers that do not fit a `usize`.
pub fn count(text: &str) -> Result<usize, String> {
    count_to::<{ usize::MAX }>(text)
}

/// A whole number from 1 to `MAX`.
///
/// # Errors
/// Text that is not a whole number in this range.
pub fn count_to<const MAX: usize>(text: &str) -> Result<usize, String> {
    whole(text, 1, MAX)
}

/// A whole number from 0 to `MAX`.
///
/// # Errors
/// Text that is not a whole number in this range.
pub fn up_to<const MAX: usize>(text: &str) -> Result<usize, String> {
    whole(text, 0, MAX)
}

fn whole(text: &str, min: usize, max: usize) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(n) if (min..=max).contains(&n) => Ok(n),
        _ => Err(format!("must be a whole number from {min} to {max}")),
    }
}

fn number(text: &str, allowed: &str, accept: impl Fn(f64) -> bool) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(x) if x.is_finite() && accept(x) => Ok(x),
        _ => Err(allowed.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_every_usual_notation() {
        for (text, value) in [("100", 100.0), ("-2.5", -2.5), ("1e-6", 1e-6), ("+.5", 0.5)] {
            assert_eq!(finite(text), Ok(value));
        }
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        for text in ["", " ", "inf", "-inf", "nan", "NaN", "1e400", "1,5", "0x10", "ten", "1 2"] {
            assert_eq!(finite(text), Err("must be a finite number".into()), "{text:?}");
        }
    }

    #[test]
    fn bounds_at_zero_are_kept() {
        assert_eq!(positive("1e-300"), Ok(1e-300));
        assert!(positive("0").is_err() && positive("-0").is_err() && positive("-1").is_err());
        assert!(non_negative("0").is_ok() && non_negative("-1e-9").is_err());
    }

    #[test]
    fn whole_numbers_start_at_one_or_zero_and_end_where_told() {
        assert_eq!(count("1"), Ok(1));
        assert_eq!(count_to::<8>("8"), Ok(8));
        for text in ["0", "-1", "9", "1.0", "1e1", "", "99999999999999999999999"] {
            let refused = count_to::<8>(text);
            assert_eq!(refused, Err("must be a whole number from 1 to 8".into()), "{text:?}");
        }
        assert_eq!((up_to::<8>("0"), up_to::<8>("8")), (Ok(0), Ok(8)));
        assert_eq!(up_to::<8>("9"), Err("must be a whole number from 0 to 8".into()));
    }
}
