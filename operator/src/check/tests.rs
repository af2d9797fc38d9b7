use super::*;
use crate::yaml::marked;

fn check(spec: &str) -> Vec<String> {
    check_all(&format!(
        "apiVersion: obstack.io/v1alpha1\nkind: ObservabilityStack\nmetadata: {{name: main}}\nspec: {spec}"
    ))
}

fn check_all(text: &str) -> Vec<String> {
    let (mut documents, problems) = marked::parse(text);
    assert!(problems.is_empty(), "{problems:?}");
    let node = documents.remove(0);
    let name = node.get("metadata").and_then(|m| m.value.get("name")).map(|n| n.value.to_json());
    let name = name.and_then(|n| n.as_str().map(str::to_owned)).unwrap_or_default();
    let id = StackId { namespace: "default".into(), name };
    check_stack(&node, &id, None).faults().iter().map(ToString::to_string).collect()
}

#[test]
fn what_the_api_server_takes_passes() {
    for spec in [
        "{}",
        "{metrics: null, requirements: {retention: }}",
        "{metrics: {resources: {requests: {cpu: 1, memory: 2Gi}}, labels: {team: a}, podTemplate: {spec: {hostNetwork: true}}}}",
        "{metrics: {tolerations: [{key: a, operator: Exists}], affinity: {nodeAffinity: {}}}}",
        "{rules: {disabled: [Watchdog]}}",
        "{decisions: {metricsStore: {choose: Prometheus, because: \"the team runs it\"}}}",
        "{environment: prod, priorities: {cost: 0}, collection: {namespaces: ['*'], pods: false}}",
    ] {
        assert!(check(spec).is_empty(), "{spec}: {:?}", check(spec));
    }
}

#[test]
fn each_kind_of_fault_is_told_once_with_what_to_write() {
    let table = [
        ("[]", "spec: found a list; write a map of fields, or {} for none"),
        (
            "{environment: production}",
            "spec.environment: found \"production\"; write one of dev, stage, prod",
        ),
        ("{environment: prd}", "spec.environment: found \"prd\"; write prod"),
        (
            "{requirements: {availability: replicated}}",
            "spec.requirements.availability: found \"replicated\"; write Replicated",
        ),
        (
            "{requirements: {retention: 15}}",
            "spec.requirements.retention: found \"15\"; write a Prometheus duration",
        ),
        (
            "{requirements: {activeSeries: 50000}}",
            "spec.requirements.activeSeries: found the number 50000; write it in quotes: \"50000\"",
        ),
        ("{paused: 'yes'}", "spec.paused: found the text \"yes\"; write true or false, without quotes"),
        (
            "{metrics: {replicas: 99}}",
            "spec.metrics.replicas: found the number 99; write a number from 1 to 8",
        ),
        (
            "{metrics: {replicas: '2'}}",
            "spec.metrics.replicas: found the text \"2\"; write it without quotes: 2",
        ),
        ("{metrics: {replicas: 1.5}}", "spec.metrics.replicas: found the number 1.5; write a whole number"),
        (
            "{metrics: {labels: {team: 1}}}",
            "spec.metrics.labels.team: found the number 1; write it in quotes: \"1\"",
        ),
        (
            "{collection: {namespaces: apps}}",
            "spec.collection.namespaces: found the text \"apps\"; write a list",
        ),
        (
            "{collection: {namespaces: [apps, 5]}}",
            "spec.collection.namespaces[1]: found the number 5; write it in quotes: \"5\"",
        ),
        ("{colection: {}}", "spec.colection: found the unknown field \"colection\"; write collection"),
        (
            "{metrics: {nothingLikeIt: 1}}",
            "spec.metrics.nothingLikeIt: found the unknown field \"nothingLikeIt\"; write one of additionalAlertRelabelConfigs, affinity",
        ),
        (
            "{decisions: {alerting: {choose: None}}}",
            "spec.decisions.alerting.because: found nothing; write because: with a text",
        ),
        (
            "{decisions: {alerting: {choose: Nagios, because: x}}}",
            "spec.decisions.alerting.choose: found \"Nagios\", which is no option",
        ),
        (
            "{rules: {disabled: [WatchDog]}}",
            "spec.rules.disabled[0]: found \"WatchDog\", which is no alert of the library; write Watchdog",
        ),
        ("{metrics: {tolerations: [{key: 5}]}}", "spec.metrics.tolerations[0]: found what is no Toleration"),
        (
            "{metrics: {image: {digest: abc}}}",
            "spec.metrics.image.digest: found \"abc\"; write a text that matches",
        ),
        (
            "{alerting: {receivers: [{name: a, slack: [{channel: '#a'}]}]}}",
            "spec.alerting.receivers[0].slack[0].apiUrl: found nothing; write apiUrl: with its fields",
        ),
        (
            "{alerting: {route: {receiver: team}}}",
            "spec.alerting.route.receiver: found the receiver \"team\", which does not exist",
        ),
    ];
    for (spec, start) in table {
        let found = check(spec);
        assert_eq!(found.len(), 1, "{spec}: {found:#?}");
        assert!(found[0].starts_with(start), "{spec}:\n{}\nis not\n{start}", found[0]);
    }
}

