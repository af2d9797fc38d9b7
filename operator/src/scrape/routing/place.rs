//! Reading values of any shape: each reader says where it was when something was not as it must be.

use std::fmt;

use serde_json::{Map, Value};

use crate::validate::{Fault, child_path, quoted};

/// Where a reader is in an object, as a chain back to its start, so that a path costs nothing until it is
/// told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    up: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    /// The start of an object: `spec`.
    pub(crate) fn root(name: &'a str) -> Self {
        Self { up: None, step: Step::Key(name) }
    }

    /// A field below this place.
    pub(crate) fn key(&'a self, key: &'a str) -> Place<'a> {
        Place { up: Some(self), step: Step::Key(key) }
    }

    /// An entry of the list at this place.
    pub(crate) fn index(&'a self, index: usize) -> Place<'a> {
        Place { up: Some(self), step: Step::Index(index) }
    }

    /// What is wrong here, and what to write instead.
    pub(crate) fn fault(&self, found: impl fmt::Display, write: impl fmt::Display) -> Fault {
        Fault { path: self.to_string(), found: found.to_string(), write: write.to_string() }
    }

    /// A value of another type than the field has.
    fn wrong(&self, value: &Value, write: &str) -> Fault {
        let found = match value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.fault(found, write)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let above = self.up.map(Place::to_string).unwrap_or_default();
        match self.step {
            Step::Key(key) => f.write_str(&child_path(&above, key)),
            Step::Index(index) => write!(f, "{above}[{index}]"),
        }
    }
}

/// Most bytes of an object, written as JSON: what the API server takes at most of any object.
pub(crate) const MAX_OBJECT_BYTES: usize = 1536 * 1024;
/// Deepest nesting of an object. Routes below routes are bounded by it too.
pub(crate) const MAX_OBJECT_DEPTH: usize = 100;

/// Holds that an object is small enough to be worked on.
///
/// # Errors
/// A fault where it is too large or too deep.
pub(crate) fn check_size(object: &Value) -> Result<(), Fault> {
    let place = Place::root("spec");
    let mut bytes = 0usize;
    // Without recursion: what is too deep must not be walked with the stack.
    let mut open = vec![(object, 0usize)];
    while let Some((value, depth)) = open.pop() {
        if depth > MAX_OBJECT_DEPTH {
            let found = format!("more than {MAX_OBJECT_DEPTH} levels of nesting");
            return Err(place.fault(found, "fewer routes below routes"));
        }
        bytes += 2;
        match value {
            Value::String(text) => bytes += text.len(),
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => {
                bytes += fields.keys().map(|key| key.len() + 3).sum::<usize>();
                open.extend(fields.values().map(|field| (field, depth + 1)));
            }
            _ => bytes += 4,
        }
        if bytes > MAX_OBJECT_BYTES {
            let found = format!("an object of more than {MAX_OBJECT_BYTES} bytes");
            return Err(place.fault(found, "several smaller objects"));
        }
    }
    Ok(())
}

/// A field that is there; null is as good as none.
pub(crate) fn get<'v>(fields: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    fields.get(key).filter(|value| !value.is_null())
}

/// An object, or the fault that it is none.
pub(crate) fn object<'v>(value: &'v Value, place: &Place<'_>) -> Result<&'v Map<String, Value>, Fault> {
    value.as_object().ok_or_else(|| place.wrong(value, "an object with fields"))
}

/// A list; none is an empty one.
pub(crate) fn list<'v>(
    fields: &'v Map<String, Value>,
    key: &str,
    place: &Place<'_>,
) -> Result<&'v [Value], Fault> {
    match get(fields, key) {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(place.key(key).wrong(other, "a list")),
    }
}

/// A text of a field; none is an empty one.
pub(crate) fn text<'v>(
    fields: &'v Map<String, Value>,
    key: &str,
    place: &Place<'_>,
) -> Result<&'v str, Fault> {
    match get(fields, key) {
        None => Ok(""),
        Some(value) => as_text(value, &place.key(key)),
    }
}

/// A value as a text.
pub(crate) fn as_text<'v>(value: &'v Value, place: &Place<'_>) -> Result<&'v str, Fault> {
    value.as_str().ok_or_else(|| place.wrong(value, "a text; quote what is to be one"))
}

/// A value as true or false.
pub(crate) fn as_flag(value: &Value, place: &Place<'_>) -> Result<bool, Fault> {
    value.as_bool().ok_or_else(|| place.wrong(value, "true or false"))
}

