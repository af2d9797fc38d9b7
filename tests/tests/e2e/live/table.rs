//! Figures of many changes, as quantiles.

use std::fmt::Write;
use std::time::Duration;

/// Seconds of one kind, one a change.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures(Vec<f64>);

impl Figures {
    pub(super) fn add(&mut self, length: Duration) {
        self.0.push(length.as_secs_f64());
    }

    /// The value that so many percent are at or below, in seconds; none where there are no figures.
    pub(super) fn at(&self, percent: usize) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len() * percent).div_ceil(100).max(1) - 1;
        sorted.get(place).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Rows of `what | changes | p50 | p99 | most`.
pub(super) fn table(rows: &[(&str, &Figures)]) -> String {
    let mut text = "| seconds | changes | p50 | p99 | most |\n|---|---:|---:|---:|---:|\n".to_owned();
    for (what, figures) in rows {
        let shown = |percent| figures.at(percent).map_or("-".to_owned(), |seconds| format!("{seconds:.2}"));
        let (p50, p99, most) = (shown(50), shown(99), shown(100));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {what} | {} | {p50} | {p99} | {most} |", figures.len());
    }
    text
}

#[test]
fn quantiles_are_those_of_the_figures() {
    let mut figures = Figures::default();
    assert_eq!(figures.at(50), None);
    (1..=200).for_each(|number| figures.add(Duration::from_secs(number)));
    assert_eq!((figures.at(50), figures.at(99), figures.at(100)), (Some(100.0), Some(198.0), Some(200.0)));
    assert!(table(&[("all", &figures)]).contains("| all | 200 | 100.00 | 198.00 | 200.00 |"));
}
