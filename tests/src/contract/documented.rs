//! What is said to users about the differences.

use super::Case;

/// Heading of the part of `docs/sandbox.md` with the table of differences.
const HEADING: &str = "## Differences from a real API server";

/// Cases that are listed as different and have no row in the table of `docs/sandbox.md`, and rows of cases
/// that are not listed.
pub fn listed_without_text(cases: &[Case]) -> Vec<String> {
    let text = include_str!("../../../docs/sandbox.md");
    let rows = rows(text);
    let listed: Vec<&str> =
        cases.iter().filter(|case| case.differs.is_some()).map(|case| case.name).collect();
    let missing = listed.iter().filter(|name| !rows.contains(name));
    let missing =
        missing.map(|name| format!("{name} is listed as different and docs/sandbox.md says nothing of it"));
    let known = |row: &&&str| listed.contains(*row);
    let stale = rows.iter().filter(|row| !known(row));
    let stale = stale.map(|row| format!("docs/sandbox.md says that {row} differs and it is not listed"));
    missing.chain(stale).collect()
}

/// Names in the first column of the table.
fn rows(text: &str) -> Vec<&str> {
    let part = text.split_once(HEADING).map(|(_, part)| part).unwrap_or_default();
    let part = part.split("\n##").next().unwrap_or_default();
    part.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_of_differences_names_exactly_the_listed_cases() {
        let found = super::listed_without_text(&super::super::cases(""));
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
