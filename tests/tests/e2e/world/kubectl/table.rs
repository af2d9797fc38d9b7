//! What is run. `shop` stands for the namespace of the program, `{dir}` for the folder of [`FILES`].

/// A step of the table.
pub(super) enum Step {
    /// Commands that change nothing, side by side.
    Read(&'static [&'static str]),
    /// Commands in turn.
    Do(&'static [&'static str]),
    /// A command that must succeed; when it does is a matter of time, so what it prints is not kept.
    Unkept(&'static str),
    /// A command that follows, until it has printed so many lines; the change comes before the last one.
    Watch {
        /// What follows.
        command: &'static str,
        /// Lines to wait for.
        lines: usize,
        /// What makes the last line.
        change: &'static str,
    },
}

/// Commands that print something else on the sandbox, and why; the same table is in `docs/sandbox.md`.
pub(super) const LISTED: &[(&str, &str)] = &[
    ("get deployment web -n shop -o yaml", "no count of replicas that are ending in a Deployment's status"),
    ("get deployment web -n shop -o json", "no count of replicas that are ending in a Deployment's status"),
    (
        "get events -n shop --field-selector=involvedObject.kind=Job",
        "the workload controllers write no events",
    ),
    ("events -n shop --for job/once", "the workload controllers write no events"),
    ("describe deployment web -n shop", "the workload controllers write no events"),
    (
        "describe replicaset -n shop -l app=web",
        "the workload controllers write no events, nor the notes of a Deployment's size on its ReplicaSets",
    ),
    ("describe job once -n shop", "the workload controllers write no events"),
    ("describe namespace shop", "no quotas and limit ranges"),
    (
        "describe pvc -n monitoring --show-events=false",
        "no protection finalizers, and no annotations and conditions of the binder",
    ),
    ("describe node sandbox --show-events=false", "no labels and annotations of a cloud's controllers"),
    ("explain deployment.spec.strategy", "the definitions name no values of an enum"),
    ("explain pods.spec.containers.ports", "the definitions name no values of an enum"),
    ("auth whoami", "no digest of the client's certificate"),
    (
        "auth can-i --list -n shop --as=system:serviceaccount:shop:made",
        "no roles for the issuer's keys and for trust bundles",
    ),
    (
        "patch configmap made -n shop --type=merge -p {\"data\":{\"a\":1}}",
        "the message names the mistake without the whole object",
    ),
];

/// Manifests.
pub(super) const FILES: &[(&str, &str)] = &[
    ("web.yaml", WEB),
    ("web-3.yaml", WEB_3),
    ("settings.yaml", SETTINGS),
    ("settings-red.yaml", SETTINGS_RED),
    ("once.yaml", ONCE),
    ("misspelt.yaml", MISSPELT),
    ("bad-stack.yaml", BAD_STACK),
];

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: app
        image: registry/example-app:1
        args: ['--listen=:8080']
        ports: [{name: http, containerPort: 8080}]
        env:
        - {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour, optional: true}}}
        - {name: PLAIN, value: text}
        readinessProbe: {httpGet: {path: /healthz, port: http}}
        resources: {requests: {cpu: 5m, memory: 16Mi}, limits: {memory: 64Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
";
const WEB_3: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {replicas: 3}
";
const SETTINGS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web, tier: front}}
data: {colour: green, size: '3'}
---
apiVersion: v1
kind: Secret
metadata: {name: pass}
stringData: {word: sesame}
";
const SETTINGS_RED: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: red}
";
const ONCE: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: app, image: registry/example-app:1, args: [--version]}]
";
const MISSPELT: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: misspelt}
dta: {a: b}
";
const BAD_STACK: &str = "
apiVersion: obstack.io/v1alpha1
kind: ObservabilityStack
metadata: {name: bad}
spec: {environment: production, requirements: {retention: 15 days}}
";

