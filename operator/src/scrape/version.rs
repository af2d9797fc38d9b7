//! Versions of the engine, and what each one knows.

use std::fmt;
use std::str::FromStr;

/// A version of Prometheus, such as 3.5.0 or 3.0.0-rc.1. A preliminary one is older than the one it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First number.
    pub major: u64,
    /// Second number.
    pub minor: u64,
    /// Third number.
    pub patch: u64,
    released: bool,
}

/// Why a text is no version that a configuration can be written for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {found:?}; write a version of Prometheus 2 or 3, such as 3.5.0")]
pub struct VersionError {
    /// The text as it was found, cut.
    pub found: String,
}

impl Version {
    /// The version that is meant where none is named: that of the peers' operator 0.87.1.
    pub const DEFAULT: Self = Self::new(3, 7, 3);

    /// A released version.
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self { major, minor, patch, released: true }
    }

    /// Whether this is the given version or a newer one.
    pub fn at_least(self, major: u64, minor: u64, patch: u64) -> bool {
        self >= Self::new(major, minor, patch)
    }

    /// Whether this is the given version, a newer one, or one that leads to it.
    pub(crate) fn leads_to(self, major: u64, minor: u64, patch: u64) -> bool {
        self >= Self { released: false, ..Self::new(major, minor, patch) }
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError { found: text.chars().take(64).collect() };
        let bare = text.trim().strip_prefix('v').unwrap_or(text.trim());
        let (bare, _) = bare.split_once('+').unwrap_or((bare, ""));
        let (numbers, preliminary) = match bare.split_once('-') {
            Some((numbers, rest)) => (numbers, !rest.is_empty()),
            None => (bare, false),
        };
        let mut parts = [0; 3];
        for (seen, number) in numbers.split('.').enumerate() {
            let slot = parts.get_mut(seen).ok_or_else(error)?;
            if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
                return Err(error());
            }
            *slot = number.parse().map_err(|_| error())?;
        }
        match parts[0] {
            2 | 3 => Ok(Self { major: parts[0], minor: parts[1], patch: parts[2], released: !preliminary }),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert_eq!(version("v3.5.0"), Version::new(3, 5, 0));
        assert_eq!(version("2.53"), Version::new(2, 53, 0));
        assert!(version("3.0.0-rc.1") < version("3.0.0"));
        assert!(version("3.0.0-rc.1").leads_to(3, 0, 0) && !version("3.0.0-rc.1").at_least(3, 0, 0));
        assert!(version("2.9.0") < version("2.53.3"));
        for text in ["", "v", "1.8.2", "4.0.0", "3.x", "3.5.0.1", "3.-1", "99999999999999999999"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
