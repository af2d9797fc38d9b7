//! Why an object was not written, in words that say what to do.

use obstack_crds::Component;

use super::ObjectKey;
use super::memory::Refused;
use super::writer::RequestError;
use crate::error::Class;

/// An object that was not written, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which object.
    pub object: ObjectKey,
    /// The component that it belongs to.
    pub component: Component,
    /// What kind of obstacle it is.
    pub class: Class,
    /// Reason for a condition: `NameTaken`, `ImmutableField`, `Missing`, `TypesMissing`, `Forbidden`, `ApplyFailed`,
    /// `PruneFailed` or `RecordFailed`.
    pub reason: &'static str,
    /// What happened, and what to do.
    pub message: String,
}

/// Why one object was not applied.
pub(super) enum ApplyError {
    /// It is none that can be sent.
    Unusable(String),
    /// An object of that name is somebody else's.
    NameTaken(ObjectKey),
    /// It was refused a moment ago, and nothing changed since.
    Refused(ObjectKey, Refused),
    /// The request failed.
    Request(ObjectKey, RequestError),
}

impl ApplyError {
    pub(super) fn into_failure(self, component: Component) -> Failure {
        let failure = |object, class, reason, message| Failure { object, component, class, reason, message };
        match self {
            Self::Unusable(message) => {
                let nothing = ObjectKey { kind: String::new(), namespace: None, name: String::new() };
                failure(nothing, Class::Bug, "ApplyFailed", message)
            }
            Self::NameTaken(key) => {
                let message = format!(
                    "{key} exists and belongs to somebody else, so it was left alone; delete it, or give the \
                     stack another name"
                );
                failure(key, Class::Blocked, "NameTaken", message)
            }
            Self::Refused(key, Refused { code, message }) => {
                let class = match code {
                    403 => Class::Forbidden,
                    404 => Class::Blocked,
                    _ => Class::Bug,
                };
                let (reason, message) = explain(&key, Some(code), &message);
                failure(key, class, reason, message)
            }
            Self::Request(key, error) => {
                let (reason, message) = explain(&key, error.code(), &error.to_string());
                failure(key, error.class().unwrap_or(Class::Transient), reason, message)
            }
        }
    }
}

fn explain(key: &ObjectKey, code: Option<u16>, message: &str) -> (&'static str, String) {
    match code {
        Some(403) => ("Forbidden", format!("{key}: {message}; grant the operator that right")),
        Some(404) => ("Missing", format!("{key}: {message}; create it, or take it out of the stack")),
        Some(422) if is_immutable(message) => ("ImmutableField", immutable(key, message)),
        _ => ("ApplyFailed", format!("{key}: {message}")),
    }
}

fn is_immutable(message: &str) -> bool {
    message.contains("immutable") || message.contains("updates to statefulset spec")
}

/// An object with a field that cannot change is never deleted silently to get round it: that would stop what
/// runs.
fn immutable(key: &ObjectKey, message: &str) -> String {
    let kind = key.kind.to_lowercase();
    let namespace = key.namespace.as_deref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    format!(
        "{key} would need a change of a field that cannot change, such as the size of its volumes; undo that \
         change, or run `kubectl delete {kind}{namespace} {} --cascade=orphan`, and the operator makes it anew \
         around the same pods and volumes ({message})",
        key.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str) -> Failure {
        let key = ObjectKey {
            kind: "StatefulSet".to_owned(),
            namespace: Some("monitoring".to_owned()),
            name: "main-metrics".to_owned(),
        };
        let error = ApplyError::Refused(key, Refused { code, message: message.to_owned() });
        error.into_failure(Component::MetricsStore)
    }

    #[test]
    fn a_field_that_cannot_change_says_what_to_do() {
        let message = "StatefulSet.apps \"main-metrics\" is invalid: spec: Forbidden: updates to statefulset \
                       spec for fields other than 'replicas' are forbidden";
        let failure = refused(422, message);
        assert_eq!((failure.class, failure.reason), (Class::Bug, "ImmutableField"));
        let command = "kubectl delete statefulset -n monitoring main-metrics --cascade=orphan";
        assert!(failure.message.contains(command), "{}", failure.message);
    }

    #[test]
    fn a_missing_right_and_another_refusal_are_told_apart() {
        assert_eq!(refused(403, "no").reason, "Forbidden");
        assert_eq!(refused(403, "no").class, Class::Forbidden);
        assert_eq!(refused(422, "spec.replicas: must be positive").reason, "ApplyFailed");
    }
}
