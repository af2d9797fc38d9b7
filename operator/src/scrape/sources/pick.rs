//! Which objects a stack takes, and for one object why not.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use obstack_crds::Pickup;

use super::shelf::Share;
use super::{Group, Source, SourceKind, Sources};
use crate::names::{LABEL_MANAGED_BY, LABEL_STACK};
use crate::validate::Valid;

/// Label that names a namespace; every API server sets it.
pub(crate) const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// How many labels a reason names.
const SHOWN: usize = 8;

/// Labels of the namespaces that are known, by name. One that is not here has just the label that names it: what
/// an operator without a right on namespaces knows of each.
pub type Namespaces = BTreeMap<String, BTreeMap<String, String>>;

/// Whether a stack takes an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Taken,
    /// It does not: what keeps the object out, and what to change.
    Left(String),
}

/// The objects that a stack takes, in the order in which they came.
pub fn pick<'a>(
    valid: &Valid,
    sources: impl IntoIterator<Item = &'a Arc<Source>>,
    namespaces: &Namespaces,
) -> Vec<Arc<Source>> {
    let mut judging = Judging { valid, namespaces, judged: HashMap::new() };
    sources.into_iter().filter(|source| judging.takes(source)).cloned().collect()
}

/// Judges many objects.
struct Judging<'a> {
    valid: &'a Valid,
    namespaces: &'a Namespaces,
    /// A namespace is judged once for each field, not once for each of its objects.
    judged: HashMap<(Group, &'a str), bool>,
}

impl<'a> Judging<'a> {
    fn takes(&mut self, source: &'a Source) -> bool {
        let field = Field::of(self.valid, source.key.kind.group());
        let selected = field.is_enabled() && field.pickup.selector.selects(&source.labels);
        if !selected || maker(source).is_some() {
            return false;
        }
        let place = (field.group, source.key.namespace.as_str());
        let namespaces = self.namespaces;
        *self.judged.entry(place).or_insert_with(|| field.takes_namespace(place.1, namespaces).is_ok())
    }

    /// What is taken of a share; the share itself where all of it is.
    fn share(&mut self, share: &'a Share) -> Share {
        let takes: Vec<bool> = share.iter().map(|source| self.takes(source)).collect();
        if takes.iter().all(|taken| *taken) {
            return share.clone();
        }
        let taken = share.iter().zip(takes).filter(|(_, taken)| *taken);
        Share::new(taken.map(|(source, _)| source.clone()).collect())
    }
}

/// What objects are picked by, beside themselves.
#[derive(PartialEq)]
struct Criteria {
    fields: [Pickup; 3],
    home: String,
    namespaces: Namespaces,
}

impl Criteria {
    fn of(valid: &Valid, namespaces: &Namespaces) -> Self {
        let fields = [Group::Collection, Group::Rules, Group::Alerting];
        Self {
            fields: fields.map(|group| Field::of(valid, group).pickup.clone()),
            home: valid.id.namespace.clone(),
            namespaces: namespaces.clone(),
        }
    }
}

/// Picks objects as [`pick`] does, and keeps what was picked: while it goes by the same fields and namespaces, only what
/// changed among the objects is looked at. What comes of it depends on what is given alone.
#[derive(Default)]
pub struct Picker {
    criteria: Option<Criteria>,
    from: Sources,
    picked: Sources,
}

impl Picker {
    /// The objects that a stack takes.
    pub fn pick(&mut self, valid: &Valid, sources: &Sources, namespaces: &Namespaces) -> Sources {
        let criteria = Criteria::of(valid, namespaces);
        if self.criteria.as_ref() != Some(&criteria) {
            (self.from, self.picked) = Default::default();
            self.criteria = Some(criteria);
        }
        let mut judging = Judging { valid, namespaces, judged: HashMap::new() };
        let mut picked = Sources::default();
        for kind in SourceKind::ALL {
            let shares = sources.shares(kind).iter().enumerate();
            let (from, before) = (self.from.shares(kind), self.picked.shares(kind));
            let kept = |(place, share): (usize, &'_ Share)| {
                let kept =
                    from.get(place).zip(before.get(place)).filter(|(from, _)| Arc::ptr_eq(from, share));
                kept.map(|(_, picked)| picked.clone())
            };
            let shares: Vec<Share> =
                shares.map(|share| kept(share).unwrap_or_else(|| judging.share(share.1))).collect();
            picked.put(kind, shares);
        }
        self.from = sources.clone();
        self.picked = picked.clone();
        picked
    }
}

