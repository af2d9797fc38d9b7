//! Everything that is kept out of each stack, for those who ask the operator: a status names some of many.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use obstack_crds::status::Rejected;

use crate::names::StackId;

/// What is kept out, by stack. Only the process that reconciles knows it.
#[derive(Debug, Default)]
pub struct Rejections(Mutex<HashMap<StackId, Arc<[Rejected]>>>);

impl Rejections {
    /// Notes all that is kept out of a stack, each part once.
    pub(super) fn note(&self, id: &StackId, mut all: Vec<Rejected>) {
        all.sort();
        all.dedup();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), all.into());
    }

    /// All that is kept out of a stack; none where this process has not reconciled it.
    pub fn of(&self, id: &StackId) -> Option<Arc<[Rejected]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Forgets a stack that is gone.
    pub fn forget(&self, id: &StackId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Forgets all: this process reconciles no longer, and what it knows grows old.
    pub fn forget_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
