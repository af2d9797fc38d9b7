//! One stack that takes every object, built as the operator builds it: objects are kept, fragments are packed, parts
//! are compressed. The file is part of the benchmarks too, so it needs nothing but the operator's library.

use std::collections::BTreeMap;
use std::sync::Arc;

use obstack::decide::{Catalog, DecideFacts, Plan, Previous, decide};
use obstack::names::{Role, StackId};
use obstack::reconcile::object_settings;
use obstack::running::{Engine, Generation, Packing};
use obstack::scrape::contents::Known;
use obstack::scrape::sources::{Cache, Namespaces, ObjectSettings, Picker, Source, SourceKind, Sources};
use obstack::scrape::{Given, configs};
use obstack::validate::{Valid, validate};
use serde_json::{Value, json};

/// An object as the watch holds it.
///
/// # Panics
/// When it lacks what every object has.
pub fn source(object: &Value) -> Arc<Source> {
    Arc::new(Source::of(SourceKind::ServiceMonitor, "v1", object).expect("a whole object"))
}

/// What is kept from one build to the next.
#[derive(Default)]
pub struct Kept {
    picker: Picker,
    /// What objects became.
    pub cache: Cache,
    known: Arc<Known>,
}

/// A stack that takes every monitor, and what building it goes by.
pub struct Stack {
    valid: Valid,
    plan: Plan,
    settings: ObjectSettings,
    namespaces: Namespaces,
}

impl Stack {
    /// The stack `monitoring/main` with defaults.
    ///
    /// # Panics
    /// When the catalog of this build is broken.
    #[allow(clippy::new_without_default, reason = "it decides a whole stack")]
    pub fn new() -> Self {
        let everywhere = json!({ "collection": { "objects": { "namespaceSelector": {} } } });
        let spec = serde_json::from_value(everywhere).expect("a spec");
        let id = StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() };
        let valid = validate(id, &spec, None).expect("a valid stack");
        let catalog = Catalog::embedded().expect("the catalog");
        let plan = decide(&valid, &DecideFacts::offline(), &Previous::default(), &catalog);
        let settings = object_settings(&valid).expect("settings");
        Self { valid, plan, settings, namespaces: Namespaces::new() }
    }

    /// What a reconcile does between what the watches hold and what is written: picks objects, builds those that
    /// changed, puts the rest beside them, packs and compresses the parts that were touched.
    ///
    /// # Panics
    /// When an object is rejected, or the configuration is too large.
    pub fn build(
        &self,
        sources: &Sources,
        kept: &mut Kept,
        before: Option<&Arc<Generation>>,
    ) -> Arc<Generation> {
        let picked = kept.picker.pick(&self.valid, sources, &self.namespaces);
        let objects = kept.cache.build_from(&self.settings, &picked, &kept.known);
        assert!(objects.rejected.is_empty() && objects.unknown.is_empty(), "{:?}", objects.rejected.first());
        let secrets = BTreeMap::new();
        let given = Given { records: &[], secrets: &secrets, operator_namespace: None, objects: &objects };
        let before = before.map(|before| (Engine::Prometheus, before.clone()));
        let packing = Packing { before: before.into_iter().collect(), ..Packing::default() };
        let configs = configs(&self.valid, &self.plan, &given, &packing).expect("it fits");
        configs.generations[&Role::Metrics].clone()
    }
}
