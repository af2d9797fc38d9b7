//! Intervals of time at which routes are mute, or active.

use serde_json::{Map, Value, json};

use super::place::{self, Place};
use crate::validate::{Fault, quoted};

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// One named interval, under its name in the merged configuration.
pub(super) fn build(interval: &Value, name: String, at: &Place<'_>) -> Result<Value, Fault> {
    let fields = place::object(interval, at)?;
    let list_at = at.key("timeIntervals");
    let mut parts = Vec::new();
    for (index, part) in place::list(fields, "timeIntervals", at)?.iter().enumerate() {
        parts.push(Value::Object(part_of(part, &list_at.index(index))?));
    }
    Ok(json!({ "name": name, "time_intervals": parts }))
}

fn part_of(part: &Value, at: &Place<'_>) -> Result<Map<String, Value>, Fault> {
    let fields = place::object(part, at)?;
    let mut out = Map::new();
    type Read = fn(&Value, &Place<'_>) -> Result<Value, Fault>;
    let kinds: [(&str, &str, Read); 5] = [
        ("times", "times", times),
        ("weekdays", "weekdays", weekdays),
        ("daysOfMonth", "days_of_month", days),
        ("months", "months", months),
        ("years", "years", years),
    ];
    for (from, to, read) in kinds {
        let list_at = at.key(from);
        let items = place::list(fields, from, at)?.iter().enumerate();
        let items = items.map(|(index, item)| read(item, &list_at.index(index)));
        let items = items.collect::<Result<Vec<_>, _>>()?;
        if !items.is_empty() {
            out.insert(to.to_owned(), Value::Array(items));
        }
    }
    Ok(out)
}

fn times(value: &Value, at: &Place<'_>) -> Result<Value, Fault> {
    let fields = place::object(value, at)?;
    let mut minutes = Vec::new();
    for key in ["startTime", "endTime"] {
        let text = place::text(fields, key, at)?;
        let read = minute(text);
        minutes.push(read.ok_or_else(|| at.key(key).fault(quoted(text), "a time from 00:00 to 24:00"))?);
    }
    if minutes[0] >= minutes[1] {
        return Err(at.fault("a start that is not before its end", "two ranges where one goes over midnight"));
    }
    let clock = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
    Ok(json!({ "start_time": clock(minutes[0]), "end_time": clock(minutes[1]) }))
}

/// Minutes since midnight.
fn minute(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|c| c.is_ascii_digit());
        digits.then(|| text.parse::<u32>().ok()).flatten()
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    ((hours < 24 && minutes < 60) || (hours == 24 && minutes == 0)).then_some(hours * 60 + minutes)
}

/// `a` or `a:b`.
fn range(value: &Value, at: &Place<'_>) -> Result<(String, String), Fault> {
    let text = place::as_text(value, at)?;
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default().to_owned();
    let last = parts.next().map_or_else(|| first.clone(), str::to_owned);
    match parts.next() {
        Some(_) => Err(at.fault(quoted(text), "one value, or two with a colon between them")),
        None => Ok((first, last)),
    }
}

/// Both ends of a range as numbers, in order.
fn numbers(
    value: &Value,
    at: &Place<'_>,
    read: impl Fn(&str) -> Option<i64>,
    write: &str,
) -> Result<(i64, i64), Fault> {
    let (first, last) = range(value, at)?;
    let number = |text: &str| read(text).ok_or_else(|| at.fault(quoted(text), write));
    let (first, last) = (number(&first)?, number(&last)?);
    if first > last {
        return Err(at.fault("an end before the start", "the earlier one first"));
    }
    Ok((first, last))
}

fn written(first: &str, last: &str) -> Value {
    Value::from(if first == last { first.to_owned() } else { format!("{first}:{last}") })
}

/// A name of a list, in any case, or a number that counts from `base`.
fn member(text: &str, names: &[&str], base: i64) -> Option<i64> {
    let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
    let number = named.map(|at| at as i64 + base).or_else(|| text.parse().ok())?;
    (base..base + names.len() as i64).contains(&number).then_some(number)
}

