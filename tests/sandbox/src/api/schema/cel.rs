//! CEL rules of custom resource definitions.

use super::super::errors::Cause;
use kube::core::cel::{CompiledSchema, RootContext, Validator, compile_schema};
use serde_json::Value;

/// Compiled rules of one schema.
pub(crate) struct Rules {
    compiled: CompiledSchema,
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
        Self { compiled: compile_schema(schema), context }
    }

    /// Rules that cannot be compiled, for the validation of a definition.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.compiled.compilation_errors().into_iter().map(ToString::to_string).collect()
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
                    _ => match found {
                        Some(value @ (Value::Object(_) | Value::Array(_))) => {
                            let kind = if value.is_object() { "object" } else { "array" };
                            Cause::invalid(field, &Value::String(kind.to_owned()), &error.message)
                        }
                        Some(value) => Cause::invalid(field, value, &error.message),
                        None => Cause::invalid(field, &Value::String("object".to_owned()), &error.message),
                    },
                }
            })
            .collect()
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
