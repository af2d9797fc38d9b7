//! Whether selectors of labels and fields are sound, and what they are as one text.

use super::{Rejection, Under, fault};
use crate::scrape::objects::{Expression, LabelSelector};

/// Most requirements of one selector.
const MAX_REQUIREMENTS: usize = 500;

/// Judges a selector of labels.
pub(crate) fn judge(path: &str, selector: &LabelSelector) -> Result<(), Rejection> {
    let count = selector.match_labels.len() + selector.match_expressions.len();
    if count > MAX_REQUIREMENTS {
        return Err(fault(path, format!("{count} requirements"), format!("at most {MAX_REQUIREMENTS}")));
    }
    for (key, value) in &selector.match_labels {
        judge_key("matchLabels", key).under(path)?;
        judge_value("matchLabels", value).under(path)?;
    }
    for (index, expression) in selector.match_expressions.iter().enumerate() {
        judge_expression(expression).at("matchExpressions", index).under(path)?;
    }
    Ok(())
}

fn judge_expression(expression: &Expression) -> Result<(), Rejection> {
    judge_key("key", &expression.key)?;
    match expression.operator.as_str() {
        "In" | "NotIn" if expression.values.is_empty() => {
            Err(fault("values", "none", format!("the values that {} looks for", expression.operator)))
        }
        "In" | "NotIn" => expression.values.iter().try_for_each(|value| judge_value("values", value)),
        "Exists" | "DoesNotExist" if !expression.values.is_empty() => {
            Err(fault("values", "values", format!("nothing there with {}", expression.operator)))
        }
        "Exists" | "DoesNotExist" => Ok(()),
        other => Err(fault("operator", format!("{other:?}"), "In, NotIn, Exists or DoesNotExist")),
    }
}

fn judge_key(path: &str, key: &str) -> Result<(), Rejection> {
    if is_key(key) {
        return Ok(());
    }
    Err(fault(path, format!("{key:?}, which is no key of a label"), "a key such as app.kubernetes.io/name"))
}

fn judge_value(path: &str, value: &str) -> Result<(), Rejection> {
    if is_value(value) {
        return Ok(());
    }
    let write = "at most 63 letters, digits, dashes, underscores and dots, the first and last no sign";
    Err(fault(path, format!("{value:?}, which is no value of a label"), write))
}

fn is_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let domain = |prefix: &str| {
        prefix.len() <= 253
            && prefix.split('.').all(|label| {
                let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                !label.is_empty()
                    && label.bytes().all(inner)
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            })
    };
    prefix.is_none_or(domain) && !name.is_empty() && is_value(name)
}

fn is_value(value: &str) -> bool {
    let sign = |b: u8| matches!(b, b'-' | b'_' | b'.');
    value.len() <= 63
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || sign(b))
        && !value.bytes().next().is_some_and(sign)
        && !value.bytes().last().is_some_and(sign)
}

