//! The decisions page in a browser: all there, readable at two widths, without a script, and whatever others
//! write is text.

use std::sync::Arc;

use futures::future::BoxFuture;
use kube::ResourceExt;
use kube::api::{ApiResource, Patch, PatchParams};
use obstack::http::decisions::{self, DecisionsSource, Denied, Seen, Viewer, views};
use obstack_crds::{Component, DecisionRecord, ObservabilityStack};
use obstack_tests::chromium::{Chromium, Look};
use obstack_tests::world::repository;
use serde_json::{Value, json};

use super::bench::{Bench, NAMESPACE};

const PHONE: Look = Look { width: 390, dark: true };
const DESK: Look = Look { width: 1280, dark: false };

/// What others might write where they can.
const HOSTILE: [&str; 5] = [
    "<script>document.title='taken'</script>",
    "\"><img src=x onerror=alert(1)>",
    "'</textarea></style><b onclick=alert(1)>",
    "\u{202e}gnihtyreve sdaer\u{2066}",
    "&lt;b&gt; & [link](javascript:alert(1))",
];

/// What is judged of every page, told by the browser.
const FACTS: &str = "(() => {
  const all = [...document.querySelectorAll('*')];
  const ids = all.map(e => e.id).filter(id => id);
  return {
    width: document.documentElement.scrollWidth,
    active: all.filter(e => ['SCRIPT', 'IMG', 'IFRAME', 'OBJECT', 'FORM', 'INPUT'].includes(e.tagName)
      || [...e.attributes].some(a => a.name.startsWith('on') || a.name === 'style')).map(e => e.outerHTML),
    schemes: [...document.links].map(a => a.protocol).filter(p => p !== 'http:'),
    twice: ids.filter((id, at) => ids.indexOf(id) !== at),
    dangling: [...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href').slice(1))
      .filter(id => !document.getElementById(id)),
    mains: document.querySelectorAll('main').length,
    headings: document.querySelectorAll('h1').length,
    captionless: [...document.querySelectorAll('table')].filter(t => !t.caption || !t.querySelector('th[scope]')).length,
    unlabelled: [...document.querySelectorAll('textarea')].filter(t => !t.labels.length).length,
    language: document.documentElement.lang,
    title: document.title,
    links: [...new Set([...document.links].map(a => a.href.split('#')[0]))],
    text: document.documentElement.textContent + [...document.querySelectorAll('textarea')].map(t => t.value).join(),
  };
})()";

/// Opens a page, judges what holds for every one, keeps a picture, and gives what the browser tells of it.
async fn look(browser: &mut Chromium, url: &str, look: Look, name: &str) -> Value {
    let page = browser.open(url, look).await;
    assert!(page.complaints.is_empty(), "{url}: {:#?}", page.complaints);
    let facts = browser.evaluate(&page, FACTS).await;
    let scheme = if look.dark { "dark" } else { "light" };
    let file = format!("target/pages/{name}-{}-{scheme}.png", look.width);
    browser.screenshot(&page, &repository(&file)).await;
    // Of the window's own width: a phone makes the window wider for a page that does not fit.
    assert_eq!(facts["width"], look.width, "{url}: too wide");
    for nothing in ["active", "schemes", "twice", "dangling"] {
        assert_eq!(facts[nothing], json!([]), "{url} at {}: {nothing}", look.width);
    }
    for none in ["captionless", "unlabelled"] {
        assert_eq!(facts[none], 0, "{url}: {none}");
    }
    for one in ["mains", "headings"] {
        assert_eq!(facts[one], 1, "{url}: {one}");
    }
    assert_eq!(facts["language"], "en");
    facts
}

