//! The worked scenarios of `docs/decisions/`: written by the program, and held against it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use obstack_crds::{DecisionRecord, ObservabilityStack};

use super::testing::catalog;
use super::*;
use crate::names::StackId;
use crate::validate::validate;

/// Records that are exported as examples: file, scenario and component.
const EXAMPLES: [(&str, &str, Component); 3] = [
    ("one-team-metrics-store.md", "01-one-team", Component::MetricsStore),
    ("two-hundred-clusters-metrics-store.md", "04-two-hundred-clusters", Component::MetricsStore),
    ("person-decides-metrics-store.md", "09-person-decides", Component::MetricsStore),
];

/// When the examples are said to be decided.
const NOW: &str = "2026-11-25T12:00:00Z";

struct Scenario {
    name: String,
    title: String,
    about: String,
    valid: Valid,
    previous: Previous,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/decisions")
}

impl Scenario {
    fn read(folder: &Path) -> Self {
        let read = |name: &str| std::fs::read_to_string(folder.join(name));
        let text = read("stack.yaml").unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let words = text.lines().map_while(|line| line.strip_prefix("# ")).collect::<Vec<_>>();
        let (title, about) = words.split_first().expect("a comment that tells what it shows");
        let stack: ObservabilityStack = serde_saphyr::from_str(&text).unwrap();
        let id = StackId { namespace: stack.metadata.namespace.unwrap(), name: stack.metadata.name.unwrap() };
        let previous = match read("previous.yaml") {
            Ok(text) => {
                let record: DecisionRecord = serde_saphyr::from_str(&text).unwrap();
                Previous::of_records(&[record])
            }
            Err(_) => Previous::default(),
        };
        Self {
            name: folder.file_name().unwrap().to_str().unwrap().to_owned(),
            title: (*title).to_owned(),
            about: about.join("\n"),
            valid: validate(id, &stack.spec, None).unwrap_or_else(|e| panic!("{}: {e:?}", folder.display())),
            previous,
        }
    }

    fn all() -> Vec<Self> {
        let mut folders: Vec<PathBuf> =
            std::fs::read_dir(root().join("scenarios")).unwrap().map(|e| e.unwrap().path()).collect();
        folders.sort();
        folders.iter().map(|folder| Self::read(folder)).collect()
    }

    fn plan(&self) -> Plan {
        decide(&self.valid, &DecideFacts::offline(), &self.previous, &catalog())
    }

    fn store(&self) -> Decision {
        self.plan().get(Component::MetricsStore).unwrap().clone()
    }

    fn worked(&self) -> String {
        let previous = if self.previous == Previous::default() { "" } else { " --previous previous.yaml" };
        let command = format!("obstack decide -f stack.yaml{previous} -o worked");
        let about = format!("{}\n\nMade by `{command}`; [the stack](stack.yaml).", self.about);
        let facts = DecideFacts::offline();
        worked::render((&self.title, &about), &self.valid, &facts, &self.previous, &catalog())
    }
}

/// The list of scenarios.
fn index(scenarios: &[Scenario]) -> String {
    let mut text = "\
# Worked scenarios

Each is a stack, and what obstack decides for it with all the arithmetic, made by the program and checked by a
test. Choices are those of the metrics store. How decisions are made: [decisions](../decisions.md).

| scenario | chosen | by | deployed by this operator |
|---|---|---|---|
"
    .to_owned();
    for s in scenarios {
        let store = s.store();
        let chosen = store.chosen.as_deref().unwrap_or("nothing is left");
        let by = if store.chosen_by == ChosenBy::Person { "a person" } else { "the engine" };
        let deployed = if store.chosen.is_some() && store.deployable { "yes" } else { "no" };
        text.push_str(&format!(
            "| [{}](scenarios/{}/README.md) | {chosen} | {by} | {deployed} |\n",
            s.title, s.name
        ));
    }
    text.push_str("\nRecords as they are exported (`obstack decide -o madr`):\n\n");
    for (file, name, component) in EXAMPLES {
        let s = scenarios.iter().find(|s| s.name == name).unwrap();
        text.push_str(&format!("* [{} of \"{}\"](examples/{file})\n", component.title(), s.title));
    }
    text
}

