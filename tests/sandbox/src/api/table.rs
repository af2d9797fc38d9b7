//! The `Table` form of objects, for `kubectl get`.

use super::handlers;
use super::jsonpath;
use super::registry::{Column, Resource, Source};
use serde_json::{Value, json};

/// What of its object a row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

impl Include {
    /// From the query's `includeObject`.
    pub(crate) fn of(text: &str) -> Self {
        match text {
            "None" => Self::None,
            "Object" => Self::Object,
            _ => Self::Metadata,
        }
    }
}

/// A table of objects. Column definitions are left out of later watch events.
pub(crate) fn of(
    resource: &Resource,
    objects: &[&Value],
    metadata: Value,
    columns: bool,
    include: Include,
) -> Value {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let shown = match include {
                Include::None => Value::Null,
                Include::Metadata => handlers::metadata_only(object),
                Include::Object => Value::clone(object),
            };
            json!({"cells": cells(resource, object), "object": shown})
        })
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

fn definitions(resource: &Resource) -> Vec<Value> {
    let list = resource.columns.iter().map(|c| {
        json!({
            "name": c.name, "type": c.kind, "format": c.format, "description": c.description,
            "priority": c.priority,
        })
    });
    list.collect()
}

fn cells(resource: &Resource, object: &Value) -> Vec<Value> {
    resource.columns.iter().map(|column| cell(column, object)).collect()
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
