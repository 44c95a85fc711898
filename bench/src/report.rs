//! Figures, as a table for people and as JSON.
#![expect(clippy::print_stdout, reason = "it shows them as they come")]

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The figures of one run. Shows them as they come.
#[derive(Debug)]
pub(crate) struct Report {
    records: Vec<Record>,
    verdicts: Vec<String>,
}

/// One figure: what was done, by whom, and how much it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    work: String,
    #[serde(rename = "impl")]
    by: String,
    metric: String,
    unit: String,
    #[serde(flatten)]
    stats: Stats,
}

/// One figure over all rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stats {
    median: f64,
    min: f64,
    max: f64,
    rounds: usize,
}

impl Report {
    /// Shows the head of the table.
    pub(crate) fn begin() -> Self {
        let (work, by) = ("work", "impl");
        println!(
            "{work:<WORK$} {by:<BY$} {:>12} {:>12} {:>12} {:>9}",
            "median", "min", "max", "ours is"
        );
        Self { records: Vec::new(), verdicts: Vec::new() }
    }

    /// Adds what all did of one work, ours first.
    pub(crate) fn add(&mut self, records: Vec<Record>) {
        print!("{}", rows(&records));
        self.records.extend(records);
    }

    /// Adds whether a target holds: `found` is to be at most `max`.
    pub(crate) fn judge(&mut self, target: &str, found: f64, (max, unit): (f64, &str)) {
        self.judge_as(target, (found, max, unit), (found <= max, "at most"));
    }

    /// Adds whether a target holds: `found` is to be at least `min`.
    pub(crate) fn judge_least(&mut self, target: &str, found: f64, (min, unit): (f64, &str)) {
        self.judge_as(target, (found, min, unit), (found >= min, "at least"));
    }

    fn judge_as(
        &mut self,
        target: &str,
        (found, limit, unit): (f64, f64, &str),
        (holds, word): (bool, &str),
    ) {
        let verdict = if holds { "MET" } else { "MISSED" };
        let (found, limit) = (shown(found, unit), shown(limit, unit));
        self.verdicts.push(format!("{verdict:<7} {target}: {found}, to be {word} {limit}"));
    }

    /// Adds that something was not measured, and why.
    pub(crate) fn skipped(&mut self, what: &str, why: &str) {
        self.verdicts.push(format!("SKIPPED {what}: {why}"));
    }

    /// Adds what is to be known with the figures.
    pub(crate) fn note(&mut self, what: &str) {
        self.verdicts.push(what.trim_end().to_owned());
    }

    /// Shows which targets hold.
    pub(crate) fn end(&self) {
        println!();
        self.verdicts.iter().for_each(|verdict| println!("{verdict}"));
    }

    /// Writes the figures as JSON.
    ///
    /// # Errors
    ///
    /// - Any of the file system, for the file or the folders above it.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(&self.records)?;
        fs::write(path, text + "\n")
    }
}

impl Record {
    /// A figure of `work`, done by `by`; a metric has a name and a unit.
    pub(crate) fn new(
        work: impl Into<String>,
        by: impl Into<String>,
        (metric, unit): (&str, &str),
        stats: Stats,
    ) -> Self {
        Self { work: work.into(), by: by.into(), metric: metric.into(), unit: unit.into(), stats }
    }

    /// The same of the work with this besides.
    pub(crate) fn with(self, what: &str) -> Self {
        Self { work: format!("{}, {what}", self.work), ..self }
    }

    /// What it is a figure of.
    pub(crate) fn work(&self) -> &str {
        &self.work
    }

    /// Who did it.
    pub(crate) fn by(&self) -> &str {
        &self.by
    }

    pub(crate) const fn median(&self) -> f64 {
        self.stats.median
    }

    #[cfg(test)]
    pub(crate) const fn rounds(&self) -> usize {
        self.stats.rounds
    }
}

