//! Amounts of resources, exact: `512Mi`, `250m`, `1.5`, `1e3` (the grammar of Kubernetes).
//!
//! Held as a whole number of nano-units, so that nothing is lost down to `1n`.

use std::{fmt, str::FromStr};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

const NANO: i128 = 1_000_000_000;
const MILLI: i128 = NANO / 1_000;

/// How an amount likes to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Powers of 1024: `Ki`, `Mi`.
    Binary,
    /// Powers of 1000: `m`, `k`, `M`.
    Decimal,
    /// `e3`.
    Exponent,
}

/// An exact amount.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// A text that is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a quantity: write a number, and behind it one of n u m k M G T P E Ki Mi Gi Ti Pi Ei"
)]
pub struct QuantityError(pub String);

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

const BINARY: [(&str, u32); 6] = [
    ("Ei", 60),
    ("Pi", 50),
    ("Ti", 40),
    ("Gi", 30),
    ("Mi", 20),
    ("Ki", 10),
];
/// Suffix and power of ten.
const DECIMAL: [(&str, i32); 10] = [
    ("E", 18),
    ("P", 15),
    ("T", 12),
    ("G", 9),
    ("M", 6),
    ("k", 3),
    ("", 0),
    ("m", -3),
    ("u", -6),
    ("n", -9),
];

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError(text.to_owned());
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(error());
        }
        let (scale, format) = if let Some((_, shift)) = BINARY.iter().find(|(unit, _)| *unit == suffix) {
            (Scale::Binary(*shift), Format::Binary)
        } else if let Some((_, power)) = DECIMAL.iter().find(|(unit, _)| *unit == suffix) {
            (Scale::Ten(*power), Format::Decimal)
        } else {
            let power = suffix
                .strip_prefix(['e', 'E'])
                .and_then(|power| power.parse::<i32>().ok());
            (
                Scale::Ten(power.filter(|power| power.abs() <= 18).ok_or_else(error)?),
                Format::Exponent,
            )
        };
        let digits: i128 = format!("{whole}{fraction}").parse().map_err(|_| error())?;
        let places = i32::try_from(fraction.len()).map_err(|_| error())?;
        let nanos = scale.nanos(digits, places).ok_or_else(error)?;
        Ok(Self {
            nanos: if negative { -nanos } else { nanos },
            format,
        })
    }
}

enum Scale {
    Binary(u32),
    Ten(i32),
}

impl Scale {
    /// `digits` × 10^-`places` × the scale, in nano-units, rounded up.
    fn nanos(&self, digits: i128, places: i32) -> Option<i128> {
        let (factor, power) = match self {
            Self::Binary(shift) => (1i128 << shift, 9 - places),
            Self::Ten(power) => (1, 9 + power - places),
        };
        let value = digits.checked_mul(factor)?;
        let ten = 10i128.checked_pow(power.unsigned_abs())?;
        if power >= 0 {
            value.checked_mul(ten)
        } else {
            Some(div_up(value, ten))
        }
    }
}

fn div_up(value: i128, by: i128) -> i128 {
    value.div_euclid(by) + i128::from(value.rem_euclid(by) != 0)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        if self.format == Format::Binary && self.nanos.abs() >= 1024 * NANO {
            let bytes = div_up(self.nanos, NANO);
            let (unit, shift) = BINARY
                .into_iter()
                .find(|(_, shift)| bytes % (1i128 << shift) == 0)
                .unwrap_or(("", 0));
            return write!(f, "{}{unit}", bytes >> shift);
        }
        for (unit, power) in DECIMAL {
            let scale = 10i128.pow((power + 9).unsigned_abs());
            if self.nanos % scale == 0 {
                let amount = self.nanos / scale;
                return match self.format {
                    Format::Exponent if power != 0 => write!(f, "{amount}e{power}"),
                    _ => write!(f, "{amount}{unit}"),
                };
            }
        }
        Ok(())
    }
}

