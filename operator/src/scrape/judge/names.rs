//! Texts of a form: durations, sizes, labels, addresses.

use super::{Rejection, fault};
use crate::scrape::version::Version;

/// Most bytes of a text that goes into a configuration as it stands. An annotation may have 256 KiB; nothing that
/// is one name, one address or one expression comes near this.
pub(crate) const MAX_TEXT: usize = 16 << 10;

const DURATION: &str = "a Prometheus duration, units in falling order, such as 30s, 5m or 1h30m";

/// A duration as Prometheus reads it, in milliseconds; zero is one.
pub(crate) fn duration_ms(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 7] = [
        ("y", 31_536_000_000),
        ("w", 604_800_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    if text == "0" {
        return Some(0);
    }
    let (mut rest, mut total, mut next) = (text, 0_u64, 0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = UNITS.iter().position(|(name, _)| *name == &rest[..letters])?;
        if unit < next {
            return None;
        }
        next = unit + 1;
        total = number.checked_mul(UNITS[unit].1).and_then(|n| total.checked_add(n))?;
        rest = &rest[letters..];
    }
    // Go's durations are nanoseconds in 63 bits.
    (!text.is_empty() && total <= 9_223_372_036_854).then_some(total)
}

pub(crate) fn duration(path: &str, text: &str) -> Result<u64, Rejection> {
    duration_ms(text).ok_or_else(|| fault(path, format!("{text:?}"), DURATION))
}

/// Judges how often and how long is scraped. Where an interval is not written, the engine's own counts.
pub(crate) fn interval_and_timeout(
    interval: (&str, &str),
    timeout: (&str, &str),
    global: &str,
) -> Result<(), Rejection> {
    let (interval_path, interval) = interval;
    let (timeout_path, timeout) = timeout;
    if !interval.is_empty() {
        duration(interval_path, interval)?;
    }
    if timeout.is_empty() {
        return Ok(());
    }
    let given = duration(timeout_path, timeout)?;
    let (effective, whose) = if interval.is_empty() { (global, "the engine's ") } else { (interval, "the ") };
    let most = duration_ms(effective).ok_or_else(|| {
        fault(interval_path, format!("no interval beside a timeout of {timeout}"), "an interval too")
    })?;
    if given > most {
        let found = format!("{timeout}, longer than {whose}interval of {effective}");
        return Err(fault(timeout_path, found, format!("at most {effective}")));
    }
    Ok(())
}

/// A number of bytes such as `10MB`, in bytes; K is 1024 with and without an i, as in Prometheus.
pub(crate) fn byte_size(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let power = match unit {
        "B" => 0,
        "KB" | "KiB" => 1,
        "MB" | "MiB" => 2,
        "GB" | "GiB" => 3,
        "TB" | "TiB" => 4,
        "PB" | "PiB" => 5,
        "EB" | "EiB" => 6,
        _ => return None,
    };
    let value = number.parse::<f64>().ok()? * 1024_f64.powi(power);
    (number.ends_with(|c: char| c.is_ascii_digit()) && value < 9.2e18).then_some(value as u64)
}

pub(crate) fn judge_byte_size(path: &str, text: Option<&str>) -> Result<(), Rejection> {
    match text {
        Some(text) if !text.is_empty() && byte_size(text).is_none() => {
            Err(fault(path, format!("{text:?}"), "a number of bytes with its unit, such as 10MB or 1GiB"))
        }
        _ => Ok(()),
    }
}

/// Whether a text is a label's name by the rules that hold without UTF-8.
pub(crate) fn is_label(text: &str) -> bool {
    text.bytes()
        .enumerate()
        .all(|(i, b)| b.is_ascii_alphabetic() || b == b'_' || (i > 0 && b.is_ascii_digit()))
        && !text.is_empty()
}

/// Whether an engine takes a text as a label's name: any text from Prometheus 3 on.
pub(crate) fn is_label_for(version: Version, legacy: bool, text: &str) -> bool {
    if version.at_least(3, 0, 0) && !legacy { !text.is_empty() } else { is_label(text) }
}

/// Judges an address with a scheme. What people see in one is taken apart as Go does.
pub(crate) fn url(path: &str, text: &str, schemes: &[&str]) -> Result<(), Rejection> {
    let write = || match schemes {
        [] => "an address with its scheme and its host".to_owned(),
        _ => format!("an address that begins with {}", schemes.join(":// or ") + "://"),
    };
    let bad = || fault(path, format!("{text:?}"), write());
    let (scheme, host) = split_url(text).ok_or_else(bad)?;
    let known = schemes.is_empty() || schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme));
    if scheme.is_empty() || host.is_empty() || !known { Err(bad()) } else { Ok(()) }
}

