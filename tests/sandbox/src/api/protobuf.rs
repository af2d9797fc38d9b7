//! Requests in the Kubernetes protobuf encoding, which typed Go clients (`kubectl create`, `drain`, `auth`) send
//! even to a server that answers in JSON.
//!
//! `registry/protobuf.txt` lists every message that a served kind reaches, from the tags of `k8s.io/api` v0.37:
//! `package.Message number:field:type …`. A type is a message, or `s` text, `b` bytes, `i` integer, `o` boolean,
//! `d` floating point, `T` and `U` times, `Q` quantity, `I` integer or text, `D` duration, `R` any JSON, `F`
//! owned fields, `L` list of texts. Before it, `*` repeats, `%` is a map from text, `!` keeps a zero (it was set
//! on purpose), `^` is part of the message around it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Content type of the encoding.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8] = b"k8s\0";
/// Deepest nesting that is read; real objects stay far below.
const MAX_DEPTH: usize = 32;

/// What a field's flag says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    Plain,
    Repeated,
    Map,
    KeepZero,
    Inline,
}

struct Field {
    name: &'static str,
    flag: Flag,
    kind: &'static str,
}

type Message = HashMap<u64, Field>;

static MESSAGES: LazyLock<HashMap<&'static str, Message>> =
    LazyLock::new(|| include_str!("registry/protobuf.txt").lines().filter_map(line).collect());

fn line(line: &'static str) -> Option<(&'static str, Message)> {
    let (name, fields) = line.split_once(' ').unwrap_or((line, ""));
    let fields = fields.split(' ').filter_map(|field| {
        let mut parts = field.splitn(3, ':');
        let (number, name, kind) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
        let flags = [('*', Flag::Repeated), ('%', Flag::Map), ('!', Flag::KeepZero), ('^', Flag::Inline)];
        let found = flags.iter().find(|(sign, _)| kind.starts_with(*sign));
        let (flag, kind) = found.map_or((Flag::Plain, kind), |(_, flag)| (*flag, &kind[1..]));
        Some((number, Field { name, flag, kind }))
    });
    Some((name, fields.collect()))
}

/// Message of a kind.
fn message_of(api_version: &str, kind: &str) -> Option<&'static Message> {
    let group = api_version.split_once('/').map_or("core", |(group, _)| group);
    let package = match group.split('.').next()? {
        _ if kind == "DeleteOptions" => "meta",
        package => package,
    };
    MESSAGES.get(format!("{package}.{kind}").as_str())
}

