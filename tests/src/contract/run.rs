//! Running the cases on one server.

use super::failure::Failure;
use super::{Case, Target};
use futures::StreamExt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Cases that run at the same time.
const SIDE_BY_SIDE: usize = 8;
/// Longest time for one case, which includes that for one wait.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a case came to on one server.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not.
    Fails(Failure),
    /// The server said that it does not serve what the case asks for.
    Refused(Failure),
}

/// What all cases came to on one server, in their order.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Name of the server.
    pub name: &'static str,
    /// One for each case.
    pub verdicts: Vec<Verdict>,
    /// Wall time of all of them.
    pub time: Duration,
}

/// Runs the cases on a server, some side by side.
pub async fn run(target: Target, cases: &[Case]) -> Ran {
    let (began, name) = (Instant::now(), target.name);
    let target = Rc::new(target);
    let running = cases.iter().map(|case| {
        let (target, case) = (target.clone(), *case);
        async move {
            // A task of its own, so that a panic ends one case.
            let task = tokio::task::spawn_local(async move { one(&target, case).await });
            let panicked = |e: tokio::task::JoinError| Verdict::Fails(format!("it panicked: {e}").into());
            task.await.unwrap_or_else(panicked)
        }
    });
    let all = futures::stream::iter(running).buffered(SIDE_BY_SIDE).collect();
    let verdicts = tokio::task::LocalSet::new().run_until(all).await;
    Ran { name, verdicts, time: began.elapsed() }
}

async fn one(target: &Target, case: Case) -> Verdict {
    let scope = match target.scope(case.name).await {
        Ok(scope) => scope,
        Err(why) => return Verdict::Fails(format!("no namespace for it: {why}").into()),
    };
    let outcome = tokio::time::timeout(TIMEOUT, (case.run)(&scope)).await;
    let outcome = outcome.unwrap_or_else(|_| Err(format!("took more than {} s", TIMEOUT.as_secs()).into()));
    scope.end().await;
    match outcome {
        Ok(()) => Verdict::Holds,
        Err(mut failure) => {
            if failure.request.is_empty() {
                failure.request = scope.last();
            }
            if scope.refused() && !target.real { Verdict::Refused(failure) } else { Verdict::Fails(failure) }
        }
    }
}
