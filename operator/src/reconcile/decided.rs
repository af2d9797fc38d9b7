//! What was decided last. Deciding is a good part of a reconcile, and most reconciles are about a change of some other
//! thing: the same inputs give the same plan.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::decide::{Catalog, DecideFacts, Plan, Previous, decide};
use crate::names::StackId;
use crate::validate::Valid;

/// The last plan of each stack, with what it was made from.
#[derive(Debug, Default)]
pub struct Decided {
    last: Mutex<HashMap<StackId, Last>>,
}

#[derive(Debug)]
struct Last {
    valid: Valid,
    facts: DecideFacts,
    previous: Previous,
    plan: Arc<Plan>,
}

impl Decided {
    /// The plan for these inputs, as [`decide`] makes it; the last one where they are those of the last time. The
    /// catalog is always the same one.
    pub(super) fn plan(
        &self,
        valid: &Valid,
        facts: &DecideFacts,
        previous: &Previous,
        catalog: &Catalog,
    ) -> Arc<Plan> {
        if let Some(last) = self.last().get(&valid.id)
            && (&last.valid, &last.facts, &last.previous) == (valid, facts, previous)
        {
            return last.plan.clone();
        }
        // Nothing is held meanwhile: stacks decide beside each other.
        let plan = Arc::new(decide(valid, facts, previous, catalog));
        let made = Last {
            valid: valid.clone(),
            facts: facts.clone(),
            previous: previous.clone(),
            plan: plan.clone(),
        };
        self.last().insert(valid.id.clone(), made);
        plan
    }

    /// Lets go of a stack that is gone.
    pub fn forget(&self, id: &StackId) {
        self.last().remove(id);
    }

    fn last(&self) -> MutexGuard<'_, HashMap<StackId, Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::{catalog, observed, valid, with};

    #[test]
    fn the_plan_is_that_of_the_inputs_and_is_made_once_for_the_same() {
        let (decided, catalog, facts) = (Decided::default(), catalog(), DecideFacts::of(&observed(&[])));
        let (small, large) =
            (valid(), with(|requirements| requirements.active_series = "50M".parse().unwrap()));
        let (before, kept) = (Previous::default(), Previous::of_records(&[]));
        let first = decided.plan(&small, &facts, &before, &catalog);
        assert!(Arc::ptr_eq(&first, &decided.plan(&small, &facts, &before, &catalog)));
        let offline = DecideFacts::offline();
        for (valid, facts, previous) in [
            (&small, &facts, &before),
            (&large, &facts, &before),
            (&large, &offline, &before),
            (&large, &offline, &kept),
        ] {
            assert_eq!(
                *decided.plan(valid, facts, previous, &catalog),
                decide(valid, facts, previous, &catalog)
            );
        }
    }
}