fn example(scenario: &Scenario, component: Component) -> String {
    let plan = scenario.plan();
    let now = NOW.parse().unwrap();
    let spec = records::spec(&plan, &scenario.valid, plan.get(component).unwrap(), 1, Some(now));
    let status =
        obstack_crds::record::DecisionRecordStatus { phase: Some(Phase::Accepted), ..Default::default() };
    madr::render(&scenario.valid.id.namespace, &spec, Some(&status))
}

/// Every file that is made, by its path under `docs/decisions`.
fn made() -> BTreeMap<String, String> {
    let scenarios = Scenario::all();
    let mut files = BTreeMap::from([("README.md".to_owned(), index(&scenarios))]);
    for s in &scenarios {
        files.insert(format!("scenarios/{}/README.md", s.name), s.worked());
    }
    for (file, name, component) in EXAMPLES {
        let scenario = scenarios.iter().find(|s| s.name == name).unwrap();
        files.insert(format!("examples/{file}"), example(scenario, component));
    }
    files
}

#[test]
fn the_scenarios_are_what_the_program_makes_of_them() {
    let mut wrong = Vec::new();
    let made = made();
    for (file, text) in &made {
        let path = root().join(file);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        if std::fs::read_to_string(&path).unwrap_or_default() != *text {
            wrong.push(file.as_str());
        }
    }
    assert!(wrong.is_empty(), "write them anew with UPDATE_GOLDEN=1: {wrong:?}");

    let given = BTreeSet::from(["stack.yaml", "previous.yaml", "README.md"]);
    for entry in std::fs::read_dir(root().join("scenarios")).unwrap() {
        for file in std::fs::read_dir(entry.unwrap().path()).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            assert!(given.contains(name.as_str()), "no scenario makes {name}");
        }
    }
    for file in std::fs::read_dir(root().join("examples")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(made.contains_key(&format!("examples/{name}")), "no scenario makes {name}");
    }
}

#[test]
fn the_scenarios_show_what_they_are_there_for() {
    let all = Scenario::all();
    assert!(all.len() >= 8, "{}", all.len());
    let store = |name: &str| all.iter().find(|s| s.name == name).unwrap_or_else(|| panic!("{name}")).store();
    let small = store("01-one-team");
    assert_eq!(small.chosen.as_deref(), Some("Prometheus"));
    let fleet = store("04-two-hundred-clusters");
    assert!(fleet.chosen.is_some() && !fleet.deployable, "an option that the operator does not deploy");
    let stays = store("06-change-nothing");
    assert_eq!(stays.chosen.as_deref(), Some("VictoriaMetricsSingle"));
    assert!(stays.tie.as_deref().is_some_and(|t| t.contains("is the previous choice and stays")));
    let nothing = store("07-nothing-is-left");
    assert!(nothing.chosen.is_none() && !nothing.relaxations.is_empty());
    let tie = store("08-tie");
    assert!(tie.tie.is_some() && tie.ranking.iter().filter(|r| r.ties).count() > 1);
    let person = store("09-person-decides");
    assert!(person.chosen_by == ChosenBy::Person && !person.violates.is_empty());
    let winners: BTreeSet<_> = all.iter().map(|s| s.store().chosen).collect();
    assert!(winners.len() >= 4, "the choice varies: {winners:?}");
}

/// The cells of the rows of every table whose head starts so, with the head.
fn tables<'a>(text: &'a str, head: &str) -> Vec<(Vec<&'a str>, Vec<Vec<&'a str>>)> {
    let cells = |line: &'a str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let lines: Vec<&str> = text.lines().collect();
    let starts = lines.iter().enumerate().filter(|(_, line)| line.starts_with(head));
    starts
        .map(|(at, line)| {
            let rows = lines[at + 2..].iter().take_while(|line| line.starts_with('|'));
            (cells(line), rows.map(|row| cells(row)).collect())
        })
        .collect()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("a number: {text}"))
}

