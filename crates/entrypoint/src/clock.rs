//! The time of day as text, and lengths of time as people read them. Reads the system clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tektite_protocol::GoDuration;

use crate::log::Value;

/// Now, as the termination message has it: RFC 3339, UTC, exactly three fractional digits.
pub(crate) fn rfc3339_now() -> String {
    rfc3339(since_epoch())
}

/// `duration` in whole milliseconds, such as `1.204s` or `1h2m3s`.
pub(crate) fn readable(duration: Duration) -> String {
    GoDuration::from(Duration::from_millis(whole_millis(duration))).to_string()
}

/// `duration` for a program to read in the log.
pub(crate) fn millis(duration: Duration) -> Value<'static> {
    Value::Number(whole_millis(duration))
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A clock before 1970 counts as 1970: there is nothing better to say.
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn rfc3339(since_epoch: Duration) -> String {
    let (year, month, day) = civil(since_epoch.as_secs() / 86_400);
    format!("{year:04}-{month:02}-{day:02}T{}Z", time_of_day(since_epoch))
}

fn time_of_day(since_epoch: Duration) -> String {
    let second = since_epoch.as_secs() % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!(
        "{hour:02}:{minute:02}:{second:02}.{:03}",
        since_epoch.subsec_millis()
    )
}

/// Year, month and day of a day counted from 1970-01-01.
fn civil(mut days: u64) -> (u64, u64, u64) {
    /// Days in 400 years; the calendar repeats after them.
    const CYCLE: u64 = 146_097;
    let mut year = 1970 + days / CYCLE * 400;
    days %= CYCLE;
    while days >= year_length(year) {
        days -= year_length(year);
        year += 1;
    }
    let february = if year_length(year) == 366 { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

fn year_length(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, millis, text) in [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, 999, "2000-02-28T23:59:59.999Z"),
            (951_782_400, 0, "2000-02-29T00:00:00.000Z"),
            (978_220_800, 0, "2000-12-31T00:00:00.000Z"),
            (1_709_251_199, 50, "2024-02-29T23:59:59.050Z"),
            (1_767_225_600, 7, "2026-01-01T00:00:00.007Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
            (13_574_563_200, 0, "2400-02-29T00:00:00.000Z"),
        ] {
            let at = Duration::from_secs(seconds) + Duration::from_millis(millis);
            assert_eq!(rfc3339(at), text);
        }
        assert!(rfc3339_now().as_str() > "2025");
        assert_eq!(time_of_day(Duration::from_millis(43_384_567)), "12:03:04.567");
    }

    #[test]
    fn lengths() {
        for (micros, text) in [
            (1_204_567, "1.204s"),
            (999, "0s"),
            (12_000, "12ms"),
            (3_723_000_000, "1h2m3s"),
        ] {
            assert_eq!(readable(Duration::from_micros(micros)), text);
        }
    }
}
