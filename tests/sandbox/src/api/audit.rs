//! What was asked of the server, for tests to query.

use super::request::RequestInfo;
use std::collections::VecDeque;
use std::sync::Mutex;

/// Entries kept; older ones fall away.
const CAPACITY: usize = 200_000;

/// One answered (or begun, for a watch) request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Position in the log, from 0; grows by one with each entry.
    pub index: u64,
    /// What was asked.
    pub request: RequestInfo,
    /// HTTP status code of the answer; 0 where a fault left the request without one.
    pub code: u16,
    /// Whether anything was changed in the store.
    pub changed: bool,
    /// When it was answered.
    pub time: jiff::Timestamp,
}

#[derive(Debug, Default)]
struct Log {
    next: u64,
    entries: VecDeque<AuditEntry>,
}

/// The log of all requests.
#[derive(Debug, Default)]
pub(crate) struct Audit(Mutex<Log>);

impl Audit {
    pub(crate) fn record(&self, request: RequestInfo, code: u16, changed: bool) {
        let mut log = super::lock(&self.0);
        let index = log.next;
        log.next += 1;
        log.entries.push_back(AuditEntry { index, request, code, changed, time: jiff::Timestamp::now() });
        if log.entries.len() > CAPACITY {
            log.entries.pop_front();
        }
    }

    /// Entries from an index on.
    pub(crate) fn since(&self, index: u64) -> Vec<AuditEntry> {
        super::lock(&self.0).entries.iter().filter(|e| e.index >= index).cloned().collect()
    }

    /// The index that the next entry will have.
    pub(crate) fn next(&self) -> u64 {
        super::lock(&self.0).next
    }
}
