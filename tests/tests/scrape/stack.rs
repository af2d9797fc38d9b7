//! The same through what a stack keeps of its objects: every kind at once, kept from round to round, packed into parts
//! and read back. And single objects that are made to break whoever reads them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use obstack::names::StackId;
use obstack::reconcile::object_settings;
use obstack::rules::objects::MAX_FILE_BYTES;
use obstack::running::{Engine, Files, Fragment, Generation, Pointer, Slot, TARGET_PART_BYTES};
use obstack::scrape::contents::{Content, Holder, Known, Place};
use obstack::scrape::jobs::MAX_OBJECT_BYTES;
use obstack::scrape::sources::{
    Cache, Namespaces, ObjectSettings, Objects, Picker, Source, SourceKind, Sources, pick,
};
use obstack::validate::{Valid, validate};
use obstack_tests::mutate::{Random, mutate};
use serde_json::{Value, json};

use super::{CA, GOOD};

/// What one object may take to be judged, in a build without optimisation on a busy machine: far more than it takes,
/// and far less than what goes wrong does.
const PATIENCE: Duration = Duration::from_secs(60);

fn settings() -> ObjectSettings {
    let id = StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() };
    object_settings(&validate(id, &Default::default(), None).unwrap()).unwrap()
}

/// The Secrets and ConfigMaps of two namespaces: whole ones, one that is missing and one that holds no text.
fn known() -> Known {
    let keys = |pairs: &[(&str, &[u8])]| {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec()));
        Arc::new(Content::Keys(pairs.collect()))
    };
    let mut known = Known::new();
    for namespace in ["team-a", "team-b"] {
        let mut put = |holder, name: &str, content: Arc<Content>| {
            known.insert(Place { holder, namespace: namespace.to_owned(), name: name.to_owned() }, content);
        };
        let texts: [(&str, &[u8]); 6] = [
            ("user", b"u"),
            ("password", b"p: \"x\"\n"),
            ("token", b"t"),
            ("ca", CA.as_bytes()),
            ("key", b"k"),
            ("url", b"https://hook.example/x"),
        ];
        put(Holder::Secret, "s", keys(&texts));
        put(Holder::Secret, "binary", keys(&texts.map(|(key, _)| (key, b"\xff\xfe\x00".as_slice()))));
        put(Holder::ConfigMap, "c", keys(&[("ca", CA.as_bytes())]));
    }
    known
}

/// What objects refer to and nobody has read is known to be missing.
fn built(cache: &mut Cache, settings: &ObjectSettings, picked: &[Arc<Source>], known: &mut Known) -> Objects {
    loop {
        let objects = cache.build(settings, picked, known);
        if objects.unknown.is_empty() {
            return objects;
        }
        known.extend(objects.unknown.into_iter().map(|place| (place, Arc::new(Content::Missing))));
    }
}

fn rules() -> Value {
    json!({ "groups": [{ "name": "g", "interval": "30s", "rules": [
        { "record": "job:up:sum", "expr": "sum by (job) (rate(x_total{a=~\"b|c\"}[5m] offset 1h))", "labels": { "x": "y" } },
        { "alert": "Down", "expr": "up == 0", "for": "5m", "annotations": { "summary": "{{ $labels.job }}" } },
    ] }] })
}

fn routes() -> Value {
    let key = |key: &str| json!({ "name": "s", "key": key });
    json!({
        "route": { "receiver": "team", "groupBy": ["job"], "matchers": [{ "name": "a", "value": "b", "matchType": "=" }],
            "routes": [{ "receiver": "team", "matchers": [{ "name": "c", "value": "d.*", "matchType": "=~" }] }] },
        "receivers": [{ "name": "team", "slackConfigs": [{ "apiURL": key("url"), "channel": "#c" }],
            "webhookConfigs": [{ "urlSecret": key("url"), "httpConfig": { "authorization": { "credentials": key("token") } } }],
            "pagerdutyConfigs": [{ "routingKey": key("key") }] }],
    })
}

