//! sentences: each sentence of supervision that this machine can keep has a test that names it.

use std::collections::BTreeSet;

/// The sentences: their letters, and how many there are of each.
const SENTENCES: [(&str, usize); 8] =
    [("ST", 4), ("H", 9), ("N", 10), ("L", 8), ("C", 4), ("RS", 3), ("K", 3), ("E", 2)];

/// Those that a machine without I/O cannot keep, and where they are proved.
const ELSEWHERE: [(&str, &str); 3] = [
    ("C2", "a drop guard is no event: supervise/tests/it/lifetime.rs, proc-mesh/tests/mesh"),
    ("C4", "a spawn is a call that awaits its ranks: proc-mesh/tests/mesh/spawning.rs"),
    ("E1", "parents and children are actors of one process: actor-mesh"),
];

/// The tests, by the module that has them.
const SOURCES: [(&str, &str); 22] = [
    ("adoption", include_str!("adoption.rs")),
    ("agents", include_str!("agents.rs")),
    ("barred", include_str!("barred.rs")),
    ("costs", include_str!("../../src/controller/costs.rs")),
    ("health", include_str!("health.rs")),
    ("interrupted", include_str!("interrupted.rs")),
    ("lease", include_str!("../../src/lease/tests.rs")),
    ("killers", include_str!("killers.rs")),
    ("loop", include_str!("loop.rs")),
    ("model", include_str!("model.rs")),
    ("honest", include_str!("model/honest.rs")),
    ("notifications", include_str!("notifications.rs")),
    ("reporter", include_str!("../../src/reporter.rs")),
    ("requests", include_str!("requests.rs")),
    ("restarts", include_str!("restarts.rs")),
    ("restarts", include_str!("../../src/restarts/tests.rs")),
    ("silence", include_str!("silence.rs")),
    ("stop", include_str!("stop.rs")),
    ("strategies", include_str!("strategies.rs")),
    ("waits", include_str!("waits.rs")),
    ("waits", include_str!("../../src/waits.rs")),
    ("watchdog", include_str!("../../src/watchdog.rs")),
];

fn ids() -> Vec<String> {
    let each = |(letters, n): (&str, usize)| {
        (1..=n).map(|number| format!("{letters}{number}")).collect::<Vec<_>>()
    };
    SENTENCES.into_iter().flat_map(each).collect()
}

/// The ids that a doc comment names; `H1 to H4` names four.
fn named(doc: &str, ids: &[String]) -> Vec<usize> {
    let mut named = Vec::new();
    let mut is_range = false;
    for word in doc.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if let Some(index) = ids.iter().position(|id| id == word) {
            let first = named.last().filter(|_| is_range).map_or(index, |last| last + 1);
            named.extend(first..=index);
        }
        is_range = word == "to";
    }
    named
}

/// Each sentence with each test that names it, in order: the table of `main.rs`.
fn table() -> BTreeSet<(usize, String)> {
    let ids = ids();
    let mut table = BTreeSet::new();
    for (module, source) in SOURCES {
        let (mut doc, mut is_test) = (String::new(), false);
        for line in source.lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("///") {
                doc.push_str(text);
            } else if line.starts_with("#[") {
                is_test |= line == "#[test]";
            } else {
                let name = line.strip_prefix("fn ").and_then(|line| line.split('(').next());
                if let Some(name) = name.filter(|_| is_test) {
                    let of = |id: usize| (id, format!("{} {module}::{name}", ids[id]));
                    table.extend(named(&doc, &ids).into_iter().map(of));
                }
                (doc, is_test) = (String::new(), false);
            }
        }
    }
    table
}

#[test]
fn every_sentence_is_named_by_a_test_or_proved_elsewhere() {
    let table = table();
    for (index, id) in ids().iter().enumerate() {
        let is_named = table.iter().any(|(sentence, _)| *sentence == index);
        let is_elsewhere = ELSEWHERE.iter().any(|(elsewhere, _)| elsewhere == id);
        assert!(is_named != is_elsewhere, "{id}: named {is_named}, elsewhere {is_elsewhere}");
    }
}

#[test]
fn the_table_of_sentences_is_true() {
    let (prefix, is_row) = ("//! ", |line: &&str| line.contains("::"));
    let written: BTreeSet<&str> = include_str!("main.rs")
        .lines()
        .filter_map(|line| line.strip_prefix(prefix))
        .filter(is_row)
        .collect();
    let table = table();
    let found: BTreeSet<&str> = table.iter().map(|(_, row)| row.as_str()).collect();
    let is_missing = |row: &&String| !written.contains(row.as_str());
    let missing: Vec<String> = table
        .iter()
        .map(|(_, row)| row)
        .filter(is_missing)
        .map(|row| format!("\n{prefix}{row}"))
        .collect();
    let stale: Vec<&&str> = written.difference(&found).collect();
    assert!(missing.is_empty() && stale.is_empty(), "add:{}\nremove: {stale:#?}", missing.concat());
}

#[test]
fn a_range_of_sentences_names_each() {
    let ids = ids();
    let named: Vec<&str> =
        named("H8 to N1, K1: whatever", &ids).into_iter().map(|id| ids[id].as_str()).collect();
    assert_eq!(named, ["H8", "H9", "N1", "K1"]);
}