impl Stats {
    /// Of what each round found; at least one.
    pub(crate) fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |index: usize| *samples.get(index).expect("there was a round");
        let (rounds, last) = (samples.len(), samples.len().saturating_sub(1));
        let median = f64::midpoint(at(last / 2), at(rounds / 2));
        Self { median, min: at(0), max: at(last), rounds }
    }

    pub(crate) const fn median(self) -> f64 {
        self.median
    }
}

/// The rows of one work. The last column: how many times as much as the others ours took.
fn rows(records: &[Record]) -> String {
    let ours = records.iter().find(|record| record.by == "ours").map(Record::median);
    let mut text = String::new();
    for (index, Record { work, by, unit, stats, .. }) in records.iter().enumerate() {
        let work = if index == 0 { work } else { "" };
        let ratio = match ours {
            Some(ours) if by != "ours" && stats.median > 0.0 => times(ours / stats.median),
            _ => String::new(),
        };
        let [median, min, max] = [stats.median, stats.min, stats.max].map(|v| shown(v, unit));
        let row = format!("{work:<WORK$} {by:<BY$} {median:>12} {min:>12} {max:>12} {ratio:>9}");
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// A value with its unit, for people.
fn shown(value: f64, unit: &str) -> String {
    match unit {
        "ns" if value >= 1e6 => format!("{:.2} ms", value / 1e6),
        "ns" if value >= 1e3 => format!("{:.2} µs", value / 1e3),
        "ns" if value >= 100.0 => format!("{value:.0} ns"),
        "ns" => format!("{value:.1} ns"),
        "×" => times(value),
        "/s" if value >= 1e6 => format!("{:.2} M/s", value / 1e6),
        "/s" if value >= 1e3 => format!("{:.1} k/s", value / 1e3),
        "B" if value >= f64::from(1 << 20) => format!("{:.2} MiB", value / f64::from(1 << 20)),
        "B" => format!("{value:.0} B"),
        _ => format!("{value:.1} {unit}"),
    }
}

/// A ratio with as many digits as say something.
fn times(ratio: f64) -> String {
    if ratio < 0.01 {
        format!("{ratio:.1e} ×")
    } else if ratio < 100.0 {
        format!("{ratio:.2} ×")
    } else {
        format!("{ratio:.0} ×")
    }
}

/// The widths of the columns of text.
const WORK: usize = 65;
const BY: usize = 21;

#[cfg(test)]
mod tests {
    use super::{Record, Stats, rows};

    fn record(by: &str, samples: [f64; 4]) -> Record {
        Record::new("work", by, ("time", "ns"), Stats::of(samples.into()))
    }

    #[test]
    fn the_median_of_an_even_number_lies_in_the_middle() {
        let stats = Stats::of(vec![4.0, 1.0, 2.0, 3.0]);
        assert_eq!(stats, Stats { median: 2.5, min: 1.0, max: 4.0, rounds: 4 });
        assert_eq!(Stats::of(vec![9.0, 1.0, 5.0]).median, 5.0);
    }

    #[test]
    fn ours_is_compared_with_each_other() {
        let records = [record("ours", [300.0; 4]), record("floor", [2_000.0; 4])];
        let table = rows(&records);
        let [ours, floor] = table.lines().collect::<Vec<_>>()[..] else { panic!("{table}") };
        let words =
            |row: &str| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert_eq!(words(ours), "work ours 300 ns 300 ns 300 ns");
        assert_eq!(words(floor), "floor 2.00 µs 2.00 µs 2.00 µs 0.15 ×");
    }

    #[test]
    fn a_record_is_one_flat_object() {
        let json = serde_json::to_string(&record("floor", [1.0; 4])).expect("it has no maps");
        assert_eq!(
            json,
            r#"{"work":"work","impl":"floor","metric":"time","unit":"ns","median":1.0,"min":1.0,"max":1.0,"rounds":4}"#
        );
    }
}
