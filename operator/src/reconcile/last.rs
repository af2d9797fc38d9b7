//! What was made last for each stack. To decide and to build its objects is a good part of a reconcile, and most
//! reconciles are about a change of some other thing: the same inputs give the same plan, and the same objects.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::decide::{Catalog, DecideFacts, Plan, Previous, decide};
use crate::desired::{Context, DesiredError, Wanted, desired};
use crate::names::{Role, StackId};
use crate::running::Fragment;
use crate::scrape::Configs;
use crate::scrape::objects::Reach;
use crate::validate::Valid;

/// What was made last for each stack, with what it was made from.
#[derive(Debug)]
struct Last<I, M>(Mutex<HashMap<StackId, (I, Arc<M>)>>);

impl<I, M> Default for Last<I, M> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<I, M> Last<I, M> {
    /// What was made last, where it was made from the same.
    fn get(&self, id: &StackId, is_same: impl FnOnce(&I) -> bool) -> Option<Arc<M>> {
        self.all().get(id).filter(|(inputs, _)| is_same(inputs)).map(|(_, made)| made.clone())
    }

    fn put(&self, id: &StackId, inputs: I, made: M) -> Arc<M> {
        let made = Arc::new(made);
        self.all().insert(id.clone(), (inputs, made.clone()));
        made
    }

    fn forget(&self, id: &StackId) {
        self.all().remove(id);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<StackId, (I, Arc<M>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last plan of each stack.
#[derive(Debug, Default)]
pub struct Decided(Last<(Valid, DecideFacts, Previous), Plan>);

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
        let last = self.0.get(&valid.id, |(v, f, p)| (v, f, p) == (valid, facts, previous));
        // Nothing is held meanwhile: stacks decide beside each other.
        last.unwrap_or_else(|| {
            let plan = decide(valid, facts, previous, catalog);
            self.0.put(&valid.id, (valid.clone(), facts.clone(), previous.clone()), plan)
        })
    }

    /// Lets go of a stack that is gone.
    pub fn forget(&self, id: &StackId) {
        self.0.forget(id);
    }
}

/// The objects that each stack wanted last.
#[derive(Debug, Default)]
pub struct Built(Last<BuiltFrom, Wanted>);

/// What objects are built from. Of the configurations it is only which there are and where targets are looked for: what
/// is in them is delivered beside the objects.
#[derive(Debug)]
struct BuiltFrom {
    valid: Valid,
    plan: Arc<Plan>,
    context: Context,
    configured: BTreeSet<Role>,
    handed_over: BTreeMap<Role, Vec<Fragment>>,
    reach: Reach,
}

impl BuiltFrom {
    fn is(&self, valid: &Valid, plan: &Arc<Plan>, context: &Context, configs: &Configs) -> bool {
        Arc::ptr_eq(&self.plan, plan)
            && self.valid == *valid
            && self.context == *context
            && self.configured.iter().eq(configs.generations.keys())
            && self.reach == configs.reach
            && self.handed_over == configs.handed_over
    }
}

impl Built {
    /// The objects for these inputs, as [`desired`] builds them; the last ones where they are those of the last time.
    ///
    /// # Errors
    /// See [`DesiredError`]; nothing is kept then.
    pub(super) fn objects(
        &self,
        valid: &Valid,
        plan: &Arc<Plan>,
        context: &Context,
        configs: &Configs,
    ) -> Result<Arc<Wanted>, DesiredError> {
        // Objects that carry the configuration depend on all that is in it.
        let is_same = |from: &BuiltFrom| !context.configuration && from.is(valid, plan, context, configs);
        if let Some(last) = self.0.get(&valid.id, is_same) {
            return Ok(last);
        }
        let wanted = desired(valid, plan, context, configs)?;
        let from = BuiltFrom {
            valid: valid.clone(),
            plan: plan.clone(),
            context: context.clone(),
            configured: configs.generations.keys().copied().collect(),
            handed_over: configs.handed_over.clone(),
            reach: configs.reach.clone(),
        };
        Ok(self.0.put(&valid.id, from, wanted))
    }

    /// Lets go of a stack that is gone.
    pub fn forget(&self, id: &StackId) {
        self.0.forget(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::{catalog, observed, valid, with};
    use crate::desired::fixtures;

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

    #[test]
    fn objects_are_those_of_the_inputs_and_are_built_once_for_the_same() {
        let (small, large) = (fixtures::valid("{}"), fixtures::valid("requirements: { retention: 14d }"));
        let all = Arc::new(fixtures::plan(&[Role::Metrics, Role::Alerting]));
        let one = Arc::new(fixtures::plan(&[Role::Metrics]));
        let context = |configuration, namespace: Option<&str>| Context {
            configuration,
            operator_namespace: namespace.map(str::to_owned),
            ..fixtures::context()
        };
        let (here, there) = (context(false, Some("here")), context(false, Some("there")));
        let carrying = context(true, Some("here"));
        let configs = |plan: &Plan| fixtures::configs_of(&small, plan, &BTreeMap::new(), None);
        let reach = Reach { everywhere: true, ..Reach::default() };
        let (of_all, of_one) = (configs(&all), configs(&one));
        let wide = Configs { reach, ..of_all.clone() };

        let built = Built::default();
        let first = built.objects(&small, &all, &here, &of_all).unwrap();
        assert!(Arc::ptr_eq(&first, &built.objects(&small, &all, &here, &of_all).unwrap()));
        assert!(built.objects(&small, &all, &here, &Configs::default()).is_err(), "nothing is configured");
        let carried = built.objects(&small, &all, &carrying, &of_all).unwrap();
        assert!(!Arc::ptr_eq(&carried, &built.objects(&small, &all, &carrying, &of_all).unwrap()));
        for (valid, plan, context, configs) in [
            (&small, &all, &here, &of_all),
            (&large, &all, &here, &of_all),
            (&large, &one, &here, &of_one),
            (&large, &one, &there, &of_one),
            (&large, &all, &there, &of_all),
            (&large, &all, &there, &wide),
        ] {
            let objects = built.objects(valid, plan, context, configs).unwrap();
            assert_eq!(*objects, desired(valid, plan, context, configs).unwrap());
        }
    }
}
