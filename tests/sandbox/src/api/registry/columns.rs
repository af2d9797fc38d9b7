//! Columns that `kubectl get` shows for built-in kinds.

use super::Column;

/// Columns after the name, without the age.
pub(crate) fn of(_kind: &str) -> Vec<Column> {
    Vec::new()
}
