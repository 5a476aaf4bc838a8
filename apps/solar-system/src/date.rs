//! Calendar dates from Julian dates.
//!
//! Source: Fliegel and Van Flandern, A machine algorithm for processing calendar dates, Comm. ACM
//! 11 (1968) 657, with divisions that round down, so that the algorithm is also valid before 4713
//! BC.

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// From this Julian date on, forwards and backwards, no calendar date is given.
const FAR: f64 = 1e10;

/// A Julian date as a day of the Gregorian calendar, to the minute: `31 December 2000, 18:00`.
///
/// Years before 1 are counted as BC. Dates millions of years away are given as Julian dates.
pub(crate) fn calendar(julian: f64) -> String {
    if julian.is_nan() || julian.abs() >= FAR {
        return format!("JD {julian:e}");
    }
    // Julian days begin at noon, calendar days at midnight.
    let minutes = ((julian + 0.5) * 1440.0).round() as i64;
    let (day_number, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    // Days are counted from 1 March of a year that 400 divides, so that 29 February is the last day
    // of a year.
    let days = day_number - 1_721_120;
    let (era, days) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (days - days / 1460 + days / 36_524 - days / 146_096) / 365;
    let day_of_year = days - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = (shifted + 2) % 12;
    let year = 400 * era + year_of_era + i64::from(month < 2);
    let year = if year > 0 { year.to_string() } else { format!("{} BC", 1 - year) };
    let month = MONTHS[usize::try_from(month).unwrap_or(0)];
    format!("{day} {month} {year}, {:02}:{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates_have_their_julian_dates() {
        for (julian, date) in [
            (2_451_545.0, "1 January 2000, 12:00"),
            (2_451_910.25, "31 December 2000, 18:00"),
            (2_455_197.5, "1 January 2010, 00:00"),
            (2_440_587.5, "1 January 1970, 00:00"),
            (2_451_603.5, "29 February 2000, 00:00"),
            (2_451_604.499_99, "1 March 2000, 00:00"),
            (2_415_078.5, "28 February 1900, 00:00"),
            (2_415_079.5, "1 March 1900, 00:00"),
            (2_299_160.5, "15 October 1582, 00:00"),
            (0.0, "24 November 4714 BC, 12:00"),
            (1_721_425.5, "1 January 1, 00:00"),
            (1_721_424.5, "31 December 1 BC, 00:00"),
        ] {
            assert_eq!(calendar(julian), date);
        }
        assert_eq!(calendar(1e300), "JD 1e300");
    }

    #[test]
    fn days_follow_each_other() {
        let mut before = String::new();
        for day in 0..150_000 {
            let date = calendar(2_400_000.5 + f64::from(day));
            let first = date.starts_with("1 ");
            let next = !before.is_empty() && !first;
            let number = |date: &str| date.split(' ').next().and_then(|n| n.parse::<u32>().ok());
            assert!(!next || number(&date) == number(&before).map(|n| n + 1), "{before} {date}");
            before = date;
        }
    }
}