fn spec(index: usize) -> (SourceKind, Value) {
    const KINDS: [SourceKind; 4] =
        [SourceKind::ServiceMonitor, SourceKind::PodMonitor, SourceKind::Probe, SourceKind::ScrapeConfig];
    match index % 6 {
        4 => (SourceKind::PrometheusRule, rules()),
        5 => (SourceKind::AlertmanagerConfig, routes()),
        kind => (KINDS[kind], serde_saphyr::from_str(GOOD[kind].1).unwrap()),
    }
}

fn source(kind: SourceKind, namespace: &str, name: &str, spec: &Value) -> Arc<Source> {
    let object = json!({
        "metadata": { "namespace": namespace, "name": name, "uid": format!("uid-{}-{name}", kind.plural()) },
        "spec": spec,
    });
    let version = if kind == SourceKind::AlertmanagerConfig { "v1alpha1" } else { kind.versions()[0] };
    Arc::new(Source::of(kind, version, &object).unwrap())
}

fn namespace(index: usize) -> &'static str {
    if index.is_multiple_of(2) { "team-a" } else { "team-b" }
}

fn by_key(sources: &[Arc<Source>]) -> Vec<Arc<Source>> {
    let mut sorted = sources.to_vec();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    sorted
}

/// Every reference to a Secret leads somewhere else.
fn lead_to(secret: &str, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("name").is_some_and(|name| name == "s") && fields.contains_key("key") {
                fields.insert("name".to_owned(), json!(secret));
            }
            fields.values_mut().for_each(|value| lead_to(secret, value));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| lead_to(secret, item)),
        _ => {}
    }
}

fn spoilt(seed: u64) -> Vec<Arc<Source>> {
    let mut random = Random::new(seed);
    let one = |index: usize| {
        let (kind, spec) = spec(random.below(6));
        let mut object = json!({ "spec": spec });
        match random.below(8) {
            0 => lead_to("nowhere", &mut object),
            1 => lead_to("binary", &mut object),
            _ => (0..=random.below(3)).for_each(|_| mutate(&mut object, &mut random)),
        }
        source(kind, namespace(index), &format!("spoilt-{index:04}"), &object["spec"])
    };
    (0..1_000).map(one).collect()
}

/// The files of objects as an engine reads them: packed, and read back from the parts. The largest of those that were
/// spoilt are left out: they would test the patience of whoever waits, and not the packing.
fn files(objects: &Objects) -> BTreeMap<String, String> {
    let main = Fragment::new("main", Engine::Prometheus.main_file(), b"{}".to_vec());
    let small = objects.fragments.iter().filter(|fragment| fragment.bytes.len() < 1 << 16);
    let fragments = small.cloned().chain([main]).collect();
    let generation = Generation::build(Engine::Prometheus, fragments).unwrap();
    let pointer = Pointer::to(&generation, |index| (Slot::ALL[0], format!("part-{index}")));
    pointer.files(|part| Some(generation.parts[part.index].gzip.to_vec())).unwrap()
}

#[test]
fn a_stack_keeps_the_good_ones_as_they_are_and_names_the_others() {
    let (settings, mut known) = (settings(), known());
    let good: Vec<Arc<Source>> = (0..200)
        .map(|index| {
            let (kind, spec) = spec(index);
            source(kind, namespace(index / 6), &format!("good-{index:03}"), &spec)
        })
        .collect();
    let good = by_key(&good);
    let mut cache = Cache::default();
    let alone = built(&mut cache, &settings, &good, &mut known);
    assert_eq!(alone.rejected, [], "the good ones are good");
    let wanted = files(&alone);
    for seed in 0..2 {
        let all = by_key(&[good.clone(), spoilt(seed)].concat());
        let together = built(&mut cache, &settings, &all, &mut known);
        assert!(
            together.rejected.len() > 300,
            "seed {seed}: what is spoilt is seen: {}",
            together.rejected.len()
        );
        for rejected in &together.rejected {
            assert!(rejected.object.contains("/spoilt-"), "seed {seed}: {rejected:?}");
            assert!(!rejected.reason.is_empty() && rejected.reason.len() <= 4 * 1024, "{rejected:?}");
        }
        let counted: i32 = together.counts.iter().map(|count| count.picked_up + count.rejected).sum();
        assert_eq!(counted, 1_200, "each is taken or named");
        for fragment in together.fragments.iter() {
            assert!(fragment.bytes.len() <= MAX_OBJECT_BYTES.max(MAX_FILE_BYTES) + 64, "{}", fragment.path);
        }
        let found = files(&together);
        for (path, text) in wanted.iter().filter(|(path, _)| path.contains("/object.")) {
            assert_eq!(found.get(path), Some(text), "seed {seed}: {path}");
        }
        assert_eq!(together.fragments, built(&mut Cache::default(), &settings, &all, &mut known).fragments);
        let again = built(&mut cache, &settings, &good, &mut known);
        assert_eq!(cache.built(), 0, "the good ones were never built anew");
        assert_eq!(files(&again), wanted, "nothing is left of what went");
    }
}

