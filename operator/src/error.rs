//! Classes of errors, and what each does to the queue.

use std::time::Duration;

/// What kind of obstacle an error is. The class, never the text, decides what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The stack is at fault: nothing is tried until it changes.
    Invalid,
    /// Something that is referred to is missing: its appearance is watched for.
    Blocked,
    /// Somebody else wrote first: tried again soon, jittered.
    Conflict,
    /// The API server or the network: tried again, exponentially, at most 5 minutes apart.
    Transient,
    /// Rights are missing: Degraded, a Warning event, tried again in 5 minutes.
    Forbidden,
    /// Something that cannot be: Degraded, a Warning event, tried again in 5 minutes.
    Bug,
}

impl Class {
    /// Every class: the closed set of the metric's label.
    pub const ALL: [Self; 6] =
        [Self::Invalid, Self::Blocked, Self::Conflict, Self::Transient, Self::Forbidden, Self::Bug];

    /// The class as a label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Blocked => "blocked",
            Self::Conflict => "conflict",
            Self::Transient => "transient",
            Self::Forbidden => "forbidden",
            Self::Bug => "bug",
        }
    }

    /// When to try again after `failures` failures in a row (1 is the first); `None` waits for a change.
    /// `jitter` is 0 to 1.
    pub fn retry_after(self, failures: u32, jitter: f64) -> Option<Duration> {
        const LONGEST: Duration = Duration::from_secs(300);
        match self {
            Self::Invalid | Self::Blocked => None,
            Self::Conflict => Some(Duration::from_millis(100).mul_f64(1.0 + jitter)),
            Self::Transient => {
                let doubled = Duration::from_secs(1) * 2u32.pow(failures.saturating_sub(1).min(10));
                Some(doubled.mul_f64(0.8 + 0.4 * jitter).min(LONGEST))
            }
            Self::Forbidden | Self::Bug => Some(LONGEST),
        }
    }

    /// The class of an error of the API.
    pub fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                401 | 403 => Self::Forbidden,
                409 => Self::Conflict,
                400 | 404 | 405 | 415 | 422 => Self::Bug,
                _ => Self::Transient,
            },
            _ => Self::Transient,
        }
    }
}
