//! What a reloader takes: judged on a release build, so not with the other tests.
//!
//! `cargo build --release --workspace --bin obstack`, then `OBSTACK_RELEASE=target/release/obstack cargo test
//! --workspace --test e2e reloader::memory -- --ignored --nocapture`.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use obstack::running::{Engine, Fragment, Generation};
use obstack_tests::plane::NAMESPACE;

use super::api::{ACCOUNT, Cluster};
use super::rig::{Check, Rig};

/// Most bytes that a reloader may hold of its own. The pages of its binary, which come on top, are the same ones
/// in every container that runs it, and the kernel takes them back when it needs memory.
const MOST: u64 = 6 << 20;
/// Monitors of 1,500 bytes each: 64 parts.
const MONITORS: usize = 10_000;

fn generation(changed: usize) -> Generation {
    let relabel = "  - {source_labels: [__meta_kubernetes_service_label_app], regex: app, action: keep}\n";
    let job = |monitor: usize| {
        let version = usize::from(monitor == 7) * changed;
        let name = format!("team-{}/monitor-{monitor}/{version}", monitor % 100);
        let text = format!("scrape_configs:\n- job_name: {name}\n  relabel_configs:\n{}", relabel.repeat(16));
        Fragment::new(format!("monitor/{monitor}"), format!("scrape/{monitor}.yaml"), text.into_bytes())
    };
    let main = Fragment::new("main", "prometheus.yaml", b"global: {}\n".to_vec());
    Generation::build(Engine::Prometheus, (0..MONITORS).map(job).chain([main]).collect()).unwrap()
}

/// A line of `/proc/PID/status` in bytes.
fn bytes(process: &Child, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    found.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "judges bytes, and needs a release build"]
async fn a_reloader_holds_one_part_at_a_time() {
    let binary = PathBuf::from(std::env::var_os("OBSTACK_RELEASE").expect("OBSTACK_RELEASE names a binary"));
    let mut cluster = Cluster::start().await;
    let rig = Rig::new(Engine::Prometheus, Check::None);
    let first = generation(0);
    assert_eq!(first.parts.len(), 64);
    cluster.deliver(&first, &[]).await;
    let kubeconfig = rig.target().with_extension("kubeconfig");
    std::fs::write(&kubeconfig, cluster.plane.api.kubeconfig_for_account(NAMESPACE, ACCOUNT)).unwrap();
    let settings = rig.settings();
    let live = cluster.live().await;
    let mut command = Command::new(binary);
    command.args(["reloader", "--engine=prometheus", "--checker=/nonexistent"]);
    command.arg(format!("--engine-url={}", rig.url())).arg(format!("--slot={}", rig.slot().display()));
    command.arg(format!("--target={}", rig.target().display())).arg(format!("--listen={}", settings.listen));
    command.arg(format!("--namespace={NAMESPACE}"));
    command.arg(format!("--pointer={}", live.candidate)).arg(format!("--proven={}", live.proven));
    command.env("KUBECONFIG", &kubeconfig).stdin(Stdio::null()).stdout(Stdio::null());
    let mut process = command.spawn().unwrap();
    let (mut last, mut most) = (first, 0);
    for change in 1..=20 {
        let start = Instant::now();
        rig.state("it to be laid down", |s| s["current"] == last.digest.as_str()).await;
        most = most.max(bytes(&process, "RssAnon"));
        println!(
            "generation {change}: laid down after {:?}; {} KiB of its own, {} KiB of files, {} KiB at most",
            start.elapsed(),
            bytes(&process, "RssAnon") >> 10,
            bytes(&process, "RssFile") >> 10,
            bytes(&process, "VmHWM") >> 10
        );
        last = generation(change);
        cluster.deliver(&last, &[]).await;
    }
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(most <= MOST, "{most} bytes");
}
