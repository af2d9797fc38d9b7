//! Pure: requirements, priorities, catalog, facts and the previous decisions become a [`Plan`].
//!
//! The components differ in data, not in code: each option's limits, models, scores and conditions lie in
//! `operator/catalog/`, and one engine decides all components in their order.

pub mod catalog;
mod eliminate;
mod engine;
mod explain;
mod flip;
pub mod madr;
mod measured;
mod model;
pub mod numbers;
pub mod prompt;
#[cfg(test)]
mod properties;
pub mod records;
pub mod report;
mod resources;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod watch;

use std::collections::BTreeMap;

use obstack_crds::record::{
    ChosenBy, Elimination, FlipPoint, Measured, Phase, Ranked, Sizing, Tradeoff, Tripwire,
};
use obstack_crds::{Component, DecisionRecord};

pub use catalog::{Catalog, CatalogError};
pub use measured::Measurements;
pub use model::requirements;
pub use resources::Resources;

use crate::observe::{ClusterFacts, Fact, Facts};
use crate::validate::Valid;

/// What was decided for every component, in the fixed order of [`Component::ALL`].
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Version of the catalog.
    pub catalog: String,
    /// One decision per component.
    pub decisions: Vec<Decision>,
}

impl Plan {
    /// The decision for a component.
    pub fn get(&self, component: Component) -> Option<&Decision> {
        self.decisions.iter().find(|d| d.component == component)
    }

    /// The option in force for a component, where the operator deploys it.
    pub fn deployed(&self, component: Component) -> Option<&str> {
        self.get(component).filter(|d| d.deployable).and_then(|d| d.in_force.as_deref())
    }

    /// What one replica of the deployed workload of a component takes; none where there is no workload.
    pub fn sizing_of(&self, component: Component) -> Option<&Resources> {
        self.get(component).and_then(|d| d.resources.as_ref())
    }
}

/// The outcome for one component.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Which component.
    pub component: Component,
    /// What these inputs choose; none where every option is eliminated.
    pub chosen: Option<String>,
    /// Who chose.
    pub chosen_by: ChosenBy,
    /// Why, in the words of the person who chose.
    pub because: Option<String>,
    /// What the engine would have chosen, where a person chose.
    pub engine_would_choose: Option<String>,
    /// What runs: `chosen`, or the previous choice where a move needs a person's word.
    pub in_force: Option<String>,
    /// Whether this operator can deploy `in_force`.
    pub deployable: bool,
    /// What one replica of `in_force` takes, where this operator deploys a workload for it.
    pub resources: Option<Resources>,
    /// Why the decision may change once more is known: a fact that it would take was unavailable.
    pub uncertain: Option<String>,
    /// Requirements that the choice breaks, because a person chose it all the same.
    pub violates: Vec<Elimination>,
    /// Options that were ruled out, by each requirement that they break.
    pub eliminated: Vec<Elimination>,
    /// Options that were left: the engine's choice first, the others by the middle of their totals.
    pub ranking: Vec<Ranked>,
    /// How a tie was settled.
    pub tie: Option<String>,
    /// The smallest relaxations that would leave an option.
    pub relaxations: Vec<String>,
    /// What the choice is expected to need, all replicas together.
    pub sizing: Vec<Sizing>,
    /// What was measured, and stands in the place of the catalog's figure.
    pub measured: Vec<Measured>,
    /// What the choice costs.
    pub tradeoffs: Vec<Tradeoff>,
    /// The smallest changes that would change the choice.
    pub flip_points: Vec<FlipPoint>,
    /// What says when the choice stops being right.
    pub tripwires: Vec<Tripwire>,
    /// The decision in one sentence.
    pub statement: String,
}

/// The facts that a decision takes.
#[derive(Clone, Debug, PartialEq)]
pub struct DecideFacts {
    /// What the cluster can do. Unavailable eliminates nothing, and displaces no previous choice.
    pub cluster: Fact<ClusterFacts>,
    /// What was measured on the running engine; none where there is too little data, or nothing runs.
    pub measured: Option<Measurements>,
}

