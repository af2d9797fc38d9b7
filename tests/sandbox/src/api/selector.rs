//! Label and field selectors.

use super::errors::{ApiError, ApiResult};
use super::registry::Resource;
use serde_json::Value;

#[derive(Clone, Debug)]
enum Term {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    NotExists(String),
    Greater(String, i64),
    Less(String, i64),
}

/// What a list or watch is limited to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<Term>,
    fields: Vec<(String, String, bool)>,
}

/// Fields by which built-in kinds can be selected, beside name and namespace.
const FIELDS: &[(&str, &[&str])] = &[
    (
        "pods",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
    ),
    (
        "events",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
        ],
    ),
    ("secrets", &["type"]),
    ("services", &["spec.clusterIP", "spec.type"]),
    ("namespaces", &["status.phase"]),
    ("nodes", &["spec.unschedulable"]),
    ("jobs", &["status.successful"]),
    ("customresourcedefinitions", &[]),
];

impl Selector {
    /// Reads both selectors for a resource.
    ///
    /// # Errors
    /// Bad request for a selector that cannot be read or a field that cannot be selected by.
    pub(crate) fn parse(labels: &str, fields: &str, resource: &Resource) -> ApiResult<Self> {
        let plural = resource.plural.as_str();
        let labels = parse_labels(labels).map_err(ApiError::bad_request)?;
        let mut wanted = Vec::new();
        for part in fields.split(',').filter(|p| !p.is_empty()) {
            let (key, value, equal) = if let Some((key, value)) = part.split_once("!=") {
                (key, value, false)
            } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
                (key, value, true)
            } else {
                return Err(ApiError::bad_request(format!(
                    "invalid selector: '{part}'; can't understand '{part}'"
                )));
            };
            let known = matches!(key, "metadata.name" | "metadata.namespace")
                || FIELDS.iter().any(|(p, fields)| *p == plural && fields.contains(&key));
            if !known {
                return Err(ApiError::bad_request(unknown_field(resource, key)));
            }
            wanted.push((key.to_owned(), value.to_owned(), equal));
        }
        Ok(Self { labels, fields: wanted })
    }

    /// Adds a limit to one name.
    pub(crate) fn with_name(mut self, name: &str) -> Self {
        self.fields.push(("metadata.name".to_owned(), name.to_owned(), true));
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.fields.iter().all(|(key, value, equal)| (field(object, key) == *value) == *equal)
            && matches_terms(&self.labels, object.pointer("/metadata/labels").unwrap_or(&Value::Null))
    }
}

/// Kinds with fields of their own say less of what they know.
fn unknown_field(resource: &Resource, key: &str) -> String {
    let own = FIELDS.iter().any(|(plural, fields)| *plural == resource.plural && !fields.is_empty());
    if own || resource.custom.is_some() {
        format!("field label not supported: {key}")
    } else {
        format!("{key:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    }
}

/// The field's text; regarding and involvedObject are the same thing.
fn field(object: &Value, path: &str) -> String {
    let path = path.replacen("regarding.", "involvedObject.", 1);
    let path = match path.as_str() {
        "source" => "source.component".to_owned(),
        "spec.hostNetwork" | "spec.unschedulable" => {
            let found = object.pointer(&format!("/{}", path.replace('.', "/")));
            return found.and_then(Value::as_bool).unwrap_or(false).to_string();
        }
        _ => path,
    };
    match object.pointer(&format!("/{}", path.replace('.', "/"))) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

fn matches_terms(terms: &[Term], labels: &Value) -> bool {
    let get = |key: &str| labels.get(key).and_then(Value::as_str);
    let number = |key: &str| get(key).and_then(|v| v.parse::<i64>().ok());
    terms.iter().all(|term| match term {
        Term::In(key, values) => get(key).is_some_and(|v| values.iter().any(|w| w == v)),
        Term::NotIn(key, values) => get(key).is_none_or(|v| !values.iter().any(|w| w == v)),
        Term::Exists(key) => get(key).is_some(),
        Term::NotExists(key) => get(key).is_none(),
        Term::Greater(key, bound) => number(key).is_some_and(|v| v > *bound),
        Term::Less(key, bound) => number(key).is_some_and(|v| v < *bound),
    })
}

/// Splits at commas that are not inside parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    for (index, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

fn parse_labels(text: &str) -> Result<Vec<Term>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    split(text).into_iter().map(parse_term).collect()
}

fn parse_term(part: &str) -> Result<Term, String> {
    let bad = || format!("found '{part}', expected: a requirement such as 'key=value' or 'key in (a, b)'");
    if part.is_empty() || part.starts_with(['=', '<', '>']) {
        return Err(format!("found '{part}', expected: !, identifier, or 'end of string'"));
    }
    if let [_, "in" | "notin", value] = part.split_whitespace().collect::<Vec<_>>().as_slice()
        && !value.starts_with('(')
    {
        return Err(format!("unable to parse requirement: found '{value}' expected: '('"));
    }
    if let Some(open) = part.find('(') {
        let head: Vec<&str> = part[..open].split_whitespace().collect();
        let values = part[open + 1..].trim_end().strip_suffix(')').ok_or_else(bad)?;
        let values = values.split(',').map(|v| v.trim().to_owned()).collect();
        return match head.as_slice() {
            [key, "in"] => Ok(Term::In((*key).to_owned(), values)),
            [key, "notin"] => Ok(Term::NotIn((*key).to_owned(), values)),
            _ => Err(bad()),
        };
    }
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Term::NotExists(key.trim().to_owned()));
    }
    let pair = |key: &str, value: &str| (key.trim().to_owned(), value.trim().to_owned());
    if let Some((key, value)) = part.split_once("!=") {
        let (key, value) = pair(key, value);
        return Ok(Term::NotIn(key, vec![value]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        let (key, value) = pair(key, value);
        if let Some(why) = super::registry::validate::label_value(&value) {
            let value = Value::String(value);
            return Err(format!(
                "unable to parse requirement: values[0][{key}]: Invalid value: {value}: {why}"
            ));
        }
        return Ok(Term::In(key, vec![value]));
    }
    for (sign, greater) in [('>', true), ('<', false)] {
        if let Some((key, value)) = part.split_once(sign) {
            let (key, value) = pair(key, value);
            let bound = value.parse().map_err(|_| {
                format!(
                    "unable to parse requirement: values[0]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the \
                     value must be an integer"
                )
            })?;
            return Ok(if greater { Term::Greater(key, bound) } else { Term::Less(key, bound) });
        }
    }
    if let Some(second) = part.split_whitespace().nth(1) {
        return Err(format!(
            "unable to parse requirement: found '{second}', expected: in, notin, =, ==, !=, gt, lt"
        ));
    }
    Ok(Term::Exists(part.to_owned()))
}
