//! Why a case does not hold, and the checks that find it.

use obstack_sandbox::raw::Answer;
use serde_json::Value;
use std::fmt::{Debug, Display, Formatter};
use std::panic::Location;

/// Why a case does not hold.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    /// What was looked at, where the values do not say it.
    pub what: String,
    /// What should have been found; empty where `what` says it all.
    pub expected: String,
    /// What was found instead.
    pub found: String,
    /// Method and path of the last request before.
    pub request: String,
    /// Place of the check in the code.
    pub place: String,
}

impl Failure {
    /// A failure that a sentence describes.
    #[track_caller]
    pub fn new(what: impl Display) -> Self {
        Self { what: what.to_string(), place: Location::caller().to_string(), ..Self::default() }
    }

    /// Two values that should be the same.
    #[track_caller]
    pub fn values(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            expected: expected.into(),
            found: found.into(),
            place: Location::caller().to_string(),
            ..Self::default()
        }
    }
}

impl From<String> for Failure {
    fn from(what: String) -> Self {
        Self { what, ..Self::default() }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let lines = [
            ("", &self.what),
            ("expected: ", &self.expected),
            ("found:    ", &self.found),
            ("request:  ", &self.request),
            ("at:       ", &self.place),
        ];
        for (label, text) in lines.into_iter().filter(|(_, text)| !text.is_empty()) {
            writeln!(f, "  {label}{}", text.replace('\n', "\n    "))?;
        }
        Ok(())
    }
}

/// Checks that a value is the wanted one.
///
/// # Errors
/// It is another one.
#[track_caller]
pub(super) fn is<T: PartialEq<U> + Debug, U: Debug>(found: T, wanted: U) -> Result<(), Failure> {
    if found == wanted { Ok(()) } else { Err(Failure::values(format!("{wanted:?}"), format!("{found:?}"))) }
}

/// Checks a condition.
///
/// # Errors
/// It does not hold; the text says what it is about.
#[track_caller]
pub(super) fn holds(condition: bool, what: impl Display) -> Result<(), Failure> {
    if condition { Ok(()) } else { Err(Failure::new(what)) }
}

/// Checks that a text has a part.
///
/// # Errors
/// It has not.
#[track_caller]
pub(super) fn has(text: &str, part: &str) -> Result<(), Failure> {
    if text.contains(part) { Ok(()) } else { Err(Failure::values(format!("a text with {part:?}"), text)) }
}

/// What a case asks of an answer.
pub(super) trait Check {
    /// The body of an answer that is no error.
    fn ok(self) -> Result<Value, Failure>;
    /// The body of an answer with this code.
    fn code(self, code: u16) -> Result<Value, Failure>;
    /// The message of an error with this code.
    fn error(self, code: u16) -> Result<String, Failure>;
}

impl Check for Answer {
    #[track_caller]
    fn ok(self) -> Result<Value, Failure> {
        if self.code < 300 {
            return Ok(self.body);
        }
        let mut failure = Failure::values("a code below 300", format!("{} {}", self.code, self.text));
        failure.request = self.request;
        Err(failure)
    }

    #[track_caller]
    fn code(self, code: u16) -> Result<Value, Failure> {
        if self.code == code {
            return Ok(self.body);
        }
        let mut failure = Failure::values(code.to_string(), format!("{} {}", self.code, self.text));
        failure.request = self.request;
        Err(failure)
    }

    #[track_caller]
    fn error(self, code: u16) -> Result<String, Failure> {
        let request = self.request.clone();
        let body = self.code(code)?;
        if body["kind"] == "Status" && body["status"] == "Failure" && body["code"] == code {
            return Ok(body["message"].as_str().unwrap_or_default().to_owned());
        }
        let mut failure =
            Failure::values(format!("a Status of a failure with code {code}"), body.to_string());
        failure.request = request;
        Err(failure)
    }
}

/// What a user sees of an answer: its code, and message, reason and details where it is a Status. For tables
/// of refusals that are kept as a whole.
pub(super) fn brief(answer: &Answer) -> Value {
    let mut brief = serde_json::json!({ "code": answer.code });
    for field in ["message", "reason", "details"] {
        if answer.body["kind"] == "Status"
            && let Some(value) = answer.body.get(field)
        {
            brief[field] = value.clone();
        }
    }
    if !answer.warnings.is_empty() {
        brief["warnings"] = answer.warnings.clone().into();
    }
    brief
}