#[test]
fn the_arithmetic_adds_up_for_a_reader_with_a_pencil() {
    let (mut totals, mut costs) = (0, 0);
    for scenario in Scenario::all() {
        let text = scenario.worked();
        for (head, rows) in tables(&text, "| option | end | cost x") {
            let weights: Vec<f64> =
                head[2..9].iter().map(|cell| number(cell.split(" x ").nth(1).unwrap())).collect();
            for row in rows {
                let sum: f64 = row[2..9].iter().zip(&weights).map(|(score, w)| number(score) * w).sum();
                let total = sum / weights.iter().sum::<f64>();
                assert!((sum - number(row[9])).abs() < 0.05, "{}: {row:?}: {sum}", scenario.name);
                assert!((total - number(row[10])).abs() < 0.011, "{}: {row:?}: {total}", scenario.name);
                totals += 1;
            }
        }
        let formula = text.lines().find(|line| line.starts_with("Cost: USD")).unwrap();
        let prices: Vec<f64> = formula
            .split(" x ")
            .skip(1)
            .take(3)
            .map(|rest| number(rest.split(' ').next().unwrap().trim_end_matches(',')))
            .collect();
        for (_, rows) in tables(&text, "| option | end | memory GiB") {
            for row in rows {
                let machines: f64 = row[2..5].iter().zip(&prices).map(|(n, price)| number(n) * price).sum();
                let (usd, score) = (machines + number(row[5]), number(row[7]));
                let shown = number(row[6]);
                assert!((usd - shown).abs() <= 0.002 * shown, "{}: {row:?}: {usd}", scenario.name);
                let points = (100.0 - 25.0 * (1.0 + shown / 10.0).log10()).max(0.0);
                assert!((points - score).abs() < 0.02, "{}: {row:?}: {points}", scenario.name);
                costs += 1;
            }
        }
    }
    assert!(totals > 100 && costs > 100, "{totals} {costs}");
}

/// What a person who has read only one exported record must be able to say.
#[test]
fn a_reader_of_one_record_can_say_all_of_it() {
    let scenarios = Scenario::all();
    for (file, name, component) in EXAMPLES {
        let scenario = scenarios.iter().find(|s| s.name == name).unwrap();
        let text = example(scenario, component);
        let decision = scenario.plan().get(component).unwrap().clone();
        let front = text.strip_prefix("---\n").unwrap().split("---\n").next().unwrap();
        let parsed: BTreeMap<String, String> = serde_saphyr::from_str(front).unwrap();
        assert_eq!(parsed["status"], "accepted");
        assert_eq!(parsed["date"], &NOW[..10]);
        let section = |title: &str| {
            let (_, rest) =
                text.split_once(&format!("\n{title}\n")).unwrap_or_else(|| panic!("{file}: {title}"));
            rest.split("\n## ").next().unwrap().to_owned()
        };
        // What was chosen, and against what.
        let chosen = decision.chosen.as_deref().unwrap();
        assert!(section("## Decision Outcome").contains(&format!("Chosen option: \"{chosen}\"")));
        let considered = section("## Considered Options");
        for option in catalog().options(component) {
            assert!(considered.contains(&format!("* {}\n", option.id)), "{file}: {}", option.id);
        }
        // Why: the drivers with their weights, what ruled the others out, or how a tie was settled.
        assert_eq!(section("## Decision Drivers").matches(" of 5").count(), 7);
        let pros = section("## Pros and Cons of the Options");
        for e in &decision.eliminated {
            assert!(pros.contains(&format!("`{}` rules it out", e.requirement)), "{file}: {e:?}");
        }
        let outcome = section("## Decision Outcome");
        match (&decision.because, &decision.tie) {
            (Some(because), _) => assert!(outcome.contains(because.as_str())),
            (None, Some(_)) => assert!(outcome.contains("overlaps")),
            (None, None) => assert!(outcome.contains("because")),
        }
        // At what cost: each trade-off, and what it needs.
        for t in &decision.tradeoffs {
            assert!(outcome.contains(&madr::inline(&t.text)), "{file}: {t:?}");
        }
        for s in &decision.sizing {
            assert!(text.contains(&madr::inline(&s.arithmetic)), "{file}: {s:?}");
        }
        // When it must be looked at again: each wire with its bound, next option and cost; each flip point.
        for w in &decision.tripwires {
            let row = outcome.lines().find(|line| line.contains(&format!("| {} ", w.id))).unwrap_or_default();
            assert!(row.contains(&w.bound) && row.contains(&w.for_), "{file}: {w:?}");
            assert!(row.contains(&madr::inline(&w.cost)), "{file}: {w:?}");
        }
        for f in decision.flip_points.iter().filter(|f| f.to.is_some()) {
            assert!(text.contains(&format!("`{}`", f.input)), "{file}: {f:?}");
        }
    }
}
