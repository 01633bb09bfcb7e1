//! Durations as Go writes and reads them, since that is what the API's text and the entrypoint's
//! flags hold: `90s`, `1h30m`, `1.5h`, `-1s`, `0`. Exact to the nanosecond; nothing is a float.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A signed duration in nanoseconds, with Go's text form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a sequence of numbers with units.
    #[error(
        "\"{0}\" is not a duration: write numbers with the units ns, us, ms, s, m or h, such as \"90s\" or \"1h30m\""
    )]
    Invalid(String),
    /// A number without its unit.
    #[error("\"{0}\" is not a duration: a unit is missing, one of ns, us, ms, s, m, h")]
    MissingUnit(String),
    /// A unit that Go does not know.
    #[error("\"{0}\" is not a duration: unknown unit \"{1}\", allowed are ns, us, ms, s, m, h")]
    UnknownUnit(String, String),
    /// Beyond what 64 bits of nanoseconds hold, about 292 years.
    #[error("\"{0}\" is not a duration: it is longer than 292 years")]
    Overflow(String),
}

const SECOND: i64 = 1_000_000_000;

impl GoDuration {
    /// No time at all; as a limit, no limit.
    pub const ZERO: Self = Self(0);

    /// A duration of `nanos` nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// A duration of whole seconds, held at the largest one that fits.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(SECOND))
    }

    /// The length in nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whether it is shorter than nothing.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Whether it is exactly nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// As the standard library's duration; a negative one becomes zero.
    pub fn to_std(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<Duration> for GoDuration {
    fn from(value: Duration) -> Self {
        Self(i64::try_from(value.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// Prints `value` scaled by 10^-`digits` without trailing zeros.
fn decimal(f: &mut fmt::Formatter<'_>, value: u64, digits: u32, unit: &str) -> fmt::Result {
    let scale = 10u64.pow(digits);
    let (whole, rest) = (value / scale, value % scale);
    if rest == 0 {
        return write!(f, "{whole}{unit}");
    }
    let fraction = format!("{rest:0width$}", width = digits as usize);
    write!(f, "{whole}.{}{unit}", fraction.trim_end_matches('0'))
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => decimal(f, nanos, 3, "µs"),
            1_000_000..1_000_000_000 => decimal(f, nanos, 6, "ms"),
            _ => {
                let minute = 60 * SECOND.unsigned_abs();
                let (minutes, rest) = (nanos / minute, nanos % minute);
                let (hours, minutes) = (minutes / 60, minutes % 60);
                if hours > 0 {
                    write!(f, "{hours}h")?;
                }
                if hours > 0 || minutes > 0 {
                    write!(f, "{minutes}m")?;
                }
                decimal(f, rest, 9, "s")
            }
        }
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || DurationError::Invalid(text.to_owned());
        let overflow = || DurationError::Overflow(text.to_owned());
        let (negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let digits_end = |s: &str| s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
            let end = digits_end(rest);
            let (whole, mut tail) = rest.split_at(end);
            let mut fraction = "";
            if let Some(after) = tail.strip_prefix('.') {
                let end = digits_end(after);
                (fraction, tail) = after.split_at(end);
            }
            if whole.is_empty() && fraction.is_empty() {
                return Err(invalid());
            }
            let unit_end = tail
                .find(|c: char| c == '.' || c.is_ascii_digit())
                .unwrap_or(tail.len());
            let (unit, next) = tail.split_at(unit_end);
            let scale: u64 = match unit {
                "ns" => 1,
                // U+00B5 and U+03BC both stand for micro.
                "us" | "µs" | "μs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                "" => return Err(DurationError::MissingUnit(text.to_owned())),
                other => return Err(DurationError::UnknownUnit(text.to_owned(), other.to_owned())),
            };
            let whole: u64 = if whole.is_empty() {
                0
            } else {
                whole.parse().map_err(|_| overflow())?
            };
            let mut nanos = whole.checked_mul(scale).ok_or_else(overflow)?;
            // Digits below a nanosecond of the largest unit cannot change the outcome.
            let fraction = &fraction[..fraction.len().min(18)];
            if !fraction.is_empty() {
                let numerator: u128 = fraction.parse().map_err(|_| invalid())?;
                let denominator = 10u128.pow(u32::try_from(fraction.len()).map_err(|_| invalid())?);
                let part = numerator * u128::from(scale) / denominator;
                nanos = nanos
                    .checked_add(u64::try_from(part).map_err(|_| overflow())?)
                    .ok_or_else(overflow)?;
            }
            total = total.checked_add(nanos).ok_or_else(overflow)?;
            rest = next;
        }
        let limit = i64::MIN.unsigned_abs();
        match (negative, total) {
            (true, total) if total == limit => Ok(Self(i64::MIN)),
            (_, total) if total >= limit => Err(overflow()),
            (negative, total) => {
                let nanos = i64::try_from(total).map_err(|_| overflow())?;
                Ok(Self(if negative { -nanos } else { nanos }))
            }
        }
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_prints_as_go_does() {
        for (text, nanos, printed) in [
            ("0", 0, "0s"),
            ("-0", 0, "0s"),
            ("0s", 0, "0s"),
            ("90s", 90 * SECOND, "1m30s"),
            ("1h", 3600 * SECOND, "1h0m0s"),
            ("1h30m", 5400 * SECOND, "1h30m0s"),
            ("1.5h", 5400 * SECOND, "1h30m0s"),
            ("-1s", -SECOND, "-1s"),
            ("-48h", -48 * 3600 * SECOND, "-48h0m0s"),
            ("10m", 600 * SECOND, "10m0s"),
            ("1.001s", 1_001_000_000, "1.001s"),
            ("1.5ms", 1_500_000, "1.5ms"),
            ("1us", 1_000, "1µs"),
            ("1µs", 1_000, "1µs"),
            ("1μs", 1_000, "1µs"),
            ("100ns", 100, "100ns"),
            (".5s", SECOND / 2, "500ms"),
            ("5.s", 5 * SECOND, "5s"),
            ("+5s", 5 * SECOND, "5s"),
            ("3h2m1s", 10_921 * SECOND, "3h2m1s"),
            ("0.3333333333333333333h", 1_199_999_999_999, "19m59.999999999s"),
            ("9223372036854775807ns", i64::MAX, "2562047h47m16.854775807s"),
            ("-9223372036854775808ns", i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            let parsed: GoDuration = text.parse().unwrap();
            assert_eq!(
                (parsed.as_nanos(), parsed.to_string().as_str()),
                (nanos, printed),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for (text, part) in [
            ("", "is not a duration"),
            ("3", "a unit is missing"),
            ("-", "is not a duration"),
            ("s", "is not a duration"),
            (".", "is not a duration"),
            (".s", "is not a duration"),
            ("1d", "unknown unit \"d\""),
            ("1h 2m", "unknown unit \"h \""),
            ("9223372036854775808ns", "longer than 292 years"),
            ("99999999999999999999h", "longer than 292 years"),
            ("3000000h", "longer than 292 years"),
        ] {
            let error = text.parse::<GoDuration>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(nanos in any::<i64>()) {
            let duration = GoDuration::from_nanos(nanos);
            prop_assert_eq!(duration.to_string().parse::<GoDuration>().unwrap(), duration);
        }

        #[test]
        fn no_text_panics(text in ".{0,24}") {
            let _ = text.parse::<GoDuration>();
        }
    }
}
