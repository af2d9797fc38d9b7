//! Rights by evidence: over the life of a stack with all that changes rights, no request of ours is refused,
//! and whatever an account of ours is granted it uses. Both are read from the server: what is granted from
//! its roles, what is used from its log of requests.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt};
use obstack::observe::kinds::Kind;
use obstack_crds::{Component, DecisionRecord, ObservabilityStack};
use obstack_tests::server::{Answered, Mark, Server};
use obstack_tests::wait::until;
use obstack_tests::world::{HOME, NAMESPACE, World};
use obstack_tests::{ask, coreos};
use serde_json::{Value, json};

/// For one step; most take some seconds.
const BOUND: Duration = Duration::from_secs(180);
/// A namespace beside the stack's own.
const FOREIGN: &str = "shop";
/// The namespace of accounts that are not ours.
const VISITORS: &str = "visitors";
/// Namespaces of our accounts.
const OURS: [&str; 3] = [HOME, NAMESPACE, FOREIGN];
const OPERATOR: &str = "obstack-system/obstack";
/// More changes of a decision than its history keeps.
const CHANGES: u32 = 22;

/// A right that is held and not used: account, API group, resource, verb, and why.
type Unused = (&'static str, &'static str, &'static str, &'static str, &'static str);

const GRANTED_ON: &str = "held to be granted on to Prometheus: nobody grants what he does not hold";
const PROMETHEUS: &str = "monitoring/main-metrics";
const ALERTMANAGER: &str = "monitoring/main-alerting";
const STREAMED: &str = "newer clients get a list as the begin of a watch; older images, which a stack may \
                        choose, and servers that do not stream need it";
const UNUSED: [Unused; 5] = [
    (OPERATOR, "discovery.k8s.io", "endpointslices", "list", GRANTED_ON),
    (OPERATOR, "discovery.k8s.io", "endpointslices", "watch", GRANTED_ON),
    (PROMETHEUS, "", "pods", "list", STREAMED),
    (PROMETHEUS, "", "services", "list", STREAMED),
    (PROMETHEUS, "discovery.k8s.io", "endpointslices", "list", STREAMED),
];

/// One right of one account, as one role grants it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    account: String,
    role: String,
    /// Where it holds; everywhere without.
    namespace: Option<String>,
    group: String,
    resource: String,
    verb: String,
    /// Of which objects; of all where this is empty.
    names: Vec<String>,
}

/// One way of asking, however often.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    account: String,
    namespace: String,
    group: String,
    resource: String,
    verb: String,
    name: String,
}