#[test]
fn form_and_meaning_are_told_together() {
    let found = check(
        "{environment: x, unknown: 1, requirements: {retention: soon}, metrics: {replicas: [], resources: \
         {requests: {cpu: two}}}, alerting: {receivers: [5, {name: a}, {name: a}]}}",
    );
    let paths: Vec<&str> = found.iter().map(|line| line.split(": found").next().unwrap()).collect();
    for path in [
        "spec.environment",
        "spec.unknown",
        "spec.requirements.retention",
        "spec.metrics.replicas",
        "spec.metrics.resources.requests.cpu",
        "spec.alerting.receivers[0]",
        "spec.alerting.receivers[2].name",
    ] {
        assert!(paths.contains(&path), "{path} is not in {found:#?}");
    }
    assert_eq!(paths.len(), 7, "{found:#?}");
}

#[test]
fn metadata_is_checked_too() {
    let stack = "apiVersion: obstack.io/v1alpha1\nkind: ObservabilityStack\n";
    let long = "a".repeat(37);
    for (text, start) in [
        (format!("{stack}metadata: {{}}\nspec: {{}}"), "metadata.name: found nothing"),
        (format!("{stack}spec: {{}}"), "metadata: found nothing"),
        (format!("{stack}metadata: {{name: {long}}}\nspec: {{}}"), "metadata.name: found \"aaaa"),
        (format!("{stack}metadata: {{name: a.b}}\nspec: {{}}"), "metadata.name: found \"a.b\""),
        (
            format!("{stack}metadata: {{name: a, lables: {{}}}}\nspec: {{}}"),
            "metadata.lables: found the unknown field \"lables\"; write labels",
        ),
        (format!("{stack}metadata: {{name: a}}"), "spec: found nothing; write spec: {}"),
        (
            format!("{stack}metadata: {{name: a}}\nspec: {{}}\nspecs: {{}}"),
            "specs: found the unknown field \"specs\"; write spec",
        ),
    ] {
        let found = check_all(&text);
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        assert!(found[0].starts_with(start), "{text}:\n{}\nis not\n{start}", found[0]);
    }
}

#[test]
fn rules_of_the_schema_speak_of_their_field() {
    let (_, schema) = &SCHEMAS[STACK];
    let body = json!({ "metadata": { "name": "a.b" }, "spec": {} });
    let faults = cel::faults(schema, &body);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].path, "metadata.name");
    assert!(faults[0].write.starts_with("a name without dots"), "{faults:?}");
}

#[test]
fn a_stack_means_nothing_while_any_of_its_fields_does() {
    let id = || StackId { namespace: "default".into(), name: "main".into() };
    let paths = |spec: Value| -> Vec<String> {
        let judged = judge_stack(id(), &serde_json::from_value(spec).unwrap(), None);
        judged.err().unwrap_or_default().into_iter().map(|fault| fault.path).collect()
    };
    assert_eq!(paths(json!({})), [""; 0]);
    let twice = json!([{ "name": "a" }, { "name": "a" }]);
    let classes = "spec.collection.scrapeClasses[1].name";
    assert_eq!(paths(json!({ "collection": { "scrapeClasses": twice } })), [classes]);
    let both = json!({ "defaultsVersion": 9, "collection": { "scrapeClasses": twice } });
    assert_eq!(paths(both), ["spec.defaultsVersion", classes]);
}