/// Changes of one object after the other give what a build from nothing gives.
#[test]
fn a_kept_configuration_is_that_of_a_build_from_nothing() {
    let (settings, mut known) = (settings(), known());
    let mut random = Random::new(3);
    let mut present: BTreeMap<usize, Arc<Source>> = BTreeMap::new();
    let mut cache = Cache::default();
    for step in 0..300 {
        let index = random.below(40);
        if random.below(4) == 0 {
            present.remove(&index);
        } else {
            let (kind, mut spec) = spec(index);
            if kind == SourceKind::ServiceMonitor {
                spec["endpoints"][0]["path"] = json!(format!("/{step}"));
            }
            if random.below(5) == 0 {
                lead_to("nowhere", &mut spec);
            }
            present.insert(index, source(kind, namespace(index), &format!("app-{index:02}"), &spec));
        }
        let picked = by_key(&present.values().cloned().collect::<Vec<_>>());
        let kept = built(&mut cache, &settings, &picked, &mut known);
        assert!(cache.built() <= 1, "step {step}: {} were built", cache.built());
        let anew = built(&mut Cache::default(), &settings, &picked, &mut known);
        assert_eq!(kept.fragments, anew.fragments, "step {step}");
        assert_eq!((kept.rejected, kept.counts), (anew.rejected, anew.counts), "step {step}");
        assert_eq!((kept.reach, kept.routing.len()), (anew.reach, anew.routing.len()), "step {step}");
    }
}

/// What the operator keeps from one time to the next: what is watched, what is picked of it, what that became, and how
/// it was packed.
#[derive(Default)]
struct Kept {
    watched: Sources,
    picker: Picker,
    cache: Cache,
    known: Arc<Known>,
    packed: Option<Generation>,
}

impl Kept {
    fn build(&mut self, valid: &Valid, settings: &ObjectSettings, namespaces: &Namespaces) -> Objects {
        let picked = self.picker.pick(valid, &self.watched, namespaces);
        loop {
            let objects = self.cache.build_from(settings, &picked, &self.known);
            if objects.unknown.is_empty() {
                let packed = packed(&objects.fragments, self.packed.as_ref());
                self.packed = Some(packed);
                return objects;
            }
            let missing = objects.unknown.into_iter().map(|place| (place, Arc::new(Content::Missing)));
            Arc::make_mut(&mut self.known).extend(missing);
        }
    }
}

/// A few large files beside those of objects, so that there are several parts.
fn packed(files: &Files, before: Option<&Generation>) -> Generation {
    let large = |index: usize| {
        let name = format!("rules/{index}.yaml");
        Fragment::new(name.clone(), name, "x".repeat(TARGET_PART_BYTES / 2).into_bytes())
    };
    let main = Fragment::new("main", Engine::Prometheus.main_file(), b"{}".to_vec());
    let fragments = (0..5).map(large).chain([main]).collect();
    Generation::build_with(Engine::Prometheus, fragments, files, before, &[]).unwrap()
}