/// Whether a stack takes an object, and if not, which of its fields keeps it out.
pub fn judge(valid: &Valid, source: &Source, namespaces: &Namespaces) -> Verdict {
    let field = Field::of(valid, source.key.kind.group());
    let path = field.group.path();
    if let Some(stack) = maker(source) {
        return Verdict::Left(format!(
            "obstack wrote it for the stack {stack}, which hands its rules over to prometheus-operator; nothing is to \
             be changed"
        ));
    }
    if !field.is_enabled() {
        return Verdict::Left(format!("{path}.enabled is false; write true, or leave it out"));
    }
    if let Err(why) = field.takes_namespace(&source.key.namespace, namespaces) {
        return Verdict::Left(why);
    }
    match field.pickup.selector.missing(&source.labels) {
        None => Verdict::Taken,
        Some(missing) => Verdict::Left(format!(
            "{path}.selector wants {missing}, and the object has {}; add the label, or widen the selector",
            written(&source.labels)
        )),
    }
}

/// The stack that an object of ours was written for: it says again what that stack's own configuration says.
fn maker(source: &Source) -> Option<&str> {
    let by_us = source.labels.get(LABEL_MANAGED_BY).is_some_and(|by| by == "obstack");
    source.labels.get(LABEL_STACK).filter(|_| by_us).map(String::as_str)
}

/// Whether a stack takes objects of a kind at all.
pub fn is_searched(valid: &Valid, kind: SourceKind) -> bool {
    Field::of(valid, kind.group()).is_enabled()
}

/// The field of a stack that says which objects of some kinds are taken.
struct Field<'a> {
    group: Group,
    pickup: &'a Pickup,
    home: &'a str,
}

impl<'a> Field<'a> {
    fn of(valid: &'a Valid, group: Group) -> Self {
        let pickup = match group {
            Group::Collection => &valid.spec.collection.objects,
            Group::Rules => &valid.spec.rules.objects,
            Group::Alerting => &valid.spec.alerting.objects,
        };
        Self { group, pickup, home: &valid.id.namespace }
    }

    fn is_enabled(&self) -> bool {
        self.pickup.enabled != Some(false)
    }

    /// Whether objects of a namespace are taken; else why not.
    fn takes_namespace(&self, namespace: &str, known: &Namespaces) -> Result<(), String> {
        let path = self.group.path();
        let Some(selector) = &self.pickup.namespace_selector else {
            if namespace == self.home {
                return Ok(());
            }
            return Err(format!(
                "{path}.namespaceSelector is left out, so only objects of the stack's own namespace, {}, are \
                 taken; write a selector that takes the namespace {namespace}, or {{}} for every namespace",
                self.home
            ));
        };
        let named = || BTreeMap::from([(NAME_LABEL.to_owned(), namespace.to_owned())]);
        let labels = known.get(namespace).cloned().unwrap_or_else(named);
        match selector.missing(&labels) {
            None => Ok(()),
            Some(missing) => Err(format!(
                "{path}.namespaceSelector wants {missing}, and the namespace {namespace} has {}; label the \
                 namespace, or widen the selector",
                written(&labels)
            )),
        }
    }
}