/// All of it, in order.
pub(super) const STEPS: &[Step] = &[
    Step::Unkept("wait pods/main-metrics-0 -n monitoring --for=condition=Ready --timeout=50s"),
    Step::Unkept("rollout status deployment/example-app -n monitoring --timeout=50s"),
    Step::Unkept("wait obs/main -n monitoring --for=condition=ConfigurationLive --timeout=50s"),
    Step::Do(&[
        "create namespace shop",
        "create namespace shop",
        "apply -n shop -f {dir}/settings.yaml -f {dir}/web.yaml -f {dir}/once.yaml",
        "apply -n shop -f {dir}/settings.yaml",
        "rollout status deployment/nothing -n shop",
    ]),
    Step::Unkept("rollout status deployment/web -n shop --timeout=50s"),
    Step::Do(&[
        "rollout status deployment/web -n shop",
        "wait deployment/web -n shop --for=condition=Available --timeout=50s",
        "wait job/once -n shop --for=condition=Complete --timeout=50s",
        "wait deployment/web -n shop --for=jsonpath={.spec.replicas}=2 --timeout=5s",
        "wait deployment/web -n shop --for=jsonpath={.spec.replicas}=7 --timeout=1s",
        "wait pods -n shop -l app=web --for=condition=Ready --timeout=50s",
        "wait deployment/nothing -n shop --for=condition=Available --timeout=5s",
    ]),
    Step::Read(OUTPUTS),
    Step::Read(STACKS),
    Step::Read(DESCRIBED),
    Step::Read(TOLD),
    Step::Read(LOGS),
    Step::Watch {
        command: "get configmap settings -n shop -w",
        lines: 3,
        change: "patch configmap settings -n shop -p {\"data\":{\"new\":\"yes\"}}",
    },
    Step::Watch {
        command: "get configmaps -n shop -l app=web -w -o jsonpath={.metadata.name}={.data.new}{\"\\n\"}",
        lines: 2,
        change: "patch configmap settings -n shop -p {\"data\":{\"new\":\"no\"}}",
    },
    Step::Watch {
        command: "get configmap settings -n shop -w --show-labels --output-watch-events",
        lines: 3,
        change: "label configmap settings -n shop added=later",
    },
    Step::Do(CHANGES),
    Step::Do(RESTARTED),
    Step::Unkept(REVISION_2),
    Step::Do(&["set image deployment/web -n shop app=registry/example-app:2"]),
    Step::Unkept(REVISION_3),
    Step::Do(ROLLOUTS),
    Step::Unkept("wait pods -n shop -l app=web --for=delete --timeout=50s"),
    Step::Do(SCALED),
    Step::Do(ENDS),
];

const OUTPUTS: &[&str] = &[
    "get all -n shop",
    "get pods -n shop",
    "get pods -n shop -l app=web",
    "get pods -n shop -l app=web -o wide",
    "get pods -n shop -l app=web -o name",
    "get pods -n shop -l app=web --no-headers",
    "get pods -n shop --field-selector=status.phase=Succeeded",
    "get pods -n shop --field-selector=spec.colour=red",
    "get pods -n shop -l 'app in (web,other),tier!=back'",
    "get pods -n shop -l app==",
    "get pods -n shop -L app",
    "get deployments -A --field-selector=metadata.namespace=shop",
    "get deployment web -n shop -o wide",
    "get deployment web -n shop -o yaml",
    "get deployment web -n shop -o json",
    "get configmap settings -n shop -o yaml --show-managed-fields",
    "get replicasets -n shop -o wide",
    "get jobs -n shop -o wide",
    "get job once -n shop -o yaml",
    "get configmaps,secrets -n shop",
    "get configmaps -n shop --show-labels",
    "get configmaps -n shop --sort-by=.metadata.name",
    "get configmap settings -n shop -o yaml",
    "get secret pass -n shop -o yaml",
    "get secret pass -n shop -o jsonpath={.data.word}",
    "get configmap settings -n shop -o go-template='{{.metadata.name}} {{len .data}}{{\"\\n\"}}'",
    "get configmaps -n shop -o custom-columns=NAME:.metadata.name,COLOUR:.data.colour",
    "get configmaps -n shop -o jsonpath='{range .items[*]}{.metadata.name}{\"\\n\"}{end}'",
    "get configmap settings -n shop -o jsonpath={.data}",
    "get configmap settings -n shop -o jsonpath={.data[",
    "get service web -n shop",
    "get service web -n shop -o wide",
    "get service web -n shop -o yaml",
    "get services -A --field-selector=metadata.namespace=shop",
    "get endpointslices -n shop",
    "get namespace shop",
    "get namespace shop -o yaml",
    "get serviceaccounts -n shop",
    "get nodes",
    "get nodes -o name",
    "get roles,rolebindings -n shop",
    "get clusterrole obstack",
    "get storageclass",
    "get crd decisionrecords.obstack.io observabilitystacks.obstack.io",
    "get leases -n shop",
    "get events -n shop --field-selector=involvedObject.kind=Job",
    "get pod nothing -n shop",
    "get pods -n nowhere",
    "get frobs -n shop",
    "get pods -n shop -o frob",
    "get pods -n shop --frob",
    "get pods -n shop --as=nobody",
    "get nodes --as=system:serviceaccount:shop:default",
    "get pods/web deployments/web nothing/x -n shop",
    "get --raw /api/v1/namespaces/shop/configmaps/nothing",
];

