//! Whether steps of relabelling are sound.

use super::names::{bounded, is_label_for};
use super::{Rejection, Under, fault};
use crate::scrape::objects::Relabel;
use crate::scrape::version::Version;
use crate::validate::re2::judge_anchored;

/// Most steps in one list: an engine runs each for every target or sample.
const MAX_STEPS: usize = 1_000;

/// What steps are judged for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) version: Version,
    /// Whether names of labels are bound to ASCII although the engine knows more.
    pub(crate) legacy_names: bool,
}

pub(crate) fn judge_list(path: &str, rules: Rules, steps: &[Relabel]) -> Result<(), Rejection> {
    if steps.len() > MAX_STEPS {
        return Err(fault(path, format!("{} steps", steps.len()), format!("at most {MAX_STEPS}")));
    }
    for (index, step) in steps.iter().enumerate() {
        judge(rules, step).at(path, index)?;
    }
    Ok(())
}

const ACTIONS: [&str; 11] = [
    "replace",
    "keep",
    "drop",
    "hashmod",
    "labelmap",
    "labeldrop",
    "labelkeep",
    "lowercase",
    "uppercase",
    "keepequal",
    "dropequal",
];

/// Judges one step.
pub(crate) fn judge(rules: Rules, step: &Relabel) -> Result<(), Rejection> {
    let action = if step.action.is_empty() { "replace" } else { step.action.as_str() };
    let Some(action) = ACTIONS.into_iter().find(|known| known.eq_ignore_ascii_case(action)) else {
        return Err(fault("action", format!("{action:?}"), format!("one of {}", ACTIONS.join(", "))));
    };
    let needs = match action {
        "lowercase" | "uppercase" if !rules.version.at_least(2, 36, 0) => Some("2.36.0"),
        "keepequal" | "dropequal" if !rules.version.at_least(2, 41, 0) => Some("2.41.0"),
        _ => None,
    };
    if let Some(version) = needs {
        let found = format!("{action} for Prometheus {}", rules.version);
        return Err(fault("action", found, format!("another action, or run Prometheus {version} or newer")));
    }
    bounded("regex", &step.regex)?;
    judge_anchored(&step.regex).map_err(|what| {
        fault("regex", format!("{:?}: {what}", step.regex), "a regular expression of RE2 as Go reads it")
    })?;
    for (path, text) in [
        ("targetLabel", Some(&step.target_label)),
        ("replacement", step.replacement.as_ref()),
        ("separator", step.separator.as_ref()),
    ] {
        bounded(path, text.map_or("", String::as_str))?;
    }
    for (index, label) in step.source_labels.iter().enumerate() {
        if !is_label_for(rules.version, rules.legacy_names, label) {
            let found = format!("{label:?}, which is no name of a label");
            return Err(fault("", found, "letters, digits and underscores")).at("sourceLabels", index);
        }
    }
    if action == "hashmod" && step.modulus == 0 {
        return Err(fault("modulus", "0", "a number of 1 or more for hashmod"));
    }
    judge_target(rules, action, step)?;
    judge_others(action, step)
}

fn judge_target(rules: Rules, action: &str, step: &Relabel) -> Result<(), Rejection> {
    let target = step.target_label.as_str();
    let needed = ["replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal"].contains(&action);
    if needed && target.is_empty() {
        return Err(fault("targetLabel", "none", format!("the label that {action} works on")));
    }
    let expands = needed && action != "hashmod";
    let sound = if expands {
        is_target(rules, target)
    } else {
        !needed || is_label_for(rules.version, rules.legacy_names, target)
    };
    if !sound {
        return Err(fault("targetLabel", format!("{target:?}"), format!("the name of a label for {action}")));
    }
    match &step.replacement {
        Some(replacement) if action == "labelmap" && !is_target(rules, replacement) => {
            Err(fault("replacement", format!("{replacement:?}"), "the name of a label, such as ${1}"))
        }
        _ => Ok(()),
    }
}

