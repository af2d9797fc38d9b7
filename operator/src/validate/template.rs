//! What is surely wrong with a template in a label or an annotation of an alert. The engine's own checker has
//! the last word.

/// Characters that have no meaning in an action outside of quotes.
const STRANGE: &str = "*/%<>!&^~?[]{#@;\\";

const CLOSE: &str = "}} after every {{: an action of a template is not closed";

/// What to write instead, where something is surely wrong with a template.
pub(crate) fn fault(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some((_, action)) = rest.split_once("{{") {
        match skip_action(action) {
            Ok(after) => rest = after,
            Err(write) => return Some(write),
        }
    }
    None
}

/// What follows an action that starts behind its braces, or what to write instead of it.
fn skip_action(action: &str) -> Result<&str, String> {
    let trimmed = action.strip_prefix('-').unwrap_or(action).trim_start();
    if let Some(comment) = trimmed.strip_prefix("/*") {
        let (_, after) = comment.split_once("*/").ok_or("*/ and }} after every comment of a template")?;
        return Ok(after.split_once("}}").ok_or(CLOSE)?.1);
    }
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in action.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(open) if c == '\\' && open != '`' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '`' | '\'') => quote = Some(c),
            None if action[at..].starts_with("}}") => return Ok(&action[at + 2..]),
            None if STRANGE.contains(c) => {
                return Err(format!(
                    "the arithmetic in the expression and not in the template: {c:?} means nothing there, \
                     functions do, as in {{{{ $value | humanize }}}}"
                ));
            }
            None => {}
        }
    }
    Err(CLOSE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn templates_that_engines_take_have_no_fault() {
        for text in [
            "",
            "no template } here {",
            "{{ $labels.pod }} is at {{ $value }}",
            "{{ $value | humanizePercentage }} of {{- .Labels.job -}} x",
            "{{ printf \"%.1f}} %% [*]\" $value }}",
            "{{ with query `up{job=\"x\"} > 1` }}{{ . | first | value }}{{ end }}",
            "{{ range $i, $s := query \"up\" }}{{ $s.Labels.pod }}{{ end }}",
            "{{/* a * comment }} */}}",
            "{{- /* trimmed */ -}}x",
            "{{ if and (gt $value 1.5) (ne $labels.a \"b\\\"c\") }}a{{ else }}b{{ end }}",
            "{{ (index $labels \"a\") }}",
        ] {
            assert_eq!(fault(text), None, "{text}");
        }
    }

    #[test]
    fn what_no_engine_takes_is_told() {
        for (text, write) in [
            ("{{ $value * 2 }}", "arithmetic"),
            ("{{ $value > 1 }}", "arithmetic"),
            ("{{ $labels[0] }}", "functions"),
            ("at {{ $value", "after every {{"),
            ("at {{ $value }", "after every {{"),
            ("{{ \"}} }}", "after every {{"),
            ("{{/* a }}", "comment"),
        ] {
            assert!(fault(text).is_some_and(|f| f.contains(write)), "{text}: {:?}", fault(text));
        }
    }
}