const STACKS: &[&str] = &[
    "get obs -A",
    "get obs -n monitoring -o wide",
    "get obs main -n monitoring -o yaml",
    "get obs main -n monitoring -o jsonpath={.status.conditions[*].type}",
    "get obs -n monitoring -o name",
    "get observabilitystacks main -n monitoring --show-labels",
    "get odr -n monitoring",
    "get odr -n monitoring -o wide",
    "get odr -n monitoring -o custom-columns=NAME:.metadata.name,COMPONENT:.spec.component",
    "get odr -n monitoring --sort-by=.spec.component -o name",
    "get statefulsets -n monitoring -o wide",
    "get statefulset main-metrics -n monitoring -o yaml",
    "get pods -n monitoring -l obstack.io/stack=main -o name",
    "get pod main-metrics-0 -n monitoring",
    "get pod main-metrics-0 -n monitoring -o wide",
    "get pvc -n monitoring",
    "get pdb -n monitoring",
    "get services -n monitoring",
    "get secrets -n monitoring",
    "get serviceaccounts -n monitoring",
    "get roles,rolebindings -n monitoring -o wide",
    "get deployments -n obstack-system -o wide",
    "get obs nothing -n monitoring",
    "get obs -n monitoring --as=nobody",
    "get obs -n monitoring --field-selector=spec.environment=dev",
    "get obs -n monitoring -l obstack.io/none",
];

const DESCRIBED: &[&str] = &[
    "describe pods -n shop -l app=web --show-events=false",
    "describe deployment web -n shop",
    "describe replicaset -n shop -l app=web",
    "describe job once -n shop",
    "describe service web -n shop",
    "describe configmap settings -n shop",
    "describe secret pass -n shop",
    "describe namespace shop",
    "describe serviceaccount default -n shop",
    "describe statefulset main-metrics -n monitoring --show-events=false",
    "describe pod main-metrics-0 -n monitoring --show-events=false",
    "describe obs main -n monitoring --show-events=false",
    "describe odr main-metrics-store-0001 -n monitoring --show-events=false",
    "describe pvc -n monitoring --show-events=false",
    "describe node sandbox --show-events=false",
    "describe storageclass standard",
    "describe pod nothing -n shop",
];

const TOLD: &[&str] = &[
    "explain configmap",
    "explain configmap.data",
    "explain deployment.spec.strategy",
    "explain deployment.spec.replicas",
    "explain pods.spec.containers.ports",
    "explain pod.spec.nothing",
    "explain obs",
    "explain obs.spec",
    "explain obs.spec.requirements",
    "explain obs.spec.requirements --recursive",
    "explain obs.spec.environment",
    "explain odr.spec",
    "explain frobs",
    "api-resources --api-group=obstack.io",
    "api-resources --api-group=apps -o wide",
    "api-resources --api-group=batch -o name",
    "api-resources --api-group=obstack.io --namespaced=false",
    "auth can-i list pods -n shop",
    "auth can-i list pods -n shop --as=nobody",
    "auth can-i list frobs -n shop",
    "auth can-i get configmaps -n monitoring --as=system:serviceaccount:obstack-system:obstack",
    "auth can-i --list -n shop --as=nobody",
    "auth whoami",
    "auth whoami --as=someone --as-group=some",
    "events -n shop --for job/once",
    "events -n shop --types=Warning",
    "create configmap dry -n shop --from-literal=a=b --dry-run=client -o yaml",
    "create configmap dry -n shop --from-literal=a=b --dry-run=server -o yaml",
    "create deployment dry -n shop --image=registry/example-app:1 --dry-run=server -o yaml",
    "apply -n shop -f {dir}/misspelt.yaml",
    "apply -n shop -f {dir}/misspelt.yaml --dry-run=server --validate=warn",
    "apply -n shop -f {dir}/bad-stack.yaml",
    "apply -n shop -f {dir}/none.yaml",
    "create configmap 'Not Good' -n shop",
    "create configmap denied -n shop --as=nobody",
    "delete configmap settings -n shop --as=nobody",
];

const LOGS: &[&str] = &[
    "logs -n shop job/once",
    "logs -n shop job/once -f",
    "logs -n shop job/once --tail=0",
    "logs -n shop job/once --tail=1 --timestamps",
    "logs -n shop job/once --since=1h",
    "logs -n shop job/once -c other",
    "logs -n shop -l batch.kubernetes.io/job-name=once --prefix",
    "logs -n shop deployment/web -p",
    "logs -n shop nothing",
];

