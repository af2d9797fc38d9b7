//! Routes, matchers and inhibit rules.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Settings;
use super::place::{self, Place};
use super::version::Version;
use crate::validate::re2::judge_anchored;
use crate::validate::{Fault, quoted};

/// Fields of a route below another one: the API server keeps whatever stands there, so a misspelt one is told
/// here.
const ROUTE_FIELDS: [&str; 10] = [
    "receiver",
    "groupBy",
    "groupWait",
    "groupInterval",
    "repeatInterval",
    "matchers",
    "continue",
    "routes",
    "muteTimeIntervals",
    "activeTimeIntervals",
];
/// Label that tells the alerts of a namespace apart.
const NAMESPACE: &str = "namespace";

/// What an object gives names to, and the prefix of these names in the merged configuration.
pub(super) struct Names<'a> {
    pub(super) receivers: BTreeSet<&'a str>,
    pub(super) intervals: BTreeSet<&'a str>,
    pub(super) prefix: String,
}

impl Names<'_> {
    /// A name in the merged configuration.
    pub(super) fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    fn receiver(&self, name: &str, at: &Place<'_>) -> Result<String, Fault> {
        known(name, &self.receivers, "receiver", at)?;
        Ok(self.full(name))
    }

    fn interval(&self, name: &str, at: &Place<'_>) -> Result<String, Fault> {
        known(name, &self.intervals, "time interval", at)?;
        Ok(self.full(name))
    }
}

fn known(name: &str, names: &BTreeSet<&str>, what: &str, at: &Place<'_>) -> Result<(), Fault> {
    if names.contains(name) {
        return Ok(());
    }
    let write = match crate::text::nearest(name, names.iter().copied()) {
        Some(near) => format!("{near}, if that is what is meant, or add the {what}"),
        None => format!("the name of a {what} of the same object, or add it"),
    };
    Err(at.fault(format!("the {what} {}, which does not exist", quoted(name)), write))
}

/// A route and the routes below it.
pub(super) fn build(
    settings: &Settings,
    route: &Value,
    names: &Names<'_>,
    at: &Place<'_>,
    top: bool,
) -> Result<Map<String, Value>, Fault> {
    let from = place::object(route, at)?;
    if !top && let Some(unknown) = from.keys().find(|key| !ROUTE_FIELDS.contains(&key.as_str())) {
        let near = crate::text::nearest(unknown, ROUTE_FIELDS);
        let write = near.map_or_else(|| format!("one of {}", ROUTE_FIELDS.join(", ")), str::to_owned);
        return Err(at.fault(format!("the field {}, which no route has", quoted(unknown)), write));
    }
    let mut out = Map::new();
    let receiver = place::text(from, "receiver", at)?;
    if !receiver.is_empty() {
        let name = names.receiver(receiver, &at.key("receiver"))?;
        out.insert("receiver".to_owned(), Value::from(name));
    } else if top {
        return Err(at.key("receiver").fault("no receiver", "the name of one: the first route needs it"));
    }
    insert_texts(&mut out, "group_by", group_by(from, at)?);
    for (name, to) in [
        ("groupWait", "group_wait"),
        ("groupInterval", "group_interval"),
        ("repeatInterval", "repeat_interval"),
    ] {
        let text = place::text(from, name, at)?;
        if !text.is_empty() {
            place::duration(text, &at.key(name))?;
            out.insert(to.to_owned(), Value::from(text));
        }
    }
    let matchers = Matchers::read(settings, from, "matchers", at)?;
    matchers.write(&mut out, ["match", "match_re", "matchers"]);
    if place::flag(from, "continue", at)? == Some(true) {
        out.insert("continue".to_owned(), Value::from(true));
    }
    for (name, to) in
        [("muteTimeIntervals", "mute_time_intervals"), ("activeTimeIntervals", "active_time_intervals")]
    {
        let list_at = at.key(name);
        let texts = place::texts(from, name, at)?;
        let full = texts.iter().enumerate().map(|(index, text)| names.interval(text, &list_at.index(index)));
        insert_texts(&mut out, to, full.collect::<Result<_, _>>()?);
    }
    let list_at = at.key("routes");
    let mut below = Vec::new();
    for (index, child) in place::list(from, "routes", at)?.iter().enumerate() {
        below.push(Value::Object(build(settings, child, names, &list_at.index(index), false)?));
    }
    if !below.is_empty() {
        out.insert("routes".to_owned(), Value::Array(below));
    }
    Ok(out)
}

fn insert_texts(out: &mut Map<String, Value>, name: &str, texts: Vec<String>) {
    if !texts.is_empty() {
        out.insert(name.to_owned(), Value::from(texts));
    }
}

fn group_by(from: &Map<String, Value>, at: &Place<'_>) -> Result<Vec<String>, Fault> {
    let labels = place::texts(from, "groupBy", at)?;
    let list_at = at.key("groupBy");
    let mut seen = BTreeSet::new();
    for (index, label) in labels.iter().enumerate() {
        let at = list_at.index(index);
        if label.is_empty() {
            return Err(at.fault(quoted(label), "the name of a label"));
        }
        if !seen.insert(label) {
            return Err(at.fault(format!("{} a second time", quoted(label)), "each label once"));
        }
        if label == "..." && labels.len() > 1 {
            return Err(at.fault("\"...\" beside other labels", "\"...\" alone, or each label by name"));
        }
    }
    Ok(labels)
}

/// Matchers as a version of Alertmanager takes them: as texts, or before 0.22 as two maps.
#[derive(Default)]
pub(super) struct Matchers {
    texts: Vec<String>,
    equal: Map<String, Value>,
    regex: Map<String, Value>,
}

