use obstack_crds::stack::ObservabilityStackSpec;

use super::*;

fn id() -> StackId {
    StackId { namespace: "monitoring".into(), name: "main".into() }
}

fn spec(yaml: &str) -> ObservabilityStackSpec {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}

fn valid(yaml: &str) -> Valid {
    validate(id(), &spec(yaml), None).unwrap_or_else(|faults| panic!("{yaml}: {faults:?}"))
}

#[test]
fn an_empty_spec_is_a_dev_stack() {
    let valid = valid("{}");
    let values = effective(&valid);
    for (path, value) in [
        ("environment", "dev"),
        ("defaultsVersion", "1"),
        ("requirements.activeSeries", "50k"),
        ("requirements.scrapeInterval", "30s"),
        ("requirements.retention", "1w"),
        ("requirements.availability", "Single"),
        ("requirements.recoveryTime", "10m"),
        ("priorities.cost", "3"),
        ("metrics.replicas", "1"),
        ("metrics.evaluationInterval", "30s"),
        ("alerting.replicas", "1"),
        ("dashboards.replicas", "1"),
        ("collection.namespaces", "monitoring"),
        ("collection.pods", "true"),
        ("deletion.volumes", "Retain"),
    ] {
        assert_eq!(values.get(path).map(String::as_str), Some(value), "{path}");
    }
    assert!(values.len() <= 64);
    assert!(valid.rejected.is_empty());
}

#[test]
fn production_is_replicated_and_what_is_written_wins() {
    let valid =
        valid("{environment: prod, requirements: {retention: 90d}, metrics: {evaluationInterval: 1m}}");
    assert_eq!(valid.requirements.active_series, SeriesCount(500_000));
    assert_eq!(valid.requirements.retention.to_string(), "90d");
    assert_eq!(valid.evaluation_interval.to_string(), "1m");
    assert_eq!((valid.metrics_replicas(), valid.alerting_replicas()), (2, 2));
}