/// Whatever was kept, what comes of it is what comes of a start from nothing, to the last byte: over objects that come,
/// change, go and are listed anew, contents that rotate, namespaces that are labelled and selectors that are written.
#[test]
fn what_is_kept_leaves_no_trace_in_what_is_built() {
    let stack = |labelled: bool| {
        let selector = if labelled { json!({ "matchLabels": { "team": "a" } }) } else { json!({}) };
        let objects = json!({ "namespaceSelector": selector });
        let spec = json!({ "collection": { "objects": objects }, "rules": { "objects": objects },
            "alerting": { "objects": objects } });
        let id = StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() };
        validate(id, &serde_json::from_value(spec).unwrap(), None).unwrap()
    };
    let (mut random, mut labelled, mut team) = (Random::new(11), false, "a");
    let mut kept = Kept { known: Arc::new(known()), ..Kept::default() };
    let mut parts = 0;
    for step in 0..150 {
        let index = random.below(40);
        let (kind, mut spec) = spec(index);
        if kind == SourceKind::ServiceMonitor {
            spec["endpoints"][0]["path"] = json!(format!("/{step}"));
        }
        if random.below(5) == 0 {
            lead_to("nowhere", &mut spec);
        }
        let object = source(kind, namespace(index), &format!("app-{index:02}"), &spec);
        match random.below(12) {
            0..=1 => kept.watched.remove(&object.key),
            2 => {
                let anew = kept.watched.iter().map(|source| Arc::new((**source).clone())).collect();
                kept.watched = anew;
            }
            3 => labelled = !labelled,
            4 => team = if team == "a" { "b" } else { "a" },
            5 => {
                let places: Vec<Place> = kept.known.keys().cloned().collect();
                let place = places[random.below(places.len())].clone();
                Arc::make_mut(&mut kept.known).remove(&place);
            }
            _ => kept.watched.insert(object),
        }
        let labels =
            |name: &str, team: &str| (name.to_owned(), [("team".to_owned(), team.to_owned())].into());
        let namespaces = Namespaces::from([labels("team-a", team), labels("team-b", "a")]);
        let valid = stack(labelled);
        let settings = object_settings(&valid).unwrap();
        let objects = kept.build(&valid, &settings, &namespaces);

        let mut fresh = Kept { known: kept.known.clone(), ..Kept::default() };
        fresh.watched = kept.watched.iter().cloned().collect();
        let anew = fresh.build(&valid, &settings, &namespaces);
        assert_eq!(kept.packed, fresh.packed, "step {step}");
        assert_eq!(objects.fragments, anew.fragments, "step {step}");
        assert_eq!((objects.rejected, objects.counts), (anew.rejected, anew.counts), "step {step}");
        assert_eq!(objects.reach, anew.reach, "step {step}");
        let digests = |parts: &[Arc<obstack::scrape::routing::Built>]| {
            parts.iter().map(|part| (part.id.clone(), part.digest())).collect::<Vec<_>>()
        };
        assert_eq!(digests(&objects.routing), digests(&anew.routing), "step {step}");
        let plain = pick(&valid, kept.watched.iter(), &namespaces);
        let picked = kept.picker.pick(&valid, &kept.watched, &namespaces);
        assert_eq!(picked.iter().cloned().collect::<Vec<_>>(), plain, "step {step}");
        parts = parts.max(kept.packed.as_ref().map_or(0, |packed| packed.parts.len()));
    }
    assert!(parts > 2, "a change has parts to leave alone");
}

