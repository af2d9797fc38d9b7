//! What is kept out of each stack, all of it: `/rejected.json`, for whoever may see the stack.

use std::sync::Arc;

use obstack_crds::status::Rejected;
use serde::Serialize;

use super::Seen;
use crate::names::StackId;

/// What is kept out of one stack.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct RejectedOf {
    namespace: String,
    name: String,
    /// Whether this is all. A process that does not lead knows nothing of it: ask the one that does, which the Lease
    /// names; until then the stack's status has the first of them.
    complete: bool,
    rejected: Vec<Rejected>,
}

/// The lists of the stacks that a viewer may see; those of stacks that are gone are left out.
pub(super) fn lists(seen: &Seen, of: impl Fn(&StackId) -> Option<Arc<[Rejected]>>) -> Vec<RejectedOf> {
    let list = |id: &StackId| {
        let rejected = of(id);
        RejectedOf {
            namespace: id.namespace.clone(),
            name: id.name.clone(),
            complete: rejected.is_some(),
            rejected: rejected.map(|all| all.to_vec()).unwrap_or_default(),
        }
    };
    seen.stacks.iter().filter(|view| !view.gone).map(|view| list(&view.id)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::decisions::views;

    #[test]
    fn every_part_that_is_kept_out_is_listed_for_whoever_sees_the_stack() {
        let stack = |name: &str| {
            let object = json!({
                "apiVersion": "obstack.io/v1alpha1", "kind": "ObservabilityStack",
                "metadata": { "name": name, "namespace": "shop" }, "spec": {}
            });
            serde_json::from_value::<obstack_crds::ObservabilityStack>(object).unwrap()
        };
        let seen = Seen { stacks: views([&stack("a"), &stack("b")], []), limited: true };
        let all: Arc<[Rejected]> = (0..100)
            .map(|n| Rejected { object: format!("ServiceMonitor/shop/{n}"), reason: "no".to_owned() })
            .collect();
        let lists = lists(&seen, |id| (id.name == "a").then(|| all.clone()));
        let shown = serde_json::to_value(&lists).unwrap();
        assert_eq!(shown[0]["rejected"].as_array().unwrap().len(), 100);
        assert_eq!((&shown[0]["complete"], &shown[1]["complete"]), (&json!(true), &json!(false)));
        assert_eq!(shown[1], json!({ "namespace": "shop", "name": "b", "complete": false, "rejected": [] }));
    }
}