async fn status(url: &str) -> u16 {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    http.get(url).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_and_its_records_are_shown_in_a_browser() {
    let Some(mut browser) = Chromium::start().await else { return };
    let bench = Bench::start().await;
    let because = format!("we run it already {}", HOSTILE.concat());
    bench.stack(json!({ "decisions": { "dashboards": { "choose": "Grafana", "because": because } } })).await;
    let operator = bench.operator().await;
    bench.settled().await;
    let index = format!("{}/decisions", operator.url);
    for at in [PHONE, DESK] {
        let facts = look(&mut browser, &index, at, "decisions").await;
        let text = facts["text"].as_str().unwrap();
        for component in Component::ALL {
            assert!(text.contains(component.title()), "{component}");
        }
        for hostile in HOSTILE {
            assert!(text.contains(hostile), "{hostile} is not there as text");
        }
        // Every record can be reached, and every link leads somewhere.
        let links: Vec<&str> = facts["links"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let records = bench.api(&ApiResource::erase::<DecisionRecord>(&()), Some(NAMESPACE));
        for record in records.list(&Default::default()).await.unwrap() {
            let way = format!("{}/decisions/{NAMESPACE}/main/{}", operator.url, record.name_any());
            assert!(links.contains(&way.as_str()) && links.contains(&format!("{way}.md").as_str()), "{way}");
        }
        for link in links {
            assert_eq!(status(link).await, 200, "{link}");
        }
    }
    let record = format!("{index}/{NAMESPACE}/main/main-metrics-store-0001");
    for at in [PHONE, DESK] {
        let facts = look(&mut browser, &record, at, "record").await;
        let text = facts["text"].as_str().unwrap();
        let markdown = reqwest::get(format!("{record}.md")).await.unwrap().text().await.unwrap();
        assert!(text.contains(&markdown), "the Markdown to copy is not that of the file");
    }
    operator.stop().await;
    bench.stop().await;
    browser.stop().await;
}

/// A page of these stacks.
struct Fixed(Seen);

impl DecisionsSource for Fixed {
    fn stacks<'a>(&'a self, viewer: &'a Viewer) -> BoxFuture<'a, Result<Seen, Denied>> {
        let seen = match viewer.token.as_deref() {
            Some("open") => Ok(self.0.clone()),
            Some(_) => Err(Denied::NoAnswer(HOSTILE.concat())),
            None => Err(Denied::NoToken),
        };
        Box::pin(async move { seen })
    }
}

/// A record whose every word is somebody else's, in every state.
fn hostile_record(number: u32) -> DecisionRecord {
    let words = format!("{} {}", HOSTILE.concat(), "w".repeat(300));
    let range = json!({ "low": 10.0, "high": 60.0 });
    let wire = |id: usize| {
        json!({
            "id": format!("{id} {words}"), "tradeoff": words, "expr": words, "bound": words, "for": words,
            "keepFiringFor": words, "guard": words, "next": words, "cost": words
        })
    };
    let state = |id: usize, state: &str, pressure: Option<&str>| {
        json!({
            "id": format!("{id} {words}"), "state": state, "pressure": pressure, "reason": words
        })
    };
    serde_json::from_value(json!({
        "apiVersion": "obstack.io/v1alpha1", "kind": "DecisionRecord",
        "metadata": { "name": format!("{number}{}", HOSTILE.concat()), "namespace": HOSTILE.concat() },
        "spec": {
            "stack": words, "component": "metricsStore", "number": number, "decidedAt": words, "catalog": words,
            "chosen": words, "chosenBy": "person", "because": words, "engineWouldChoose": words,
            "statement": words, "requirements": { words.as_str(): words }, "priorities": { words.as_str(): words },
            "eliminated": [{ "option": words, "requirement": words, "reason": words }],
            "ranking": [{ "option": words, "total": range, "scores": { words.as_str(): range }, "judgement": true }],
            "tie": words, "relaxations": [words],
            "sizing": [{ "quantity": words, "range": range, "unit": words, "arithmetic": words }],
            "measured": [{ "quantity": words, "unit": words, "prior": range, "measured": 40.0, "error": -0.125 }],
            "tradeoffs": [{ "id": words, "text": words, "source": words }],
            "flipPoints": [{ "input": words, "from": words, "to": words, "step": words, "choice": words }],
            "tripwires": [wire(0), wire(1), wire(2), wire(3), wire(4)],
            "supersedes": format!("{}{}", number - 1, HOSTILE.concat())
        },
        "status": {
            "phase": "Accepted", "tripwireState": "Tripped", "supersededBy": words,
            "tripwires": [
                state(0, "Holding", Some("<0.5")), state(1, "Holding", Some("0.5-0.8")),
                state(2, "AtRisk", Some("0.8-1.0")), state(3, "Tripped", Some(">=1.0")), state(4, "Unknown", None)
            ]
        }
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_words_are_text_in_a_browser() {
    let Some(mut browser) = Chromium::start().await else { return };
    let records = [hostile_record(1), hostile_record(2)];
    let mut other = ObservabilityStack::new("other", Default::default());
    other.metadata.namespace = Some(HOSTILE.concat());
    let seen = Seen { stacks: views([&other], &records), limited: true };
    let router = decisions::router(Arc::new(Fixed(seen)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    // As a browser sends what its user has typed when it was asked.
    let index = format!("http://anybody:open@{address}/decisions");
    for at in [PHONE, DESK] {
        let facts = look(&mut browser, &index, at, "hostile").await;
        let text = facts["text"].as_str().unwrap();
        assert!(HOSTILE.iter().all(|hostile| text.contains(hostile)), "{text}");
        assert_eq!(facts["title"], "Decisions");
        let links = facts["links"].as_array().unwrap();
        let own: Vec<&str> =
            links.iter().filter_map(Value::as_str).filter(|link| link.ends_with(".md")).collect();
        assert_eq!(own.len(), 1, "{links:?}");
        let record = own[0].trim_end_matches(".md").replace("anybody:open@", "");
        let record = record.replace("http://", "http://anybody:open@");
        let facts = look(&mut browser, &record, at, "hostile-record").await;
        let text = facts["text"].as_str().unwrap();
        assert!(HOSTILE.iter().all(|hostile| text.contains(hostile)), "{text}");
        assert!(text.contains("-13 %"), "the error of the catalog's figure is shown");
    }

    // A refusal is a page too. The browser itself complains of its code, and nothing else.
    let page = browser.open(&format!("http://anybody:shut@{address}/decisions"), PHONE).await;
    let facts = browser.evaluate(&page, FACTS).await;
    assert_eq!(facts["title"], "Nothing can be shown now");
    assert_eq!((&facts["active"], &facts["width"]), (&json!([]), &json!(PHONE.width)), "{facts}");
    assert!(HOSTILE.iter().all(|hostile| facts["text"].as_str().unwrap().contains(hostile)), "{facts}");
    assert!(page.complaints.iter().all(|one| one.to_string().contains("503")), "{:#?}", page.complaints);
    server.abort();
    browser.stop().await;
}

/// A stack's status says how its tripwires stand, and the page shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_of_each_tripwire_is_shown() {
    let bench = Bench::start().await;
    bench.stack(json!({})).await;
    let operator = bench.operator().await;
    bench.settled().await;
    operator.stop().await;
    let resource = ApiResource::erase::<DecisionRecord>(&());
    let records = bench.api(&resource, Some(NAMESPACE));
    let record = records.get("main-metrics-store-0001").await.unwrap();
    let wires = record.data["spec"]["tripwires"].as_array().cloned().unwrap_or_default();
    assert!(!wires.is_empty(), "the metrics store has tripwires");
    let tripped =
        json!([{ "id": wires[0]["id"], "state": "Tripped", "pressure": ">=1.0", "reason": "it is full" }]);
    let status = json!({ "status": { "tripwireState": "Tripped", "tripwires": tripped } });
    records.patch_status(&record.name_any(), &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    // A follower shows what is written and changes nothing.
    let follower =
        bench.operator_with("follower", |options| options.lease_namespace = Some("nowhere".to_owned())).await;
    obstack_tests::wait::until("the state to be shown", super::bench::BOUND, || async {
        let (_, html) = follower.get("/decisions").await;
        let shown = ["</i>tripped</span>", "<bdi>&gt;=1.0</bdi>", "<bdi>it is full</bdi>", "class=\"band\""];
        if shown.iter().all(|part| html.contains(part)) { Ok(()) } else { Err(html) }
    })
    .await;
    follower.stop().await;
    bench.stop().await;
}
