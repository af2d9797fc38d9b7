//! Faults that tests inject.

use super::request::RequestInfo;
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error answer with a `Status` body.
    Status {
        /// HTTP status code, such as 503.
        code: u16,
        /// Reason, such as `ServiceUnavailable`.
        reason: &'static str,
        /// Message.
        message: String,
    },
    /// The request is handled after this time.
    Delay(Duration),
    /// No answer ever comes; the client's time-out decides.
    Hang,
    /// The connection is closed without an answer.
    Drop,
}

impl Fault {
    /// 503 with the words of an API server that is shutting down.
    pub fn unavailable() -> Self {
        Self::Status {
            code: 503,
            reason: "ServiceUnavailable",
            message: "the server is currently unable to handle the request".to_owned(),
        }
    }
}

/// Asked before a request is handled.
pub type BeforeHook = dyn Fn(&RequestInfo) -> Option<Fault> + Send + Sync;
/// Asked after a request was handled, with the code and whether anything was changed, before the answer goes
/// out.
pub type AfterHook = dyn Fn(&RequestInfo, u16, bool) -> Option<Fault> + Send + Sync;

/// The hooks in force.
#[derive(Default)]
pub(crate) struct Faults {
    before: RwLock<Option<Arc<BeforeHook>>>,
    after: RwLock<Option<Arc<AfterHook>>>,
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}

impl Faults {
    pub(crate) fn set_before(&self, hook: Option<Arc<BeforeHook>>) {
        *super::write(&self.before) = hook;
    }

    pub(crate) fn set_after(&self, hook: Option<Arc<AfterHook>>) {
        *super::write(&self.after) = hook;
    }

    pub(crate) fn before(&self, info: &RequestInfo) -> Option<Fault> {
        let hook = super::read(&self.before).clone();
        hook.and_then(|hook| hook(info))
    }

    pub(crate) fn after(&self, info: &RequestInfo, code: u16, changed: bool) -> Option<Fault> {
        let hook = super::read(&self.after).clone();
        hook.and_then(|hook| hook(info, code, changed))
    }
}