fn weekdays(value: &Value, at: &Place<'_>) -> Result<Value, Fault> {
    let write = "a day of the week such as monday, or two with a colon between them";
    let (first, last) = numbers(value, at, |text| member(text, &WEEKDAYS, 0), write)?;
    let name = |day: i64| WEEKDAYS.get(day as usize).copied().unwrap_or_default();
    Ok(written(name(first), name(last)))
}

fn months(value: &Value, at: &Place<'_>) -> Result<Value, Fault> {
    let write = "a month such as january or 1, or two with a colon between them";
    let (first, last) = numbers(value, at, |text| member(text, &MONTHS, 1), write)?;
    Ok(written(&first.to_string(), &last.to_string()))
}

fn years(value: &Value, at: &Place<'_>) -> Result<Value, Fault> {
    let year = |text: &str| text.parse::<i64>().ok().filter(|year| (1..=9999).contains(year));
    let write = "a year such as 2030, or two with a colon between them";
    let (first, last) = numbers(value, at, year, write)?;
    Ok(written(&first.to_string(), &last.to_string()))
}

fn days(value: &Value, at: &Place<'_>) -> Result<Value, Fault> {
    let fields = place::object(value, at)?;
    let mut ends = Vec::new();
    for key in ["start", "end"] {
        let day = place::get(fields, key).map_or(Ok(0), |value| place::as_number(value, &at.key(key)))?;
        if day == 0 || !(-31..=31).contains(&day) {
            let write = "a day of the month: 1 to 31, or -1 to -31 from its end";
            return Err(at.key(key).fault(day, write));
        }
        ends.push(day);
    }
    let (start, end) = (ends[0], ends[1]);
    // A month has 28 days at least: what is surely the wrong way round there is so in every month.
    let place_in_month = |day: i64| if day < 0 { 28 + day } else { day };
    if (start < 0 && end > 0) || place_in_month(start) > place_in_month(end) {
        return Err(at.fault("an end before the start", "the earlier day first"));
    }
    Ok(written(&start.to_string(), &end.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(part: Value) -> Result<Value, Fault> {
        let root = Place::root("spec");
        build(&json!({ "timeIntervals": [part] }), "n".to_owned(), &root)
            .map(|built| built["time_intervals"][0].clone())
    }

    #[test]
    fn intervals_are_written_as_alertmanager_writes_them() {
        let part = json!({
            "times": [{ "startTime": "08:00", "endTime": "24:00" }],
            "weekdays": ["Monday:friday", "Saturday", "0"],
            "daysOfMonth": [{ "start": 1, "end": 7 }, { "start": -3, "end": -1 }, { "start": 5, "end": 5 }],
            "months": ["january:3", "December", "1:1"],
            "years": ["2030", "2030:2032"],
        });
        let want = json!({
            "times": [{ "start_time": "08:00", "end_time": "24:00" }],
            "weekdays": ["monday:friday", "saturday", "sunday"],
            "days_of_month": ["1:7", "-3:-1", "5"],
            "months": ["1:3", "12", "1"],
            "years": ["2030", "2030:2032"],
        });
        assert_eq!(read(part).unwrap(), want);
        assert_eq!(read(json!({})).unwrap(), json!({}));
    }

    #[test]
    fn intervals_that_are_none_are_told() {
        for part in [
            json!({ "times": [{ "startTime": "8:00", "endTime": "09:00" }] }),
            json!({ "times": [{ "startTime": "24:00", "endTime": "24:00" }] }),
            json!({ "times": [{ "startTime": "08:00" }] }),
            json!({ "times": [{ "startTime": "+8:00", "endTime": "09:00" }] }),
            json!({ "weekdays": ["friday:monday"] }),
            json!({ "weekdays": ["7"] }),
            json!({ "weekdays": ["a:b:c"] }),
            json!({ "daysOfMonth": [{ "start": 0, "end": 3 }] }),
            json!({ "daysOfMonth": [{ "start": -1, "end": 3 }] }),
            json!({ "daysOfMonth": [{ "start": 20, "end": -20 }] }),
            json!({ "months": ["13"] }),
            json!({ "months": ["may:april"] }),
            json!({ "years": ["x"] }),
            json!({ "years": ["2031:2030"] }),
        ] {
            assert!(read(part.clone()).is_err(), "{part}");
        }
    }
}