/// Decodes an object.
///
/// # Errors
/// A text that says what cannot be read, and to send JSON instead.
pub(crate) fn decode(body: &[u8]) -> Result<Value, String> {
    let broken = || "the protobuf body cannot be read; send application/json".to_owned();
    let body = body.strip_prefix(MAGIC).ok_or_else(broken)?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for (number, data) in fields(body) {
        match (number, data) {
            (1, Data::Bytes(bytes)) => {
                for (number, data) in fields(bytes) {
                    if let Data::Bytes(bytes) = data {
                        let slot = if number == 1 { &mut api_version } else { &mut kind };
                        *slot = String::from_utf8_lossy(bytes).into_owned();
                    }
                }
            }
            (2, Data::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let Some(table) = message_of(&api_version, &kind) else {
        return Err(format!("the sandbox does not read {kind} as protobuf; send application/json"));
    };
    let mut object = Map::new();
    message(raw, table, &mut object, 0).ok_or_else(broken)?;
    object.insert("kind".to_owned(), kind.into());
    object.insert("apiVersion".to_owned(), api_version.into());
    Ok(Value::Object(object))
}

#[derive(Clone, Copy)]
enum Data<'a> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, up to the first that cannot be read.
fn fields(mut bytes: &[u8]) -> impl Iterator<Item = (u64, Data<'_>)> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let tag = varint(&mut bytes)?;
        let data = match tag & 7 {
            0 => Data::Varint(varint(&mut bytes)?),
            1 => Data::Fixed(u64::from_le_bytes(take(&mut bytes, 8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                Data::Bytes(take(&mut bytes, length)?)
            }
            5 => Data::Fixed(u64::from(u32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?))),
            _ => return None,
        };
        Some((tag >> 3, data))
    })
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(length)?;
    *bytes = tail;
    Some(head)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn message(bytes: &[u8], table: &Message, into: &mut Map<String, Value>, depth: usize) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    for (number, data) in fields(bytes) {
        let Some(field) = table.get(&number) else { continue };
        match (field.flag, data) {
            (Flag::Inline, Data::Bytes(bytes)) => {
                message(bytes, MESSAGES.get(field.kind)?, into, depth + 1)?;
            }
            (Flag::Repeated, data) => {
                let list = into.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
                list.as_array_mut()?.push(value(data, field.kind, depth)?);
            }
            (Flag::Map, Data::Bytes(bytes)) => {
                let (mut key, mut found) = (String::new(), Value::Null);
                for (number, data) in fields(bytes) {
                    match (number, data) {
                        (1, Data::Bytes(bytes)) => key = String::from_utf8(bytes.to_vec()).ok()?,
                        (2, data) => found = value(data, field.kind, depth)?,
                        _ => {}
                    }
                }
                let entries = into.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
                entries.as_object_mut()?.insert(key, found);
            }
            (flag, data) => {
                let found = value(data, field.kind, depth)?;
                let zero = match &found {
                    Value::Null => true,
                    Value::Bool(flag) => !flag,
                    Value::Number(number) => number.as_f64() == Some(0.0),
                    Value::String(text) => text.is_empty(),
                    _ => false,
                };
                if !zero || (flag == Flag::KeepZero && !found.is_null()) {
                    into.insert(field.name.to_owned(), found);
                }
            }
        }
    }
    Some(())
}

fn value(data: Data<'_>, kind: &str, depth: usize) -> Option<Value> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some(match (kind, data) {
        ("s", Data::Bytes(bytes)) => text(bytes)?.into(),
        ("b", Data::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        ("i", Data::Varint(number)) => number.cast_signed().into(),
        ("o", Data::Varint(number)) => (number != 0).into(),
        ("d", Data::Fixed(bits)) => f64::from_bits(bits).into(),
        ("T", Data::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%SZ"),
        ("U", Data::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%S%.6fZ"),
        ("Q", Data::Bytes(bytes)) => first_text(bytes, 1)?.into(),
        ("D", Data::Bytes(bytes)) => {
            let nanoseconds = number(bytes, 1).cast_signed();
            format!("{}s", jiff::SignedDuration::from_nanos(nanoseconds).as_secs_f64()).into()
        }
        ("I", Data::Bytes(bytes)) => {
            if number(bytes, 1) == 0 {
                number(bytes, 2).cast_signed().into()
            } else {
                first_text(bytes, 3)?.into()
            }
        }
        ("R" | "F", Data::Bytes(bytes)) => serde_json::from_str(&first_text(bytes, 1)?).ok()?,
        ("L", Data::Bytes(bytes)) => {
            let items = fields(bytes).filter_map(|(_, data)| match data {
                Data::Bytes(bytes) => text(bytes).map(Value::from),
                _ => None,
            });
            items.collect()
        }
        (_, Data::Bytes(bytes)) => {
            let mut map = Map::new();
            message(bytes, MESSAGES.get(kind)?, &mut map, depth + 1)?;
            Value::Object(map)
        }
        _ => return None,
    })
}

fn number(bytes: &[u8], wanted: u64) -> u64 {
    let mut found = fields(bytes).filter_map(|(number, data)| match data {
        Data::Varint(value) if number == wanted => Some(value),
        _ => None,
    });
    found.next().unwrap_or(0)
}

fn first_text(bytes: &[u8], wanted: u64) -> Option<String> {
    let mut found = fields(bytes).filter_map(|(number, data)| match data {
        Data::Bytes(bytes) if number == wanted => Some(bytes),
        _ => None,
    });
    String::from_utf8(found.next().unwrap_or_default().to_vec()).ok()
}

/// A time of whole seconds and nanoseconds; an empty one is none.
fn time(bytes: &[u8], format: &str) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    let (seconds, nanoseconds) = (number(bytes, 1).cast_signed(), number(bytes, 2).cast_signed());
    let time = i32::try_from(nanoseconds).ok().and_then(|n| jiff::Timestamp::new(seconds, n).ok());
    time.map_or(Value::Null, |time| time.strftime(format).to_string().into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{MAGIC, decode};
    use serde_json::json;

    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![(number << 3) | 2, u8::try_from(content.len()).unwrap_or(u8::MAX)];
        out.extend(content);
        out
    }

    fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let types = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), bytes(1, &types), bytes(2, raw)].concat()
    }

    #[test]
    fn objects_lose_zeros_that_nobody_set_and_keep_those_that_somebody_did() {
        let name = bytes(1, &bytes(1, b"a"));
        let pair = [bytes(1, b"key"), bytes(2, b"\x01\x02")].concat();
        let raw = [name.clone(), bytes(2, &pair), bytes(3, b""), vec![5 << 3, 0]].concat();
        assert_eq!(
            decode(&envelope("v1", "Secret", &raw)),
            Ok(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"key": "AQI="},
                "immutable": false,
            }))
        );
        // spec { replicas 0, minReadySeconds 0, strategy {} }
        let raw = [name, bytes(2, &[vec![1 << 3, 0, 5 << 3, 0], bytes(4, b"")].concat())].concat();
        assert_eq!(
            decode(&envelope("apps/v1", "Deployment", &raw)),
            Ok(json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
                "spec": {"replicas": 0, "strategy": {}},
            }))
        );
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for body in [&b"{}"[..], &b"k8s\0\x0a\xff"[..], &envelope("v9", "Nothing", b"")] {
            let text = decode(body).unwrap_err();
            assert!(text.ends_with("send application/json"), "{text}");
        }
    }
}
