//! What decoding does to a request's object: unknown fields fall away (and are reported), nulls and empty
//! collections of built-in types fall away, and a value of the wrong type is refused.

use super::{Kind, Schema, quantity};
use serde_json::{Map, Value};

const QUANTITY_TEXT: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// Fields that a type does not declare, as `spec.foo` paths.
pub(crate) type Unknown = Vec<String>;

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// Prunes a custom resource against its structural schema, in place. The root's `apiVersion`, `kind` and
/// `metadata` are never pruned.
pub(crate) fn prune(value: &mut Value, schema: &Schema) -> Unknown {
    let mut unknown = Vec::new();
    prune_at(value, schema, true, "", &mut unknown);
    unknown
}

fn prune_at(value: &mut Value, schema: &Schema, root: bool, path: &str, unknown: &mut Unknown) {
    let schema = schema.resolve();
    match value {
        Value::Object(map) => {
            let keep_all =
                schema.preserve_unknown || (schema.kind == Kind::Any && schema.properties.is_empty());
            let always =
                |name: &str| (root || schema.embedded) && matches!(name, "apiVersion" | "kind" | "metadata");
            map.retain(|name, _| {
                let known = schema.properties.contains_key(name)
                    || schema.additional.is_some()
                    || keep_all
                    || always(name);
                if !known {
                    unknown.push(join(path, name));
                }
                known
            });
            for (name, child) in map.iter_mut() {
                if always(name) {
                    continue;
                }
                if let Some(declared) = schema.field(name) {
                    prune_at(child, declared, false, &join(path, name), unknown);
                } else if let Some(additional) = &schema.additional {
                    prune_at(child, additional, false, &join(path, name), unknown);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item) = &schema.items {
                for (index, child) in items.iter_mut().enumerate() {
                    prune_at(child, item, false, &format!("{path}[{index}]"), unknown);
                }
            }
        }
        _ => {}
    }
}

/// Decodes an object of a built-in type in place, as the server's Go structs would.
///
/// # Errors
/// The text of the JSON decoder for the first value of a wrong type.
pub(crate) fn decode(value: &mut Value, schema: &Schema) -> Result<Unknown, String> {
    let mut unknown = Vec::new();
    decode_at(value, schema, &Place::default(), &mut unknown)?;
    Ok(unknown)
}

/// Where a value is, as the decoder of the server's Go structs names it.
#[derive(Clone, Default)]
struct Place {
    /// The path with indexes, for what is unknown.
    path: String,
    /// The path without them.
    fields: String,
    /// The struct that has the field.
    owner: String,
}

impl Place {
    fn field(&self, schema: &Schema, name: &str) -> Self {
        let named = schema.name();
        let owner = if named.is_empty() { self.owner.clone() } else { named.to_owned() };
        Self { path: join(&self.path, name), fields: join(&self.fields, name), owner }
    }

    fn item(&self, index: usize) -> Self {
        Self { path: format!("{}[{index}]", self.path), ..self.clone() }
    }
}

fn wrong(value: &Value, place: &Place, wanted: &str) -> String {
    let found = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Number(number) if wanted.starts_with("int") => format!("number {number}"),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    };
    let field = if place.owner.is_empty() {
        place.fields.clone()
    } else {
        format!("{}.{}", place.owner, place.fields)
    };
    format!("json: cannot unmarshal {found} into Go struct field {field} of type {wanted}")
}

/// The Go type of the values of a list or map.
fn go_type(schema: &Schema) -> String {
    match schema.resolve().kind {
        Kind::String => "string".to_owned(),
        Kind::Quantity => "resource.Quantity".to_owned(),
        _ if !schema.name().is_empty() => format!("v1.{}", schema.name()),
        _ => "interface {}".to_owned(),
    }
}

