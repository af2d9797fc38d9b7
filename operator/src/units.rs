//! Values with a unit, as newtypes that cannot hold nonsense.

use std::fmt;
use std::str::FromStr;

/// Why a value with a unit could not be read: what was found, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {found:?}; write {write}")]
pub struct UnitError {
    /// The text as it was found.
    pub found: String,
    /// What to write instead.
    pub write: &'static str,
}

fn unit_error(found: &str, write: &'static str) -> UnitError {
    UnitError { found: found.chars().take(64).collect(), write }
}

/// Splits `12.5Gi` into its number and its suffix.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    if !number.starts_with(|c: char| c.is_ascii_digit()) || !number.ends_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some((number.parse().ok()?, suffix))
}

/// Number of time series that are active at once, 1 to 10^12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesCount(pub u64);

impl SeriesCount {
    const WRITE: &'static str = "a number of series from 1 to 1000G, such as 50k, 800k or 12M";

    /// The count as a float, for arithmetic.
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }
}

impl FromStr for SeriesCount {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || unit_error(text, Self::WRITE);
        let (number, suffix) = split_number(text).ok_or_else(error)?;
        let factor = match suffix {
            "" => 1.0,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            _ => return Err(error()),
        };
        let count = number * factor;
        if !(1.0..=1e12).contains(&count) {
            return Err(error());
        }
        Ok(Self(count.round() as u64))
    }
}

impl fmt::Display for SeriesCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (factor, suffix) in [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{suffix}", self.0 / factor);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// A duration as Prometheus writes it, 1 ms to 100 years. A year is 365 days, as in Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromDuration(u64);

const DURATION_UNITS: [(u64, &str); 7] = [
    (31_536_000_000, "y"),
    (604_800_000, "w"),
    (86_400_000, "d"),
    (3_600_000, "h"),
    (60_000, "m"),
    (1_000, "s"),
    (1, "ms"),
];

impl PromDuration {
    const WRITE: &'static str =
        "a Prometheus duration from 1ms to 100y, units in falling order, such as 30s, 15d or 1h30m";

    /// A duration of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds * 1_000)
    }

    /// A duration of milliseconds; nothing lasts at least 1.
    pub fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds.max(1))
    }

    /// Length in milliseconds.
    pub fn as_millis(self) -> u64 {
        self.0
    }

    /// Length in seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1_000.0
    }
}

impl FromStr for PromDuration {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || unit_error(text, Self::WRITE);
        let mut rest = text;
        let mut total: u64 = 0;
        let mut largest = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
            let number: u64 = rest[..digits].parse().map_err(|_| error())?;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let (unit, tail) = rest.split_at(letters);
            let (factor, _) = DURATION_UNITS.iter().find(|(_, name)| *name == unit).ok_or_else(error)?;
            if *factor >= largest {
                return Err(error());
            }
            largest = *factor;
            total = number.checked_mul(*factor).and_then(|n| total.checked_add(n)).ok_or_else(error)?;
            rest = tail;
        }
        if total == 0 || total > 100 * DURATION_UNITS[0].0 {
            return Err(error());
        }
        Ok(Self(total))
    }
}

impl fmt::Display for PromDuration {
    /// As Prometheus prints it: weeks and years only where they fit without a rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        for (factor, unit) in DURATION_UNITS {
            let exact_only = unit == "y" || unit == "w";
            if left >= factor && (!exact_only || left.is_multiple_of(factor)) {
                write!(f, "{}{unit}", left / factor)?;
                left %= factor;
            }
        }
        Ok(())
    }
}

/// A number of bytes, 1 to 2^60.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    const WRITE: &'static str = "a Kubernetes quantity of bytes, such as 512Mi, 32Gi or 2Ti";

    /// The number as a float, for arithmetic.
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }

    /// The quantity in whole Mi, rounded up: what a manifest is written with.
    pub fn ceil_mi(self) -> Self {
        Self(self.0.div_ceil(1 << 20) << 20)
    }
}

impl FromStr for Bytes {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || unit_error(text, Self::WRITE);
        let (number, suffix) = split_number(text).ok_or_else(error)?;
        let factor = match suffix {
            "" => 1.0,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            "P" => 1e15,
            "Ki" => 1024f64,
            "Mi" => 1024f64.powi(2),
            "Gi" => 1024f64.powi(3),
            "Ti" => 1024f64.powi(4),
            "Pi" => 1024f64.powi(5),
            _ => return Err(error()),
        };
        let bytes = number * factor;
        if !(1.0..=1152921504606846976.0).contains(&bytes) {
            return Err(error());
        }
        Ok(Self(bytes.round() as u64))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, suffix) in [(50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")] {
            if self.0 >= 1 << shift && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{suffix}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_counts_are_read_and_written() {
        for (text, count, printed) in
            [("50k", 50_000, "50k"), ("12M", 12_000_000, "12M"), ("1.5M", 1_500_000, "1500k"), ("7", 7, "7")]
        {
            let parsed: SeriesCount = text.parse().unwrap();
            assert_eq!(parsed.0, count);
            assert_eq!(parsed.to_string(), printed);
        }
        for text in ["", "k", "0", "-1", "1.", "5Ki", "5 k", "1e9", "2000G"] {
            assert!(text.parse::<SeriesCount>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn durations_are_read_and_written_as_prometheus_does() {
        for (text, millis, printed) in [
            ("30s", 30_000, "30s"),
            ("90m", 5_400_000, "1h30m"),
            ("2y", 63_072_000_000, "2y"),
            ("15d", 1_296_000_000, "15d"),
            ("14d", 1_209_600_000, "2w"),
            ("1h30m", 5_400_000, "1h30m"),
        ] {
            let parsed: PromDuration = text.parse().unwrap();
            assert_eq!(parsed.as_millis(), millis);
            assert_eq!(parsed.to_string(), printed);
            assert_eq!(printed.parse::<PromDuration>().unwrap(), parsed);
        }
        for text in ["", "0s", "15", "d", "1m1h", "1h1h", "1.5h", "200y", "-5m"] {
            assert!(text.parse::<PromDuration>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn bytes_are_read_and_written() {
        for (text, bytes, printed) in [
            ("32Gi", 34_359_738_368, "32Gi"),
            ("1.5Gi", 1_610_612_736, "1536Mi"),
            ("1M", 1_000_000, "1000000"),
        ] {
            let parsed: Bytes = text.parse().unwrap();
            assert_eq!(parsed.0, bytes);
            assert_eq!(parsed.to_string(), printed);
        }
        for text in ["", "Gi", "0", "1gb", "1 Gi", "9999999Pi"] {
            assert!(text.parse::<Bytes>().is_err(), "{text:?}");
        }
    }
}