impl DecideFacts {
    /// The part of what was observed that a decision takes.
    pub fn of(facts: &Facts) -> Self {
        Self { cluster: facts.cluster.clone(), measured: None }
    }

    /// No cluster was asked, as on the command line.
    pub fn offline() -> Self {
        Self { cluster: Fact::Unavailable("no cluster was asked".to_owned()), measured: None }
    }
}

/// The choice in force for a component, by its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousChoice {
    /// Id of the option.
    pub option: String,
    /// Version of the catalog of its record.
    pub catalog: String,
}

/// The choices in force before this decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Previous {
    choices: BTreeMap<Component, PreviousChoice>,
    /// Whether decisions are kept as records: then each choice is the previous one of the next decision, and
    /// flip points take that into account.
    kept: bool,
}

impl Previous {
    /// The choices in force by the records. Where those could not be read, nothing may be decided: a
    /// decision that does not know the previous one could move a store.
    pub fn of(records: &Fact<Vec<DecisionRecord>>) -> Fact<Self> {
        match records {
            Fact::Known(records) => Fact::Known(Self::of_records(records)),
            Fact::Unavailable(reason) => Fact::Unavailable(reason.clone()),
        }
    }

    /// The choices in force by these records: of each component the newest that is accepted.
    pub fn of_records(records: &[DecisionRecord]) -> Self {
        let mut newest: BTreeMap<Component, &DecisionRecord> = BTreeMap::new();
        let accepted =
            |r: &&DecisionRecord| r.status.as_ref().is_some_and(|s| s.phase == Some(Phase::Accepted));
        for record in records.iter().filter(accepted) {
            let known = newest.entry(record.spec.component).or_insert(record);
            if known.spec.number < record.spec.number {
                *known = record;
            }
        }
        let choice = |r: &DecisionRecord| {
            Some(PreviousChoice { option: r.spec.chosen.clone()?, catalog: r.spec.catalog.clone() })
        };
        let choices = newest.into_iter().filter_map(|(c, r)| Some((c, choice(r)?))).collect();
        Self { choices, kept: true }
    }

    /// The choice in force for a component.
    pub fn get(&self, component: Component) -> Option<&PreviousChoice> {
        self.choices.get(&component)
    }

    /// These choices with one more.
    #[must_use]
    pub fn with(mut self, component: Component, option: &str, catalog: &str) -> Self {
        let choice = PreviousChoice { option: option.to_owned(), catalog: catalog.to_owned() };
        self.choices.insert(component, choice);
        self
    }
}

/// Decides every component of a stack, in order. The same inputs give the same plan.
pub fn decide(valid: &Valid, facts: &DecideFacts, previous: &Previous, catalog: &Catalog) -> Plan {
    let mut plan = decide_once(valid, facts, previous, catalog);
    let base = std::array::from_fn(|i| plan.decisions.get(i).and_then(|d| d.chosen.clone()));
    let mut next = previous.clone();
    for decision in plan.decisions.iter().filter(|_| previous.kept) {
        let known = previous.get(decision.component).map(|p| &p.option);
        if let Some(option) = decision.in_force.as_ref().filter(|option| Some(*option) != known) {
            next = next.with(decision.component, option, &catalog.version);
        }
    }
    let flips = flip::flip_points(valid, facts, &next, catalog, base);
    for (decision, flip_points) in plan.decisions.iter_mut().zip(flips) {
        decision.flip_points = flip_points;
    }
    plan
}

/// The same without flip points.
fn decide_once(valid: &Valid, facts: &DecideFacts, previous: &Previous, catalog: &Catalog) -> Plan {
    let mut context = engine::Context::new(valid, facts, previous, catalog);
    let mut decisions = Vec::with_capacity(Component::ALL.len());
    for component in Component::ALL {
        let verdict = engine::decide_one(component, &context);
        decisions.push(explain::decision(component, &verdict, &context));
        context.settle(component, &verdict);
    }
    Plan { catalog: catalog.version.clone(), decisions }
}