/// The steps in which a resource is given: bytes, else thousandths.
fn unit(resource: &str) -> i128 {
    if matches!(resource, "memory" | "ephemeral-storage") {
        NANO
    } else {
        MILLI
    }
}

impl Quantity {
    /// Reads the API's text.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &Text) -> Result<Self, QuantityError> {
        text.0.parse()
    }

    /// Nothing.
    pub const ZERO: Self = Self {
        nanos: 0,
        format: Format::Decimal,
    };

    /// Whether it is a whole number.
    pub const fn is_integer(self) -> bool {
        self.nanos % NANO == 0
    }

    /// Whether it is less than nothing.
    pub const fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// As the API's text.
    pub fn text(self) -> Text {
        Text(self.to_string())
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            nanos: self.nanos.saturating_add(other.nanos),
            format: other.format,
        }
    }

    /// What is left without `other`; may be less than nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            nanos: self.nanos.saturating_sub(other.nanos),
            format: self.format,
        }
    }

    /// The least amount of which this is not more than `ratio` times as much, in units as [`Self::share`].
    #[must_use]
    pub fn divided_by(self, ratio: Self, resource: &str) -> Self {
        let unit = unit(resource);
        let exact = self.nanos.checked_mul(NANO).filter(|_| ratio.nanos > 0);
        // An amount beyond all measure is its own ratio.
        let nanos = exact.map_or(self.nanos, |exact| div_up(exact, ratio.nanos));
        Self {
            nanos: div_up(nanos, unit).saturating_mul(unit),
            format: self.format,
        }
    }

    /// A share of 1/`n`, in whole units for resources that are counted in bytes, else in thousandths.
    #[must_use]
    pub fn share(self, n: usize, resource: &str) -> Self {
        let unit = unit(resource);
        let n = i128::try_from(n.max(1)).unwrap_or(1);
        Self {
            nanos: div_up(self.nanos, unit) / n * unit,
            format: self.format,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_read_and_print() {
        for (text, printed) in [
            ("0", "0"),
            ("1", "1"),
            ("250m", "250m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("512Mi", "512Mi"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1000", "1k"),
            ("1k", "1k"),
            ("1e3", "1e3"),
            ("100E", "100E"),
            ("-1", "-1"),
            ("1n", "1n"),
            ("0.1n", "1n"),
            ("1023Ki", "1023Ki"),
            ("0.5Ki", "512"),
        ] {
            assert_eq!(text.parse::<Quantity>().unwrap().to_string(), printed, "{text}");
        }
        for text in [
            "",
            "m",
            "1x",
            "1..2",
            "1.2.3",
            "Mi",
            "1 Mi",
            "1e99",
            "99999999999999999999999999999999999999999",
        ] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_whole() {
        for (text, n, resource, share) in [
            ("1", 2, "cpu", "500m"),
            ("1", 3, "cpu", "333m"),
            ("1Gi", 2, "memory", "512Mi"),
            ("1Gi", 3, "memory", "357913941"),
            ("1", 2, "nvidia.com/gpu", "500m"),
        ] {
            assert_eq!(
                text.parse::<Quantity>().unwrap().share(n, resource).to_string(),
                share
            );
        }
        assert!("1Gi".parse::<Quantity>().unwrap() > "1000Mi".parse().unwrap());
        assert_eq!("1000m".parse::<Quantity>(), "1".parse());
    }

    proptest! {
        #[test]
        fn what_is_printed_is_the_same_amount(digits in 0u32..1_000_000, unit in "(|n|u|m|k|M|G|Ki|Mi|Gi|e3)") {
            let quantity: Quantity = format!("{digits}{unit}").parse().unwrap();
            prop_assert_eq!(quantity.to_string().parse::<Quantity>().unwrap(), quantity);
        }

        #[test]
        fn no_text_panics(text in ".{0,16}") {
            let _ = text.parse::<Quantity>();
        }
    }
}
