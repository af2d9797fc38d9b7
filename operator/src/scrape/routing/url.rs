//! URLs as Alertmanager takes them.

use super::place::Place;
use crate::validate::Fault;

/// What to write instead of a text that is no URL.
const WRITE: &str = "an address that starts with http:// or https:// and names a host";

/// Holds that a text is a URL of Alertmanager's: http or https, with a host, without anything that no URL
/// has.
///
/// # Errors
/// A fault that does not repeat the text: a URL can hold a password.
pub(super) fn check(text: &str, place: &Place<'_>) -> Result<(), Fault> {
    reason(text).map_or(Ok(()), |found| Err(place.fault(found, WRITE)))
}

/// As [`check`]; a text with a template in it is judged when it is filled in.
///
/// # Errors
/// As [`check`], and where a template is not closed.
pub(super) fn check_template(text: &str, place: &Place<'_>) -> Result<(), Fault> {
    if !text.contains("{{") {
        return check(text, place);
    }
    match crate::validate::template_fault(text) {
        Some(write) => Err(place.fault("a broken template in a URL", write)),
        None => Ok(()),
    }
}

/// What is wrong with a text as a URL.
fn reason(text: &str) -> Option<&'static str> {
    let scheme = |name: &str| text.get(..name.len()).is_some_and(|front| front.eq_ignore_ascii_case(name));
    let rest = match ["http://", "https://"].into_iter().find(|name| scheme(name)) {
        Some(name) => &text[name.len()..],
        None => return Some("no URL with http:// or https://"),
    };
    if text.chars().any(|c| c.is_control() || c == '"' || c == '\\') {
        return Some("a URL with a quote, a backslash or a control character in it");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let (name, port) = match host.strip_prefix('[') {
        Some(literal) => match literal.split_once(']') {
            Some((name, after)) => (name, after),
            None => return Some("a URL whose host opens a bracket that nothing closes"),
        },
        None => match host.split_once(':') {
            Some((name, _)) => (name, &host[name.len()..]),
            None => (host, ""),
        },
    };
    if name.is_empty() && port.is_empty() {
        return Some("a URL without a host");
    }
    if name.contains(|c: char| " <>^`{|}".contains(c)) {
        return Some("a URL whose host has a character that no host has");
    }
    let digits = port.strip_prefix(':').unwrap_or(port);
    if (port.is_empty() || port.starts_with(':')) && digits.chars().all(|c| c.is_ascii_digit()) {
        let escape = |(at, _): (usize, &str)| {
            let code = text.as_bytes().get(at + 1..at + 3);
            !code.is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit))
        };
        let path = text.split(['?', '#']).next().unwrap_or_default();
        return path.match_indices('%').any(escape).then_some("a URL with a % that no two hex digits follow");
    }
    Some("a URL whose port is no number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_from_what_is_none() {
        for text in [
            "http://a",
            "https://a.example:443/x?y=z#f",
            "HTTP://a",
            "http://user:p%40ss@host/p",
            "http://[::1]:9093/",
            "http://a/b c",
            "https://hooks.example/T0/B0/x",
            "http://a/?q=100%",
        ] {
            assert_eq!(reason(text), None, "{text}");
        }
        for text in [
            "",
            "a.example",
            "://a",
            "ftp://a",
            "http://",
            "http:///x",
            "http://a:b/",
            "http://[::1",
            "http://a\n",
            "http://a\"",
            "http://a b/",
            "http://a/%zz",
            "http://a/%4",
            "httpé",
        ] {
            assert!(reason(text).is_some(), "{text}");
        }
    }

    #[test]
    fn templates_are_left_to_when_they_are_filled_in() {
        let place = Place::root("spec");
        assert!(check_template("{{ .ExternalURL }}/x", &place).is_ok());
        assert!(check_template("{{ .ExternalURL /x", &place).is_err());
        let fault = check_template("user:secret@x", &place).unwrap_err();
        assert!(!fault.to_string().contains("secret"));
    }
}
