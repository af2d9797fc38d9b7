//! What can go wrong with a control plane.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a control plane did not start, or did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Programs are not on this machine; the text says what to run.
    #[error("{0}")]
    Missing(String),
    /// An option cannot be used.
    #[error("{0}")]
    Options(String),
    /// The system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        source: io::Error,
    },
    /// A certificate could not be made.
    #[error("a certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A process ended by itself.
    #[error("{name} ended by itself ({status}); the end of its log:\n{tail}")]
    Ended {
        /// Its name.
        name: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        tail: String,
    },
    /// Something was not there in time.
    #[error("waited {bound:?} for {what} (last: {last}); the end of the log of {name}:\n{tail}")]
    NotReady {
        /// What was waited for.
        what: &'static str,
        /// How long.
        bound: Duration,
        /// What was seen last.
        last: String,
        /// The process that it depends on.
        name: &'static str,
        /// The last lines of that process's log.
        tail: String,
    },
    /// The API server refused, or could not be asked.
    #[error("the API server, asked for {what}: {message}")]
    Api {
        /// What was asked for.
        what: String,
        /// The answer.
        message: String,
    },
    /// The audit log cannot be read.
    #[error("line of the audit log: {0}")]
    Audit(String),
}

impl Error {
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Whether another process took a port between its choice and its use.
    pub(super) fn is_port_taken(&self) -> bool {
        matches!(self, Self::Ended { tail, .. } if tail.contains("address already in use"))
    }
}
