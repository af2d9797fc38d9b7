//! Label selectors, as the API defines them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

type Labels = BTreeMap<String, String>;

/// Whether a selector chooses these labels. An empty selector chooses everything.
pub(crate) fn matches(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    let empty = Labels::new();
    let labels = labels.unwrap_or(&empty);
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal
        && selector.match_expressions.iter().flatten().all(|rule| {
            let listed = |value: &String| rule.values.iter().flatten().any(|item| item == value);
            match (rule.operator.as_str(), labels.get(&rule.key)) {
                ("In", value) => value.is_some_and(listed),
                ("NotIn", value) => !value.is_some_and(listed),
                ("Exists", value) => value.is_some(),
                ("DoesNotExist", value) => value.is_none(),
                _ => false,
            }
        })
}

/// Whether a plain map of labels, as Services have it, chooses these labels. An empty map chooses nothing.
pub(crate) fn map_matches(selector: &Labels, labels: Option<&Labels>) -> bool {
    !selector.is_empty()
        && selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn expressions_and_labels_must_all_hold() {
        let rule = |key: &str, operator: &str, values: &[&str]| LabelSelectorRequirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
        };
        let table = [
            (vec![], vec![], true),
            (vec![("app", "a")], vec![], true),
            (vec![("app", "b")], vec![], false),
            (vec![], vec![rule("app", "In", &["a", "b"])], true),
            (vec![], vec![rule("tier", "In", &["a"])], false),
            (vec![], vec![rule("tier", "NotIn", &["a"])], true),
            (vec![], vec![rule("app", "Exists", &[]), rule("tier", "DoesNotExist", &[])], true),
        ];
        for (equal, rules, expected) in table {
            let selector =
                LabelSelector { match_labels: Some(labels(&equal)), match_expressions: Some(rules) };
            assert_eq!(matches(&selector, Some(&labels(&[("app", "a")]))), expected, "{selector:?}");
        }
        assert!(!map_matches(&Labels::new(), Some(&labels(&[("app", "a")]))));
    }
}