impl Right {
    fn allows(&self, used: &Use) -> bool {
        (&self.account, &self.group, &self.resource, &self.verb)
            == (&used.account, &used.group, &used.resource, &used.verb)
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == used.namespace)
            && (self.names.is_empty() || self.names.contains(&used.name) || self.selects(used))
    }

    /// A list or a watch is let through by name only where its field selector asks for that name, which not every
    /// log repeats. One that asked for more would have been refused.
    fn selects(&self, used: &Use) -> bool {
        used.name.is_empty() && ["list", "watch"].contains(&used.verb.as_str())
    }

    /// What is to be seen used. The operator has one and the same role in each namespace that it watches, all
    /// else is held for one namespace.
    fn held(&self) -> Held {
        let place = self.namespace.clone().filter(|_| self.account != OPERATOR);
        Held {
            account: self.account.clone(),
            role: format!("{}{}", place.map(|place| place + "/").unwrap_or_default(), self.role),
            group: self.group.clone(),
            resource: self.resource.clone(),
            verb: self.verb.clone(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    account: String,
    role: String,
    group: String,
    resource: String,
    verb: String,
}

impl Held {
    fn is_listed(&self) -> bool {
        UNUSED.iter().any(|one| self.is(one))
    }

    fn is(&self, (account, group, resource, verb, _): &Unused) -> bool {
        (self.account.as_str(), self.group.as_str(), self.resource.as_str(), self.verb.as_str())
            == (*account, *group, *resource, *verb)
    }
}

fn account(user: &str) -> Option<String> {
    let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    OURS.contains(&namespace).then(|| format!("{namespace}/{name}"))
}

/// What a request used. An apply that made its object was let through as a create too.
fn uses(answered: &Answered) -> Vec<Use> {
    let request = &answered.request;
    let Some(account) = account(&request.user) else { return Vec::new() };
    if !request.is_resource() || !(200..500).contains(&answered.code) || matches!(answered.code, 401 | 403) {
        return Vec::new();
    }
    let resource = match request.subresource.as_str() {
        "" => request.resource.clone(),
        subresource => format!("{}/{subresource}", request.resource),
    };
    let used = Use {
        account,
        namespace: request.namespace.clone(),
        group: request.group.clone(),
        resource,
        verb: request.verb.clone(),
        name: request.name.clone(),
    };
    let made = (request.verb == "patch" && answered.code == 201)
        .then(|| Use { verb: "create".to_owned(), ..used.clone() });
    made.into_iter().chain([used]).collect()
}

async fn all<K>(client: &Client) -> Vec<K>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let list = Api::<K>::all(client.clone()).list(&ListParams::default()).await;
    list.expect("an administrator lists everything").items
}

/// What all roles that are bound to our accounts grant now.
async fn granted(client: &Client) -> BTreeSet<Right> {
    let (roles, cluster_roles) = (all::<Role>(client).await, all::<ClusterRole>(client).await);
    let mut rights = BTreeSet::new();
    let mut bound = |namespace: Option<String>, reference: &RoleRef, subjects: Option<Vec<Subject>>| {
        let accounts = subjects.into_iter().flatten().filter(|subject| subject.kind == "ServiceAccount");
        let rules = match reference.kind.as_str() {
            "Role" => roles
                .iter()
                .find(|role| role.namespace() == namespace && role.name_any() == reference.name)
                .and_then(|role| role.rules.clone()),
            _ => cluster_roles
                .iter()
                .find(|role| role.name_any() == reference.name)
                .and_then(|role| role.rules.clone()),
        };
        for subject in accounts {
            let home = subject.namespace.or(namespace.clone()).unwrap_or_default();
            if OURS.contains(&home.as_str()) {
                let account = format!("{home}/{}", subject.name);
                let rules = rules.iter().flatten();
                rights.extend(rules.flat_map(|rule| split(&account, &namespace, &reference.name, rule)));
            }
        }
    };
    for binding in all::<RoleBinding>(client).await {
        bound(binding.metadata.namespace, &binding.role_ref, binding.subjects);
    }
    for binding in all::<ClusterRoleBinding>(client).await {
        bound(None, &binding.role_ref, binding.subjects);
    }
    rights
}

fn split(account: &str, namespace: &Option<String>, role: &str, rule: &PolicyRule) -> Vec<Right> {
    assert!(rule.non_resource_urls.is_none(), "{role}: paths that are no resources are not judged here");
    let mut rights = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            for verb in &rule.verbs {
                assert!([group, resource, verb].iter().all(|text| *text != "*"), "{role} grants everything");
                rights.push(Right {
                    account: account.to_owned(),
                    role: role.to_owned(),
                    namespace: namespace.clone(),
                    group: group.clone(),
                    resource: resource.clone(),
                    verb: verb.clone(),
                    names: rule.resource_names.clone().unwrap_or_default(),
                });
            }
        }
    }
    rights
}

/// What was granted at any time, and what was asked, so far.
#[derive(Default)]
struct Seen {
    rights: BTreeSet<Right>,
    uses: BTreeSet<Use>,
    refused: BTreeSet<String>,
}

impl Seen {
    /// Rights without a use. What a Role allows is no use of a right that holds everywhere.
    fn unused(&self) -> BTreeSet<Held> {
        let (narrow, wide): (Vec<&Right>, Vec<&Right>) =
            self.rights.iter().partition(|right| right.namespace.is_some());
        let mut used = BTreeSet::new();
        for one in &self.uses {
            let mut by: Vec<_> = narrow.iter().filter(|right| right.allows(one)).collect();
            if by.is_empty() {
                by = wide.iter().filter(|right| right.allows(one)).collect();
            }
            used.extend(by.into_iter().map(|right| right.held()));
        }
        self.rights.iter().map(Right::held).filter(|held| !used.contains(held)).collect()
    }
}

/// Follows a server from its first request on.
struct Evidence<'a> {
    server: &'a Server,
    read: RefCell<Mark>,
    seen: RefCell<Seen>,
}

impl<'a> Evidence<'a> {
    fn of(server: &'a Server) -> Self {
        Self { server, read: RefCell::new(Mark::BEGIN), seen: RefCell::default() }
    }

