//! Pure: the regular expressions of an expression's matchers. They are judged here as the engine reads them, and the
//! parser is given plain values instead: it would compile each one, which is most of the work of reading a rule, and
//! in the dialect of another library.

use std::borrow::Cow;

use super::re2::judge_anchored;

/// A value that nothing empty equals.
const SOME: &str = "\"x\"";
const EMPTY: &str = "\"\"";

/// The expression with each `=~` as `=`, and each `!~` as `!=`, to a value that is empty where the regular expression
/// matches what is empty: a selector that selects everything is still told. What cannot be read here stays as it is.
///
/// # Errors
/// The first regular expression that no engine reads, and why.
pub(super) fn without_regexes(expr: &str) -> Result<Cow<'_, str>, (String, &'static str)> {
    if !expr.contains("=~") && !expr.contains("!~") {
        return Ok(Cow::Borrowed(expr));
    }
    let mut plain = String::with_capacity(expr.len());
    let mut rest = expr;
    while let Some(c) = rest.chars().next() {
        let token = match c {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' | '\'' | '`' => quoted_length(rest),
            '=' | '!' if rest[1..].starts_with('~') => {
                let space = rest[2..].len() - rest[2..].trim_start().len();
                let after = &rest[2 + space..];
                let text = &after[..quoted_length(after)];
                // By the name of a metric selectors are told apart, and a second one is another mistake.
                let is_name = plain.trim_end().trim_end_matches(['"', '\'', '`']).ends_with("__name__");
                if let Some(regex) = unquoted(text) {
                    judge_anchored(&regex).map_err(|why| (regex.clone().into_owned(), why))?;
                    let operator = match (c, is_name) {
                        (_, true) => &rest[..2],
                        ('=', _) => "=",
                        _ => "!=",
                    };
                    plain += operator;
                    plain += &rest[2..2 + space];
                    plain += if matches_empty(&regex) { EMPTY } else { SOME };
                    rest = &after[text.len()..];
                    continue;
                }
                2
            }
            _ => c.len_utf8(),
        };
        plain += &rest[..token];
        rest = &rest[token..];
    }
    Ok(Cow::Owned(plain))
}

/// The length of the text in quotes that this begins with, quotes included; of all where it does not end, and 0 where
/// it is none.
fn quoted_length(text: &str) -> usize {
    let Some(quote) = text.chars().next().filter(|c| ['"', '\'', '`'].contains(c)) else { return 0 };
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The text in quotes; none where it does not end, or has an escape that is not common in regular expressions.
fn unquoted(text: &str) -> Option<Cow<'_, str>> {
    let quote = text.chars().next()?;
    let inner = text[1..].strip_suffix(quote)?;
    if quote == '`' || !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    let (mut plain, mut chars) = (String::with_capacity(inner.len()), inner.chars());
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                't' => '\t',
                c if c == '\\' || c == quote => c,
                _ => return None,
            },
            c => c,
        });
    }
    Some(Cow::Owned(plain))
}

/// Whether it surely matches an empty value. What only the engine's dialect has is taken for one that does not, and so
/// is a boundary of a word, which nothing empty has.
fn matches_empty(regex: &str) -> bool {
    regex_syntax::parse(regex).is_ok_and(|hir| {
        let properties = hir.properties();
        properties.minimum_len() == Some(0) && !properties.look_set().contains_word()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_keeps_whether_it_matches_what_is_empty() {
        for (expr, plain) in [
            ("up == 0", "up == 0"),
            ("a{b=~\"c|d\"} > 1", "a{b=\"x\"} > 1"),
            ("a{b!~'c.+', d = ~\"e\"}", "a{b!=\"x\", d = ~\"e\"}"),
            ("{b =~ `.*`}", "{b = \"\"}"),
            ("{b=~\"|x\"}", "{b=\"\"}"),
            ("{b=~\"^$\"}", "{b=\"\"}"),
            ("{b=~\"\\\\bx*\"}", "{b=\"x\"}"),
            ("{b=~\"\\\\Qa.b\\\\E\"}", "{b=\"x\"}"),
            ("{__name__=~\"a.*\", \"__name__\" !~ \"b\"}", "{__name__=~\"x\", \"__name__\" !~ \"x\"}"),
            (
                "label_replace(a, \"b=~\\\"c\", \"(\", \"\", \"\")",
                "label_replace(a, \"b=~\\\"c\", \"(\", \"\", \"\")",
            ),
            ("a # b=~\"(\"\n > 1", "a # b=~\"(\"\n > 1"),
            ("a{b=~\"c", "a{b=~\"c"),
            ("a{b=~c}", "a{b=~c}"),
            ("a{b=~\"\\x28\"}", "a{b=~\"\\x28\"}"),
            ("a{b=~", "a{b=~"),
            ("a{ü=~\"ü\"}", "a{ü=\"x\"}"),
        ] {
            assert_eq!(without_regexes(expr).unwrap(), plain, "{expr}");
        }
    }

    #[test]
    fn what_no_engine_reads_is_named() {
        let (regex, why) = without_regexes("a{b=~\"c(\"}").unwrap_err();
        assert_eq!((regex.as_str(), why), ("c(", "a ( without its )"));
        // Of the crate, not of RE2, and the other way round.
        assert!(without_regexes("a{b=~\"(?x) c\"}").is_err());
        assert!(without_regexes("a{b!~\"c{\"}").is_ok());
    }
}
