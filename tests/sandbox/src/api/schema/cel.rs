//! CEL rules of custom resource definitions.

use super::super::errors::Cause;
use kube::core::cel::{CompiledSchema, RootContext, Validator, compile_schema};
use serde_json::Value;
use std::collections::BTreeSet;

/// Compiled rules of one schema.
pub(crate) struct Rules {
    compiled: CompiledSchema,
    /// Paths that rules of an object around them point to.
    pointed: BTreeSet<String>,
    /// Whether there is any rule.
    any: bool,
    context: RootContext,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules").finish_non_exhaustive()
    }
}

impl Rules {
    pub(crate) fn compile(schema: &Value, group: &str, version: &str, kind: &str) -> Self {
        let context = RootContext {
            api_version: format!("{group}/{version}"),
            api_group: group.to_owned(),
            kind: kind.to_owned(),
        };
        let (mut pointed, mut any) = (BTreeSet::new(), false);
        look(schema, "", &mut pointed, &mut any);
        Self { compiled: compile_schema(schema), pointed, any, context }
    }

    /// Whether there is any rule.
    pub(crate) fn any(&self) -> bool {
        self.any
    }

    /// Rules that cannot be compiled, for the validation of a definition.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.compiled.compilation_errors().into_iter().map(ToString::to_string).collect()
    }

    /// Whether a path is one that a rule of an object around it points to; indexes and keys do not matter.
    fn is_pointed(&self, path: &str) -> bool {
        let plain: String =
            path.split('[').map(|part| part.rsplit_once(']').map_or(part, |(_, rest)| rest)).collect();
        self.pointed.contains(&plain)
    }

    /// Checks an object; `old` is the stored one, for rules that compare.
    pub(crate) fn check(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        let outcome =
            Validator::new().validate_compiled_with_context(&self.compiled, object, old, Some(&self.context));
        let Err(errors) = outcome else { return Vec::new() };
        errors
            .into_vec()
            .into_iter()
            .map(|error| {
                let field = if error.field_path.is_empty() { "<nil>" } else { error.field_path.as_str() };
                let found = find(object, &error.field_path);
                match error.reason.as_deref() {
                    Some("FieldValueForbidden") => Cause::forbidden(field, &error.message),
                    Some("FieldValueRequired") => Cause::required(field, &error.message),
                    // Only scalars are shown: an object says too much and too little.
                    _ => match found {
                        Some(value) if !(value.is_object() || value.is_array() || self.is_pointed(field)) => {
                            Cause::invalid(field, value, &error.message)
                        }
                        _ => Cause::new(
                            "FieldValueInvalid",
                            field,
                            format!("Invalid value: {}", error.message),
                        ),
                    },
                }
            })
            .collect()
    }
}

/// Finds the rules of a schema, and where those with a `fieldPath` point to.
fn look(schema: &Value, at: &str, pointed: &mut BTreeSet<String>, any: &mut bool) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        *any = true;
        if let Some(path) = rule["fieldPath"].as_str() {
            pointed.insert(format!("{at}{path}").trim_start_matches('.').to_owned());
        }
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        look(field, &format!("{at}.{name}"), pointed, any);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            look(&schema[inner], at, pointed, any);
        }
    }
}

/// The value at a path such as `spec.items[0].name`.
fn find<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = object;
    for part in path.split('.').filter(|p| !p.is_empty()) {
        let (name, indexes) = part.split_once('[').map_or((part, ""), |(n, i)| (n, i));
        if !name.is_empty() {
            at = at.get(name)?;
        }
        for index in indexes.split('[').filter(|i| !i.is_empty()) {
            let index = index.trim_end_matches(']');
            at = match index.parse::<usize>() {
                Ok(number) if at.is_array() => at.get(number)?,
                _ => at.get(index.trim_matches('"'))?,
            };
        }
    }
    Some(at)
}