    async fn read_rights(&self) {
        let rights = granted(&self.server.client()).await;
        self.seen.borrow_mut().rights.extend(rights);
    }

    fn read_log(&self) {
        let next = self.server.mark();
        let from = self.read.replace(next);
        let mut seen = self.seen.borrow_mut();
        for answered in self.server.answered_since(from) {
            seen.uses.extend(uses(&answered));
            let request = &answered.request;
            if answered.code == 403
                && let Some(account) = account(&request.user)
            {
                seen.refused.insert(format!("{account}: {} {}", request.verb, request.path));
            }
        }
    }

    /// Waits until the accounts of the stack have used every right that they have now.
    async fn stack_uses_its_rights(&self) {
        self.read_rights().await;
        until("each right of the stack's accounts to be used", BOUND, || async {
            self.read_log();
            let mut unused = self.seen.borrow().unused();
            unused.retain(|held| held.account != OPERATOR && !held.is_listed());
            if unused.is_empty() { Ok(()) } else { Err(unused) }
        })
        .await;
    }

    /// Judges the whole run.
    fn judge(&self) {
        self.read_log();
        let seen = self.seen.borrow();
        assert!(seen.refused.is_empty(), "refused: {:#?}", seen.refused);
        // Grafana lives without the API; Alertmanager and Prometheus have reloaders beside them that read it.
        let accounts: BTreeSet<_> = seen.rights.iter().map(|right| right.account.as_str()).collect();
        assert_eq!(accounts, BTreeSet::from([OPERATOR, PROMETHEUS, ALERTMANAGER]));
        println!("{} rights, {} ways of asking", seen.rights.len(), seen.uses.len());
        let unused = seen.unused();
        let unlisted: Vec<_> = unused.iter().filter(|held| !held.is_listed()).collect();
        assert!(unlisted.is_empty(), "held for nothing: {unlisted:#?}");
        let stale: Vec<_> = UNUSED.iter().filter(|one| !unused.iter().any(|held| held.is(one))).collect();
        assert!(stale.is_empty(), "used after all, or not granted any more: {stale:#?}");
    }
}

/// Two of each engine, rules, and a receiver whose address is in a Secret.
fn spec() -> Value {
    json!({
        "environment": "dev",
        "requirements": { "activeSeries": "10k", "scrapeInterval": "2s", "availability": "Replicated" },
        "rules": { "groups": [{ "name": "own", "rules": [{ "record": "one", "expr": "vector(1)" }] }] },
        "alerting": {
            "route": { "receiver": "team" },
            "receivers": [{ "name": "team", "webhook": [{ "urlSecret": { "name": "hook", "key": "url" } }] }]
        }
    })
}

fn choose(component: &str, option: &str) -> Value {
    json!({ "spec": { "decisions": { component: { "choose": option, "because": "rights follow it" } } } })
}

