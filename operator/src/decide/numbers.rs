//! Numbers as they are shown: two significant digits, since no prior is known better, and units that people
//! read.

use obstack_crds::record::Range;

const BYTES: [(f64, &str); 6] = [
    (1_125_899_906_842_624.0, "Pi"),
    (1_099_511_627_776.0, "Ti"),
    (1_073_741_824.0, "Gi"),
    (1_048_576.0, "Mi"),
    (1_024.0, "Ki"),
    (1.0, ""),
];
const COUNTS: [(f64, &str); 5] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];

/// Rounded to two significant digits.
pub fn round2(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 1 - value.abs().log10().floor() as i32;
    // Powers of ten are exact, their inverses are not: a million must stay one.
    let power = 10f64.powi(digits.abs());
    if digits < 0 { (value / power).round() * power } else { (value * power).round() / power }
}

/// Two significant digits, without an exponent.
pub fn two(value: f64) -> String {
    let rounded = round2(value);
    let decimals =
        if rounded == 0.0 { 0 } else { (1 - rounded.abs().log10().floor() as i32).max(0) as usize };
    let text = format!("{rounded:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A whole number as it is, anything else with two significant digits.
pub fn two_or_more(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { two(value) }
}

fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let rounded = round2(value);
    let (factor, suffix) =
        units.iter().find(|(factor, _)| rounded >= *factor).or(units.last()).copied().unwrap_or((1.0, ""));
    format!("{}{suffix}", two(value / factor))
}

/// Bytes: `3.7Gi`.
pub fn bytes(value: f64) -> String {
    scaled(value, &BYTES)
}

/// A count: `30M`.
pub fn count(value: f64) -> String {
    if value < 1.0 { two(value) } else { scaled(value, &COUNTS) }
}

/// Seconds: `45 s`, `25 min`, `3.1 h`, `15 d`.
pub fn seconds(value: f64) -> String {
    let (factor, unit) = match value {
        v if v >= 172_800.0 => (86_400.0, "d"),
        v if v >= 7_200.0 => (3_600.0, "h"),
        v if v >= 120.0 => (60.0, "min"),
        _ => (1.0, "s"),
    };
    format!("{} {unit}", two(value / factor))
}

/// A range with one writer for both ends: `3.2Gi to 13Gi`, or one number where the ends read alike.
pub fn range(range: Range, write: impl Fn(f64) -> String) -> String {
    let (low, high) = (write(range.low), write(range.high));
    if low == high { low } else { format!("{low} to {high}") }
}

/// An amount in a unit of the catalog.
pub fn in_unit(value: f64, unit: &str) -> String {
    match unit {
        "bytes" => bytes(value),
        "seconds" => seconds(value),
        "series" => count(value),
        other => format!("{} {other}", count(value)),
    }
}

/// A range in a unit of the catalog.
pub fn range_in(r: Range, unit: &str) -> String {
    match unit {
        "bytes" | "seconds" | "series" => range(r, |v| in_unit(v, unit)),
        other => format!("{} {other}", range(r, count)),
    }
}

/// A list in a sentence: `a, b and c`.
pub fn list<S: AsRef<str>>(items: &[S], last: &str) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [init @ .., end] => {
            let init: Vec<_> = init.iter().map(AsRef::as_ref).collect();
            format!("{} {last} {}", init.join(", "), end.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_significant_digits() {
        for (value, text) in
            [(0.0, "0"), (1.0, "1"), (12345.0, "12000"), (0.01234, "0.012"), (9.96, "10"), (3.65, "3.7")]
        {
            assert_eq!(two(value), text);
        }
        assert_eq!(bytes(3.7 * 1_073_741_824.0), "3.7Gi");
        assert_eq!(bytes(1_073_741_823.0), "1Gi");
        assert_eq!((count(30e6), count(1e6)), ("30M".to_owned(), "1M".to_owned()));
        assert_eq!(seconds(1500.0), "25 min");
        assert_eq!(range(Range { low: 2e9, high: 8e9 }, count), "2G to 8G");
        assert_eq!(list(&["a", "b", "c"], "or"), "a, b or c");
    }
}
