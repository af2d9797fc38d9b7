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
                // What is written into is missing: a namespace, or a kind that is not installed.
                404 => Self::Blocked,
                400 | 405 | 415 | 422 => Self::Bug,
                _ => Self::Transient,
            },
            _ => Self::Transient,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16) -> kube::Error {
        kube::Error::Api(Box::new(kube::core::Status::failure("no", "No").with_code(code)))
    }

    #[test]
    fn the_status_code_decides_the_class() {
        for (code, class) in [
            (400, Class::Bug),
            (401, Class::Forbidden),
            (403, Class::Forbidden),
            (404, Class::Blocked),
            (409, Class::Conflict),
            (422, Class::Bug),
            (429, Class::Transient),
            (500, Class::Transient),
            (503, Class::Transient),
        ] {
            assert_eq!(Class::of(&api(code)), class, "{code}");
        }
    }

    #[test]
    fn waits_grow_to_five_minutes_and_a_fault_of_the_stack_waits_for_a_change() {
        let seconds =
            |class: Class, failures| class.retry_after(failures, 0.5).map(|wait| wait.as_secs_f64());
        assert_eq!(seconds(Class::Invalid, 1), None);
        assert_eq!(seconds(Class::Blocked, 9), None);
        assert_eq!(seconds(Class::Conflict, 9), Some(0.15));
        let waits: Vec<f64> = (1..=10).filter_map(|failures| seconds(Class::Transient, failures)).collect();
        assert_eq!(waits, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0]);
        assert_eq!(seconds(Class::Transient, u32::MAX), Some(300.0));
        assert_eq!(seconds(Class::Forbidden, 1), Some(300.0));
        assert_eq!(seconds(Class::Bug, 1), Some(300.0));
    }

    #[test]
    fn jitter_spreads_and_never_passes_the_bound() {
        let low = Class::Transient.retry_after(1, 0.0);
        let high = Class::Transient.retry_after(1, 1.0);
        assert!(low < high);
        assert_eq!(Class::Transient.retry_after(20, 1.0), Some(Duration::from_secs(300)));
    }
}
