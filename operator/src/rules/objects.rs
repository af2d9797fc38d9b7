//! Pure: PrometheusRule objects of `monitoring.coreos.com` become rule files, one per object, named by its
//! UID.
//!
//! Prometheus matches groups by file and name, so a file's name outlives every change of what is in it. An
//! object at fault is a [`Rejection`]; the others go on.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::enforce::{self, Unenforceable};
use super::{Group, Rule, RuleFile, file_name};
use crate::running::Fragment;
use crate::scrape::judge::Rejection;
use crate::scrape::routing::place::{self, Place};
use crate::scrape::routing::rejected;
use crate::scrape::version::Version;
use crate::validate::{Fault, is_label_name, is_metric_name, promql_fault, quoted, template_fault};
use crate::yaml::emit;

/// The kind.
pub const KIND: &str = "PrometheusRule";
/// Most bytes of one rule file: what fits into a part beside others, compressed or not.
pub const MAX_FILE_BYTES: usize = 4 << 20;
/// Longest expression.
const MAX_EXPR_BYTES: usize = 64 << 10;

/// Most operators and brackets in an expression: each can be a level of the tree that it is read into.
const MAX_EXPR_STEPS: usize = 1000;

/// What holds for every object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSettings {
    /// The version of Prometheus that reads the files.
    pub version: Version,
    /// Label that every expression and every rule is held to the object's namespace by.
    pub enforced_namespace_label: Option<String>,
    /// Objects that are not held to their namespace.
    pub excluded: Vec<Excluded>,
}

impl RuleSettings {
    /// Settings for a version, with nothing enforced.
    pub fn of(version: Version) -> Self {
        Self { version, enforced_namespace_label: None, excluded: Vec::new() }
    }

    /// What a Prometheus of `monitoring.coreos.com` says of tenancy: `enforcedNamespaceLabel`,
    /// `excludedFromEnforcement`, and `prometheusRulesExcludedFromEnforce`, its older form.
    pub fn read(prometheus: &Value, version: Version) -> Self {
        let spec = &prometheus["spec"];
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let entries = |key: &str| spec[key].as_array().into_iter().flatten();
        let older = entries("prometheusRulesExcludedFromEnforce")
            .map(|entry| (text(entry, "ruleNamespace"), Some(text(entry, "ruleName"))))
            // Both are needed there; all of a namespace is not to be said by leaving one out.
            .filter(|(_, name)| name.as_deref() != Some(""));
        let newer =
            entries("excludedFromEnforcement").filter(|entry| entry["resource"] == "prometheusrules").map(
                |entry| (text(entry, "namespace"), Some(text(entry, "name")).filter(|name| !name.is_empty())),
            );
        let excluded = older.chain(newer).filter(|(namespace, _)| !namespace.is_empty());
        Self {
            version,
            enforced_namespace_label: Some(text(spec, "enforcedNamespaceLabel")).filter(|l| !l.is_empty()),
            excluded: excluded.map(|(namespace, name)| Excluded { namespace, name }).collect(),
        }
    }
}

/// An object, or all of a namespace, that enforcing leaves alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excluded {
    /// Namespace of the object.
    pub namespace: String,
    /// Its name; none means every one of the namespace.
    pub name: Option<String>,
}

/// The rule file of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltRules {
    /// The file.
    pub fragment: Fragment,
    /// Groups in it.
    pub groups: usize,
    /// Rules in it.
    pub rules: usize,
    /// What was left out because the version of Prometheus does not know it.
    pub notes: Vec<String>,
}

/// The rule file of one PrometheusRule.
///
/// # Errors
/// [`Rejection`] where Prometheus would refuse the file, or where a namespace cannot be enforced.
pub fn build_rules(settings: &RuleSettings, object: &Value) -> Result<BuiltRules, Rejection> {
    let about = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    let (namespace, name, uid) = (about("namespace"), about("name"), about("uid"));
    let excluded = settings.excluded.iter().any(|excluded| {
        excluded.namespace == namespace && excluded.name.as_deref().is_none_or(|only| only == name)
    });
    let label = settings.enforced_namespace_label.as_deref().filter(|label| !label.is_empty() && !excluded);
    let mut reader = Reader {
        version: settings.version,
        enforced: label.map(|label| (label, namespace)),
        notes: Vec::new(),
    };
    let file = reader.file(object).map_err(rejected(KIND, object))?;
    let root = Place::root("spec");
    let bytes = emit(&file)
        .map_err(|error| rejected(KIND, object)(root.fault(error, "rules that can be written")))?;
    if bytes.len() > MAX_FILE_BYTES {
        let found = format!("rules of {} bytes", bytes.len());
        let write = format!("at most {MAX_FILE_BYTES} bytes per object: several objects");
        return Err(rejected(KIND, object)(root.key("groups").fault(found, write)));
    }
    // Files alone, on the command line, have no UID yet.
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let id = match !uid.is_empty() && uid.len() <= 64 && uid.chars().all(plain) {
        true => uid.to_owned(),
        false => file_name(&format!("{namespace}/{name}")),
    };
    let (key, path) = (format!("rules/object.{id}"), format!("rules/object.{id}.yaml"));
    let fragment = Fragment::new(key, path, bytes.into_bytes());
    let rules = file.groups.iter().map(|group| group.rules.len()).sum();
    Ok(BuiltRules { fragment, groups: file.groups.len(), rules, notes: reader.notes })
}

