use k8s_openapi::api::apps::v1::{
    ControllerRevision, RollingUpdateStatefulSetStrategy, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{Container, PersistentVolumeClaim, PodSpec, PodTemplateSpec};
use k8s_openapi::jiff::Timestamp;

use super::*;
use crate::controllers::pods::fixtures::{meta, ready};
use crate::controllers::{Caches, Settings};

/// A StatefulSet with its pods, claims and revisions, driven by the planner alone.
struct World {
    set: StatefulSet,
    pods: BTreeMap<String, Pod>,
    claims: BTreeMap<String, PersistentVolumeClaim>,
    revisions: BTreeMap<String, ControllerRevision>,
    uids: u32,
}

impl World {
    fn new(replicas: i32, policy: &str) -> Self {
        let spec = StatefulSetSpec {
            replicas: Some(replicas),
            pod_management_policy: Some(policy.to_owned()),
            service_name: Some("web-headless".to_owned()),
            template: template("v1"),
            volume_claim_templates: Some(vec![PersistentVolumeClaim {
                metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                    name: Some("data".to_owned()),
                    ..Default::default()
                },
                ..PersistentVolumeClaim::default()
            }]),
            ..StatefulSetSpec::default()
        };
        let set = StatefulSet { metadata: meta("web"), spec, status: None };
        Self { set, pods: BTreeMap::new(), claims: BTreeMap::new(), revisions: BTreeMap::new(), uids: 0 }
    }

    fn plan(&self) -> Plan {
        let caches = Caches::fixed(
            self.pods.values().cloned(),
            self.claims.values().cloned(),
            self.revisions.values().cloned(),
        );
        let settings = Settings { volumes: "/volumes".into() };
        plan_one(&View { caches: &caches, settings: &settings, now: Timestamp::now() }, &self.set)
    }

    /// Carries one plan out as a server would; deleted pods are gone at once. Tells what was done to pods.
    fn step(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        for action in self.plan().actions {
            match action {
                Action::Create(target, body) => {
                    self.uids += 1;
                    let mut body = body;
                    body["metadata"]["uid"] = format!("uid-{}", self.uids).into();
                    match target.resource.kind.as_str() {
                        "Pod" => {
                            done.push(format!("+{}", target.name));
                            self.pods.insert(target.name, serde_json::from_value(body).unwrap());
                        }
                        "PersistentVolumeClaim" => {
                            self.claims.insert(target.name, serde_json::from_value(body).unwrap());
                        }
                        _ => {
                            self.revisions.insert(target.name, serde_json::from_value(body).unwrap());
                        }
                    }
                }
                Action::Delete(target) if target.resource.kind == "Pod" => {
                    done.push(format!("-{}", target.name));
                    self.pods.remove(&target.name);
                }
                Action::PatchStatus(_, patch) => {
                    let mut status = serde_json::to_value(self.set.status.clone()).unwrap();
                    json_patch::merge(&mut status, &patch["status"]);
                    self.set.status = serde_json::from_value(status).unwrap();
                }
                Action::Patch(target, patch) if target.resource.kind == "PersistentVolumeClaim" => {
                    let claim = self.claims.get_mut(&target.name).unwrap();
                    let mut value = serde_json::to_value(&*claim).unwrap();
                    json_patch::merge(&mut value, &patch);
                    *claim = serde_json::from_value(value).unwrap();
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        done
    }

    fn make_ready(&mut self) {
        let since = Timestamp::now() - k8s_openapi::jiff::SignedDuration::from_secs(60);
        for pod in self.pods.values_mut() {
            *pod = ready(pod.clone(), since);
        }
    }

    /// Steps, with every pod becoming ready in between, until nothing is left to do.
    fn run(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        for _ in 0..50 {
            done.extend(self.step());
            self.make_ready();
            if self.plan() == Plan::default() {
                return done;
            }
        }
        panic!("never at rest: {done:?}");
    }

    fn spec(&mut self) -> &mut StatefulSetSpec {
        &mut self.set.spec
    }

    fn image(&self, pod: &str) -> String {
        self.pods[pod].spec.as_ref().unwrap().containers[0].image.clone().unwrap()
    }
}

fn template(image: &str) -> PodTemplateSpec {
    let container = Container { name: "c".into(), image: Some(image.to_owned()), ..Container::default() };
    PodTemplateSpec {
        metadata: None,
        spec: Some(PodSpec { containers: vec![container], ..PodSpec::default() }),
    }
}

#[test]
fn ordered_pods_wait_for_the_one_before() {
    let mut world = World::new(3, "OrderedReady");
    assert_eq!(world.step(), ["+web-0"]);
    assert_eq!(world.step(), [""; 0], "web-0 is not ready");
    world.make_ready();
    assert_eq!(world.step(), ["+web-1"]);
    world.make_ready();
    assert_eq!(world.run(), ["+web-2"]);
    let names: Vec<_> = world.claims.keys().collect();
    assert_eq!(names, ["data-web-0", "data-web-1", "data-web-2"]);
    let status = world.set.status.as_ref().unwrap();
    assert_eq!((status.ready_replicas, status.available_replicas), (Some(3), Some(3)));
    let pod = world.pods["web-1"].spec.as_ref().unwrap();
    assert_eq!((pod.hostname.as_deref(), pod.subdomain.as_deref()), (Some("web-1"), Some("web-headless")));
}

#[test]
fn parallel_pods_start_at_once() {
    let mut world = World::new(3, "Parallel");
    assert_eq!(world.step(), ["+web-0", "+web-1", "+web-2"]);
}

#[test]
fn scaling_down_takes_the_highest_first_and_keeps_claims() {
    let mut world = World::new(3, "OrderedReady");
    world.run();
    world.spec().replicas = Some(1);
    assert_eq!(world.run(), ["-web-2", "-web-1"]);
    assert_eq!(world.claims.len(), 3);
    assert!(world.claims["data-web-2"].metadata.owner_references.as_ref().is_none_or(Vec::is_empty));
}

#[test]
fn claims_follow_the_retention_policy() {
    let mut world = World::new(2, "OrderedReady");
    let policy = r#"{"whenDeleted": "Delete", "whenScaled": "Delete"}"#;
    world.spec().persistent_volume_claim_retention_policy = serde_json::from_str(policy).unwrap();
    world.run();
    let owner = |world: &World, claim: &str| {
        world.claims[claim].metadata.owner_references.as_ref().unwrap()[0].kind.clone()
    };
    assert_eq!(owner(&world, "data-web-1"), "StatefulSet");
    world.spec().replicas = Some(1);
    world.run();
    assert_eq!(owner(&world, "data-web-1"), "Pod");
    assert_eq!(owner(&world, "data-web-0"), "StatefulSet");
}

#[test]
fn an_update_rolls_from_the_highest_number_down() {
    let mut world = World::new(3, "Parallel");
    world.run();
    world.spec().template = template("v2");
    assert_eq!(world.run(), ["-web-2", "+web-2", "-web-1", "+web-1", "-web-0", "+web-0"]);
    assert_eq!(world.image("web-0"), "v2");
    assert_eq!(world.revisions.len(), 2);
    let status = world.set.status.as_ref().unwrap();
    assert_eq!(status.current_revision, status.update_revision);
}

#[test]
fn an_update_stops_at_a_pod_that_is_not_ready() {
    let mut world = World::new(2, "Parallel");
    world.run();
    world.spec().template = template("v2");
    assert_eq!(world.step(), ["-web-1"]);
    assert_eq!(world.step(), ["+web-1"]);
    assert_eq!(world.step(), [""; 0]);
    assert_eq!(world.image("web-0"), "v1");
}

#[test]
fn below_the_partition_pods_keep_the_old_template() {
    let mut world = World::new(3, "Parallel");
    world.run();
    world.spec().update_strategy = Some(StatefulSetUpdateStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateStatefulSetStrategy {
            partition: Some(2),
            ..RollingUpdateStatefulSetStrategy::default()
        }),
    });
    world.spec().template = template("v2");
    assert_eq!(world.run(), ["-web-2", "+web-2"]);
    world.pods.remove("web-0");
    assert_eq!(world.run(), ["+web-0"]);
    assert_eq!((world.image("web-0").as_str(), world.image("web-2").as_str()), ("v1", "v2"));
}
