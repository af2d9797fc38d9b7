//! Addresses of this machine for one cluster, so that several run side by side.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

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
            let second = if index == 0 { 42 } else { 62 + 2 * index };
            let pods = Range::new(127, second);
            match TcpListener::bind(SocketAddr::from((pods.node(), LOCK_PORT))) {
                Ok(held) => {
                    return Ok(Self { pods, services: Ipv4Addr::new(127, second + 1, 0, 0), _held: held });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
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
}