struct Reader<'a> {
    version: Version,
    /// Label and namespace.
    enforced: Option<(&'a str, &'a str)>,
    notes: Vec<String>,
}

impl Reader<'_> {
    fn file(&mut self, object: &Value) -> Result<RuleFile, Fault> {
        let root = Place::root("spec");
        let spec = object.get("spec").filter(|spec| !spec.is_null());
        let empty = Value::Object(Map::new());
        let spec = spec.unwrap_or(&empty);
        place::check_size(spec)?;
        let fields = place::object(spec, &root)?;
        let list_at = root.key("groups");
        let mut names = BTreeSet::new();
        let mut groups = Vec::new();
        for (index, group) in place::list(fields, "groups", &root)?.iter().enumerate() {
            let at = list_at.index(index);
            let group = self.group(group, &at)?;
            if !names.insert(group.name.clone()) {
                let found = format!("{} a second time", quoted(&group.name));
                return Err(at.key("name").fault(found, "a name that no other group of the object has"));
            }
            groups.push(group);
        }
        Ok(RuleFile { groups })
    }

    /// Whether the engine knows a field; where it does not, the field is left out with a note.
    fn knows(&mut self, since: (u64, u64), at: &Place<'_>) -> bool {
        if self.version.at_least(since.0, since.1, 0) {
            return true;
        }
        self.notes.push(format!(
            "{at}: left out: Prometheus {} does not know it; it needs {}.{}",
            self.version, since.0, since.1
        ));
        false
    }

    fn group(&mut self, group: &Value, at: &Place<'_>) -> Result<Group, Fault> {
        let fields = place::object(group, at)?;
        let name = place::text(fields, "name", at)?;
        if name.is_empty() {
            return Err(at.key("name").fault("no name", "a name that no other group of the object has"));
        }
        let mut limit = None;
        if let Some(value) = place::get(fields, "limit") {
            let at = at.key("limit");
            let read = place::as_number(value, &at)?;
            limit = self.knows((2, 31), &at).then_some(read);
        }
        let mut query_offset = duration(fields, "query_offset", at)?;
        if query_offset.is_some() && !self.knows((2, 53), &at.key("query_offset")) {
            query_offset = None;
        }
        let mut labels = texts(fields, "labels", at)?;
        label_names(&labels, &at.key("labels"), self.version)?;
        if !labels.is_empty() && !self.knows((3, 0), &at.key("labels")) {
            labels.clear();
        }
        // A rule's own label goes before its group's in any case; one value in both is less to wonder at.
        if let Some((label, namespace)) = self.enforced
            && let Some(value) = labels.get_mut(label)
        {
            *value = namespace.to_owned();
        }
        let list_at = at.key("rules");
        let mut rules = Vec::new();
        for (index, rule) in place::list(fields, "rules", at)?.iter().enumerate() {
            rules.push(self.rule(rule, &list_at.index(index))?);
        }
        Ok(Group {
            name: name.to_owned(),
            interval: duration(fields, "interval", at)?,
            query_offset,
            limit,
            labels,
            rules,
        })
    }

    fn rule(&mut self, rule: &Value, at: &Place<'_>) -> Result<Rule, Fault> {
        let fields = place::object(rule, at)?;
        let named = |key: &str| -> Result<Option<String>, Fault> {
            Ok(Some(place::text(fields, key, at)?).filter(|text| !text.is_empty()).map(str::to_owned))
        };
        let (alert, record) = (named("alert")?, named("record")?);
        match (&alert, &record) {
            (Some(_), Some(_)) => return Err(at.fault("both alert and record", "one of the two")),
            (None, None) => return Err(at.fault("neither alert nor record", "one of the two")),
            // From 3.0 any text can name a metric.
            (None, Some(record)) if !self.version.at_least(3, 0, 0) && !is_metric_name(record) => {
                let write = "a metric's name of letters, digits, underscores and colons, such as job:up:sum";
                return Err(at.key("record").fault(quoted(record), write));
            }
            (None, Some(record)) if record.contains(['{', '}']) => {
                return Err(at.key("record").fault(quoted(record), "a metric's name without braces"));
            }
            _ => {}
        }
        let for_ = duration(fields, "for", at)?;
        let mut keep_firing_for = duration(fields, "keep_firing_for", at)?;
        let mut labels = texts(fields, "labels", at)?;
        let annotations = texts(fields, "annotations", at)?;
        if record.is_some() {
            let only_alerts = [
                ("for", for_.is_some()),
                ("keep_firing_for", keep_firing_for.is_some()),
                ("annotations", !annotations.is_empty()),
            ];
            if let Some((name, _)) = only_alerts.iter().find(|(_, set)| *set) {
                let found = format!("{name} in a recording rule");
                return Err(at.key(name).fault(found, "it in alerts only"));
            }
        }
        label_names(&labels, &at.key("labels"), self.version)?;
        label_names(&annotations, &at.key("annotations"), self.version)?;
        if alert.is_some() {
            for (kind, map) in [("labels", &labels), ("annotations", &annotations)] {
                for (name, value) in map {
                    if let Some(write) = template_fault(value) {
                        return Err(at.key(kind).key(name).fault(quoted(value), write));
                    }
                }
            }
        }
        if keep_firing_for.is_some() && !self.knows((2, 42), &at.key("keep_firing_for")) {
            keep_firing_for = None;
        }
        let expr = self.expr(fields, &at.key("expr"))?;
        if let Some((label, namespace)) = self.enforced {
            labels.insert(label.to_owned(), namespace.to_owned());
        }
        Ok(Rule { alert, record, expr, for_, keep_firing_for, labels, annotations })
    }

    /// The expression, held to the namespace where that is enforced.
    fn expr(&self, fields: &Map<String, Value>, at: &Place<'_>) -> Result<String, Fault> {
        let expr = match place::get(fields, "expr") {
            None => String::new(),
            // A bare number is one too.
            Some(Value::Number(number)) => number.to_string(),
            Some(value) => place::as_text(value, at)?.to_owned(),
        };
        if expr.len() > MAX_EXPR_BYTES {
            let found = format!("an expression of {} bytes", expr.len());
            return Err(at.fault(found, format!("at most {MAX_EXPR_BYTES} bytes; record parts of it first")));
        }
        if steps(&expr) > MAX_EXPR_STEPS {
            let found = format!("an expression of more than {MAX_EXPR_STEPS} operators and brackets");
            return Err(at.fault(found, "a shorter one; record parts of it first"));
        }
        if let Some((found, write)) = promql_fault(&expr) {
            return Err(at.fault(found, write));
        }
        let Some((label, namespace)) = self.enforced else { return Ok(expr) };
        enforce::with_matcher(&expr, label, namespace).map_err(|reason| {
            let found = match reason {
                Unenforceable::Unread(why) => format!("{} ({why})", quoted(&expr)),
                Unenforceable::Unwritable => quoted(&expr),
            };
            let found = format!("{found}, in which the label {label} cannot be enforced");
            at.fault(found, "an expression without what is newer than this operator knows")
        })
    }
}