fn decode_at(value: &mut Value, schema: &Schema, place: &Place, unknown: &mut Unknown) -> Result<(), String> {
    let named = schema;
    let schema = schema.resolve();
    match schema.kind {
        Kind::Any => Ok(()),
        Kind::Object => match value {
            Value::Object(map) => decode_map(map, named, place, unknown),
            other => {
                let of = schema.additional.as_ref().map(|values| format!("map[string]{}", go_type(values)));
                Err(wrong(other, place, &of.unwrap_or_else(|| go_type(named))))
            }
        },
        Kind::Array => match value {
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    decode_at(
                        item,
                        schema.items.as_deref().unwrap_or(Schema::any()),
                        &place.item(index),
                        unknown,
                    )?;
                }
                Ok(())
            }
            other => {
                let of = go_type(schema.items.as_deref().unwrap_or(Schema::any()));
                Err(wrong(other, place, &format!("[]{of}")))
            }
        },
        Kind::String if !value.is_string() => Err(wrong(value, place, "string")),
        Kind::Boolean if !value.is_boolean() => Err(wrong(value, place, "bool")),
        Kind::Integer if !(value.is_i64() || value.is_u64()) => {
            let wanted = schema.bounds.format.clone().unwrap_or_else(|| "int64".to_owned());
            Err(wrong(value, place, &wanted))
        }
        Kind::Number if !value.is_number() => Err(wrong(value, place, "float64")),
        Kind::IntOrString if !(value.is_string() || value.is_i64()) => {
            Err(wrong(value, place, "intstr.IntOrString"))
        }
        Kind::Quantity => {
            let text = match value {
                Value::Number(number) => number.to_string(),
                Value::String(text) => text.clone(),
                other => return Err(wrong(other, place, "resource.Quantity")),
            };
            let found = quantity::canonical(&text).ok_or_else(|| QUANTITY_TEXT.to_owned())?;
            *value = Value::String(found);
            Ok(())
        }
        Kind::Time | Kind::MicroTime => {
            let Value::String(text) = &value else { return Err(wrong(value, place, "string")) };
            let micro = schema.kind == Kind::MicroTime;
            let time: jiff::Timestamp =
                text.parse().map_err(|_| format!("parsing time {text:?}: write RFC 3339"))?;
            if micro {
                microseconds(text)?;
            }
            let form = if micro { "%Y-%m-%dT%H:%M:%S%.6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
            *value = Value::String(time.strftime(form).to_string());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Times in microseconds are read with six digits, no more and no less.
fn microseconds(text: &str) -> Result<(), String> {
    let fraction = text.split_once('.').map(|(_, rest)| rest).unwrap_or_default();
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 6 {
        return Ok(());
    }
    let (rest, wanted) = match fraction.get(6..) {
        Some(rest) if digits > 6 => (rest, "Z07:00"),
        _ => (fraction, ".000000"),
    };
    Err(format!(
        "parsing time {text:?} as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse {rest:?} as {wanted:?}"
    ))
}

fn decode_map(
    map: &mut Map<String, Value>,
    named: &Schema,
    place: &Place,
    unknown: &mut Unknown,
) -> Result<(), String> {
    let schema = named.resolve();
    map.retain(|name, value| {
        if value.is_null() {
            return false;
        }
        let known = schema.properties.contains_key(name)
            || schema.additional.is_some()
            || schema.properties.is_empty();
        if !known {
            unknown.push(join(&place.path, name));
        }
        known
    });
    for (name, child) in map.iter_mut() {
        decode_at(child, schema.declared(name), &place.field(named, name), unknown)?;
    }
    // `omitempty`: an empty list or map is the same as none, unless the type must have it.
    map.retain(|name, value| match value {
        Value::Array(items) => {
            !items.is_empty() || schema.required.contains(name) || !schema.properties.contains_key(name)
        }
        Value::Object(entries) => {
            !entries.is_empty()
                || schema.required.contains(name)
                || !schema.field(name).is_some_and(Schema::is_free_map)
        }
        _ => true,
    });
    Ok(())
}
