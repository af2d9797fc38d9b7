//! Whether an engine can read a regular expression: the syntax of RE2 as Go has it. The crate `regex` is close, but
//! takes and refuses others (`foo{`, `[[a]`, `\Qa.b\E`, `\<` are Go's; `(?x)`, `[a&&b]`, `\b{start}` are not), and it
//! compiles what is only to be judged here. One pass, no recursion, no memory beyond the open groups.

/// Deepest nesting of groups, as in Go.
const MAX_DEPTH: usize = 1_000;
/// Most times that anything is repeated, nested repetitions multiplied, as in Go.
const MAX_REPEAT: u64 = 1_000;
/// Most steps of the program that an expression becomes, repetitions written out. Go has no such bound but for
/// memory; this is a few MB in each engine.
const MAX_SIZE: u64 = 100_000;

/// What is on top of a group: whether something can be repeated, and how large it is.
#[derive(Clone, Copy, Default)]
struct Atom {
    size: u64,
    repeats: u64,
}

#[derive(Clone, Default)]
struct Group {
    /// Everything before the last atom.
    done: Atom,
    last: Option<Atom>,
}

impl Group {
    fn push(&mut self, atom: Atom) {
        if let Some(last) = self.last.replace(atom) {
            self.done.size = self.done.size.saturating_add(last.size);
            self.done.repeats = self.done.repeats.max(last.repeats);
        }
    }

    fn close(mut self) -> Atom {
        self.push(Atom { size: 1, repeats: 1 });
        Atom { size: self.done.size.saturating_add(1), repeats: self.done.repeats.max(1) }
    }
}

/// Judges an expression as relabelling uses it: anchored, the whole of it one group.
///
/// # Errors
/// What is wrong, in a few words.
pub(crate) fn judge_anchored(text: &str) -> Result<(), &'static str> {
    // Most are.
    if is_choice(text) || matches!(text, "(.*)" | "(.+)" | ".*" | ".+") {
        return Ok(());
    }
    judge(&["^(?s:", text, ")$"].concat())
}

/// Whether an expression is a word or words to choose from: `a`, `a|b`, `(a|b)`.
fn is_choice(text: &str) -> bool {
    let inside = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
    inside.bytes().all(|b| is_word(b) || b == b'|')
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn judge(text: &str) -> Result<(), &'static str> {
    let mut groups: Vec<Group> = vec![Group::default()];
    let mut names: Vec<&str> = Vec::new();
    let mut rest = text;
    // Whether the last thing read was a repetition.
    let mut repeated = false;
    while let Some(c) = rest.chars().next() {
        let depth = groups.len();
        let Some(top) = groups.last_mut() else { return Err("an unexpected )") };
        let one = Atom { size: 1, repeats: 1 };
        let was_repeated = std::mem::take(&mut repeated);
        match c {
            '(' => {
                let opened = open(rest, &mut names)?;
                rest = opened.rest;
                if opened.group {
                    if depth > MAX_DEPTH {
                        return Err("groups that nest too deeply");
                    }
                    groups.push(Group::default());
                }
                continue;
            }
            ')' => {
                let closed = groups.pop().unwrap_or_default().close();
                match groups.last_mut() {
                    Some(outer) => outer.push(closed),
                    None => return Err("an unexpected )"),
                }
            }
            '|' => {
                // What comes next has nothing before it to repeat.
                if let Some(last) = top.last.take() {
                    top.done.size = top.done.size.saturating_add(last.size);
                    top.done.repeats = top.done.repeats.max(last.repeats);
                }
                top.done.size = top.done.size.saturating_add(1);
            }
            '*' | '+' | '?' => {
                rest = &rest[1..];
                rest = rest.strip_prefix('?').unwrap_or(rest);
                repeat(top, was_repeated, None)?;
                repeated = true;
                continue;
            }
            '{' => {
                if let Some((times, after)) = counted(rest)? {
                    rest = after.strip_prefix('?').unwrap_or(after);
                    repeat(top, was_repeated, Some(times))?;
                    repeated = true;
                    continue;
                }
                top.push(one);
            }
            '[' => {
                rest = class(rest)?;
                top.push(one);
                continue;
            }
            '\\' => {
                if let Some(quoted) = rest.strip_prefix("\\Q") {
                    let (literal, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
                    for _ in literal.chars() {
                        top.push(one);
                    }
                    rest = after;
                    continue;
                }
                rest = match rest[1..].chars().next() {
                    Some('A' | 'b' | 'B' | 'z' | 'd' | 'D' | 's' | 'S' | 'w' | 'W') => &rest[2..],
                    Some('p' | 'P') => unicode_class(rest)?,
                    _ => escape(rest)?,
                };
                top.push(one);
                continue;
            }
            _ => top.push(one),
        }
        rest = &rest[c.len_utf8()..];
        if size(&groups) > MAX_SIZE {
            return Err("an expression that becomes too large");
        }
    }
    match groups.len() {
        1 => Ok(()),
        _ => Err("a ( without its )"),
    }
}

fn size(groups: &[Group]) -> u64 {
    // Only the innermost group can have grown; an outer one is looked at when it is on top again.
    groups.last().map_or(0, |g| g.done.size.saturating_add(g.last.unwrap_or_default().size))
}

fn repeat(top: &mut Group, again: bool, times: Option<u64>) -> Result<(), &'static str> {
    if again {
        return Err("a repetition of a repetition");
    }
    let Some(last) = top.last.as_mut() else { return Err("a repetition of nothing") };
    if let Some(times) = times {
        if times >= 2 {
            last.repeats = last.repeats.saturating_mul(times);
            if last.repeats > MAX_REPEAT {
                return Err("more than 1000 repetitions");
            }
        }
        last.size = last.size.saturating_mul(times.max(1));
        if last.size > MAX_SIZE {
            return Err("an expression that becomes too large");
        }
    }
    Ok(())
}

