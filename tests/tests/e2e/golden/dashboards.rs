//! A real engine answers every question of every dashboard.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use obstack_tests::{ask, ports, wait::until};
use serde_json::Value;

use super::check::tool;
use super::root;

/// Prometheus as a process; it is killed when it is dropped.
struct Engine {
    child: Child,
    url: String,
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Engine {
    async fn start(prometheus: &Path, dir: &Path) -> Self {
        std::fs::write(dir.join("prometheus.yaml"), "{}\n").unwrap();
        let free = format!("127.0.0.1:{}", ports::loopback().unwrap());
        let child = Command::new(prometheus)
            .args(["--config.file=prometheus.yaml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={free}"))
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let engine = Self { child, url: format!("http://{free}") };
        let ready = format!("{}/-/ready", engine.url);
        until("Prometheus to be ready", Duration::from_secs(60), || ask::text(&ready)).await;
        engine
    }
}

#[tokio::test]
async fn prometheus_answers_every_question_of_every_dashboard() {
    let Some(prometheus) = tool("prometheus") else { return };
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::start(&prometheus, dir.path()).await;
    let mut asked = 0;
    for entry in std::fs::read_dir(root().join("../../dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let dashboard: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expr = target["expr"].as_str().unwrap();
                let answer = ask::query(&engine.url, expr).await;
                assert!(answer.is_ok(), "{}: {}: {answer:?}", path.display(), panel["title"]);
                asked += 1;
            }
        }
    }
    assert!(asked > 20);
}
