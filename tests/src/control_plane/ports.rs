//! Free ports for processes that cannot choose one themselves.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Mutex;

use super::Error;

/// Below what the system takes for outgoing connections (32768 and more by default), because a client that
/// asks a stopped server again and again can otherwise be given that server's port, and connect to itself;
/// and below node ports (30000 and more).
const FIRST: u16 = 12_000;
const COUNT: u16 = 17_000;

/// What this process has given out: two control planes that start at once must not get the same.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port that is free at this address and on loopback.
pub(super) fn free(address: IpAddr) -> Result<u16, Error> {
    let mut given = GIVEN.lock().unwrap_or_else(|broken| broken.into_inner());
    // Other processes look too: each begins elsewhere.
    let begin = u16::try_from(std::process::id().wrapping_mul(7919) % u32::from(COUNT)).unwrap_or(0);
    for step in 0..COUNT {
        let port = FIRST + (begin + step) % COUNT;
        let is_free = |address: IpAddr| TcpListener::bind((address, port)).is_ok();
        if !given.contains(&port) && is_free(address) && is_free(Ipv4Addr::LOCALHOST.into()) {
            given.insert(port);
            return Ok(port);
        }
    }
    Err(Error::Options(format!("no port of {FIRST} to {} is free", FIRST + COUNT - 1)))
}
