//! Pure: requirements, priorities, catalog, facts and the previous decisions become a [`Plan`].

use obstack_crds::Component;
use obstack_crds::record::{ChosenBy, Elimination, FlipPoint, Ranked, Sizing, Tradeoff, Tripwire};

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
    /// Requirements that the choice breaks, because a person chose it all the same.
    pub violates: Vec<Elimination>,
    /// Options that were ruled out.
    pub eliminated: Vec<Elimination>,
    /// Options that were left, the best first.
    pub ranking: Vec<Ranked>,
    /// How a tie was settled.
    pub tie: Option<String>,
    /// The smallest relaxations that would leave an option.
    pub relaxations: Vec<String>,
    /// What the choice is expected to need, all replicas together.
    pub sizing: Vec<Sizing>,
    /// What the choice costs.
    pub tradeoffs: Vec<Tradeoff>,
    /// The smallest changes that would change the choice.
    pub flip_points: Vec<FlipPoint>,
    /// What says when the choice stops being right.
    pub tripwires: Vec<Tripwire>,
    /// The decision in one sentence.
    pub statement: String,
}