/// Labels as they are written on a command line, at most [`SHOWN`] of them.
fn written(labels: &BTreeMap<String, String>) -> String {
    if labels.is_empty() {
        return "no label".to_owned();
    }
    let shown = labels.iter().take(SHOWN).map(|(name, value)| format!("{name}={value}"));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if labels.len() > SHOWN {
        text.push_str(&format!(" and {} more", labels.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::names::StackId;
    use crate::validate::validate;

    fn stack(spec: Value) -> Valid {
        let id = StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() };
        validate(id, &serde_json::from_value(spec).unwrap(), None).unwrap()
    }

    fn source(kind: SourceKind, namespace: &str, labels: Value) -> Arc<Source> {
        let object = json!({
            "metadata": { "namespace": namespace, "name": "web", "labels": labels }, "spec": {}
        });
        Arc::new(Source::of(kind, "v1", &object).unwrap())
    }

    fn namespaces() -> Namespaces {
        let labels = |name: &str, team: &str| {
            BTreeMap::from([(NAME_LABEL.to_owned(), name.to_owned()), ("team".to_owned(), team.to_owned())])
        };
        BTreeMap::from([("shop".to_owned(), labels("shop", "a"))])
    }

    /// Both ways of asking say the same, and this is why not.
    fn asked(valid: &Valid, source: &Arc<Source>) -> Option<String> {
        let taken = !pick(valid, [source], &namespaces()).is_empty();
        match judge(valid, source, &namespaces()) {
            Verdict::Taken => {
                assert!(taken, "{source:?}");
                None
            }
            Verdict::Left(why) => {
                assert!(!taken, "{source:?}");
                Some(why)
            }
        }
    }

    #[test]
    fn everything_in_the_own_namespace_is_taken_where_nothing_is_said() {
        let valid = stack(json!({}));
        for kind in SourceKind::ALL {
            assert_eq!(asked(&valid, &source(kind, "monitoring", json!({}))), None);
            let why = asked(&valid, &source(kind, "shop", json!({}))).unwrap();
            let path = kind.group().path();
            assert_eq!(
                why,
                format!(
                    "{path}.namespaceSelector is left out, so only objects of the stack's own namespace, \
                     monitoring, are taken; write a selector that takes the namespace shop, or {{}} for every \
                     namespace"
                )
            );
        }
    }

    #[test]
    fn what_obstack_wrote_itself_is_not_taken_again() {
        let ours = json!({ "app.kubernetes.io/managed-by": "obstack", "obstack.io/stack": "other" });
        let why = asked(&stack(json!({})), &source(SourceKind::PrometheusRule, "monitoring", ours)).unwrap();
        assert!(why.starts_with("obstack wrote it for the stack other"), "{why}");
        let theirs = json!({ "app.kubernetes.io/managed-by": "Helm", "obstack.io/stack": "other" });
        assert_eq!(asked(&stack(json!({})), &source(SourceKind::PrometheusRule, "monitoring", theirs)), None);
    }

    #[test]
    fn selectors_say_what_they_miss() {
        let objects = json!({
            "selector": { "matchLabels": { "release": "main" } },
            "namespaceSelector": { "matchExpressions": [{ "key": "team", "operator": "In", "values": ["a"] }] }
        });
        let valid = stack(json!({ "collection": { "objects": objects } }));
        let kind = SourceKind::ServiceMonitor;
        assert_eq!(asked(&valid, &source(kind, "shop", json!({ "release": "main" }))), None);
        assert_eq!(
            asked(&valid, &source(kind, "shop", json!({ "release": "other" }))).unwrap(),
            "spec.collection.objects.selector wants release=main, and the object has release=other; add the \
             label, or widen the selector"
        );
        // Of a namespace that is not known only the name is known.
        assert_eq!(
            asked(&valid, &source(kind, "other", json!({ "release": "main" }))).unwrap(),
            "spec.collection.objects.namespaceSelector wants team in (a), and the namespace other has \
             kubernetes.io/metadata.name=other; label the namespace, or widen the selector"
        );
        let off = stack(json!({ "collection": { "objects": { "enabled": false } } }));
        assert_eq!(
            asked(&off, &source(kind, "monitoring", json!({}))).unwrap(),
            "spec.collection.objects.enabled is false; write true, or leave it out"
        );
        assert_eq!(asked(&off, &source(SourceKind::PrometheusRule, "monitoring", json!({}))), None);
    }
}
