//! Addresses of this machine for one cluster, so that several run side by side.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use crate::kubelet::Range;

/// Port of the node's address that is held while a cluster lives: that of a kubelet.
const LOCK_PORT: u16 = 10250;
/// Clusters that fit side by side.
const CLUSTERS: u8 = 64;

/// The ranges of one cluster. They are its own until this value is dropped.
#[derive(Debug)]
pub struct Ranges {
    /// Addresses of pods.
    pub pods: Range,
    /// First address of those of Services; the range is a /16.
    pub services: Ipv4Addr,
    _held: TcpListener,
}

impl Ranges {
    /// Takes the first pair of ranges that no other cluster has: the system frees a pair whose process died.
    /// The first is 127.42 and 127.43; all others follow from 127.64 on.
    ///
    /// # Errors
    /// All ranges are taken, or the machine does not have the addresses.
    pub fn take() -> std::io::Result<Self> {
        let mut last = std::io::Error::other("no range of addresses is free");
        for index in 0..CLUSTERS {
            match Self::hold(if index == 0 { 42 } else { 62 + 2 * index }) {
                Ok(ranges) => return Ok(ranges),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Takes the ranges that a cluster with a state folder had before, because its Services keep their
    /// addresses; the first free ones where it is new.
    ///
    /// # Errors
    /// As for [`Self::take`], and that another cluster has the ranges of this one by now.
    pub fn take_for(state: &Path) -> std::io::Result<Self> {
        let file = state.join("ranges");
        let before = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        let Some(second) = before else {
            let ranges = Self::take()?;
            std::fs::write(file, format!("{}\n", ranges.services.octets()[1] - 1))?;
            return Ok(ranges);
        };
        Self::hold(second).map_err(|error| {
            let cidr = Range::new(127, second).cidr();
            let message =
                format!("{cidr}, which {} is kept for, is in use by another cluster", state.display());
            if error.kind() == std::io::ErrorKind::AddrInUse { std::io::Error::other(message) } else { error }
        })
    }

    fn hold(second: u8) -> std::io::Result<Self> {
        let pods = Range::new(127, second);
        let held = TcpListener::bind(SocketAddr::from((pods.node(), LOCK_PORT)))?;
        Ok(Self { pods, services: Ipv4Addr::new(127, second + 1, 0, 0), _held: held })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clusters_never_share_a_range() {
        let first = Ranges::take().unwrap();
        let second = Ranges::take().unwrap();
        assert_ne!(first.pods, second.pods);
        assert_ne!(first.services, second.services);
    }

    #[test]
    fn a_state_folder_keeps_its_ranges() {
        let state = tempfile::tempdir().unwrap();
        let pods = Ranges::take_for(state.path()).unwrap().pods;
        let again = Ranges::take_for(state.path()).unwrap();
        assert_eq!(again.pods, pods);
        let error = Ranges::take_for(state.path()).unwrap_err().to_string();
        assert!(error.contains("is in use by another cluster"), "{error}");
    }
}