struct Opened<'a> {
    rest: &'a str,
    /// Whether a group was opened: `(?i)` only sets flags.
    group: bool,
}

fn open<'a>(text: &'a str, names: &mut Vec<&'a str>) -> Result<Opened<'a>, &'static str> {
    let Some(flags) = text.strip_prefix("(?") else { return Ok(Opened { rest: &text[1..], group: true }) };
    if let Some(named) = flags.strip_prefix("P<").or_else(|| flags.strip_prefix('<')) {
        let (name, rest) = named.split_once('>').ok_or("a group whose name does not end")?;
        if name.is_empty() || !name.bytes().all(is_word) || names.contains(&name) {
            return Err("a bad name of a group");
        }
        names.push(name);
        return Ok(Opened { rest, group: true });
    }
    let (mut off, mut seen) = (false, false);
    for (at, c) in flags.char_indices() {
        match c {
            'i' | 'm' | 's' | 'U' => seen = true,
            '-' if !off => {
                off = true;
                seen = false;
            }
            ':' | ')' if !off || seen => return Ok(Opened { rest: &flags[at + 1..], group: c == ':' }),
            _ => break,
        }
    }
    Err("a group that RE2 does not have")
}

/// The times of `{n}`, `{n,}` and `{n,m}`, and what comes after; anything else is a literal brace.
fn counted(text: &str) -> Result<Option<(u64, &str)>, &'static str> {
    let Some((inside, rest)) = text[1..].split_once('}') else { return Ok(None) };
    let (least, most) = match inside.split_once(',') {
        Some((least, most)) => (least, Some(most)),
        None => (inside, None),
    };
    // A number with a leading zero is a literal in Go.
    let number = |text: &str| -> Option<Option<u64>> {
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (plain && (text.len() == 1 || !text.starts_with('0')))
            .then(|| if text.len() > 8 { None } else { text.parse().ok() })
    };
    let Some(least) = number(least) else { return Ok(None) };
    let most = match most {
        None => least,
        Some("") => Some(0),
        Some(text) => match number(text) {
            Some(most) if most.is_none_or(|most| least.is_some_and(|least| least <= most)) => most,
            Some(_) => return Err("a repetition with more at least than at most"),
            None => return Ok(None),
        },
    };
    match (least, most) {
        (Some(least), Some(most)) if least <= MAX_REPEAT && most <= MAX_REPEAT => {
            Ok(Some((least.max(most), rest)))
        }
        _ => Err("more than 1000 repetitions"),
    }
}

/// Reads an escaped character and gives what comes after it.
fn escape(text: &str) -> Result<&str, &'static str> {
    escaped(text).map(|(_, rest)| rest)
}

fn escaped(text: &str) -> Result<(u32, &str), &'static str> {
    const BAD: &str = "an escape that RE2 does not have";
    let mut chars = text[1..].chars();
    let Some(c) = chars.next() else { return Err("a backslash at the end") };
    let rest = chars.as_str();
    let octal = |b: Option<&u8>| b.is_some_and(|b| (b'0'..=b'7').contains(b));
    match c {
        '1'..='7' if !octal(rest.as_bytes().first()) => Err(BAD),
        '0'..='7' => {
            let more = rest.bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b)).count();
            let value = rest[..more].bytes().fold(u32::from(c) - 48, |v, b| v * 8 + u32::from(b) - 48);
            Ok((value, &rest[more..]))
        }
        'x' => {
            let (digits, after) = match rest.strip_prefix('{') {
                Some(braced) => braced.split_once('}').ok_or(BAD)?,
                None => (rest.get(..2).ok_or(BAD)?, rest.get(2..).ok_or(BAD)?),
            };
            let hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
            match u32::from_str_radix(digits, 16) {
                Ok(value) if hex && value <= 0x10_ffff => Ok((value, after)),
                _ => Err(BAD),
            }
        }
        'a' => Ok((7, rest)),
        'f' => Ok((12, rest)),
        'n' => Ok((10, rest)),
        'r' => Ok((13, rest)),
        't' => Ok((9, rest)),
        'v' => Ok((11, rest)),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok((u32::from(c), rest)),
        _ => Err(BAD),
    }
}

