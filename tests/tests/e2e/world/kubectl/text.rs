//! The kept text: what varies from run to run is given names, and the rest is told block by block.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;

/// A command and what it printed.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// As it stands in the table.
    pub(super) command: String,
    /// Exit code, standard output and standard error, what varies taken out.
    pub(super) printed: String,
}

/// What varies, and the name that stands for it. The order matters: times hold what looks like ages.
const VARIES: &[(&str, &str)] = &[
    (r"/tmp/[^\s/]+/kubectl-(?:files|home)", "{dir}"),
    (r"/tmp/(LIVE|MERGED)-\d+/", "/tmp/$1/"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| [+-]\d{4})?", "<time>"),
    (r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "<time>"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uid>"),
    (r"\b(kube-api-access-)[a-z0-9]{5}\b", "$1<random>"),
    // One of kubectl's mistakes.
    (r"\b0xc[0-9a-f]{9}\b", "<pointer>"),
    (r"X509SHA256=[0-9a-f]+", "X509SHA256=<digest>"),
    (r#"(resourceVersion\\*"?: ?\\*"?|Resource Version:\s+)\d+"#, "$1<version>"),
    (r"\b(?:10|127)\.\d+\.\d+\.\d+(?::\d{4,5})?(/\d+)?", "<address>"),
    (r"process://[0-9a-z-]+", "process://<id>"),
    (r"(pod-template-hash(?:=|\\?: ?\\?|: )(?:&quot;)?)[0-9a-z]{6,10}", "$1<hash>"),
    (r#"("pod-template-hash": ?")[0-9a-z]{6,10}"#, "$1<hash>"),
    (r"-[bcdfghjklmnpqrstvwxz2456789]{7,10}(-[bcdfghjklmnpqrstvwxz2456789]{5})?\b", "-<random>"),
    (r"\b(once-|web-|kubernetes-|example-app-)[bcdfghjklmnpqrstvwxz2456789]{5}\b", "$1<random>"),
    (r"(Server Version: |gitVersion: |\bVersion:\s+|KubeletVersion: )v\d\S*", "$1<release>"),
    // What the machine has that the node stands for, and what a pod's share of it is.
    (r"(?m)^(  (?:cpu|memory):\s+)\d+(?:Ki)?$", "$1<size>"),
    (r"\(\d+%\)", "(<share>)"),
    (r"(Kernel Version:\s+)\S+", "$1<release>"),
    (r#"(onfig ?(?:Running|Wanted)"?:\s*"?)[0-9a-f]{12}\b"#, "$1<digest>"),
    (r"(?m)(\s)(?:\d+[dhms])+( ago|$|\s)", "$1<age>$2"),
    (r"(\()(?:\d+[dhms])+( ago)", "$1<age>$2"),
    // Columns are as wide as what stands in them.
    (r"(\S)(?: {2,}|\t+)", "$1  "),
    (r"(?m)[ \t]+$", ""),
];

static PATTERNS: LazyLock<Vec<(Regex, &'static str)>> =
    LazyLock::new(|| VARIES.iter().map(|(pattern, name)| (Regex::new(pattern).unwrap(), *name)).collect());

/// What was printed, with names for what varies.
pub(super) fn normal(printed: &str) -> String {
    let mut text = printed.to_owned();
    for (pattern, name) in PATTERNS.iter() {
        text = pattern.replace_all(&text, *name).into_owned();
    }
    text
}

/// The kept text of what was run, lane by lane: one block per command, and one for each minor where they
/// print different things.
pub(super) fn written(minors: &[String], lanes: &[Vec<Block>]) -> String {
    let mut text = String::new();
    for (place, block) in lanes[0].iter().enumerate() {
        let same = lanes.iter().all(|lane| lane[place].printed == block.printed);
        if same {
            writeln!(text, "$ kubectl {}\n{}", block.command, indented(&block.printed)).unwrap();
            continue;
        }
        for (minor, lane) in minors.iter().zip(lanes) {
            writeln!(text, "$ kubectl@{minor} {}\n{}", block.command, indented(&lane[place].printed))
                .unwrap();
        }
    }
    text
}

fn indented(printed: &str) -> String {
    printed
        .lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") })
        .collect()
}

/// What each command is to print, by the command and the minor where there is one.
pub(super) fn blocks(text: &str) -> BTreeMap<(String, Option<String>), String> {
    let mut blocks: BTreeMap<(String, Option<String>), String> = BTreeMap::new();
    let mut last = None;
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("$ kubectl") {
            let (minor, command) = head.split_once(' ').unwrap_or((head, ""));
            let key = (command.to_owned(), minor.strip_prefix('@').map(str::to_owned));
            assert!(!blocks.contains_key(&key), "{line} is there twice");
            blocks.insert(key.clone(), String::new());
            last = Some(key);
        } else if let Some(key) = &last {
            let printed = blocks.get_mut(key).unwrap();
            printed.push_str(line.strip_prefix("  ").unwrap_or(line));
            printed.push('\n');
        }
    }
    for printed in blocks.values_mut() {
        // An empty line stands between two blocks.
        printed.truncate(printed.trim_end().len());
    }
    blocks
}

/// The lines that only one of two texts has.
pub(super) fn difference(wanted: &str, found: &str) -> String {
    let only = |sign: char, from: &str, other: &str| {
        let other: Vec<_> = other.lines().collect();
        let lines = from.lines().filter(|line| !other.contains(line));
        lines.map(|line| format!("  {sign} {line}\n")).collect::<String>()
    };
    let lines = only('-', wanted, found) + &only('+', found, wanted);
    if lines.is_empty() { format!("  the same lines in another order:\n{found}") } else { lines }
}
