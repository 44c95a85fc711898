//! Those who play, each work in a process of its own.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use meshwarden_bench_player::Failed;
use meshwarden_bench_player::actors::Work;

use super::{BY_ADDRESS, BY_REF, FLOOR};
use crate::measure::Effort;

/// One who may play.
#[derive(Clone, Debug)]
pub(crate) struct Entrant {
    /// As the figures call it.
    pub(crate) by: &'static str,
    program: PathBuf,
    words: Vec<&'static str>,
}

/// Who is what in the figures, and what starts it. A program that is not this one is a peer.
const ALL: &[(&str, &str, &str)] = &[
    ("ours", "", BY_REF),
    ("floor", "", FLOOR),
    ("ours, by address", "", BY_ADDRESS),
    ("actix 0.13.5", "actors-actix", ""),
    ("ractor 0.16.5", "actors-ractor", ""),
    ("kameo 0.22.2", "actors-kameo", ""),
];

/// Everybody who is here, ours first.
pub(crate) fn all() -> Vec<Entrant> {
    ALL.iter().filter_map(|(by, program, word)| Entrant::find(by, program, word)).collect()
}

/// The peers that are not.
pub(crate) fn missing() -> Vec<&'static str> {
    let found = all();
    let is_missing = |by: &&str| found.iter().all(|entrant| entrant.by != *by);
    ALL.iter().map(|(by, ..)| *by).filter(is_missing).collect()
}

/// Whether somebody else has made what is called so.
pub(crate) fn is_peer(by: &str) -> bool {
    ALL.iter().any(|(name, program, _)| *name == by && !program.is_empty())
}

impl Entrant {
    fn find(by: &'static str, program: &str, word: &'static str) -> Option<Self> {
        let own = env::current_exe().ok()?;
        if program.is_empty() {
            return Some(Self { by, program: own, words: vec!["play", word] });
        }
        // Built into a folder of their own, beside the one of this program.
        let built = own.ancestors().nth(3)?.join("bench-build-peers/release").join(program);
        built.is_file().then_some(Self { by, program: built, words: Vec::new() })
    }

    /// Whether it does so. What is sent by address is as its actors are otherwise.
    pub(crate) fn does(&self, work: Work) -> bool {
        let is_told_apart =
            matches!(work, Work::One | Work::Eight | Work::Call | Work::Broadcast | Work::Spawn);
        self.words.last() != Some(&BY_ADDRESS) || is_told_apart
    }

    /// Does a work on so many threads, once. Returns what it has found: nothing, if it is none for it.
    pub(crate) fn play(
        &self,
        (work, threads): (Work, usize),
        effort: Effort,
    ) -> Result<Vec<f64>, Failed> {
        let mut command = Command::new(&self.program);
        command.args(&self.words).args([work.name(), &threads.to_string()]);
        command.arg(if effort == Effort::Full { "full" } else { "quick" });
        command.env("RUST_BACKTRACE", "0").stderr(Stdio::inherit());
        let output = command.output()?;
        let found = String::from_utf8(output.stdout)?;
        if !output.status.success() {
            return Err(format!("{} {threads}: {}", work.name(), output.status).into());
        }
        Ok(found.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>()?)
    }
}
