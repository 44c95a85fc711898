//! Each rule of tidy, broken once.

use super::{BANNED, BTreeSet, FORBID, REQUIRED, TICKET, judge_file, judge_tree};

const SOURCE: &str = "crates/a/src/rank.rs";
const NOTHING: [&str; 0] = [];

#[test]
fn a_tidy_file_has_no_problem() {
    assert_eq!(judge_file(SOURCE, "//! Ranks.\n"), NOTHING);
    assert_eq!(judge_file("crates/a/src/lib.rs", &format!("//! A.\n{FORBID}\n")), NOTHING);
    assert_eq!(judge_file("notes.txt", "anything"), NOTHING);
}

#[test]
fn a_source_file_says_first_what_it_is_for() {
    let why = "crates/a/src/rank.rs does not begin with `//! ` and what it is for";
    for text in ["", "use std::fmt;\n", "// Ranks.\n", "\n//! Ranks.\n", "//!\n"] {
        assert_eq!(judge_file(SOURCE, text), [why], "{text:?}");
    }
}

#[test]
fn a_long_file_is_reported() {
    let lines = |n_lines: usize| format!("//! A.\n{FORBID}\n") + &"\n".repeat(n_lines - 2);
    assert_eq!(judge_file(SOURCE, &lines(600)), NOTHING);
    assert_eq!(
        judge_file(SOURCE, &lines(601)),
        ["crates/a/src/rank.rs has 601 lines: split it before 600"]
    );
    assert_eq!(judge_file("crates/a/src/lib.rs", &lines(100)), NOTHING);
    assert_eq!(
        judge_file("crates/a/src/lib.rs", &lines(101)),
        ["crates/a/src/lib.rs has 101 lines: a lib.rs has at most 100"]
    );
}

#[test]
fn a_module_is_never_called_mod() {
    assert_eq!(
        judge_file("crates/a/src/rank/mod.rs", "//! Ranks.\n"),
        ["crates/a/src/rank/mod.rs must be called after its module"]
    );
}

#[test]
fn every_root_of_a_crate_forbids_unsafe_code() {
    for path in ["crates/a/src/lib.rs", "xtask/src/main.rs"] {
        assert_eq!(judge_file(path, "//! A.\n"), [format!("{path} lacks {FORBID}")]);
    }
}

#[test]
fn a_word_of_somebodys_desk_is_reported_with_its_line() {
    let ticket = format!("see {TICKET}12");
    let numbered = format!("See {}#12", TICKET.replace('i', "I"));
    let desk = BANNED.iter().map(|word| format!("a{word}b"));
    for word in desk.chain([ticket, numbered]) {
        assert_eq!(
            judge_file("notes.txt", &format!("fine\n{word}\n")),
            ["notes.txt:2 has a word that does not belong here"],
            "{word}"
        );
    }
    let fine = format!("this {TICKET}is fine, and so is tiss{}7", TICKET.trim_start_matches("iss"));
    assert_eq!(judge_file("notes.txt", &fine), NOTHING);
}

#[test]
fn the_readme_shows_both_commands() {
    assert_eq!(
        judge_file("README.md", "Type `cargo xtask demo`.\n"),
        ["README.md does not show `cargo xtask ci`"]
    );
}

#[test]
fn required_files_are_missed() {
    let mut paths: BTreeSet<String> = REQUIRED.iter().map(|&path| path.to_owned()).collect();
    paths.extend(["crates/a/Cargo.toml", "crates/a/README.md"].map(str::to_owned));
    assert_eq!(judge_tree(&paths), NOTHING);

    paths.remove("SECURITY.md");
    paths.remove("crates/a/README.md");
    assert_eq!(judge_tree(&paths), ["SECURITY.md is missing", "crates/a has no README.md"]);
}

#[test]
fn an_error_does_not_tell_its_source_twice() {
    let judged = |variant: &str| {
        let file = format!("//! A.\n{variant}");
        !judge_file(SOURCE, &file).is_empty()
    };
    let twice = "line 2: the words of an error have its source in them";
    let first = "#[error(\"cannot: {0}\")]\nA(#[from] io::Error),\n";
    assert_eq!(judge_file(SOURCE, &format!("//! A.\n{first}")), [format!("{SOURCE} {twice}")]);
    assert!(judged(
        "#[error(\"{at}: {why}\")]\nA {\n    at: Rank,\n    #[source]\n    pub why: io::Error,\n"
    ));
    assert!(judged("#[error(\"cannot: {0:?}\")]\nA(#[source] pub io::Error),\n"));
    assert!(!judged(
        "#[error(\"{at}: cannot\")]\nA {\n    at: Rank,\n    #[source]\n    why: io::Error,\n"
    ));
    assert!(!judged(
        "#[error(\"cannot: {0}\")]\nA(Why),\n#[error(\"cannot\")]\nB(#[from] io::Error),\n"
    ));
}
