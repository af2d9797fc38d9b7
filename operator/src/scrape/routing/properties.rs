//! Whatever an object says, the others come out as if it were not there.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::tests::{assets, base, config, settings};
use super::{Settings, build_routing};
use crate::yaml::emit;

/// An object that uses every kind of field.
fn good(name: &str) -> Value {
    let key = json!({ "name": "s", "key": "key" });
    let url = json!({ "name": "s", "key": "url" });
    config(
        name,
        json!({
            "route": {
                "receiver": "r",
                "groupBy": ["alertname"],
                "groupWait": "30s",
                "matchers": [{ "name": "a", "value": "b.*", "matchType": "=~" }],
                "muteTimeIntervals": ["i"],
                "routes": [{ "receiver": "r", "continue": true, "routes": [{ "matchers": [{ "name": "c", "value": "d" }] }] }],
            },
            "receivers": [{
                "name": "r",
                "slackConfigs": [{ "apiURL": url, "fields": [{ "title": "t", "value": "v", "short": true }],
                    "actions": [{ "type": "button", "text": "x", "name": "n", "confirm": { "text": "sure" } }] }],
                "emailConfigs": [{ "to": "a@b", "from": "c@d", "smarthost": "m:25", "headers": [{ "key": "k", "value": "v" }] }],
                "webhookConfigs": [{ "url": "http://h", "maxAlerts": 3, "httpConfig": {
                    "tlsConfig": { "ca": { "secret": { "name": "s", "key": "pem" } } },
                    "oauth2": { "clientId": { "configMap": { "name": "c", "key": "id" } }, "clientSecret": key,
                        "tokenUrl": "https://t", "scopes": ["x"], "endpointParams": { "y": "z" } },
                    "proxyUrl": "http://p", "proxyConnectHeader": { "H": [key] } } }],
                "telegramConfigs": [{ "botToken": key, "chatID": 5 }],
                "snsConfigs": [{ "topicARN": "t", "sigv4": { "accessKey": key, "secretKey": key } }],
            }],
            "inhibitRules": [{ "sourceMatch": [{ "name": "a", "value": "b" }], "targetMatch": [{ "name": "c", "value": "d" }], "equal": ["e"] }],
            "muteTimeIntervals": [{ "name": "i", "timeIntervals": [{ "times": [{ "startTime": "01:00", "endTime": "02:00" }],
                "weekdays": ["monday:friday"], "daysOfMonth": [{ "start": 1, "end": -1 }], "months": ["1:3"], "years": ["2030"] }] }],
        }),
    )
}

/// A value that stands for one that somebody broke.
fn broken() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[{}\\[\\]()*+?\\\\\"'`]{1,8}".prop_map(Value::from),
        Just(Value::from("{{")),
        Just(Value::from("x".repeat(70_000))),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[a-zA-Z_]{0,8}", inner), 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Puts a value at the n-th place of an object, counted in depth.
fn put(value: &mut Value, at: &mut usize, new: &Value) -> bool {
    if *at == 0 {
        *value = new.clone();
        return true;
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| put(item, at, new)),
        Value::Object(fields) => fields.values_mut().any(|field| put(field, at, new)),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_object_leaves_the_others_as_they_are(
        changes in prop::collection::vec((0usize..140, broken()), 1..4),
        old in any::<bool>(),
    ) {
        let version = if old { "0.21.0" } else { "0.33.1" };
        let settings = Settings { version: version.parse().unwrap(), ..settings() };
        let mut object = good("b");
        for (at, new) in &changes {
            put(&mut object["spec"], &mut at.clone(), new);
        }
        let build = |object: &Value| build_routing(&settings, object, &assets());
        // What the oldest version has no words for is refused there in good objects too; they are plain ones
        // then.
        let plain = |name| config(name, json!({ "route": { "receiver": "r" }, "receivers": [{ "name": "r" }] }));
        let others = ["a", "c"].map(|name| build(&if old { plain(name) } else { good(name) }).unwrap());
        let alone = base().merge(&others);
        match build(&object) {
            Err(rejection) => {
                prop_assert_eq!((rejection.kind, &*rejection.namespace, &*rejection.name), ("AlertmanagerConfig", "team", "b"));
                let told = rejection.to_string();
                prop_assert!(told.contains("; write ") && !told.contains("K3Y") && !told.contains("T0KEN"));
            }
            Ok(part) => {
                let merged = base().merge([&others[0], &part, &others[1]]);
                prop_assert_eq!(emit(&without(&merged, "team/b/")).unwrap(), emit(&without(&alone, "team/b/")).unwrap());
                let rules = |config: &Value| config["inhibit_rules"].as_array().cloned().unwrap_or_default();
                let (with, alone_rules) = (rules(&merged), rules(&alone));
                prop_assert_eq!(with.first(), alone_rules.first());
                prop_assert_eq!(with.last(), alone_rules.last());
                prop_assert_eq!(emit(&merged).unwrap(), emit(&base().merge([&part, &others[1], &others[0]])).unwrap());
            }
        }
    }
}

/// A configuration without what an object with this prefix brought in; inhibit rules have no name, and are
/// left out.
fn without(config: &Value, prefix: &str) -> Value {
    let mut config = config.clone();
    let own = |item: &Value, key: &str| item[key].as_str().is_some_and(|name| name.starts_with(prefix));
    for (list, key) in [("receivers", "name"), ("mute_time_intervals", "name")] {
        if let Some(items) = config[list].as_array_mut() {
            items.retain(|item| !own(item, key));
        }
    }
    if let Some(routes) = config["route"]["routes"].as_array_mut() {
        routes.retain(|route| !own(route, "receiver"));
    }
    if let Some(fields) = config.as_object_mut() {
        fields.remove("inhibit_rules");
        fields.retain(|_, value| !value.as_array().is_some_and(Vec::is_empty));
    }
    config
}
