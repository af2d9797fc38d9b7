//! The `Table` form of objects, for `kubectl get`.

use super::jsonpath;
use super::registry::{Column, Resource, Source};
use super::{handlers, meta};
use serde_json::{Value, json};

/// A table of objects. Column definitions are left out of later watch events.
pub(crate) fn of(resource: &Resource, objects: &[&Value], metadata: Value, columns: bool) -> Value {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| json!({"cells": cells(resource, object), "object": handlers::metadata_only(object)}))
        .collect();
    let mut table = json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": null,
        "rows": rows,
    });
    if columns {
        table["columnDefinitions"] = definitions(resource).into();
    }
    table
}

fn definition(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({"name": name, "type": kind, "format": format, "description": description, "priority": priority})
}

fn definitions(resource: &Resource) -> Vec<Value> {
    let mut list = vec![definition("Name", "string", "name", "Name must be unique within a namespace.", 0)];
    list.extend(
        resource.columns.iter().map(|c| definition(&c.name, &c.kind, &c.format, &c.description, c.priority)),
    );
    if shows_age(resource) {
        list.push(definition("Age", "date", "", "Time since the object was created.", 0));
    }
    list
}

/// Custom resources with columns of their own say themselves whether they show an age.
fn shows_age(resource: &Resource) -> bool {
    let own = resource.columns.iter().any(|c| c.name == "Age" || c.name == "Last Seen");
    !own && (resource.custom.is_none() || resource.columns.is_empty())
}

fn cells(resource: &Resource, object: &Value) -> Vec<Value> {
    let mut cells = vec![Value::String(meta::name(object).to_owned())];
    cells.extend(resource.columns.iter().map(|column| cell(column, object)));
    if shows_age(resource) {
        let created = meta::text(object, "creationTimestamp");
        cells.push(age(created).into());
    }
    cells
}

fn cell(column: &Column, object: &Value) -> Value {
    match &column.source {
        Source::Compute(function) => function(object),
        Source::Path(path) => {
            let found = jsonpath::first(object, path);
            match (column.kind.as_str(), found) {
                (_, Value::Null) => Value::Null,
                ("date", Value::String(time)) => age(&time).into(),
                ("string", Value::String(text)) => text.into(),
                ("string", other) => other.to_string().into(),
                (_, other) => other,
            }
        }
    }
}

/// Time since a moment, as kubectl writes it.
pub(crate) fn age(time: &str) -> String {
    let Ok(time) = time.parse::<jiff::Timestamp>() else { return "<unknown>".to_owned() };
    duration(jiff::Timestamp::now().duration_since(time).as_secs())
}

/// `HumanDuration` of the API machinery; seconds.
pub(crate) fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let with = |whole: i64, unit: &str, rest: i64, small: &str| {
        if rest == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{rest}{small}") }
    };
    match seconds {
        s if s < -1 => "<invalid>".to_owned(),
        s if s < 0 => "0s".to_owned(),
        s if s < 120 => format!("{s}s"),
        s if minutes < 10 => with(minutes, "m", s % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => with(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => with(days, "d", hours % 24, "h"),
        _ if days < 730 => format!("{days}d"),
        _ if days < 2920 => with(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}