/// A true or false of a field, where it is there.
pub(crate) fn flag(fields: &Map<String, Value>, key: &str, place: &Place<'_>) -> Result<Option<bool>, Fault> {
    get(fields, key).map(|value| as_flag(value, &place.key(key))).transpose()
}

/// A value as a whole number.
pub(crate) fn as_number(value: &Value, place: &Place<'_>) -> Result<i64, Fault> {
    value.as_i64().ok_or_else(|| place.wrong(value, "a whole number"))
}

/// A list of texts.
pub(crate) fn texts(fields: &Map<String, Value>, key: &str, place: &Place<'_>) -> Result<Vec<String>, Fault> {
    let at = place.key(key);
    let items = list(fields, key, place)?.iter().enumerate();
    items.map(|(index, item)| Ok(as_text(item, &at.index(index))?.to_owned())).collect()
}

/// A map of texts.
pub(crate) fn text_map(value: &Value, place: &Place<'_>) -> Result<Map<String, Value>, Fault> {
    let fields = object(value, place)?.iter();
    fields.map(|(key, item)| Ok((key.clone(), Value::from(as_text(item, &place.key(key))?)))).collect()
}

/// A duration as Prometheus and Alertmanager take it, zero included, in their own way of writing it.
pub(crate) fn duration(text: &str, place: &Place<'_>) -> Result<String, Fault> {
    if is_zero_duration(text) {
        return Ok("0s".to_owned());
    }
    match text.parse::<crate::units::PromDuration>() {
        Ok(duration) => Ok(duration.to_string()),
        Err(error) => Err(place.fault(quoted(text), error.write)),
    }
}

/// A duration without days, weeks and years, which Go does not read.
pub(crate) fn in_go_units(text: &str) -> String {
    let Some(duration) =
        text.parse::<crate::units::PromDuration>().ok().filter(|_| text.contains(['y', 'w', 'd']))
    else {
        return text.to_owned();
    };
    let mut left = duration.as_millis();
    let mut out = String::new();
    for (factor, unit) in [(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")] {
        if left >= factor {
            out.push_str(&format!("{}{unit}", left / factor));
            left %= factor;
        }
    }
    out
}

/// Whether a text is a duration of nothing: `0`, `0s`, `0m0s`.
pub(crate) fn is_zero_duration(text: &str) -> bool {
    if text == "0" {
        return true;
    }
    // Ones for zeros have the same units in the same order, so they are well-formed where these are.
    text.starts_with('0')
        && text.chars().all(|c| !c.is_ascii_digit() || c == '0')
        && text.replace('0', "1").parse::<crate::units::PromDuration>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_written_as_paths() {
        let root = Place::root("spec");
        let receivers = root.key("receivers");
        let first = receivers.index(0);
        assert_eq!(first.key("a.b").to_string(), "spec.receivers[0][\"a.b\"]");
    }

    #[test]
    fn durations_of_nothing_are_durations() {
        let place = Place::root("spec");
        for (text, read) in [("0", "0s"), ("0s", "0s"), ("0m0s", "0s"), ("90s", "1m30s"), ("5m", "5m")] {
            assert_eq!(duration(text, &place).unwrap(), read, "{text}");
        }
        for text in ["", "00x", "0s0m", "-1s", "5 m", "1.5h", "0", "s"].into_iter().filter(|t| *t != "0") {
            assert!(duration(text, &place).is_err(), "{text}");
        }
    }

    #[test]
    fn go_reads_hours_and_less() {
        for (text, read) in
            [("1d", "24h"), ("1w1h", "169h"), ("90m", "90m"), ("1d1ms", "24h1ms"), ("0s", "0s")]
        {
            assert_eq!(in_go_units(text), read);
        }
    }

    #[test]
    fn what_is_too_large_or_too_deep_is_told() {
        assert!(check_size(&json!({ "a": [1, "b", null, true] })).is_ok());
        let mut deep = Value::Null;
        for _ in 0..=MAX_OBJECT_DEPTH {
            deep = Value::Array(vec![deep]);
        }
        assert!(check_size(&deep).unwrap_err().found.contains("nesting"));
        let large = Value::from("x".repeat(MAX_OBJECT_BYTES));
        assert!(check_size(&large).unwrap_err().found.contains("bytes"));
    }
}
