//! Pure: what came of a reconcile, and when to look again.

use obstack_crds::ObservabilityStackStatus;
use obstack_crds::status::{CONFIGURATION_LIVE, PROGRESSING, READY};

use super::SecretNames;
use crate::apply::Done;
use crate::controller::queue::Next;
use crate::error::Class;
use crate::status::RUN_BY_OTHERS;

/// What came of one reconcile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// When to look again.
    pub next: Next,
    /// The result as a label: `ok`, `waiting`, `stopped`, or the class of what failed.
    pub result: &'static str,
    /// Names of the Secrets that the stack refers to: their appearance is waited for.
    pub secrets: SecretNames,
}

impl Outcome {
    /// The stack is going: there is nothing to do for it.
    pub(super) fn nothing_to_do() -> Self {
        Self { next: Next::Forget, result: "ok", secrets: SecretNames::new() }
    }

    /// This process stopped leading: another one goes on.
    pub(super) fn stopped() -> Self {
        Self { next: Next::Forget, result: "stopped", secrets: SecretNames::new() }
    }

    /// Something failed before anything was applied.
    pub(super) fn failed(class: Class, failures: u32, jitter: f64) -> Self {
        let next = Next::Failed(class.retry_after(failures, jitter));
        Self { next, result: class.as_str(), secrets: SecretNames::new() }
    }

    /// The reconcile came to its end.
    pub(super) fn ended(
        status: &ObservabilityStackStatus,
        done: Option<&Done>,
        failures: u32,
        jitter: f64,
    ) -> Self {
        let failed = done.map(|done| done.failures.as_slice()).unwrap_or_default();
        let passing = |class: &Class| matches!(class, Class::Transient | Class::Conflict);
        let soon = failed.iter().map(|failure| failure.class).filter(passing);
        let soonest = soon.filter_map(|class| Some((class.retry_after(failures, jitter)?, class))).min();
        let lasting = failed.iter().map(|failure| failure.class).max();
        let (next, result) = match (soonest, lasting) {
            (Some((wait, class)), _) => (Next::Failed(Some(wait)), class.as_str()),
            // What lasts is not sent again before something changes or some minutes have passed; the rest of
            // the stack is looked at as ever.
            (None, Some(class)) => (pace(status), class.as_str()),
            (None, None) if done.is_none() => (Next::Settled, "ok"),
            (None, None) => (pace(status), if is_settled(status) { "ok" } else { "waiting" }),
        };
        Self { next, result, secrets: SecretNames::new() }
    }

    /// The same for a stack with tripwires, whose state nothing tells of but another look.
    pub(super) fn watching(mut self, watched: bool) -> Self {
        if watched && self.next == Next::Settled {
            self.next = Next::Watched;
        }
        self
    }

    /// The same for a stack whose configuration is on its way to being proven, which takes a few more looks.
    pub(super) fn delivering(mut self, delivering: bool) -> Self {
        if delivering && matches!(self.next, Next::Settled | Next::Watched) {
            self.next = Next::Unsettled;
        }
        self
    }

    /// The same with the Secrets that the stack refers to.
    pub(super) fn referring_to(mut self, secrets: &SecretNames) -> Self {
        self.secrets.clone_from(secrets);
        self
    }
}

fn pace(status: &ObservabilityStackStatus) -> Next {
    if is_settled(status) { Next::Settled } else { Next::Unsettled }
}

fn is_settled(status: &ObservabilityStackStatus) -> bool {
    let is = |kind: &str, value: &str| status.conditions.iter().any(|c| c.type_ == kind && c.status == value);
    // What prometheus-operator runs stays unknown: there is no use in looking again.
    let by_others =
        status.conditions.iter().any(|c| c.type_ == CONFIGURATION_LIVE && c.reason == RUN_BY_OTHERS);
    is(READY, "True") && (by_others || is(CONFIGURATION_LIVE, "True")) && is(PROGRESSING, "False")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
    use k8s_openapi::jiff::Timestamp;
    use obstack_crds::Component;

    use super::*;
    use crate::apply::{Failure, ObjectKey};

    fn status(ready: &str) -> ObservabilityStackStatus {
        let condition = |kind: &str, status: &str| Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: "X".to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        };
        let conditions = vec![
            condition(READY, ready),
            condition(CONFIGURATION_LIVE, "True"),
            condition(PROGRESSING, "False"),
        ];
        ObservabilityStackStatus { conditions, ..ObservabilityStackStatus::default() }
    }

    fn done(classes: &[Class]) -> Done {
        let failure = |class: &Class| Failure {
            object: ObjectKey { kind: String::new(), namespace: None, name: String::new() },
            component: Component::Alerting,
            class: *class,
            reason: "X",
            message: String::new(),
        };
        Done { failures: classes.iter().map(failure).collect(), ..Done::default() }
    }

    #[test]
    fn the_class_of_what_failed_decides_when_to_look_again() {
        let live = status("True");
        let ended = |classes: &[Class]| Outcome::ended(&live, Some(&done(classes)), 1, 0.5);
        assert_eq!((ended(&[]).next, ended(&[]).result), (Next::Settled, "ok"));
        let transient = Next::Failed(Some(Duration::from_secs(1)));
        assert_eq!(ended(&[Class::Transient]).next, transient);
        let conflict = ended(&[Class::Transient, Class::Conflict, Class::Bug]);
        assert_eq!(
            (conflict.next, conflict.result),
            (Next::Failed(Some(Duration::from_millis(150))), "conflict")
        );
        let forbidden = ended(&[Class::Forbidden]);
        assert_eq!((forbidden.next, forbidden.result), (Next::Settled, "forbidden"));
    }

    #[test]
    fn a_stack_that_is_run_by_others_comes_to_rest() {
        let mut status = status("True");
        let live = status.conditions.iter_mut().find(|c| c.type_ == CONFIGURATION_LIVE).unwrap();
        live.status = "Unknown".to_owned();
        assert_eq!(Outcome::ended(&status, Some(&done(&[])), 1, 0.5).next, Next::Unsettled);
        let live = status.conditions.iter_mut().find(|c| c.type_ == CONFIGURATION_LIVE).unwrap();
        live.reason = RUN_BY_OTHERS.to_owned();
        assert_eq!(Outcome::ended(&status, Some(&done(&[])), 1, 0.5).next, Next::Settled);
    }

    #[test]
    fn a_stack_on_its_way_is_looked_at_soon_and_a_paused_one_is_not() {
        let rolling = status("False");
        let ended = Outcome::ended(&rolling, Some(&done(&[])), 1, 0.5);
        assert_eq!((ended.next, ended.result), (Next::Unsettled, "waiting"));
        assert_eq!(Outcome::ended(&rolling, None, 1, 0.5).next, Next::Settled);
    }
}
