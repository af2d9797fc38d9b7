//! What is printed in the end.

use super::{Case, Failure, Ran, Verdict};
use std::fmt::{Display, Formatter};

/// What a case came to on one server, in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// As it should be.
    Pass,
    /// Not as it should be.
    Fail,
    /// The sandbox does not serve it.
    Refused,
    /// The sandbox answers in another way, which is written down.
    Differs,
    /// The server was not asked.
    None,
}

impl Display for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Refused => "501",
            Self::Differs => "differs",
            Self::None => "-",
        })
    }
}

/// The results of all cases.
pub struct Report<'a> {
    cases: &'a [Case],
    sandbox: &'a Ran,
    real: Option<&'a Ran>,
}

impl<'a> Report<'a> {
    /// From what ran on the servers; `real` is none where there is no real server.
    pub fn new(cases: &'a [Case], sandbox: &'a Ran, real: Option<&'a Ran>) -> Self {
        Self { cases, sandbox, real }
    }

    /// The row of a case: the sandbox and the real server.
    pub fn cells(&self, index: usize) -> (Cell, Cell) {
        let listed = self.cases[index].differs.is_some();
        let sandbox = match &self.sandbox.verdicts[index] {
            Verdict::Holds if listed => Cell::Fail,
            Verdict::Holds => Cell::Pass,
            Verdict::Fails(_) if listed => Cell::Differs,
            Verdict::Fails(_) => Cell::Fail,
            Verdict::Refused(_) => Cell::Refused,
        };
        let real = self.real.map_or(Cell::None, |ran| match &ran.verdicts[index] {
            Verdict::Holds => Cell::Pass,
            _ => Cell::Fail,
        });
        (sandbox, real)
    }

    /// How many failed.
    pub fn failed(&self) -> usize {
        let failed = |index: &usize| {
            let (sandbox, real) = self.cells(*index);
            sandbox == Cell::Fail || real == Cell::Fail
        };
        (0..self.cases.len()).filter(failed).count()
    }

    /// The table.
    pub fn table(&self) -> String {
        let width = self.cases.iter().map(|case| case.name.len()).max().unwrap_or(0).max("case".len());
        let mut text = format!("{:width$} | sandbox | real server\n", "case");
        text += &format!("{}-|---------|------------\n", "-".repeat(width));
        for (index, case) in self.cases.iter().enumerate() {
            let (sandbox, real) = self.cells(index);
            text += &format!("{:width$} | {sandbox:7} | {real}\n", case.name);
        }
        text
    }

    /// Every failure in detail; also what a listed difference or a refusal looks like.
    pub fn failures(&self) -> String {
        let mut text = String::new();
        for (index, case) in self.cases.iter().enumerate() {
            let (sandbox, real) = self.cells(index);
            let mut add = |cell: Cell, server: &str, why: &dyn Display| {
                text += &format!("{cell}: {} ({}) on the {server}\n{why}\n", case.name, case.group);
            };
            match (&self.sandbox.verdicts[index], sandbox) {
                (Verdict::Holds, Cell::Fail) => {
                    let why = "it is listed as different and holds: take it from the list";
                    add(sandbox, self.sandbox.name, &Failure::from(why.to_owned()));
                }
                (Verdict::Fails(why) | Verdict::Refused(why), _) => add(sandbox, self.sandbox.name, why),
                _ => {}
            }
            if let Some(ran) = self.real
                && let Verdict::Fails(why) | Verdict::Refused(why) = &ran.verdicts[index]
            {
                add(real, ran.name, why);
            }
        }
        text
    }

    /// The last line.
    pub fn summary(&self) -> String {
        let (mut both, mut different) = (0, 0);
        for index in 0..self.cases.len() {
            match self.cells(index) {
                (Cell::Pass, Cell::Pass | Cell::None) => both += 1,
                (Cell::Differs | Cell::Refused, Cell::Pass | Cell::None) => different += 1,
                _ => {}
            }
        }
        let (all, failed) = (self.cases.len(), self.failed());
        format!("contract: {all} cases, {both} pass on both, {different} listed as different, {failed} fail")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Case, Ran, Verdict};
    use super::{Cell, Report};
    use std::time::Duration;

    fn case(name: &'static str, differs: Option<&'static str>) -> Case {
        Case { name, group: "test", run: |_| Box::pin(async { Ok(()) }), differs }
    }

    #[test]
    fn a_stale_entry_fails_and_a_refusal_counts_as_different() {
        let cases = [case("a", None), case("b", Some("why")), case("c", Some("why")), case("d", None)];
        let fails = || Verdict::Fails("no".to_owned().into());
        let verdicts =
            vec![Verdict::Holds, Verdict::Holds, fails(), Verdict::Refused("no".to_owned().into())];
        let sandbox = Ran { name: "sandbox", verdicts, time: Duration::ZERO };
        let verdicts = vec![Verdict::Holds; 4];
        let real = Ran { name: "real server", verdicts, time: Duration::ZERO };
        let report = Report::new(&cases, &sandbox, Some(&real));
        let cells: Vec<Cell> = (0..4).map(|index| report.cells(index).0).collect();
        assert_eq!(cells, [Cell::Pass, Cell::Fail, Cell::Differs, Cell::Refused]);
        assert_eq!(report.summary(), "contract: 4 cases, 1 pass on both, 2 listed as different, 1 fail");
    }
}