#[test]
fn every_fault_is_told_with_its_path() {
    // Spec, path of the fault, a part of what was found, a part of what to write.
    let table = [
        ("{requirements: {activeSeries: lots}}", "spec.requirements.activeSeries", "lots", "50k"),
        ("{requirements: {scrapeInterval: 0s}}", "spec.requirements.scrapeInterval", "0s", "30s"),
        ("{requirements: {retention: 15}}", "spec.requirements.retention", "15", "15d"),
        ("{requirements: {retention: 30s}}", "spec.requirements.retention", "scrape interval", "15d"),
        ("{requirements: {recoveryTime: 1.5h}}", "spec.requirements.recoveryTime", "1.5h", "1h30m"),
        ("{requirements: {budget: {memory: 32GB}}}", "spec.requirements.budget.memory", "32GB", "32Gi"),
        (
            "{requirements: {budget: {monthlyCost: '$5'}}}",
            "spec.requirements.budget.monthlyCost",
            "$5",
            "500",
        ),
        (
            "{requirements: {licences: {deny: ['AGPL 3']}}}",
            "spec.requirements.licences.deny[0]",
            "AGPL",
            "SPDX",
        ),
        ("{defaultsVersion: 7}", "spec.defaultsVersion", "7", "1"),
        ("{priorities: {cost: 6}}", "spec.priorities.cost", "6", "0 to 5"),
        (
            "{priorities: {cost: 0, reliability: 0, performanceEfficiency: 0, compatibility: 0, \
             maintainability: 0, security: 0, flexibility: 0}}",
            "spec.priorities",
            "0 for every",
            "at least one",
        ),
        (
            "{decisions: {alerting: {choose: 'No ne', because: x}}}",
            "spec.decisions.alerting.choose",
            "No ne",
            "None",
        ),
        (
            "{decisions: {alerting: {choose: None, because: ' '}}}",
            "spec.decisions.alerting.because",
            " ",
            "reason",
        ),
        ("{metrics: {evaluationInterval: 10d}}", "spec.metrics.evaluationInterval", "retention", "30s"),
        ("{metrics: {alertResendDelay: soon}}", "spec.metrics.alertResendDelay", "soon", "30s"),
        ("{metrics: {replicas: 9}}", "spec.metrics.replicas", "9", "1 to 8"),
        ("{environment: prod, metrics: {replicas: 1}}", "spec.metrics.replicas", "Replicated", "Single"),
        (
            "{requirements: {availability: Replicated}, alerting: {replicas: 1}}",
            "spec.alerting.replicas",
            "Replicated",
            "2 or more",
        ),
        ("{dashboards: {replicas: -1}}", "spec.dashboards.replicas", "-1", "0 to 8"),
        ("{metrics: {storage: {size: big}}}", "spec.metrics.storage.size", "big", "512Mi"),
        (
            "{requirements: {budget: {storage: 50Gi}}, metrics: {replicas: 2, storage: {size: 40Gi}}}",
            "spec.requirements.budget.storage",
            "80Gi",
            "80Gi or more",
        ),
        (
            "{requirements: {budget: {memory: 1Gi}}, metrics: {resources: {requests: {memory: 2Gi}}}}",
            "spec.requirements.budget.memory",
            "2Gi",
            "ask for less",
        ),
        (
            "{metrics: {resources: {requests: {cpu: '2'}, limits: {cpu: 500m}}}}",
            "spec.metrics.resources.limits.cpu",
            "500m",
            "no lower",
        ),
        (
            "{metrics: {resources: {requests: {cpu: two}}}}",
            "spec.metrics.resources.requests.cpu",
            "two",
            "500m",
        ),
        (
            "{metrics: {externalLabels: {environment: x}}}",
            "spec.metrics.externalLabels.environment",
            "reserved",
            "spec.environment",
        ),
        (
            "{metrics: {externalLabels: {replica: x}}}",
            "spec.metrics.externalLabels.replica",
            "reserved",
            "another",
        ),
        ("{metrics: {externalLabels: {a.b: x}}}", "spec.metrics.externalLabels[\"a.b\"]", "a.b", "letters"),
        ("{metrics: {externalLabels: {team: ''}}}", "spec.metrics.externalLabels.team", "empty", "a value"),
        (
            "{metrics: {labels: {'bad key': x}}}",
            "spec.metrics.labels[\"bad key\"]",
            "bad key",
            "example.com/team",
        ),
        ("{metrics: {labels: {team: 'a b'}}}", "spec.metrics.labels.team", "a b", "63"),
        (
            "{metrics: {labels: {obstack.io/role: x}}}",
            "spec.metrics.labels[\"obstack.io/role\"]",
            "reserved",
            "another",
        ),
        (
            "{alerting: {podTemplate: {kind: Pod}}}",
            "spec.alerting.podTemplate.kind",
            "kind",
            "metadata or spec",
        ),
        ("{dashboards: {priorityClass: Big}}", "spec.dashboards.priorityClass", "Big", "lower case"),
        ("{collection: {namespaces: [Apps]}}", "spec.collection.namespaces[0]", "Apps", "namespace"),
        ("{collection: {namespaces: [a, '*']}}", "spec.collection.namespaces[1]", "beside", "alone"),
        ("{collection: {namespaces: [a, a]}}", "spec.collection.namespaces[1]", "second", "once"),
        ("{exposure: {host: a..b}}", "spec.exposure.host", "a..b", "host name"),
        ("{exposure: {gateway: public}}", "spec.exposure.gateway", "without a host", "spec.exposure.host"),
        ("{exposure: {host: a.b, gateway: x, className: y}}", "spec.exposure", "both", "leave the other out"),
        (
            "{alerting: {route: {receiver: team}}}",
            "spec.alerting.route.receiver",
            "team",
            "spec.alerting.receivers",
        ),
        (
            "{alerting: {receivers: [{name: team}], route: {receiver: taem}}}",
            "spec.alerting.route.receiver",
            "taem",
            "team",
        ),
        (
            "{alerting: {receivers: [{name: a}, {name: a}]}}",
            "spec.alerting.receivers[1].name",
            "second",
            "no other",
        ),
        (
            "{alerting: {receivers: [{name: a, webhook: [{}]}]}}",
            "spec.alerting.receivers[0].webhook[0]",
            "neither",
            "one of",
        ),
        (
            "{alerting: {receivers: [{name: a, webhook: [{url: 'http://x', urlSecret: {name: s, key: k}}]}]}}",
            "spec.alerting.receivers[0].webhook[0]",
            "both",
            "one of",
        ),
        (
            "{alerting: {receivers: [{name: a, webhook: [{url: 'ftp://x'}]}]}}",
            "spec.alerting.receivers[0].webhook[0].url",
            "no URL",
            "http",
        ),
        (
            "{alerting: {receivers: [{name: a, slack: [{apiUrl: {name: S_1, key: url}}]}]}}",
            "spec.alerting.receivers[0].slack[0].apiUrl.name",
            "S_1",
            "Secret",
        ),
        (
            "{alerting: {receivers: [{name: a}], route: {receiver: a, groupBy: ['...', job]}}}",
            "spec.alerting.route.groupBy[0]",
            "beside",
            "alone",
        ),
        (
            "{alerting: {receivers: [{name: a}], route: {receiver: a, repeatInterval: 0s}}}",
            "spec.alerting.route.repeatInterval",
            "0s",
            "30s",
        ),
        (
            "{alerting: {receivers: [{name: a}], route: {receiver: a, routes: [{receiver: a, matchers: ['severity']}]}}}",
            "spec.alerting.route.routes[0].matchers[0]",
            "operator",
            "=~",
        ),
    ];
    for (yaml, path, found, write) in table {
        let faults = validate(id(), &spec(yaml), None).expect_err(yaml);
        assert_eq!(faults.len(), 1, "{yaml}: {faults:?}");
        assert_eq!(faults[0].path, path, "{yaml}");
        assert!(faults[0].found.contains(found), "{yaml}: {:?}", faults[0]);
        assert!(faults[0].write.contains(write), "{yaml}: {:?}", faults[0]);
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let yaml = "{requirements: {retention: x, scrapeInterval: y}, metrics: {replicas: 99}, \
                rules: {groups: [{name: g, rules: [{alert: A, expr: 'sum('}]}]}}";
    let paths: Vec<String> = all_faults(id(), &spec(yaml)).into_iter().map(|f| f.path).collect();
    assert_eq!(
        paths,
        [
            "spec.requirements.scrapeInterval",
            "spec.requirements.retention",
            "spec.metrics.replicas",
            "spec.rules.groups[0].rules[0].expr",
        ]
    );
}

#[test]
fn a_name_that_leaves_no_room_is_a_fault() {
    for name in ["a".repeat(37), "a.b".into(), "A".into(), "-a".into(), String::new()] {
        let stack = StackId { namespace: "monitoring".into(), name };
        let faults = validate(stack, &spec("{}"), None).expect_err("a bad name");
        assert_eq!(faults[0].path, "metadata.name");
    }
    let longest = StackId { namespace: "monitoring".into(), name: "a".repeat(36) };
    assert!(validate(longest, &spec("{}"), None).is_ok());
}

#[test]
fn a_broken_rule_group_is_kept_out_by_itself() {
    let table = [
        ("{name: b, rules: [{alert: A, expr: 'sum(up'}]}", "broken PromQL"),
        ("{name: b, rules: [{alert: A, expr: 'ratee(up[5m])'}]}", "write rate"),
        ("{name: b, rules: [{alert: A, expr: 'up[5m]'}]}", "a range of samples"),
        ("{name: b, rules: [{alert: A, expr: 'up{a=~\"b(\"}'}]}", "the regular expression"),
        ("{name: b, rules: [{alert: A, expr: '{a=~\".*\"}'}]}", "broken PromQL"),
        ("{name: b, rules: [{alert: A, expr: ' '}]}", "no expression"),
        ("{name: b, rules: [{expr: up}]}", "neither alert nor record"),
        ("{name: b, rules: [{alert: A, record: a, expr: up}]}", "both alert and record"),
        ("{name: b, rules: [{record: 'a-b', expr: up}]}", "metric's name"),
        ("{name: b, rules: [{record: a, for: 5m, expr: up}]}", "for in a recording rule"),
        ("{name: b, rules: [{alert: A, expr: up, for: 5 minutes}]}", "5 minutes"),
        ("{name: b, rules: [{alert: A, expr: up, labels: {'a-b': x}}]}", "a-b"),
        ("{name: b, rules: [{alert: A, expr: up, annotations: {summary: 'x {{ $value'}}]}", "not closed"),
        (
            "{name: b, rules: [{alert: A, expr: up, annotations: {summary: '{{ $value * 2 }}'}}]}",
            "arithmetic",
        ),
        ("{name: b, interval: often, rules: [{alert: A, expr: up}]}", "often"),
        ("{name: b, rules: []}", "no rule"),
        ("{name: good, rules: [{alert: A, expr: up}]}", "second time"),
    ];
    for (group, reason) in table {
        let yaml = format!(
            "{{rules: {{groups: [{{name: good, rules: [{{alert: A, expr: up == 0, for: 0s}}]}}, {group}]}}}}"
        );
        let valid = valid(&yaml);
        assert_eq!(valid.spec.rules.groups.len(), 1, "{group}");
        assert_eq!(valid.rejected.len(), 1, "{group}");
        assert_eq!(valid.rejected[0].object, "spec.rules.groups[1]");
        assert!(valid.rejected[0].reason.contains(reason), "{group}: {}", valid.rejected[0].reason);
    }
}

#[test]
fn expressions_that_engines_take_are_not_rejected() {
    for expr in [
        "up == 0",
        "1",
        "vector(1)",
        "sum by (job) (rate(http_requests_total{code=~\"5..\"}[5m])) / ignoring(code) group_left sum(x) > 0.1",
        "histogram_quantile(0.99, sum by (le) (rate(a_bucket[5m])))",
        "max_over_time(up[1h:1m] offset 1d)",
        "rate(a[5m] @ end())",
        "foo @ 1700000000.5",
        "absent(up{job=\"x\"})",
        "a unless on(job) b or c and d",
        "-a ^ 2 % 3",
        "count_values(\"version\", build_info)",
        "topk(5, a) or bottomk(1, b) or quantile(0.9, c)",
        "{__name__=~\"a.*\", job!=\"x\"}",
        "{__name__=~\"a.*\", __name__!~\"a_.*\", __name__=~\".+\"}",
        "up{a=~\"b{\", c!~\".*\"}",
        "{\"metric.name\", \"label.name\"=\"x\"}",
        "avg_over_time((a - b)[10m:])",
        "predict_linear(node_filesystem_avail_bytes[6h], 4 * 3600) < 0",
        "label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\")",
        "time() - process_start_time_seconds < 1e3",
        "info(a)",
        "a_function_of_a_newer_engine(a)",
        "sum(a)\n  by (b) # why\n > 1",
        "double_exponential_smoothing(a[5m], 0.5, 0.5)",
        "group(a) == bool 1",
        "a atan2 b",
        "0x1F + Inf + NaN + .5",
        "rate(a[1h30m]) > 1_000",
        "sum(histogram_sum(rate(x[5m])))",
        "a{b='c',}",
        "a offset -5m",
        "absent_over_time(a[5m])",
        "day_of_week() == 0",
        "sort_by_label(a, \"b\")",
        "limitk(3, a)",
        "rate(a[300])",
        "a offset 300",
    ] {
        assert_eq!(promql::fault(expr), None, "{expr}");
    }
}

#[test]
fn matchers_are_those_of_alertmanager() {
    let with = |matcher: &str| {
        let yaml = serde_json::json!({ "alerting": {
            "receivers": [{ "name": "a" }],
            "route": { "receiver": "a", "routes": [{ "receiver": "a", "matchers": [matcher] }] },
        }});
        validate(id(), &serde_json::from_value(yaml).unwrap(), None)
    };
    for matcher in [
        "a=b",
        "a = \"b\"",
        "a!=b",
        "a=~\"b|c\"",
        "a!~\"^x{2}$\"",
        "\"utf 8\"=x",
        "a=\"\\\"q\\\"\"",
        "a=\"\"",
        "a=ü",
    ] {
        assert!(with(matcher).is_ok(), "{matcher}");
    }
    for matcher in ["", "a", "=b", "a=\"b", "a=b c", "a==b", "a=~\"(\"", "a=b,c=d", "{a=b}"] {
        assert!(with(matcher).is_err(), "{matcher}");
    }
}

#[test]
fn secrets_are_listed_once() {
    let valid = valid(
        "{alerting: {receivers: [{name: a, slack: [{apiUrl: {name: s, key: u}}, {apiUrl: {name: s, key: u}}], \
         webhook: [{urlSecret: {name: t, key: u}}, {url: 'http://x/'}]}]}}",
    );
    let keys: Vec<String> =
        secret_refs(&valid).into_iter().map(|k| format!("{}/{}", k.name, k.key)).collect();
    assert_eq!(keys, ["s/u", "t/u"]);
}

#[test]
fn the_pinned_set_of_defaults_stays() {
    assert_eq!(validate(id(), &spec("{}"), Some(1)).map(|v| v.defaults_version), Ok(1));
    assert!(validate(id(), &spec("{}"), Some(99)).is_err());
}