/// Reads `\pN`, `\p{Greek}` or `\P{^Greek}` and gives what comes after it.
fn unicode_class(text: &str) -> Result<&str, &'static str> {
    const BAD: &str = "a class of characters that does not exist";
    let inside = &text[2..];
    let (name, rest) = match inside.strip_prefix('{') {
        Some(braced) => braced.split_once('}').ok_or(BAD)?,
        None => {
            let c = inside.chars().next().ok_or(BAD)?;
            inside.split_at(c.len_utf8())
        }
    };
    let name = name.strip_prefix('^').unwrap_or(name);
    // Go takes names as Unicode writes them, one way only.
    let form = name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.len() <= 32
        && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    let known = name == "Any" || (form && regex::Regex::new(&format!("\\p{{{name}}}")).is_ok());
    if known { Ok(rest) } else { Err(BAD) }
}

const ASCII_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// Reads a class in brackets and gives what comes after it.
fn class(text: &str) -> Result<&str, &'static str> {
    const OPEN: &str = "a [ without its ]";
    let mut rest = &text[1..];
    rest = rest.strip_prefix('^').unwrap_or(rest);
    let mut first = true;
    loop {
        if let Some(after) = rest.strip_prefix(']')
            && !first
        {
            return Ok(after);
        }
        first = false;
        if let Some(named) = rest.strip_prefix("[:")
            && let Some((name, after)) = named.split_once(":]")
        {
            if !ASCII_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
                return Err("a class of characters that does not exist");
            }
            rest = after;
            continue;
        }
        if let Some(escape) = rest.strip_prefix('\\') {
            match escape.chars().next() {
                Some('p' | 'P') => {
                    rest = unicode_class(rest)?;
                    continue;
                }
                Some('d' | 'D' | 's' | 'S' | 'w' | 'W') => {
                    rest = &rest[2..];
                    continue;
                }
                _ => {}
            }
        }
        let (low, after) = class_char(rest).ok_or(OPEN)??;
        rest = after;
        if rest.len() >= 2 && rest.starts_with('-') && !rest.starts_with("-]") {
            let (high, after) = class_char(&rest[1..]).ok_or(OPEN)??;
            if high < low {
                return Err("a range of characters that ends before it begins");
            }
            rest = after;
        }
    }
}

fn class_char(text: &str) -> Option<Result<(u32, &str), &'static str>> {
    let c = text.chars().next()?;
    Some(if c == '\\' { escaped(text) } else { Ok((u32::from(c), &text[c.len_utf8()..])) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_reads_is_taken() {
        for text in [
            "",
            "abc",
            "(.*)",
            "a|b|",
            "|",
            "()",
            "(|a)*",
            "foo{",
            "foo{bar}",
            "a{,2}",
            "a{01}",
            "a{2}",
            "a{2,}",
            "a{2,3}?",
            "(?i)abc",
            "(?i:a)b",
            "(?-s:.)",
            "(?:a)",
            "(?P<n>a)(?P<m>b)",
            "(?<n>a)",
            "[[a]",
            "[]a]",
            "[^]a]",
            "[a-z0-9_-]",
            "[a-]",
            "[[:alpha:]_]",
            "[[:^digit:]]",
            "[\\d\\-x]",
            "\\Qa.b(\\E",
            "\\<",
            "\\.",
            "\\_",
            "\\x41\\x{10FFFF}",
            "\\07\\012",
            "\\pN\\p{Greek}\\P{^Lu}",
            "\\bfoo\\B\\A\\z",
            "a**?b".trim_end_matches("*?b"),
            "a+?",
            "[a&&b]",
            "[[:nope]",
            "a)(b",
            "(a{10}){100}",
            "é+",
            "^$",
            "x*?",
        ] {
            assert_eq!(judge_anchored(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in [
            "invalid regex)",
            "(",
            "a(b",
            "*",
            "a|*",
            "(*a)",
            "a**",
            "a+*",
            "a{2}{3}",
            "a{1001}",
            "a{3,2}",
            "[",
            "[a",
            "[z-a]",
            "[[:nope:]]",
            "\\",
            "\\1",
            "\\8",
            "\\C",
            "\\y",
            "\\u0041",
            "\\x{110000}",
            "\\xg1",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?x)a",
            "(?P<n>a)(?P<n>b)",
            "(?P<>a)",
            "(?P=n)",
            "\\p{Nope}",
            "\\p{greek}",
            "(a{10}){101}",
            "\\p",
            "\\x",
            "(?",
            "(?-)",
            "a{99999999999}",
        ] {
            assert!(judge_anchored(text).is_err(), "{text}");
        }
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let deep = format!("{}a{}", "(".repeat(1_100), ")".repeat(1_100));
        assert!(judge_anchored(&deep).is_err());
        assert!(judge_anchored(&format!("{}x", "(".repeat(100_000))).is_err());
        let wide = "(.{30}a{30}){30}".repeat(500);
        assert_eq!(judge_anchored(&wide), Err("an expression that becomes too large"));
        assert!(judge_anchored(&"x{1000}".repeat(50)).is_ok());
    }
}
