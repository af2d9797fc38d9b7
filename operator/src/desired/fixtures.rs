//! Stacks and plans for the tests of the pure steps.

use std::collections::BTreeMap;

use obstack_crds::Component;
use obstack_crds::record::ChosenBy;
use obstack_crds::stack::ObservabilityStackSpec;
use obstack_crds::workload::SecretKey;

use super::Context;
use crate::decide::{Decision, Plan, Resources};
use crate::names::Role;
use crate::names::StackId;
use crate::running::Packing;
use crate::scrape::sources::Objects;
use crate::scrape::{Configs, Given, configs, option_of};
use crate::units::Bytes;
use crate::validate::{Valid, validate};

/// A stack `monitoring/main` with a spec in YAML.
pub(crate) fn valid(spec: &str) -> Valid {
    let spec: ObservabilityStackSpec = serde_saphyr::from_str(spec).unwrap();
    let id = StackId { namespace: "monitoring".into(), name: "main".into() };
    validate(id, &spec, None).unwrap()
}

/// A plan that deploys these roles and nothing else.
pub(crate) fn plan(roles: &[Role]) -> Plan {
    let decision = |component: Component| {
        let role = roles.iter().find(|role| role.component() == component);
        let option = role.map_or("None", |role| option_of(*role)).to_owned();
        Decision {
            component,
            chosen: Some(option.clone()),
            chosen_by: ChosenBy::Engine,
            because: None,
            engine_would_choose: None,
            in_force: Some(option),
            deployable: true,
            resources: role.map(|_| Resources {
                memory_request: Bytes(512 << 20),
                memory_limit: Bytes(1 << 30),
                cpu_millis: 100,
                disk: Bytes(50 << 30),
                replicas: 1,
            }),
            uncertain: None,
            violates: vec![],
            eliminated: vec![],
            ranking: vec![],
            tie: None,
            relaxations: vec![],
            sizing: vec![],
            measured: vec![],
            tradeoffs: vec![],
            flip_points: vec![],
            tripwires: vec![],
            statement: String::new(),
        }
    };
    Plan { catalog: "test".into(), decisions: Component::ALL.map(decision).to_vec() }
}

/// The configuration of a stack that stands alone: without records, and without objects of others.
pub(crate) fn configs_of(
    valid: &Valid,
    plan: &Plan,
    secrets: &BTreeMap<SecretKey, Vec<u8>>,
    operator_namespace: Option<&str>,
) -> Configs {
    let given = Given { records: &[], secrets, operator_namespace, objects: &Objects::default() };
    configs(valid, plan, &given, &Packing::default()).unwrap()
}

/// An operator that knows where it is.
pub(crate) fn context() -> Context {
    Context {
        operator_image: "ghcr.io/obstack/obstack:0.1.0".into(),
        operator_namespace: Some("obstack-system".into()),
        pinned: Default::default(),
        configuration: true,
        namespace_labels: Default::default(),
    }
}
