//! Addresses of the machine that are given to pods, one each.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

/// An IPv4 range of 65,536 addresses: `127.42.0.0/16`. All of it must be local to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    first: u8,
    second: u8,
}

impl Range {
    /// The range `first.second.0.0/16`.
    pub const fn new(first: u8, second: u8) -> Self {
        Self { first, second }
    }

    /// The address of the node: the first of the range.
    pub fn node(self) -> Ipv4Addr {
        Ipv4Addr::new(self.first, self.second, 0, 1)
    }

    /// The range as a CIDR.
    pub fn cidr(self) -> String {
        format!("{}.{}.0.0/16", self.first, self.second)
    }

    fn contains(self, address: Ipv4Addr) -> bool {
        address.octets()[..2] == [self.first, self.second]
    }

    /// The address of a number from 0 on; the first 256 are kept for the node.
    fn at(self, number: u32) -> Ipv4Addr {
        let [.., third, fourth] = (256 + number).to_be_bytes();
        Ipv4Addr::new(self.first, self.second, third, fourth)
    }
}

/// Number of addresses for pods in a range; the last one is kept free.
const SIZE: u32 = 65_535 - 256;

/// Gives each pod an address of its own, and none twice in quick succession: a peer that still remembers a
/// dead pod must not meet another one at its address.
pub(crate) struct Pool {
    range: Range,
    state: Mutex<(u32, BTreeMap<Ipv4Addr, String>)>,
}

impl Pool {
    pub(crate) fn new(range: Range) -> Self {
        Self { range, state: Mutex::new((1, BTreeMap::new())) }
    }

    /// The address of a pod: the one that it has or had, where that is free, else the next one.
    pub(crate) fn take(&self, uid: &str, had: Option<&str>) -> Option<Ipv4Addr> {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, taken) = &mut *guard;
        if let Some((address, _)) = taken.iter().find(|(_, owner)| owner.as_str() == uid) {
            return Some(*address);
        }
        let had = had.and_then(|had| had.parse::<Ipv4Addr>().ok()).filter(|had| self.range.contains(*had));
        if let Some(Entry::Vacant(free)) = had.map(|had| taken.entry(had)) {
            let address = *free.key();
            free.insert(uid.to_owned());
            return Some(address);
        }
        for _ in 0..SIZE {
            let address = self.range.at(*next);
            *next = (*next + 1) % SIZE;
            if let Entry::Vacant(free) = taken.entry(address) {
                free.insert(uid.to_owned());
                return Some(address);
            }
        }
        None
    }

    /// Gives the address of a pod back.
    pub(crate) fn give_back(&self, uid: &str) {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        guard.1.retain(|_, owner| owner != uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_unique_kept_and_not_used_again_at_once() {
        let pool = Pool::new(Range::new(127, 42));
        let a = pool.take("a", None).unwrap();
        assert_eq!(a, Ipv4Addr::new(127, 42, 1, 1));
        assert_eq!(pool.take("a", None), Some(a));
        let b = pool.take("b", None).unwrap();
        assert_ne!(a, b);
        pool.give_back("a");
        assert_ne!(pool.take("c", None), Some(a));
        assert_eq!(pool.take("d", Some("127.42.9.9")), Some(Ipv4Addr::new(127, 42, 9, 9)));
        assert_ne!(pool.take("e", Some("127.42.9.9")), Some(Ipv4Addr::new(127, 42, 9, 9)));
        assert_ne!(pool.take("f", Some("10.0.0.1")), Some(Ipv4Addr::new(10, 0, 0, 1)), "of another range");
    }
}
