//! Requests in the Kubernetes protobuf encoding. Typed Go clients send a few reviews and evictions that way even
//! to a server that answers in JSON; those are decoded by a table of their fields.

use serde_json::{Map, Value};

/// Content type of the encoding.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8] = b"k8s\0";

/// How the bytes of a field are read.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Texts,
    Number,
    Flag,
    Message(&'static [Field]),
    /// A map from text to text.
    Pairs,
}

/// Number, name, and kind.
type Field = (u64, &'static str, Kind);

use Kind::{Flag, Message, Number, Pairs, Text, Texts};

const METADATA: &[Field] = &[
    (1, "name", Text),
    (2, "generateName", Text),
    (3, "namespace", Text),
    (5, "uid", Text),
    (6, "resourceVersion", Text),
    (11, "labels", Pairs),
    (12, "annotations", Pairs),
];
const RESOURCE_ATTRIBUTES: &[Field] = &[
    (1, "namespace", Text),
    (2, "verb", Text),
    (3, "group", Text),
    (4, "version", Text),
    (5, "resource", Text),
    (6, "subresource", Text),
    (7, "name", Text),
];
const PATH_ATTRIBUTES: &[Field] = &[(1, "path", Text), (2, "verb", Text)];
const SELF_ACCESS: &[Field] = &[
    (1, "resourceAttributes", Message(RESOURCE_ATTRIBUTES)),
    (2, "nonResourceAttributes", Message(PATH_ATTRIBUTES)),
];
const ACCESS: &[Field] = &[
    (1, "resourceAttributes", Message(RESOURCE_ATTRIBUTES)),
    (2, "nonResourceAttributes", Message(PATH_ATTRIBUTES)),
    (3, "user", Text),
    (4, "groups", Texts),
    (6, "uid", Text),
];
const BOUND: &[Field] = &[(1, "kind", Text), (2, "apiVersion", Text), (3, "name", Text), (4, "uid", Text)];
const TOKEN: &[Field] =
    &[(1, "audiences", Texts), (3, "boundObjectRef", Message(BOUND)), (4, "expirationSeconds", Number)];
const TOKEN_REVIEW: &[Field] = &[(1, "token", Text), (2, "audiences", Texts)];
const PRECONDITIONS: &[Field] = &[(1, "uid", Text), (2, "resourceVersion", Text)];
const DELETE: &[Field] = &[
    (1, "gracePeriodSeconds", Number),
    (2, "preconditions", Message(PRECONDITIONS)),
    (3, "orphanDependents", Flag),
    (4, "propagationPolicy", Text),
    (5, "dryRun", Texts),
];
const NAMESPACE_FIELD: &[Field] = &[(1, "namespace", Text)];

/// Kinds that are decoded.
const KINDS: &[(&str, &[Field])] = &[
    ("SelfSubjectAccessReview", &[(1, "metadata", Message(METADATA)), (2, "spec", Message(SELF_ACCESS))]),
    ("SubjectAccessReview", &[(1, "metadata", Message(METADATA)), (2, "spec", Message(ACCESS))]),
    ("LocalSubjectAccessReview", &[(1, "metadata", Message(METADATA)), (2, "spec", Message(ACCESS))]),
    ("SelfSubjectRulesReview", &[(1, "metadata", Message(METADATA)), (2, "spec", Message(NAMESPACE_FIELD))]),
    ("SelfSubjectReview", &[(1, "metadata", Message(METADATA))]),
    ("TokenRequest", &[(1, "metadata", Message(METADATA)), (2, "spec", Message(TOKEN))]),
    ("TokenReview", &[(1, "metadata", Message(METADATA)), (2, "spec", Message(TOKEN_REVIEW))]),
    ("Eviction", &[(1, "metadata", Message(METADATA)), (2, "deleteOptions", Message(DELETE))]),
    ("DeleteOptions", DELETE),
];

const ENVELOPE: &[Field] = &[(1, "type", Message(&[(1, "apiVersion", Text), (2, "kind", Text)]))];

/// Decodes an object.
///
/// # Errors
/// A text that says what cannot be read, and to send JSON instead.
pub(crate) fn decode(body: &[u8]) -> Result<Value, String> {
    let broken = || "the protobuf body cannot be read; send application/json".to_owned();
    let body = body.strip_prefix(MAGIC).ok_or_else(broken)?;
    let envelope = message(body, ENVELOPE).ok_or_else(broken)?;
    let raw = fields(body).find_map(|(number, data)| match data {
        Data::Bytes(bytes) if number == 2 => Some(bytes),
        _ => None,
    });
    let kind = envelope["type"]["kind"].as_str().unwrap_or_default();
    let Some((_, table)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        return Err(format!("the sandbox does not read {kind} as protobuf; send application/json"));
    };
    let mut object = message(raw.unwrap_or_default(), table).ok_or_else(broken)?;
    object["kind"] = kind.into();
    object["apiVersion"] = envelope["type"]["apiVersion"].clone();
    Ok(object)
}

enum Data<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Other,
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
            1 => take(&mut bytes, 8).map(|_| Data::Other)?,
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                Data::Bytes(take(&mut bytes, length)?)
            }
            5 => take(&mut bytes, 4).map(|_| Data::Other)?,
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

fn message(bytes: &[u8], table: &[Field]) -> Option<Value> {
    let mut map = Map::new();
    for (number, data) in fields(bytes) {
        let Some((_, name, kind)) = table.iter().find(|(n, _, _)| *n == number) else { continue };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        match (kind, data) {
            (Text, Data::Bytes(bytes)) => {
                let text = text(bytes)?;
                if !text.is_empty() {
                    map.insert((*name).to_owned(), text.into());
                }
            }
            (Texts, Data::Bytes(bytes)) => {
                let list = map.entry(*name).or_insert_with(|| Value::Array(Vec::new()));
                list.as_array_mut()?.push(text(bytes)?.into());
            }
            (Number, Data::Varint(value)) => {
                map.insert((*name).to_owned(), value.cast_signed().into());
            }
            (Flag, Data::Varint(value)) => {
                map.insert((*name).to_owned(), (value != 0).into());
            }
            (Message(table), Data::Bytes(bytes)) => {
                map.insert((*name).to_owned(), message(bytes, table)?);
            }
            (Pairs, Data::Bytes(bytes)) => {
                let pair = message(bytes, &[(1, "key", Text), (2, "value", Text)])?;
                let entries = map.entry(*name).or_insert_with(|| Value::Object(Map::new()));
                let key = pair["key"].as_str().unwrap_or_default().to_owned();
                let value = pair["value"].as_str().unwrap_or_default();
                entries.as_object_mut()?.insert(key, value.into());
            }
            _ => {}
        }
    }
    Some(Value::Object(map))
}