/// The life of a stack that searches these namespaces, one set after the other.
async fn life(world: &World, searched: &[&[&str]]) {
    let evidence = Evidence::of(world.server());
    for definition in coreos::definitions() {
        world.apply(&definition).await;
    }
    world.secret("hook", &[("url", "http://127.0.0.1:9/hook")]).await;
    world.create_stack("main", spec()).await;
    world.live("main", BOUND).await;
    // A pod whose start the API did not answer in time has started with what is mounted. A change comes over the API.
    let changed = json!({
        "rules": { "groups": [{ "name": "own", "rules": [{ "record": "one", "expr": "vector(2)" }] }] },
        "alerting": { "route": { "groupWait": "29s" } }
    });
    world.patch_stack("main", json!({ "spec": changed })).await;
    world.live("main", BOUND).await;
    evidence.stack_uses_its_rights().await;
    the_page_is_read(world).await;
    for namespaces in searched {
        world.patch_stack("main", json!({ "spec": { "collection": { "namespaces": namespaces } } })).await;
        world.live("main", BOUND).await;
        evidence.stack_uses_its_rights().await;
    }
    the_engines_are_handed_over_and_back(world, &evidence).await;
    the_history_overflows(world).await;
    world.patch_stack("main", choose("alerting", "None")).await;
    let sets: Api<StatefulSet> = Api::namespaced(world.client(), NAMESPACE);
    until("Alertmanager to be pruned", BOUND, || async {
        let left = sets.get_opt("main-alerting").await.map_err(|error| error.to_string())?;
        left.map_or(Ok(()), |_| Err("it is there".to_owned()))
    })
    .await;
    // Rights go with the stack, before its pods: nobody is to be on his way to a part by then.
    world.live("main", BOUND).await;
    evidence.read_rights().await;
    let stacks: Api<ObservabilityStack> = Api::namespaced(world.client(), NAMESPACE);
    stacks.delete("main", &DeleteParams::default()).await.unwrap();
    until("everything that the stack owned to be gone", BOUND, || async {
        let left = world.owned_by_obstack().await;
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    evidence.judge();
}

/// Somebody reads the decisions with a token of his own. No account of ours has a right for that, and none is
/// refused.
async fn the_page_is_read(world: &World) {
    world.restricted_namespace(VISITORS).await;
    let stranger = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "stranger", "namespace": VISITORS }
    });
    world.apply(&stranger).await;
    let reader = world.reader(VISITORS, "reader").await;
    let url = format!("{}/decisions.json", world.operator_url().await);
    let shown = "main-metrics-store-0001";
    let answer = ask::with_token(&url, &reader).await.unwrap();
    assert!(answer.contains(shown), "{answer}");
    let answer = ask::with_token(&url, &world.token(VISITORS, "stranger").await).await.unwrap();
    assert_eq!(answer.trim(), "[]");
    let refused = ask::text(&url).await.unwrap_err();
    assert!(refused.contains("401"), "{refused}");
}

/// Resources of prometheus-operator are made, changed and deleted. As none runs here, our own engines stay meanwhile.
async fn the_engines_are_handed_over_and_back(world: &World, evidence: &Evidence<'_>) {
    let kinds = [("prometheuses", "main-metrics"), ("alertmanagers", "main-alerting")];
    let api = |plural: &str| {
        let kind = Kind::of(if plural == "prometheuses" { "Prometheus" } else { "Alertmanager" }).unwrap();
        Api::<DynamicObject>::namespaced_with(world.client(), NAMESPACE, &kind.resource())
    };
    world.patch_stack("main", choose("delivery", "PrometheusOperator")).await;
    for wanted in [true, false] {
        for (plural, name) in kinds {
            until("the resources to come and go", BOUND, || async {
                let found = api(plural).get_opt(name).await.map_err(|error| error.to_string())?;
                if found.is_some() == wanted { Ok(()) } else { Err(format!("{plural} {name}")) }
            })
            .await;
        }
        evidence.read_rights().await;
        if wanted {
            world.patch_stack("main", json!({ "spec": { "decisions": { "delivery": null } } })).await;
        }
    }
    world.live("main", BOUND).await;
}

/// Dashboards come and go until the oldest records of that are forgotten.
async fn the_history_overflows(world: &World) {
    let records: Api<DecisionRecord> = Api::namespaced(world.client(), NAMESPACE);
    let numbers = || async {
        let found = records.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let of = found.iter().filter(|record| record.spec.component == Component::Dashboards);
        Ok::<_, String>(of.map(|record| record.spec.number).collect::<BTreeSet<_>>())
    };
    for change in 0..CHANGES {
        let before = numbers().await.unwrap();
        let option = if change % 2 == 0 { "None" } else { "Grafana" };
        world.patch_stack("main", choose("dashboards", option)).await;
        until("a record of the change", BOUND, || async {
            let now = numbers().await?;
            if now.last() > before.last() { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await;
    }
    until("the oldest record to be forgotten", BOUND, || async {
        let now = numbers().await?;
        if now.contains(&1) { Err(format!("{now:?}")) } else { Ok(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_for_the_cluster_holds_what_it_uses() {
    let world = World::start().await;
    world.restricted_namespace(FOREIGN).await;
    life(&world, &[&["*"], &[FOREIGN]]).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_for_namespaces_holds_what_it_uses_and_nothing_cluster_wide() {
    let world = World::start_for(&[FOREIGN]).await;
    let rights = granted(&world.client()).await;
    let wide: Vec<_> = rights.iter().filter(|right| right.namespace.is_none()).collect();
    assert!(!rights.is_empty() && wide.is_empty(), "{wide:#?}");
    life(&world, &[&[FOREIGN]]).await;
    world.stop().await;
}