const CHANGES: &[&str] = &[
    "diff -n shop -f {dir}/web.yaml",
    "diff -n shop -f {dir}/web-3.yaml --server-side",
    "diff -n shop -f {dir}/settings-red.yaml",
    "apply -n shop -f {dir}/settings-red.yaml --dry-run=server",
    "apply -n shop --server-side -f {dir}/settings-red.yaml",
    "apply -n shop --server-side --force-conflicts -f {dir}/settings-red.yaml",
    "apply -n shop --server-side -f {dir}/settings-red.yaml --field-manager=other",
    "apply -n shop view-last-applied configmap/settings",
    "apply view-last-applied -n shop configmap/settings",
    "create configmap made -n shop --from-literal=a=b",
    "create configmap made -n shop --from-literal=a=b",
    "create secret generic hidden -n shop --from-literal=a=b",
    "create serviceaccount made -n shop",
    "create role reader -n shop --verb=get,list --resource=pods",
    "create rolebinding reads -n shop --role=reader --serviceaccount=shop:made",
    "auth can-i list pods -n shop --as=system:serviceaccount:shop:made",
    "auth can-i --list -n shop --as=system:serviceaccount:shop:made",
    "get roles,rolebindings -n shop -o wide",
    "describe role reader -n shop",
    "describe rolebinding reads -n shop",
    "label configmap made -n shop colour=red",
    "label configmap made -n shop colour=red",
    "label configmap made -n shop colour=blue",
    "label configmap made -n shop colour=blue --overwrite",
    "label configmap made -n shop colour-",
    "label configmap made -n shop 'bad label=x'",
    "label configmap made -n shop good=bad/value",
    "annotate configmap made -n shop note='some text'",
    "annotate configmap made -n shop note-",
    "patch configmap made -n shop --type=merge -p {\"data\":{\"a\":\"c\"}}",
    "patch configmap made -n shop --type=merge -p {\"data\":{\"a\":\"c\"}}",
    "patch configmap made -n shop -p {\"data\":{\"a\":\"d\"}}",
    "patch configmap made -n shop --type=json -p [{\"op\":\"add\",\"path\":\"/data/e\",\"value\":\"f\"}]",
    "patch configmap made -n shop --type=json -p [{\"op\":\"test\",\"path\":\"/data/e\",\"value\":\"g\"}]",
    "patch configmap made -n shop --type=json -p [{\"op\":\"remove\",\"path\":\"/data/none\"}]",
    "patch configmap made -n shop --type=merge -p {\"data\":{\"a\":1}}",
    "patch configmap made -n shop --type=merge -p {",
    "patch obs main -n monitoring --dry-run=server --type=merge -p {\"spec\":{\"environment\":\"x\"}}",
    "patch obs main -n monitoring --dry-run=server -p {\"spec\":{\"environment\":\"prod\"}}",
    "get configmap made -n shop -o yaml",
    "delete configmap made -n shop --dry-run=server",
    "delete configmap made -n shop",
    "delete configmap made -n shop",
    "delete configmap made -n shop --ignore-not-found",
    "delete configmap -n shop",
    "wait configmap/made -n shop --for=delete --timeout=5s",
];

const RESTARTED: &[&str] = &[
    "rollout history deployment/web -n shop",
    "rollout restart deployment/web -n shop",
    "rollout pause deployment/web -n shop",
    "rollout pause deployment/web -n shop",
    "rollout resume deployment/web -n shop",
];

/// The controller makes a revision of what it sees: a change that comes before it has looked takes the place of
/// the one before.
const REVISION_2: &str = r"wait deployment/web -n shop --for=jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}=2 --timeout=50s";
const REVISION_3: &str = r"wait deployment/web -n shop --for=jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}=3 --timeout=50s";

const ROLLOUTS: &[&str] = &[
    "rollout history deployment/web -n shop",
    "rollout history deployment/web -n shop --revision=1",
    "rollout history deployment/web -n shop --revision=9",
    "rollout undo deployment/web -n shop --to-revision=1 --dry-run=server",
    "rollout undo deployment/web -n shop",
    "rollout undo deployment/web -n shop --to-revision=99",
    "rollout history statefulset/main-metrics -n monitoring",
    "rollout status statefulset/main-metrics -n monitoring",
    "scale deployment/web -n shop --replicas=1",
    "scale deployment/web -n shop --current-replicas=7 --replicas=1",
    "scale deployment/nothing -n shop --replicas=1",
    "scale configmap/settings -n shop --replicas=1",
    "scale deployment/web -n shop --replicas=0",
];

const SCALED: &[&str] =
    &["get deployment web -n shop", "wait pods -n shop -l app=web --for=delete --timeout=5s"];

const ENDS: &[&str] = &[
    "delete job once -n shop --cascade=orphan",
    "get pods -n shop",
    "delete pods -n shop --all",
    "delete deployment web -n shop --cascade=foreground",
    "get replicasets -n shop",
    "delete -n shop -f {dir}/settings.yaml",
    "delete namespace shop",
    "get namespace shop",
    "create configmap late -n shop",
];
