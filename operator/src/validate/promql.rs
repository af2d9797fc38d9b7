//! What is surely wrong with an expression. The engine's own checker has the last word before anything runs;
//! what this parser does not know for sure is left to it.

use promql_parser::parser::{self, value::ValueType};

use super::matchers::without_regexes;
use super::quoted;

const RE2: &str = "a regular expression as RE2 has them";

/// Functions that people most often write, for a hint at the nearest where one is unknown.
const FUNCTIONS: &[&str] = &[
    "abs",
    "absent",
    "absent_over_time",
    "avg_over_time",
    "ceil",
    "changes",
    "clamp",
    "clamp_max",
    "clamp_min",
    "count_over_time",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "delta",
    "deriv",
    "exp",
    "floor",
    "histogram_avg",
    "histogram_count",
    "histogram_fraction",
    "histogram_quantile",
    "histogram_sum",
    "hour",
    "idelta",
    "increase",
    "irate",
    "label_join",
    "label_replace",
    "last_over_time",
    "ln",
    "log10",
    "log2",
    "max_over_time",
    "min_over_time",
    "minute",
    "month",
    "predict_linear",
    "present_over_time",
    "quantile_over_time",
    "rate",
    "resets",
    "round",
    "scalar",
    "sgn",
    "sort",
    "sort_by_label",
    "sort_desc",
    "sqrt",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "time",
    "timestamp",
    "vector",
    "year",
];

/// What was found in an expression that is surely wrong, and what to write instead.
pub(crate) fn fault(expr: &str) -> Option<(String, String)> {
    if expr.trim().is_empty() {
        return Some(("no expression".to_owned(), "PromQL, such as up == 0".to_owned()));
    }
    // Engines take underscores between digits; the parser does not. In a name, one less changes nothing here.
    let plain = without_digit_separators(expr);
    let plain = match without_regexes(&plain) {
        Ok(plain) => plain,
        Err((regex, why)) => {
            return Some((format!("the regular expression {}: {why}", quoted(&regex)), RE2.to_owned()));
        }
    };
    let parsed = match parser::parse(&plain) {
        Ok(parsed) => parsed,
        Err(reason) => return from_parser(expr, &reason),
    };
    match parsed.value_type() {
        ValueType::Matrix => {
            let write = "an expression with one value per series, such as rate(errors_total[5m])";
            Some((format!("{}, a range of samples", quoted(expr)), write.to_owned()))
        }
        ValueType::String => {
            Some((format!("{}, a string", quoted(expr)), "an expression with a number per series".to_owned()))
        }
        ValueType::Vector | ValueType::Scalar => None,
    }
}

fn without_digit_separators(expr: &str) -> String {
    let bytes = expr.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let separator = |at: usize, c: char| c == '_' && digit(at.checked_sub(1)) && digit(Some(at + 1));
    expr.char_indices().filter(|&(at, c)| !separator(at, c)).map(|(_, c)| c).collect()
}

fn from_parser(expr: &str, reason: &str) -> Option<(String, String)> {
    let unknown = reason.strip_prefix("unknown function with name '").and_then(|r| r.strip_suffix('\''));
    if let Some(name) = unknown {
        // An engine that is newer than this parser may know it; a near miss of a known one is a slip.
        let near = crate::text::nearest(name, FUNCTIONS.iter().copied())?;
        return Some((format!("the unknown function {name}"), format!("{near}, if that is what is meant")));
    }
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    Some((format!("{}, broken PromQL ({reason})", quoted(expr)), "PromQL that parses".to_owned()))
}