/// The selector as one text, sorted by key, as the API takes it in a query.
pub(crate) fn to_text(selector: &LabelSelector) -> String {
    let mut parts: Vec<(&str, String)> =
        selector.match_labels.iter().map(|(key, value)| (key.as_str(), format!("{key}={value}"))).collect();
    for Expression { key, operator, values } in &selector.match_expressions {
        let mut values = values.clone();
        values.sort();
        values.dedup();
        let text = match operator.as_str() {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.clone(),
            _ => format!("!{key}"),
        };
        parts.push((key, text));
    }
    parts.sort_by(|a, b| a.0.cmp(b.0));
    parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

/// Judges a selector of fields as a text, such as `metadata.name=a,status.phase!=Failed`.
pub(crate) fn judge_fields(path: &str, text: &str) -> Result<(), Rejection> {
    let sound = text.split(',').all(|term| term.is_empty() || term.contains('='))
        && !text.replace("\\\\", "").replace("\\,", "").replace("\\=", "").contains('\\');
    if sound {
        return Ok(());
    }
    Err(fault(path, format!("{text:?}"), "field=value or field!=value, separated by commas"))
}

/// What separates words in a selector.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Judges a selector of labels as a text, such as `app=a,tier in (x,y),!old`.
pub(crate) fn judge_labels(path: &str, text: &str) -> Result<(), Rejection> {
    let mut rest = text.trim_matches(BLANKS);
    let sound = loop {
        if rest.is_empty() {
            break true;
        }
        match requirement(rest) {
            Some(after) => rest = after.trim_start_matches(BLANKS),
            None => break false,
        }
        match rest.strip_prefix(',') {
            Some(after) if !after.trim_matches(BLANKS).is_empty() => rest = after.trim_start_matches(BLANKS),
            Some(_) => break false,
            None => break rest.is_empty(),
        }
    };
    if sound {
        return Ok(());
    }
    Err(fault(path, format!("{text:?}"), "a selector such as app=a,tier in (x,y),!old"))
}

fn token(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| BLANKS.contains(&c) || "=!(),<>".contains(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// Reads one requirement and gives what comes after it.
fn requirement(text: &str) -> Option<&str> {
    if let Some(negated) = text.strip_prefix('!') {
        let (key, rest) = token(negated.trim_start_matches(BLANKS));
        return is_key(key).then_some(rest);
    }
    let (key, rest) = token(text);
    if !is_key(key) {
        return None;
    }
    let rest = rest.trim_start_matches(BLANKS);
    let one_value = |rest: &str, number: bool| {
        let (value, _) = token(rest.trim_start_matches(BLANKS));
        (is_value(value) && (!number || value.parse::<i64>().is_ok())).then_some(())
    };
    for operator in ["==", "!=", "=", ">", "<"] {
        if let Some(after) = rest.strip_prefix(operator) {
            one_value(after, operator == ">" || operator == "<")?;
            return Some(token(after.trim_start_matches(BLANKS)).1);
        }
    }
    if rest.is_empty() || rest.starts_with(',') {
        return Some(rest);
    }
    let (word, after) = token(rest);
    if word != "in" && word != "notin" {
        return None;
    }
    let (values, after) = after.trim_start_matches(BLANKS).strip_prefix('(')?.split_once(')')?;
    values.split(',').all(|value| is_value(value.trim_matches(BLANKS))).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(yaml: &str) -> LabelSelector {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn selectors_are_judged_and_written() {
        let sound = selector(
            "{ matchLabels: { b: x, a.example/c: '' }, matchExpressions: [{ key: b, operator: In, values: [z, y] }, \
             { key: a, operator: DoesNotExist }, { key: c, operator: Exists }, { key: d, operator: NotIn, values: [q] \
             }] }",
        );
        judge("selector", &sound).unwrap();
        assert_eq!(to_text(&sound), "!a,a.example/c=,b=x,b in (y,z),c,d notin (q)");
        for (yaml, path) in [
            ("{ matchLabels: { '-a': b } }", "selector.matchLabels"),
            ("{ matchLabels: { a: 'b c' } }", "selector.matchLabels"),
            ("{ matchExpressions: [{ key: a, operator: In }] }", "selector.matchExpressions[0].values"),
            ("{ matchExpressions: [{ key: a, operator: Has }] }", "selector.matchExpressions[0].operator"),
            (
                "{ matchExpressions: [{ key: a, operator: Exists, values: [b] }] }",
                "selector.matchExpressions[0].values",
            ),
            ("{ matchExpressions: [{ operator: Exists }] }", "selector.matchExpressions[0].key"),
        ] {
            assert_eq!(judge("selector", &selector(yaml)).unwrap_err().path, path, "{yaml}");
        }
    }

    #[test]
    fn texts_of_selectors_are_judged() {
        for text in
            ["", "a", "!a", "a=b", "a==b,c!=d", "a in (x, y),b notin (z)", "a>1", "node.k8s.io/x=y", "a="]
        {
            judge_labels("", text).unwrap_or_else(|e| panic!("{text}: {e}"));
        }
        for text in ["a b", "a=b=c", "a in x", "a in (x", ",a", "a,", "a>x", "-a", "a=b c", "(a)", "\u{2028}"]
        {
            assert!(judge_labels("", text).is_err(), "{text}");
        }
        for text in ["", "metadata.name=a", "a!=b,c==d", "a=b,"] {
            judge_fields("", text).unwrap_or_else(|e| panic!("{text}: {e}"));
        }
        for text in ["a", "metadata.name", "a=b,c"] {
            assert!(judge_fields("", text).is_err(), "{text}");
        }
    }
}