/// At most how many levels the tree of an expression has: what joins or opens, outside of texts in quotes.
fn steps(expr: &str) -> usize {
    let (mut quote, mut escaped, mut steps, mut in_word, mut words) = (None, false, 0, false, 0);
    for c in expr.chars() {
        if let Some(open) = quote {
            match c {
                _ if escaped => escaped = false,
                '\\' if open != '`' => escaped = true,
                _ if c == open => quote = None,
                _ => {}
            }
            continue;
        }
        let letter = c.is_alphanumeric() || c == '_' || c == ':';
        words += usize::from(letter && !in_word);
        in_word = letter;
        match c {
            '"' | '\'' | '`' => quote = Some(c),
            '+' | '-' | '*' | '/' | '%' | '^' | '<' | '>' | '=' | '!' | '(' | '[' | '{' => steps += 1,
            _ => {}
        }
    }
    // A word can be an operator; no more than every second one is.
    steps + words / 2
}

/// A duration; an empty one is none.
fn duration(fields: &Map<String, Value>, key: &str, at: &Place<'_>) -> Result<Option<String>, Fault> {
    let text = place::text(fields, key, at)?;
    if text.is_empty() {
        return Ok(None);
    }
    place::duration(text, &at.key(key))?;
    Ok(Some(text.to_owned()))
}

fn texts(fields: &Map<String, Value>, key: &str, at: &Place<'_>) -> Result<BTreeMap<String, String>, Fault> {
    let at = at.key(key);
    let Some(value) = fields.get(key).filter(|value| !value.is_null()) else { return Ok(BTreeMap::new()) };
    let map = place::object(value, &at)?.iter();
    map.map(|(name, item)| Ok((name.clone(), place::as_text(item, &at.key(name))?.to_owned()))).collect()
}

/// Names of labels as the version takes them: from 3.0 any text.
fn label_names(map: &BTreeMap<String, String>, at: &Place<'_>, version: Version) -> Result<(), Fault> {
    for name in map.keys() {
        let right = if version.at_least(3, 0, 0) { !name.is_empty() } else { is_label_name(name) };
        if !right || name == "__name__" {
            let write =
                "a name of letters, digits and underscores that starts with a letter, such as severity";
            return Err(at.key(name).fault(quoted(name), write));
        }
    }
    Ok(())
}