/// Fields that an action does not take, but for their defaults.
fn judge_others(action: &str, step: &Relabel) -> Result<(), Rejection> {
    let replaced = step.replacement.as_deref().is_some_and(|text| text != "$1");
    let separated = step.separator.as_deref().is_some_and(|text| text != ";");
    let matched = !step.regex.is_empty() && step.regex != "(.*)" && step.regex != "^(?s:(.*))$";
    let refuse = |path: &str, takes: &str| {
        Err(fault(path, "a value", format!("nothing there: {action} takes only {takes}")))
    };
    match action {
        "lowercase" | "uppercase" if replaced => refuse("replacement", "sourceLabels and targetLabel"),
        "keepequal" | "dropequal" => {
            let takes = "sourceLabels and targetLabel";
            match () {
                () if replaced => refuse("replacement", takes),
                () if matched => refuse("regex", takes),
                () if step.modulus != 0 => refuse("modulus", takes),
                () if separated => refuse("separator", takes),
                () => Ok(()),
            }
        }
        "labeldrop" | "labelkeep" => match () {
            () if !step.source_labels.is_empty() => refuse("sourceLabels", "regex"),
            () if !step.target_label.is_empty() => refuse("targetLabel", "regex"),
            () if step.modulus != 0 => refuse("modulus", "regex"),
            () if separated => refuse("separator", "regex"),
            () if replaced => refuse("replacement", "regex"),
            () => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Whether a text is the name of a label once `$1` and `${name}` are filled in.
fn is_target(rules: Rules, text: &str) -> bool {
    if rules.version.at_least(3, 0, 0) && !rules.legacy_names {
        return !text.is_empty();
    }
    let mut rest = text;
    let mut first = true;
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    while let Some(b) = rest.bytes().next() {
        if b == b'$' {
            let inside = &rest[1..];
            let (name, after) = match inside.strip_prefix('{') {
                Some(braced) => match braced.split_once('}') {
                    Some(parts) => parts,
                    None => return false,
                },
                None => inside.split_at(inside.bytes().take_while(|b| word(*b)).count()),
            };
            if name.is_empty() || !name.bytes().all(word) {
                return false;
            }
            rest = after;
        } else if word(b) && !(first && b.is_ascii_digit()) {
            rest = &rest[1..];
        } else {
            return false;
        }
        first = false;
    }
    !first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(yaml: &str) -> Relabel {
        serde_saphyr::from_str(yaml).unwrap()
    }

    fn rules(version: &str) -> Rules {
        Rules { version: version.parse().unwrap(), legacy_names: false }
    }

    #[test]
    fn sound_steps_are_taken() {
        for yaml in [
            "{ targetLabel: a }",
            "{ action: Replace, sourceLabels: [a, b], targetLabel: '${1}_x', regex: '(.+);(.*)', replacement: '' }",
            "{ action: LabelMap, regex: 'a_(.+)', replacement: '${1}' }",
            "{ action: labeldrop, regex: 'a_(.+)', replacement: '$1', separator: ';' }",
            "{ action: hashmod, sourceLabels: [a], targetLabel: b, modulus: 2 }",
            "{ action: keep, sourceLabels: [a], regex: 'x{' }",
            "{ action: keepequal, sourceLabels: [a], targetLabel: b }",
        ] {
            for version in ["2.53.0", "3.5.0"] {
                judge(rules(version), &step(yaml)).unwrap_or_else(|e| panic!("{yaml}: {e}"));
            }
        }
        judge(rules("3.5.0"), &step("{ targetLabel: ' utf 8 é' }")).unwrap();
    }

    #[test]
    fn unsound_steps_name_their_field() {
        for (yaml, path) in [
            ("{ action: nope, targetLabel: a }", "action"),
            ("{ targetLabel: '' }", "targetLabel"),
            ("{ targetLabel: 'l\\${3' }", "targetLabel"),
            ("{ targetLabel: '1a' }", "targetLabel"),
            ("{ targetLabel: a, regex: 'x)' }", "regex"),
            ("{ action: hashmod, targetLabel: a }", "modulus"),
            ("{ action: hashmod, targetLabel: '${1}', modulus: 1 }", "targetLabel"),
            ("{ action: lowercase, targetLabel: a, replacement: x }", "replacement"),
            ("{ action: labelmap, regex: a, replacement: 'a b' }", "replacement"),
            ("{ action: labelkeep, regex: a, sourceLabels: [b] }", "sourceLabels"),
            ("{ action: dropequal, sourceLabels: [a], targetLabel: b, separator: x }", "separator"),
            ("{ action: keep, sourceLabels: ['a b'], regex: x }", "sourceLabels[0]"),
        ] {
            assert_eq!(judge(rules("2.53.0"), &step(yaml)).unwrap_err().path, path, "{yaml}");
        }
        for (yaml, version) in [
            ("{ action: keepequal, sourceLabels: [a], targetLabel: b }", "2.40.0"),
            ("{ action: uppercase, sourceLabels: [a], targetLabel: b }", "2.35.0"),
        ] {
            assert_eq!(judge(rules(version), &step(yaml)).unwrap_err().path, "action");
        }
        let legacy = Rules { legacy_names: true, ..rules("3.5.0") };
        assert!(judge(legacy, &step("{ targetLabel: 'é' }")).is_err());
    }
}
