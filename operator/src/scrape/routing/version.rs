//! Versions of Alertmanager, as far as they decide which fields it knows.

use std::str::FromStr;

/// A version of Alertmanager. A candidate (`0.28.0-rc.1`) comes before its release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
    /// 1 for a release and 0 for what comes before it.
    release: u8,
}

impl Version {
    /// The release of `0.minor.0`: the form in which every field of Alertmanager came so far.
    pub const fn minor(minor: u32) -> Self {
        Self { major: 0, minor, patch: 0, release: 1 }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = String;

    /// Reads `0.28.0`, `v0.28.1`, `0.28` or `0.28.0-rc.1`.
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || "it is no version; write one such as 0.28.0".to_owned();
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split('+').next().unwrap_or_default();
        let (numbers, candidate) = text.split_once('-').map_or((text, false), |(front, _)| (front, true));
        let mut parts = numbers.split('.').map(|part| part.parse::<u32>().map_err(|_| fault()));
        let mut next = || parts.next().unwrap_or(Ok(0));
        let (major, minor, patch) = (next()?, next()?, next()?);
        if numbers.is_empty() || parts.next().is_some() {
            return Err(fault());
        }
        Ok(Self { major, minor, patch, release: u8::from(!candidate) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let read = |text: &str| text.parse::<Version>().unwrap();
        assert_eq!(read("v0.28"), Version::minor(28));
        assert!(read("0.27.9") < Version::minor(28));
        assert!(read("0.28.0-rc.1") < Version::minor(28) && read("0.28.0-rc.1") > read("0.27.0"));
        assert!(read("1.0.0") > Version::minor(33));
        assert_eq!(read("0.28.1+build").to_string(), "0.28.1");
        for text in ["", "v", "x", "0.28.x", "0.1.2.3", "0..1"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
