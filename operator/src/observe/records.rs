//! Records as they are read: each once per version.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::api::{DynamicObject, ResourceExt};
use obstack_crds::DecisionRecord;

use super::Fact;
use crate::names::{LABEL_STACK, StackId};

/// By namespace and name: the object that was read, and the record that it is.
type Known = HashMap<(String, String), (Arc<DynamicObject>, DecisionRecord)>;

/// What was read last.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    known: Arc<Mutex<Known>>,
}

impl Records {
    /// The records of a stack, of all objects that a watch shows, in the order of their names. Where one cannot be read,
    /// none is known: the decision in force could be the one that it holds.
    pub(super) fn of(&self, id: &StackId, all: &[Arc<DynamicObject>]) -> Fact<Vec<DecisionRecord>> {
        let of_stack = |object: &&Arc<DynamicObject>| {
            object.metadata.namespace.as_deref() == Some(&id.namespace)
                && object.labels().get(LABEL_STACK) == Some(&id.name)
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that are gone are let go once they are the half.
        if known.len() > 2 * all.len() {
            known.clear();
        }
        let mut read = |object: &Arc<DynamicObject>| {
            let key = (id.namespace.clone(), object.name_any());
            if let Some((seen, record)) = known.get(&key)
                && Arc::ptr_eq(seen, object)
            {
                return Ok(record.clone());
            }
            let record = DynamicObject::clone(object)
                .try_parse::<DecisionRecord>()
                .map_err(|error| format!("{} cannot be read: {error}", object.name_any()))?;
            known.insert(key, (object.clone(), record.clone()));
            Ok(record)
        };
        match all.iter().filter(of_stack).map(&mut read).collect::<Result<Vec<DecisionRecord>, String>>() {
            Ok(mut records) => {
                records.sort_by_key(ResourceExt::name_any);
                Fact::Known(records)
            }
            Err(reason) => Fact::Unavailable(reason),
        }
    }
}
