//! Free ports for processes that have to be told one.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Mutex;

use tokio::net::TcpSocket;

/// Below what the system takes for outgoing connections and for who asks for any port (32768 and more by default):
/// such a one could come before the process that the port is meant for, and a client that asks a stopped server again
/// and again can be given that server's port, and connect to itself. Below node ports (30000 and more), too.
const FIRST: u16 = 12_000;
const COUNT: u16 = 17_000;

/// What this process has given out, and holds until it ends. Held is the port of UDP, which nobody who is given one
/// listens on: other processes that look for a port do not find it free, and the TCP one stays free for its owner.
static GIVEN: Mutex<BTreeMap<u16, UdpSocket>> = Mutex::new(BTreeMap::new());

/// A port that is free at this address and on loopback, and is given to nobody else while this process lives.
///
/// # Errors
/// No port is free.
pub fn free(address: IpAddr) -> io::Result<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(|broken| broken.into_inner());
    // Other processes look too: each begins elsewhere.
    let begin = u16::try_from(std::process::id().wrapping_mul(7919) % u32::from(COUNT)).unwrap_or(0);
    for step in 0..COUNT {
        let port = FIRST + (begin + step) % COUNT;
        if given.contains_key(&port) {
            continue;
        }
        let Ok(held) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) else { continue };
        if is_free(address, port) && is_free(Ipv4Addr::LOCALHOST.into(), port) {
            given.insert(port, held);
            return Ok(port);
        }
    }
    let last = FIRST + COUNT - 1;
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("no port of {FIRST} to {last} is free")))
}

/// The same on loopback.
///
/// # Errors
/// No port is free.
pub fn loopback() -> io::Result<u16> {
    free(Ipv4Addr::LOCALHOST.into())
}

/// Whether nobody listens there. The port is taken for a moment, and not listened on: a child that another thread starts
/// in this moment has a copy of the socket until it runs its program, and nobody else could listen for as long.
fn is_free(address: IpAddr, port: u16) -> bool {
    probe(address, port).is_ok()
}

fn probe(address: IpAddr, port: u16) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind((address, port).into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_is_given_is_free_and_given_once() {
        let (first, second) = (loopback().unwrap(), loopback().unwrap());
        assert_ne!(first, second);
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, first)).is_ok());
        assert!(
            UdpSocket::bind((Ipv4Addr::LOCALHOST, first)).is_err(),
            "another process would be given it too"
        );
    }

    #[test]
    fn a_port_is_free_where_nobody_listens_and_stays_so_while_it_is_looked_at() {
        let (here, port) = (IpAddr::V4(Ipv4Addr::LOCALHOST), loopback().unwrap());
        let looking = probe(here, port).unwrap();
        let listener = TcpListener::bind((here, port)).unwrap();
        drop(looking);
        assert!(!is_free(here, port));
        drop(listener);
        assert!(is_free(here, port));
    }
}
