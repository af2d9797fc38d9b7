//! Waiting for a condition, with a bound. No test sleeps for luck.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Time between two looks at a condition.
const POLL: Duration = Duration::from_millis(100);

/// Looks until `probe` gives `Ok`, at most for `bound`.
///
/// # Panics
/// When the bound has passed, with `what` and the last answer: a failed wait is a failed test.
pub async fn until<T, E, F>(what: &str, bound: Duration, mut probe: impl FnMut() -> F) -> T
where
    E: Debug,
    F: Future<Output = Result<T, E>>,
{
    let end = Instant::now() + bound;
    loop {
        // A probe that hangs must not outlive the bound either.
        let last = match tokio::time::timeout(bound, probe()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(last)) => format!("{last:?}"),
            Err(_) => "no answer".to_owned(),
        };
        assert!(Instant::now() < end, "waited {bound:?} for {what}; last: {last}");
        tokio::time::sleep(POLL).await;
    }
}

/// Looks for all of `span` that `probe` stays `Ok`: for what must not happen.
///
/// # Panics
/// At the first `Err`, with `what`.
pub async fn throughout<E, F>(what: &str, span: Duration, mut probe: impl FnMut() -> F)
where
    E: Debug,
    F: Future<Output = Result<(), E>>,
{
    let end = Instant::now() + span;
    while Instant::now() < end {
        if let Err(seen) = probe().await {
            panic!("{what} did not last {span:?}: {seen:?}");
        }
        tokio::time::sleep(POLL).await;
    }
}