impl Matchers {
    /// Reads a list of matchers.
    pub(super) fn read(
        settings: &Settings,
        from: &Map<String, Value>,
        name: &str,
        at: &Place<'_>,
    ) -> Result<Self, Fault> {
        let mut matchers = Self::default();
        let list_at = at.key(name);
        for (index, item) in place::list(from, name, at)?.iter().enumerate() {
            matchers.add(settings, item, &list_at.index(index))?;
        }
        Ok(matchers)
    }

    fn add(&mut self, settings: &Settings, item: &Value, at: &Place<'_>) -> Result<(), Fault> {
        let fields = place::object(item, at)?;
        let (name, value) = (place::text(fields, "name", at)?, place::text(fields, "value", at)?);
        if name.trim().is_empty() {
            return Err(at.key("name").fault(quoted(name), "the name of a label"));
        }
        let written = place::text(fields, "matchType", at)?;
        let regex = place::flag(fields, "regex", at)?.unwrap_or(false);
        let operator = match written {
            "" if regex => "=~",
            "" => "=",
            "=" | "!=" | "=~" | "!~" => written,
            other => return Err(at.key("matchType").fault(quoted(other), "one of = != =~ !~")),
        };
        if operator.ends_with('~')
            && let Err(reason) = judge_anchored(value)
        {
            let write = "a regular expression; a text alone needs matchType = or !=";
            return Err(at.key("value").fault(format!("{}, which is none ({reason})", quoted(value)), write));
        }
        let texts = settings.version >= Version::minor(22);
        if !texts && !written.is_empty() {
            let found = format!("matchType with Alertmanager {}", settings.version);
            return Err(at.key("matchType").fault(found, "it for 0.22.0 or newer only, or regex"));
        }
        if texts {
            self.texts.push(matcher(settings.version, name, operator, value, at)?);
        } else if regex {
            self.regex.insert(name.to_owned(), Value::from(value));
        } else {
            self.equal.insert(name.to_owned(), Value::from(value));
        }
        Ok(())
    }

    /// Holds that alerts come from a namespace; what was said of the label before is displaced.
    fn enforce(&mut self, settings: &Settings, namespace: &str) {
        if settings.version >= Version::minor(22) {
            let text = format!("{NAMESPACE}=\"{}\"", escaped(namespace));
            if !self.texts.iter().any(|other| other.replace(' ', "") == text) {
                self.texts.push(text);
            }
        } else {
            self.regex.remove(NAMESPACE);
            self.equal.insert(NAMESPACE.to_owned(), Value::from(namespace));
        }
    }

    /// Writes what is there under the names for equality, regular expressions and texts.
    pub(super) fn write(self, out: &mut Map<String, Value>, [equal, regex, texts]: [&str; 3]) {
        for (name, map) in [(equal, self.equal), (regex, self.regex)] {
            if !map.is_empty() {
                out.insert(name.to_owned(), Value::Object(map));
            }
        }
        insert_texts(out, texts, self.texts);
    }
}

/// One matcher as a text. A name that only the parser for UTF-8 takes is quoted, which needs 0.27.
fn matcher(
    version: Version,
    name: &str,
    operator: &str,
    value: &str,
    at: &Place<'_>,
) -> Result<String, Fault> {
    let mut chars = name.chars();
    let start = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    let classic = chars.next().is_some_and(start) && chars.all(|c| start(c) || c.is_ascii_digit());
    if classic {
        return Ok(format!("{name}{operator}\"{}\"", escaped(value)));
    }
    if version < Version::minor(27) {
        let write = "a name of letters, digits and underscores; others need Alertmanager 0.27.0";
        return Err(at.key("name").fault(quoted(name), write));
    }
    Ok(format!("\"{}\"{operator}\"{}\"", escaped(name), escaped(value)))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

/// A rule by which alerts mute others; `namespace` holds both sides to one.
pub(super) fn inhibit_rule(
    settings: &Settings,
    rule: &Value,
    namespace: Option<&str>,
    at: &Place<'_>,
) -> Result<Value, Fault> {
    let from = place::object(rule, at)?;
    let mut out = Map::new();
    let sides = [
        ("targetMatch", ["target_match", "target_match_re", "target_matchers"]),
        ("sourceMatch", ["source_match", "source_match_re", "source_matchers"]),
    ];
    for (name, written) in sides {
        let mut matchers = Matchers::read(settings, from, name, at)?;
        if let Some(namespace) = namespace {
            matchers.enforce(settings, namespace);
        }
        matchers.write(&mut out, written);
    }
    let list_at = at.key("equal");
    let equal = place::texts(from, "equal", at)?;
    if let Some(index) = equal.iter().position(|label| label.trim().is_empty()) {
        return Err(list_at.index(index).fault(quoted(&equal[index]), "the name of a label"));
    }
    insert_texts(&mut out, "equal", equal);
    Ok(Value::Object(out))
}

/// Makes of an object's route one beside those of others: it goes on to the next in any case.
pub(super) fn to_first_level(settings: &Settings, route: &mut Map<String, Value>, namespace: Option<&str>) {
    route.insert("continue".to_owned(), Value::from(true));
    let Some(namespace) = namespace else { return };
    if settings.version >= Version::minor(22) {
        let text = Value::from(format!("{NAMESPACE}=\"{}\"", escaped(namespace)));
        match route.get_mut("matchers").and_then(Value::as_array_mut) {
            Some(list) => list.push(text),
            None => {
                route.insert("matchers".to_owned(), Value::Array(vec![text]));
            }
        }
    } else {
        match route.get_mut("match").and_then(Value::as_object_mut) {
            Some(map) => {
                map.insert(NAMESPACE.to_owned(), Value::from(namespace));
            }
            None => {
                route.insert("match".to_owned(), serde_json::json!({ NAMESPACE: namespace }));
            }
        }
    }
}
