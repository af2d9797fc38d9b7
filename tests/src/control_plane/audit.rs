//! The API server's audit log, typed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

use super::Error;

/// When an entry was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A watch, or another answer without end, began.
    ResponseStarted,
    /// The answer was complete.
    ResponseComplete,
    /// The API server broke.
    Panic,
}

/// One request. A watch has an entry when it begins and one when it ends; all else has one.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// The same for all entries of one request.
    pub id: String,
    /// When this was written.
    pub stage: Stage,
    /// When the request arrived.
    pub received: Timestamp,
    /// Who asked.
    pub user: String,
    /// As whom, where that was somebody else.
    pub impersonated: Option<String>,
    /// What the client says that it is.
    pub user_agent: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for what is not a
    /// resource the method in lower case.
    pub verb: String,
    /// Path and query.
    pub uri: String,
    /// API group; empty for the core group, and for what is not a resource.
    pub group: String,
    /// Plural of the resource; empty for what is not a resource.
    pub resource: String,
    /// Its subresource, or empty.
    pub subresource: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name of the object, or empty. A create names it where its body does.
    pub name: String,
    /// Status code of the answer; 0 where there was none.
    pub code: u16,
    /// What authorization and admission noted.
    pub annotations: BTreeMap<String, String>,
}

impl AuditEvent {
    /// What authorization decided: `allow` or `forbid`.
    pub fn decision(&self) -> Option<&str> {
        self.annotations.get("authorization.k8s.io/decision").map(String::as_str)
    }

    /// Why it decided so: the binding and the role.
    pub fn reason(&self) -> Option<&str> {
        self.annotations.get("authorization.k8s.io/reason").map(String::as_str)
    }

    /// Whether it is a request that writes, whatever came of it.
    pub fn is_write(&self) -> bool {
        ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str())
    }

    fn parse(line: &str) -> Option<Self> {
        let event: Value = serde_json::from_str(line).ok()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let stage = match event["stage"].as_str()? {
            "ResponseStarted" => Stage::ResponseStarted,
            "ResponseComplete" => Stage::ResponseComplete,
            "Panic" => Stage::Panic,
            _ => return None,
        };
        let object = &event["objectRef"];
        let annotations = event["annotations"].as_object().into_iter().flatten();
        Some(Self {
            id: event["auditID"].as_str()?.to_owned(),
            stage,
            received: event["requestReceivedTimestamp"].as_str()?.parse().ok()?,
            user: text(&event["user"]["username"]),
            impersonated: event["impersonatedUser"]["username"].as_str().map(str::to_owned),
            user_agent: text(&event["userAgent"]),
            verb: event["verb"].as_str()?.to_owned(),
            uri: event["requestURI"].as_str()?.to_owned(),
            group: text(&object["apiGroup"]),
            resource: text(&object["resource"]),
            subresource: text(&object["subresource"]),
            namespace: text(&object["namespace"]),
            name: text(&object["name"]),
            code: event["responseStatus"]["code"].as_u64().and_then(|code| code.try_into().ok()).unwrap_or(0),
            annotations: annotations.map(|(name, value)| (name.clone(), text(value))).collect(),
        })
    }
}

/// What was written from a position on, and the position after it. A line that is being written is left for
/// the next time.
pub(super) fn read(path: &Path, from: u64) -> Result<(Vec<AuditEvent>, u64), Error> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut bytes)
    });
    match read {
        // It is made at the first request.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), from)),
        other => other.map_err(Error::io(path.display().to_string()))?,
    };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let text = String::from_utf8_lossy(&bytes[..whole]);
    let parse = |line: &str| AuditEvent::parse(line).ok_or_else(|| Error::Audit(line.to_owned()));
    let events: Result<Vec<AuditEvent>, Error> = text.lines().map(parse).collect();
    Ok((events?, from + whole as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a",
        "stage":"ResponseComplete","requestURI":"/api/v1/namespaces/x/pods/p/status","verb":"patch",
        "user":{"username":"u","groups":["g"]},"userAgent":"curl","objectRef":{"resource":"pods","namespace":"x",
        "name":"p","apiVersion":"v1","subresource":"status"},"responseStatus":{"metadata":{},"code":403},
        "requestReceivedTimestamp":"2026-01-02T03:04:05.678901Z","stageTimestamp":"2026-01-02T03:04:05.7Z",
        "annotations":{"authorization.k8s.io/decision":"forbid"}}"#;

    #[test]
    fn reading_goes_on_where_it_stopped_and_leaves_a_line_that_is_being_written() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("audit.jsonl");
        assert!(read(&path, 0).unwrap().0.is_empty());
        let line = LINE.replace("\n        ", "");
        std::fs::write(&path, format!("{line}\n{line}\n{}", &line[..40])).unwrap();
        let (events, next) = read(&path, 0).unwrap();
        assert_eq!(events.len(), 2);
        assert_eq!(next, 2 * (line.len() as u64 + 1));
        std::fs::write(&path, format!("{line}\n{line}\n{line}\n")).unwrap();
        let (events, _) = read(&path, next).unwrap();
        let [event] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(
            (
                event.resource.as_str(),
                event.subresource.as_str(),
                event.code,
                event.decision(),
                event.is_write()
            ),
            ("pods", "status", 403, Some("forbid"), true)
        );
    }

    #[test]
    fn a_line_that_is_not_an_event_is_an_error() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::fs::write(&path, "{}\n").unwrap();
        assert!(matches!(read(&path, 0), Err(Error::Audit(_))));
    }
}
