//! What a person reads at the terminal: a table of kubectl commands, run with the machine's kubectl and with
//! a current one, each in a namespace of its own. `kubectl.txt` has what they print, from a real API server; on
//! the sandbox they print the same, what [`table::LISTED`] names aside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use obstack_tests::server::CHOICE;
use obstack_tests::world::{World, repository};

use self::run::Lane;
use self::text::{Block, blocks, written};

mod run;
mod table;
mod text;

/// Programs to look for: on the PATH, or in the folder of the parts.
const PROGRAMS: [&str; 2] = ["kubectl", "kubectl-current"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kubectl_prints_the_same_as_on_a_real_server() {
    let real = std::env::var(CHOICE).is_ok_and(|choice| choice == "control-plane");
    let world = World::start().await;
    world.apply_example("quickstart.yaml").await;
    world.live("main", Duration::from_secs(180)).await;
    world.watched("main", Duration::from_secs(120)).await;
    let mut lanes = Vec::new();
    for (program, letter) in PROGRAMS.into_iter().zip(["a", "b"]) {
        match Lane::find(program, letter, world.server().kubeconfig()).await {
            Some(lane) => lanes.push(lane),
            None if program == "kubectl-current" && std::env::var("CI").is_ok_and(|ci| ci == "true") => {
                panic!("{program} is missing: run scripts/parts kubectl")
            }
            None => println!("{program} is missing: what it prints is not looked at"),
        }
    }
    let ran = futures::future::join_all(lanes.iter().map(Lane::run)).await;
    world.stop().await;
    let minors: Vec<_> = lanes.iter().map(|lane| lane.minor.clone()).collect();
    let count: usize = ran.iter().map(Vec::len).sum();
    println!("{count} commands of kubectl {}", minors.join(" and "));

    let kept: PathBuf = repository("tests/tests/e2e/world/kubectl.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        assert!(real, "kubectl.txt is written from a real server: run it with scripts/e2e control-plane");
        assert_eq!(ran.len(), PROGRAMS.len(), "kubectl.txt has what both programs print");
        std::fs::write(&kept, written(&minors, &ran)).unwrap();
    }
    let kept = blocks(&std::fs::read_to_string(&kept).unwrap());
    let (mut wrong, mut differ) = (Vec::new(), BTreeSet::new());
    for (minor, ran) in minors.iter().zip(&ran) {
        if !kept.keys().any(|(_, of)| of.as_ref() == Some(minor)) {
            println!("kubectl {minor}: kubectl.txt does not know this minor; its words may differ");
        }
        wrong.extend(compare(&kept, minor, ran, real, &mut differ));
    }
    for (command, why) in table::LISTED {
        if !real && !lanes.is_empty() && !differ.contains(*command) {
            wrong.push(format!("{command}: is listed ({why}) and does not differ"));
        }
    }
    assert!(wrong.is_empty(), "{} differ from kubectl.txt:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is not as it is kept; listed commands that differ go into `differ`.
fn compare(
    kept: &BTreeMap<(String, Option<String>), String>,
    minor: &str,
    ran: &[Block],
    real: bool,
    differ: &mut BTreeSet<String>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for block in ran {
        let own = kept.get(&(block.command.clone(), Some(minor.to_owned())));
        let wanted = own.or_else(|| kept.get(&(block.command.clone(), None)));
        let same = wanted == Some(&block.printed);
        let listed = !real && table::LISTED.iter().any(|(command, _)| *command == block.command);
        if !same && listed {
            differ.insert(block.command.clone());
        } else if !same {
            let wanted = wanted.map_or("nothing", String::as_str);
            wrong.push(format!(
                "kubectl {minor} {}\n{}",
                block.command,
                text::difference(wanted, &block.printed)
            ));
        }
    }
    wrong
}
