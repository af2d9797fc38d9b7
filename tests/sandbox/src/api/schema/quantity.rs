//! Quantities in their canonical form, as the API server stores them.

/// How a quantity was written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Binary,
    Decimal,
    /// With the letter it was written with.
    Exponent(char),
}

const BINARY: &[&str] = &["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: &[(&str, i32)] = &[
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];
/// Nano units in one.
const NANO: i128 = 1_000_000_000;

/// The canonical form; `None` for what is no quantity.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let text = text.trim();
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let (form, power_of_ten, factor) = suffix_of(suffix)?;
    // The number as digits times a power of ten, then in nano units, rounded up.
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let exponent = power_of_ten - i32::try_from(fraction.len()).ok()? + 9;
    let digits = digits.checked_mul(factor)?;
    let nano = if exponent >= 0 {
        digits.checked_mul(10_i128.checked_pow(exponent.unsigned_abs())?)?
    } else {
        let divisor = 10_i128.checked_pow(exponent.unsigned_abs())?;
        digits / divisor + i128::from(digits % divisor != 0)
    };
    let shown = show(nano, form);
    Some(if negative && nano != 0 { format!("-{shown}") } else { shown })
}

fn suffix_of(suffix: &str) -> Option<(Form, i32, i128)> {
    if let Some((_, power)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
        return Some((Form::Decimal, *power, 1));
    }
    if let Some(index) = BINARY.iter().position(|s| *s == suffix) {
        return Some((Form::Binary, 0, 1024_i128.checked_pow(u32::try_from(index).ok()?)?));
    }
    let letter = suffix.chars().next()?;
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let exponent: i32 = exponent.parse().ok().filter(|e| (-18..=18).contains(e))?;
    Some((Form::Exponent(letter), exponent, 1))
}

fn show(nano: i128, form: Form) -> String {
    if form == Form::Binary && nano >= 1024 * NANO {
        let mut value = nano / NANO + i128::from(nano % NANO != 0);
        let mut index = 0;
        while value % 1024 == 0 && index + 1 < BINARY.len() {
            value /= 1024;
            index += 1;
        }
        return format!("{value}{}", BINARY[index]);
    }
    let (mut value, mut power) = (nano, -9);
    while value != 0 && value % 1000 == 0 && power < 18 {
        value /= 1000;
        power += 3;
    }
    if value == 0 {
        power = 0;
    }
    if let Form::Exponent(letter) = form {
        return if power == 0 { value.to_string() } else { format!("{value}{letter}{power}") };
    }
    let suffix = DECIMAL.iter().find(|(_, p)| *p == power).map_or("", |(s, _)| s);
    format!("{value}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn quantities_as_the_api_server_writes_them() {
        for (text, wanted) in [
            ("0", "0"),
            ("1", "1"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("512Mi", "512Mi"),
            ("512Ki", "512Ki"),
            ("0.5Gi", "512Mi"),
            ("100Ki", "100Ki"),
            ("1000", "1k"),
            ("2500", "2500"),
            ("128974848", "128974848"),
            ("1e3", "1e3"),
            ("12E", "12E"),
            ("0.1m", "100u"),
            ("0.0000000001", "1n"),
            ("-1.5", "-1500m"),
            ("500Gi", "500Gi"),
            ("0Gi", "0"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(wanted), "{text}");
        }
        for text in ["", "many", "1.2.3", "5 Gi", "Gi", "1gi", "0x10"] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