/// An object that is to break its reader, and a word of the reason; none where there is nothing wrong with it.
fn traps() -> Vec<(&'static str, SourceKind, Value, Option<&'static str>)> {
    let monitor = |selector: Value, endpoint: Value| {
        let mut endpoint = endpoint;
        endpoint["port"] = json!("http");
        json!({ "selector": selector, "endpoints": [endpoint] })
    };
    let regex = |regex: String| {
        let drop = json!({ "sourceLabels": ["__name__"], "action": "drop", "regex": regex });
        monitor(json!({}), json!({ "metricRelabelings": [drop] }))
    };
    let secret = |name: &str| {
        let key = |key: &str| json!({ "name": name, "key": key });
        monitor(json!({}), json!({ "basicAuth": { "username": key("user"), "password": key("password") } }))
    };
    let expression = |operator: &str| json!({ "key": "app", "operator": operator, "values": ["a"] });
    let rule = |expr: String, text: String| json!({ "groups": [{ "name": "g", "rules": [{ "alert": "A", "expr": expr, "annotations": { "a": text } }] }] });
    let mut nested = json!({ "receiver": "team" });
    for _ in 0..400 {
        nested = json!({ "receiver": "team", "routes": [nested] });
    }
    let with_route = |route: Value| {
        let mut all = routes();
        all["route"] = route;
        all
    };
    let many = vec![json!({ "receiver": "team" }); 200_000];
    let mut leads_nowhere = routes();
    lead_to("nowhere", &mut leads_nowhere);
    let mut binary = routes();
    lead_to("binary", &mut binary);
    use SourceKind::{AlertmanagerConfig, PrometheusRule, ServiceMonitor};
    vec![
        ("an empty selector", ServiceMonitor, monitor(json!({}), json!({})), None),
        (
            "a selector that contradicts itself",
            ServiceMonitor,
            monitor(json!({ "matchExpressions": [expression("In"), expression("NotIn")] }), json!({})),
            None,
        ),
        ("an expression that is none", ServiceMonitor, regex("(".to_owned()), Some("write")),
        (
            "one that grows when it is compiled",
            ServiceMonitor,
            regex("(a{1000}){1000}".to_owned()),
            Some("write"),
        ),
        ("one of a megabyte", ServiceMonitor, regex("a|".repeat(700_000)), Some("write")),
        (
            "one that is nested",
            ServiceMonitor,
            regex("(".repeat(20_000) + &")".repeat(20_000)),
            Some("write"),
        ),
        ("a Secret that is missing", ServiceMonitor, secret("nowhere"), Some("nowhere")),
        ("a Secret that holds no text", ServiceMonitor, secret("binary"), Some("binary")),
        ("a receiver's Secret that is missing", AlertmanagerConfig, leads_nowhere, Some("nowhere")),
        ("a receiver's Secret that holds no text", AlertmanagerConfig, binary, Some("binary")),
        ("routes without end", AlertmanagerConfig, with_route(nested), Some("levels of nesting")),
        (
            "routes without number",
            AlertmanagerConfig,
            with_route(json!({ "receiver": "team", "routes": many })),
            Some("smaller objects"),
        ),
        (
            "a rule of brackets",
            PrometheusRule,
            rule("(".repeat(30_000) + "1" + &")".repeat(30_000), String::new()),
            Some("write"),
        ),
        (
            "a rule of operators",
            PrometheusRule,
            rule(format!("1{}", "+1".repeat(20_000)), String::new()),
            Some("write"),
        ),
        (
            "rules that are too large",
            PrometheusRule,
            rule("up".to_owned(), "x".repeat(5 << 20)),
            Some("smaller objects"),
        ),
    ]
}

#[test]
fn what_is_made_to_break_its_reader_is_named_and_stops_nobody() {
    let (settings, mut known) = (settings(), known());
    let good = source(SourceKind::ServiceMonitor, "team-a", "good", &spec(0).1);
    let alone = built(&mut Cache::default(), &settings, std::slice::from_ref(&good), &mut known);
    let mut cache = Cache::default();
    for (name, kind, spec, reason) in traps() {
        let trap = source(kind, "team-a", "trap", &spec);
        let begun = Instant::now();
        let objects = built(&mut cache, &settings, &by_key(&[good.clone(), trap]), &mut known);
        let took = begun.elapsed();
        assert!(took < PATIENCE, "{name}: {took:?}");
        match (reason, objects.rejected.as_slice()) {
            (None, []) => assert_eq!(objects.fragments.len(), alone.fragments.len() + 1, "{name}"),
            (Some(word), [rejected]) => {
                assert!(rejected.object.ends_with("/trap"), "{name}: {rejected:?}");
                assert!(rejected.reason.contains(word), "{name}: {}", rejected.reason);
                assert_eq!(objects.fragments, alone.fragments, "{name}");
            }
            (_, rejected) => panic!("{name}: {rejected:?}"),
        }
    }
}
