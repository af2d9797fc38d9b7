//! Stacks in, plain YAML and Markdown out: a change of what obstack does shows as a diff.

mod check;
mod dashboards;
mod shuffle;
mod tripwires;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use clap::ColorChoice;
use obstack::cli::config::configuration;
use obstack::cli::input::Input;
use obstack::cli::objects::Secrets;
use obstack::cli::render::{Built, OperatorArgs};
use obstack::cli::{Output, input::Loaded};
use obstack::decide::{Catalog, madr, records};
use obstack::running::{PART_KEY, digest};
use serde_json::Value;

/// Environment of a process that builds every case once, from input that is shuffled by this seed.
const SEED: &str = "OBSTACK_GOLDEN_SEED";
/// What such a process prints before each line that counts.
const MARK: &str = "golden: ";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// The cases: name and input.
fn cases() -> BTreeMap<String, String> {
    let folders =
        std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).filter(|p| p.is_dir());
    let case = |folder: PathBuf| {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let stack = folder.join("stack.yaml");
        let text = std::fs::read_to_string(&stack).unwrap_or_else(|e| panic!("{}: {e}", stack.display()));
        (name, text)
    };
    folders.map(case).collect()
}

/// A case as it was built.
struct Case {
    input: Input,
    loaded: Loaded,
    built: Built,
}

impl Case {
    fn of(text: &str) -> Self {
        let mut input = Input::default();
        input.add("stack.yaml", text);
        let output = Output::stdio(ColorChoice::Never);
        let mut stacks = input.stacks(&output).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(stacks.len(), 1, "a case is one stack");
        let loaded = stacks.remove(0);
        let built = build(&loaded, &input, Secrets::Used);
        Self { input, loaded, built }
    }

    /// As `obstack config` prints it: without what Secrets hold.
    fn config(&self) -> String {
        let shown = build(&self.loaded, &self.input, Secrets::Hidden);
        configuration(&self.loaded.id.to_string(), &shown).unwrap()
    }

    fn decisions(&self) -> String {
        let plan = &self.built.plan;
        let record = |decision| {
            let spec = records::spec(plan, &self.loaded.valid, decision, 1, None);
            madr::render(&self.loaded.id.namespace, &spec, None)
        };
        plan.decisions.iter().map(record).collect::<Vec<_>>().join("\n")
    }

    /// The files of the case, by name.
    fn files(&self) -> BTreeMap<&'static str, String> {
        let mut manifests = String::new();
        for note in &self.built.notes {
            manifests.push_str(&format!("# {note}\n"));
        }
        for object in &self.built.wanted.objects {
            manifests.push_str("---\n");
            manifests.push_str(&obstack::yaml::emit(&readable(object.body.clone())).unwrap());
        }
        BTreeMap::from([
            ("manifests.yaml", manifests),
            ("config.yaml", self.config()),
            ("decisions.md", self.decisions()),
        ])
    }
}

fn build(loaded: &Loaded, input: &Input, secrets: Secrets) -> Built {
    let built = Built::of(loaded, input, &OperatorArgs::default(), catalog(), secrets);
    built.unwrap_or_else(|e| panic!("{e:?}"))
}

/// The catalog, read once per process.
fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| Catalog::embedded().unwrap())
}

/// An object with digests in place of what nobody reads.
fn readable(mut object: Value) -> Value {
    for (key, value) in object["data"].as_object_mut().into_iter().flatten() {
        if (key == PART_KEY || key.ends_with(".json"))
            && let Some(text) = value.as_str()
        {
            *value = format!("sha256:{} ({} characters)", digest(text.as_bytes()), text.len()).into();
        }
    }
    object
}

#[test]
fn every_case_is_as_it_was() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for (name, text) in cases() {
        for (file, found) in Case::of(&text).files() {
            let path = root().join(&name).join(file);
            if update {
                std::fs::write(&path, &found).unwrap();
            }
            let wanted = std::fs::read_to_string(&path).unwrap_or_default();
            if let Some(place) = first_difference(&wanted, &found) {
                wrong.push(format!("{name}/{file}: {place}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\nIf this is meant: UPDATE_GOLDEN=1 cargo test --workspace --test e2e golden",
        wrong.join("\n")
    );
}

/// The first line that differs.
fn first_difference(wanted: &str, found: &str) -> Option<String> {
    if wanted == found {
        return None;
    }
    let (mut wanted, mut found) = (wanted.lines(), found.lines());
    let mut line = 1;
    loop {
        match (wanted.next(), found.next()) {
            (Some(a), Some(b)) if a == b => line += 1,
            (a, b) => {
                let show = |side: Option<&str>| side.unwrap_or("<end>").to_owned();
                return Some(format!("line {line}\n  was {}\n  is  {}", show(a), show(b)));
            }
        }
    }
}

#[test]
fn there_are_enough_cases_and_no_orphans() {
    let cases = cases();
    assert!(cases.len() >= 12, "{} cases", cases.len());
    let known = BTreeSet::from(["stack.yaml", "manifests.yaml", "config.yaml", "decisions.md"]);
    for entry in std::fs::read_dir(root()).unwrap().map(Result::unwrap) {
        if entry.path().is_file() {
            assert_eq!(entry.file_name(), "README.md", "no case makes {}", entry.path().display());
            continue;
        }
        let found: BTreeSet<String> = std::fs::read_dir(entry.path())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        let orphans: Vec<&String> = found.iter().filter(|file| !known.contains(file.as_str())).collect();
        assert!(orphans.is_empty(), "no case makes {orphans:?} in {}", entry.path().display());
        assert_eq!(found.len(), known.len(), "{} is not complete", entry.path().display());
    }
}

/// All that a case gives, in one digest: nothing is left out here. The objects carry the configuration.
fn fingerprint(case: &Case) -> String {
    let objects: Vec<&Value> = case.built.wanted.objects.iter().map(|object| &object.body).collect();
    digest(format!("{}\0{}", serde_json::to_string(&objects).unwrap(), case.decisions()).as_bytes())
}

/// Not a test by itself: one process of those that [`shuffled_input_gives_the_same_bytes`] starts.
#[test]
fn one_process_of_many() {
    let Some(seed) = std::env::var(SEED).ok().and_then(|text| text.parse().ok()) else { return };
    for (name, text) in cases() {
        let shuffled = shuffle::shuffled(&text, seed);
        println!("\n{MARK}{name} {}", fingerprint(&Case::of(&shuffled)));
    }
}

#[test]
fn shuffled_input_gives_the_same_bytes() {
    let wanted: BTreeMap<String, String> =
        cases().into_iter().map(|(name, text)| (name, fingerprint(&Case::of(&text)))).collect();
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let next = std::sync::atomic::AtomicU64::new(1);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed > 100 {
                        return;
                    }
                    assert_eq!(in_another_process(seed), wanted, "with seed {seed}");
                }
            });
        }
    });
}

/// The fingerprint of each case by a process of its own.
fn in_another_process(seed: u64) -> BTreeMap<String, String> {
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "golden::one_process_of_many", "--nocapture", "--test-threads=1"])
        .env(SEED, seed.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "seed {seed}: {text}{}", String::from_utf8_lossy(&done.stderr));
    let line = |line: &str| {
        let (name, digest) = line.strip_prefix(MARK)?.split_once(' ')?;
        Some((name.to_owned(), digest.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn no_secret_is_in_any_golden_file() {
    for (name, text) in cases() {
        for (file, content) in Case::of(&text).files() {
            assert!(!content.contains("not-a-real-one"), "{name}/{file} holds what a Secret holds");
        }
    }
}
