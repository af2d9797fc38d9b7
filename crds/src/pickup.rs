//! Which objects of others a stack picks up.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stack::is_default;

/// Which objects of the group `monitoring.coreos.com` a stack picks up. An empty one picks up every object of
/// its kinds in the stack's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Pickup {
    /// Whether any object is picked up. Left out: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Labels that an object must have. Left out: none.
    #[serde(skip_serializing_if = "is_default")]
    pub selector: Selector,
    /// Labels that the namespace of an object must have; `{}` is every namespace. Left out: the stack's own
    /// namespace. An operator that watches some namespaces only knows of their labels the one that names them,
    /// `kubernetes.io/metadata.name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<Selector>,
}

/// Labels that something must have: all of `matchLabels`, and all of `matchExpressions`. An empty one takes
/// everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    /// Labels with exactly these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub match_labels: BTreeMap<String, String>,
    /// What else must hold of labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub match_expressions: Vec<Requirement>,
}

/// What must hold of one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// Name of the label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How its value is judged.
    pub operator: Operator,
    /// Values for `In` and `NotIn`; none for `Exists` and `DoesNotExist`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How the value of a label is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Operator {
    /// The label is there with one of the values.
    In,
    /// The label is not there, or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

impl Selector {
    /// Whether these labels are selected.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.missing(labels).is_none()
    }

    /// The first thing that these labels lack, as it would be written on a command line; none where they are
    /// selected.
    pub fn missing(&self, labels: &BTreeMap<String, String>) -> Option<String> {
        let exact = self.match_labels.iter().find(|(name, value)| labels.get(*name) != Some(*value));
        if let Some((name, value)) = exact {
            return Some(format!("{name}={value}"));
        }
        self.match_expressions.iter().find(|one| !one.holds(labels)).map(ToString::to_string)
    }
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn one(operator: Operator, values: &[&str]) -> Selector {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let requirement = Requirement { key: "team".to_owned(), operator, values };
        Selector { match_expressions: vec![requirement], ..Selector::default() }
    }

    #[test]
    fn each_operator_judges_as_the_api_server_does() {
        let (a, b, none) = (labels(&[("team", "a")]), labels(&[("team", "b")]), labels(&[]));
        for (selector, selected) in [
            (one(Operator::In, &["a"]), [true, false, false]),
            (one(Operator::NotIn, &["a"]), [false, true, true]),
            (one(Operator::Exists, &[]), [true, true, false]),
            (one(Operator::DoesNotExist, &[]), [false, false, true]),
            (Selector::default(), [true, true, true]),
        ] {
            assert_eq!([&a, &b, &none].map(|labels| selector.selects(labels)), selected, "{selector:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named_as_on_a_command_line() {
        let exact = Selector { match_labels: labels(&[("app", "web")]), ..Selector::default() };
        assert_eq!(exact.missing(&labels(&[("app", "db")])).as_deref(), Some("app=web"));
        assert_eq!(exact.missing(&labels(&[("app", "web"), ("more", "x")])), None);
        let missing = |selector: Selector| selector.missing(&labels(&[("other", "x")]));
        assert_eq!(missing(one(Operator::In, &["a", "b"])).as_deref(), Some("team in (a,b)"));
        assert_eq!(missing(one(Operator::Exists, &[])).as_deref(), Some("team"));
    }
}