/// Judges a text that must merely be readable as an address.
pub(crate) fn readable_url(path: &str, text: &str) -> Result<(), Rejection> {
    match split_url(text) {
        Some(_) => Ok(()),
        None => Err(fault(path, format!("{text:?}"), "an address, such as http://host:port/path")),
    }
}

/// Scheme and host of an address, each empty where it has none; nothing where it is no address.
fn split_url(text: &str) -> Option<(&str, &str)> {
    if text.bytes().any(|b| b < 0x20 || b == 0x7f) || !percent_encoded(text) {
        return None;
    }
    let (scheme, rest) = match text.split_once(':') {
        Some((scheme, rest))
            if scheme.bytes().enumerate().all(|(i, b)| {
                b.is_ascii_alphabetic() || (i > 0 && (b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.')))
            }) && !scheme.is_empty() =>
        {
            (scheme, rest)
        }
        // "missing protocol scheme" or "first path segment contains a colon"
        Some((before, _)) if !before.contains('/') && !before.contains('?') && !before.contains('#') => {
            return None;
        }
        _ => ("", text),
    };
    let Some(authority) = rest.strip_prefix("//") else { return Some((scheme, "")) };
    let end = authority.find(['/', '?', '#']).unwrap_or(authority.len());
    let host = authority[..end].rsplit('@').next().unwrap_or_default();
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || !b.is_ascii() || b"-._~!$&'()*+,;=:[]%\"<>".contains(&b);
    if !host.bytes().all(allowed) {
        return None;
    }
    let port = match host.rfind(']') {
        Some(bracket) if host.starts_with('[') => &host[bracket + 1..],
        Some(_) => return None,
        None if host.contains('[') => return None,
        None => host.find(':').map_or("", |colon| &host[colon..]),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    let fine = (port.is_empty() || port.starts_with(':')) && digits.bytes().all(|b| b.is_ascii_digit());
    fine.then_some((scheme, host))
}

fn percent_encoded(text: &str) -> bool {
    let path_end = text.find(['?', '#']).unwrap_or(text.len());
    let bytes = &text.as_bytes()[..path_end];
    bytes.iter().enumerate().all(|(i, b)| {
        let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
        *b != b'%' || (hex(i + 1) && hex(i + 2))
    })
}

/// Judges `host` or `host:port`, without a scheme.
pub(crate) fn host_and_port(path: &str, text: &str) -> Result<(), Rejection> {
    let bad = || fault(path, format!("{text:?}"), "a host name or host:port, without a scheme");
    let mut parts = text.split(':');
    let host = parts.next().unwrap_or_default();
    let labels_fine = host.trim_end_matches('.').split('.').all(|label| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(inner) && !label.starts_with('-')
    });
    if !labels_fine || host.len() > 255 {
        return Err(bad());
    }
    match parts.next() {
        None => Ok(()),
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(()),
        Some(_) => Err(bad()),
    }
}

/// Judges one of a list of words, whatever their case where `fold`.
pub(crate) fn word(path: &str, text: Option<&str>, words: &[&str], fold: bool) -> Result<(), Rejection> {
    let known = |text: &str| {
        words.iter().any(|word| if fold { word.eq_ignore_ascii_case(text) } else { *word == text })
    };
    match text {
        Some(text) if !known(text) => {
            Err(fault(path, format!("{text:?}"), format!("one of {}", words.join(", "))))
        }
        _ => Ok(()),
    }
}

/// Most bytes of a key that people write: YAML takes 1,024 characters, and one byte can become six.
const MAX_KEY: usize = 160;

/// Judges a text that becomes a key.
pub(crate) fn key(path: &str, text: &str) -> Result<(), Rejection> {
    if text.is_empty() || text.len() > MAX_KEY {
        return Err(fault(path, format!("a name of {} bytes", text.len()), format!("1 to {MAX_KEY} bytes")));
    }
    Ok(())
}

/// Judges parameters of a request.
pub(crate) fn params<'a>(
    path: &str,
    params: impl IntoIterator<Item = (&'a String, &'a Vec<String>)>,
) -> Result<(), Rejection> {
    for (name, values) in params {
        key(path, name)?;
        values.iter().try_for_each(|value| bounded(path, value))?;
    }
    Ok(())
}

/// Judges the size of a text.
pub(crate) fn bounded(path: &str, text: &str) -> Result<(), Rejection> {
    if text.len() > MAX_TEXT {
        let limit = MAX_TEXT >> 10;
        return Err(fault(path, format!("a text of {} bytes", text.len()), format!("at most {limit} KiB")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_prometheus_does() {
        for (text, ms) in
            [("30s", 30_000), ("1h30m", 5_400_000), ("0", 0), ("0s", 0), ("1y2ms", 31_536_000_002)]
        {
            assert_eq!(duration_ms(text), Some(ms), "{text}");
        }
        for text in ["", "30", "30 s", "30sec", "1m1h", "1s1s", "-1s", "1.5s", "s", "300y", "é"] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
    }

    #[test]
    fn a_timeout_is_no_longer_than_its_interval() {
        let judge = |interval, timeout, global| {
            interval_and_timeout(("interval", interval), ("scrapeTimeout", timeout), global)
        };
        judge("30s", "30s", "").unwrap();
        judge("", "10s", "15s").unwrap();
        judge("", "", "").unwrap();
        assert_eq!(judge("", "20s", "15s").unwrap_err().write, "at most 15s");
        assert!(judge("", "20s", "").is_err());
        assert!(judge("30 s", "10s", "15s").is_err());
        assert!(judge("x", "", "15s").is_err());
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("2GB", 2 << 30), ("1.5KiB", 1536), ("10B", 10), ("0", 0)] {
            assert_eq!(byte_size(text), Some(bytes), "{text}");
        }
        for text in ["", "10", "10M", "MB", "10 MB", ".B", "1e3B"] {
            assert_eq!(byte_size(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_are_taken_apart_as_go_does() {
        for text in [
            "http://a",
            "https://a:8080/b?c#d",
            "http://[::1]:80",
            "http://u:p@host",
            "http://",
            "a/b",
            "unix:///var/run/docker.sock",
            "",
            "http://a.svc.cluster.local:80",
        ] {
            readable_url("", text).unwrap_or_else(|e| panic!("{text}: {e}"));
        }
        for text in
            ["http://xxx-${dev}.svc:80", ":80", "http://a:x", "http://[::1", "http://a\u{7f}", "a:b c"]
        {
            let result = readable_url("", text);
            assert!(result.is_err() || text == "a:b c", "{text}");
        }
        url("", "http://a", &["http", "https"]).unwrap();
        for text in ["", "a", "http://", "ftp://a", "//a"] {
            assert!(url("", text, &["http", "https"]).is_err(), "{text}");
        }
        for text in ["a", "a.b.c", "12-a.b:9115", "10.0.0.1:80", "a_b"] {
            host_and_port("", text).unwrap_or_else(|e| panic!("{text}: {e}"));
        }
        for text in ["", "https://a", "a:0", "a:x", "a:", "-a", "a..b", "a b"] {
            assert!(host_and_port("", text).is_err(), "{text}");
        }
    }
}
