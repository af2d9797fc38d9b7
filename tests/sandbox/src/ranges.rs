//! Addresses of this machine for one cluster, so that several run side by side.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use crate::kubelet::Range;

/// Port of the node's address that is held while a cluster lives: that of a kubelet.
const LOCK_PORT: u16 = 10250;
/// Clusters that fit side by side.
const CLUSTERS: u8 = 64;

/// A /8 that the ranges of clusters are taken from, by its first octet. All of it must be local to the
/// machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub u8);

impl Network {
    /// `127.0.0.0/8`, which is local to every machine. A real control plane refuses such addresses in
    /// EndpointSlices.
    pub const LOOPBACK: Self = Self(127);
    /// `10.0.0.0/8`: of use only where `scripts/in-network` made it local to a network of its own.
    pub const PRIVATE: Self = Self(10);
}

impl Default for Network {
    fn default() -> Self {
        Self::LOOPBACK
    }
}

/// The ranges of one cluster. They are its own until this value is dropped.
#[derive(Debug)]
pub struct Ranges {
    /// Addresses of pods.
    pub pods: Range,
    /// First address of those of Services; the range is a /16.
    pub services: Ipv4Addr,
    held: Arc<TcpListener>,
}

impl Ranges {
    /// Takes the first pair of ranges that no other cluster has: the system frees a pair whose process died.
    /// The first is 42 and 43 of the network (127.42 and 127.43); all others follow from 64 on.
    ///
    /// # Errors
    /// All ranges are taken, or the machine does not have the addresses.
    pub fn take(network: Network) -> std::io::Result<Self> {
        let mut last = std::io::Error::other("no range of addresses is free");
        for index in 0..CLUSTERS {
            match Self::hold(network, if index == 0 { 42 } else { 62 + 2 * index }) {
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
    pub fn take_for(network: Network, state: &Path) -> std::io::Result<Self> {
        let file = state.join("ranges");
        let before = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        let Some(second) = before else {
            let ranges = Self::take(network)?;
            std::fs::write(file, format!("{}\n", ranges.services.octets()[1] - 1))?;
            return Ok(ranges);
        };
        Self::hold(network, second).map_err(|error| {
            let cidr = Range::new(network.0, second).cidr();
            let message =
                format!("{cidr}, which {} is kept for, is in use by another cluster", state.display());
            if error.kind() == std::io::ErrorKind::AddrInUse { std::io::Error::other(message) } else { error }
        })
    }

    /// The socket at the kubelet's port of the node: it holds the ranges, and the kubelet may serve on it.
    pub fn kubelet_port(&self) -> Arc<TcpListener> {
        self.held.clone()
    }

    fn hold(network: Network, second: u8) -> std::io::Result<Self> {
        let pods = Range::new(network.0, second);
        let held = Arc::new(TcpListener::bind(SocketAddr::from((pods.node(), LOCK_PORT)))?);
        Ok(Self { pods, services: Ipv4Addr::new(network.0, second + 1, 0, 0), held })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clusters_never_share_a_range() {
        let first = Ranges::take(Network::LOOPBACK).unwrap();
        let second = Ranges::take(Network::LOOPBACK).unwrap();
        assert_ne!(first.pods, second.pods);
        assert_ne!(first.services, second.services);
    }

    #[test]
    fn a_state_folder_keeps_its_ranges() {
        let state = tempfile::tempdir().unwrap();
        let pods = Ranges::take_for(Network::LOOPBACK, state.path()).unwrap().pods;
        let again = Ranges::take_for(Network::LOOPBACK, state.path()).unwrap();
        assert_eq!(again.pods, pods);
        let error = Ranges::take_for(Network::LOOPBACK, state.path()).unwrap_err().to_string();
        assert!(error.contains("is in use by another cluster"), "{error}");
    }
}
