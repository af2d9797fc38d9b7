//! Routes, matchers and receivers.

use std::collections::BTreeSet;

use obstack_crds::stack::{Alerting, Grouping, Receiver, Webhook};
use obstack_crds::workload::SecretKey;

use crate::units::PromDuration;

use super::grammar::{is_dns_subdomain, is_label_name};
use super::re2::judge_anchored;
use super::{Faults, quoted};

pub(super) fn check(alerting: &Alerting, faults: &mut Faults) {
    let names = receivers(&alerting.receivers, faults);
    let Some(route) = &alerting.route else { return };
    let path = "spec.alerting.route";
    known(&format!("{path}.receiver"), &route.receiver, &names, faults);
    grouping(path, &route.grouping, faults);
    for (index, child) in route.routes.iter().enumerate() {
        let path = format!("{path}.routes[{index}]");
        known(&format!("{path}.receiver"), &child.receiver, &names, faults);
        grouping(&path, &child.grouping, faults);
        if child.matchers.is_empty() {
            let write = "at least one matcher, such as severity=\"critical\"";
            faults.add(format!("{path}.matchers"), "no matcher", write);
        }
        for (number, matcher) in child.matchers.iter().enumerate() {
            if let Err(reason) = read_matcher(matcher) {
                let write = "a label, one of = != =~ !~, and a value, such as severity=\"critical\"";
                faults.add(
                    format!("{path}.matchers[{number}]"),
                    format!("{} ({reason})", quoted(matcher)),
                    write,
                );
            }
        }
    }
}

/// Checks the receivers and returns their names.
fn receivers<'a>(receivers: &'a [Receiver], faults: &mut Faults) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (index, receiver) in receivers.iter().enumerate() {
        let path = format!("spec.alerting.receivers[{index}]");
        if receiver.name.trim().is_empty() {
            faults.add(format!("{path}.name"), quoted(&receiver.name), "a name, unique in the stack");
        } else if !names.insert(receiver.name.as_str()) {
            let found = format!("{} a second time", quoted(&receiver.name));
            faults.add(format!("{path}.name"), found, "a name that no other receiver of the stack has");
        }
        for (number, slack) in receiver.slack.iter().enumerate() {
            secret(&format!("{path}.slack[{number}].apiUrl"), &slack.api_url, faults);
        }
        for (number, hook) in receiver.webhook.iter().enumerate() {
            webhook(&format!("{path}.webhook[{number}]"), hook, faults);
        }
    }
    names
}

fn webhook(path: &str, hook: &Webhook, faults: &mut Faults) {
    match (&hook.url, &hook.url_secret) {
        (Some(_), Some(_)) => faults.add(path, "both url and urlSecret", "one of the two"),
        (None, None) => faults.add(path, "neither url nor urlSecret", "one of the two"),
        (Some(url), None) if !is_http_url(url) => {
            // The text of a URL can hold a password, so it is not repeated.
            let write = "an address that starts with http:// or https:// and names a host";
            faults.add(format!("{path}.url"), "no URL", write);
        }
        (None, Some(key)) => secret(&format!("{path}.urlSecret"), key, faults),
        _ => {}
    }
}

fn is_http_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    host.is_some_and(|host| !host.is_empty() && !host.starts_with(':') && !host.ends_with('@'))
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn secret(path: &str, key: &SecretKey, faults: &mut Faults) {
    if !is_dns_subdomain(&key.name) {
        faults.add(
            format!("{path}.name"),
            quoted(&key.name),
            "the name of a Secret in the stack's namespace",
        );
    }
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if key.key.is_empty() || !key.key.chars().all(known) {
        faults.add(format!("{path}.key"), quoted(&key.key), "a key in the data of the Secret, such as url");
    }
}

fn known(path: &str, receiver: &str, names: &BTreeSet<&str>, faults: &mut Faults) {
    if names.contains(receiver) {
        return;
    }
    let write = match crate::text::nearest(receiver, names.iter().copied()) {
        Some(near) => format!("{near}, if that is what is meant, or add the receiver"),
        None if names.is_empty() => "the receiver under spec.alerting.receivers too".to_owned(),
        None => {
            let some: Vec<&str> = names.iter().copied().take(8).collect();
            format!("one of {}, or add the receiver", some.join(", "))
        }
    };
    faults.add(path, format!("the receiver {}, which does not exist", quoted(receiver)), write);
}

fn grouping(path: &str, grouping: &Grouping, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for (index, label) in grouping.group_by.iter().enumerate() {
        let path = format!("{path}.groupBy[{index}]");
        if label == "..." {
            if grouping.group_by.len() > 1 {
                faults.add(path, "\"...\" beside other labels", "\"...\" alone, or each label by name");
            }
        } else if !is_label_name(label) {
            faults.add(path, quoted(label), "the name of a label, such as alertname, or \"...\" for all");
        } else if !seen.insert(label) {
            faults.add(path, format!("{} a second time", quoted(label)), "each label once");
        }
    }
    faults.read_wait(&format!("{path}.groupWait"), grouping.group_wait.as_deref());
    faults.read::<PromDuration>(&format!("{path}.groupInterval"), grouping.group_interval.as_deref());
    faults.read::<PromDuration>(&format!("{path}.repeatInterval"), grouping.repeat_interval.as_deref());
}

/// Whether a text is one matcher of Alertmanager: a label, an operator and a value, each in quotes or not.
fn read_matcher(text: &str) -> Result<(), &'static str> {
    let text = text.trim();
    let (name, rest) = take_token(text)?;
    if name.is_empty() {
        return Err("no label's name");
    }
    let rest = rest.trim_start();
    let (operator, rest) = ["=~", "!~", "!=", "="]
        .into_iter()
        .find_map(|operator| Some((operator, rest.strip_prefix(operator)?)))
        .ok_or("no operator after the label's name")?;
    let (value, rest) = take_token(rest.trim_start())?;
    if !rest.trim().is_empty() {
        return Err("more than one matcher, or a value that needs quotes");
    }
    if operator.ends_with('~') && judge_anchored(&value).is_err() {
        return Err("no regular expression after =~ or !~");
    }
    Ok(())
}

/// A token in quotes with its escapes resolved, or up to the next character that has a meaning.
fn take_token(text: &str) -> Result<(String, &str), &'static str> {
    if let Some(inner) = text.strip_prefix('"') {
        let mut value = String::new();
        let mut chars = inner.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => return Ok((value, &inner[at + 1..])),
                '\\' => match chars.next().ok_or("a quote that nothing closes")?.1 {
                    'n' => value.push('\n'),
                    escaped @ ('"' | '\\') => value.push(escaped),
                    other => value.extend(['\\', other]),
                },
                _ => value.push(c),
            }
        }
        return Err("a quote that nothing closes");
    }
    let special = |c: char| c.is_whitespace() || "{}!=~,\"'`\\".contains(c);
    // A value without quotes may go on with characters that only end a label's name in front of it.
    let end = text.find(special).unwrap_or(text.len());
    Ok((text[..end].to_owned(), &text[end..]))
}
