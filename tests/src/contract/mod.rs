//! The contract: what a Kubernetes API server answers, as one set of cases with the same assertions for the
//! sandbox's embedded server and for a real kube-apiserver. The real one is the oracle: an assertion that
//! fails there is wrong.

mod cases;
mod documented;
mod expected;
mod failure;
mod objects;
mod replay;
mod report;
mod run;
mod scope;
pub mod shapes;
mod target;

pub use documented::listed_without_text;
pub use failure::Failure;
pub use report::{Cell, Report};
pub use run::{Ran, Verdict, run};
pub use scope::{Api, Scope};
pub use target::Target;

use futures::future::LocalBoxFuture;
use std::path::PathBuf;

/// What a case comes to.
pub type Outcome = Result<(), Failure>;

/// One statement about an API server.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it states, with underscores for blanks; unique.
    pub name: &'static str,
    /// What it is about.
    pub group: &'static str,
    /// Finds out whether it holds.
    pub run: for<'a> fn(&'a Scope) -> LocalBoxFuture<'a, Outcome>,
    /// Why it does not hold on the sandbox, where that is known and written down for users.
    pub differs: Option<&'static str>,
}

/// All cases whose name or group contains `filter`, by topic.
pub fn cases(filter: &str) -> Vec<Case> {
    let all = cases::TOPICS.iter().flat_map(|topic| topic.iter().copied());
    all.filter(|case| case.name.contains(filter) || case.group.contains(filter)).collect()
}

/// Where the files of the contract are kept.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("contract")
}

/// Whether files that are kept are to be written anew.
pub fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}
