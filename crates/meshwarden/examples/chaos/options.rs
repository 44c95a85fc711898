//! The command line of the chaos driver.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use meshwarden::mesh_shape::Extent;

/// How it is used.
pub(crate) const USAGE: &str = "\
usage: chaos [--actors [--at-once]] [--faults N] [--hogs N] [--seed N] [--extent SHAPE] [--json FILE]
       chaos --quiet-ranks N [--hogs N] [--minutes N]

  --actors        things are done to actors, and to the processes that they live in
  --at-once       all actors panic at one cast, each time, and nothing else is done
  --faults N      how many faults are injected; each hundred has every kind; at once, each rank is
                  one, and all are done as often as it takes [default: 200]
  --hogs N        how many processes take the processors' time while the second half of the faults is
                  injected; 0: all are injected without [default: 16; of actors 0]
  --seed N        what they are drawn from [default: another one each time; it is printed]
  --extent SHAPE  the shape of the mesh [default: hosts=2,procs=4; of actors procs=14]
  --json FILE     write every fault, every observation and the verdict to this file; not of actors
  --quiet-ranks N nothing is done to this many actors on as many processes, among hogs
  --minutes N     for how long [default: 5]";

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) is_of_actors: bool,
    pub(crate) is_at_once: bool,
    pub(crate) quiet: Option<Quiet>,
    pub(crate) n_faults: usize,
    pub(crate) n_hogs: usize,
    pub(crate) seed: u64,
    pub(crate) extent: Extent,
    pub(crate) json: Option<PathBuf>,
}

/// A run in which nothing is done to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quiet {
    pub(crate) n_ranks: usize,
    pub(crate) minutes: u64,
}

impl Options {
    /// Reads the arguments, without the name of the program.
    ///
    /// # Errors
    ///
    /// If one of them is not known, or cannot be.
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let args: Vec<String> = args.by_ref().collect();
        let is_of_actors = args.iter().any(|arg| arg == "--actors");
        let mut options = Self {
            is_of_actors,
            is_at_once: args.iter().any(|arg| arg == "--at-once"),
            quiet: None,
            n_faults: 200,
            n_hogs: if is_of_actors { 0 } else { 16 },
            seed: RandomState::new().hash_one(()),
            extent: if is_of_actors { "procs=14" } else { "hosts=2,procs=4" }.parse()?,
            json: None,
        };
        let (mut n_quiet, mut minutes) = (None, 5);
        let mut args = args.into_iter().filter(|arg| arg != "--actors" && arg != "--at-once");
        while let Some(flag) = args.next() {
            let (flag, value) = match flag.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (flag, args.next()),
            };
            let value = || value.clone().with_context(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--faults" => options.n_faults = value()?.parse().context("--faults")?,
                "--hogs" => options.n_hogs = value()?.parse().context("--hogs")?,
                "--seed" => options.seed = value()?.parse().context("--seed")?,
                "--extent" => options.extent = value()?.parse().context("--extent")?,
                "--quiet-ranks" => n_quiet = Some(value()?.parse().context("--quiet-ranks")?),
                "--minutes" => minutes = value()?.parse().context("--minutes")?,
                "--json" => options.json = Some(value()?.into()),
                _ => bail!("there is no flag {flag}"),
            }
        }
        ensure!(options.n_faults <= FAULTS_MAX, "--faults: at most {FAULTS_MAX}");
        ensure!(options.n_hogs <= HOGS_MAX, "--hogs: at most {HOGS_MAX}");
        let n_ranks = options.extent.size();
        ensure!(n_ranks > 0, "--extent: {} has no rank", options.extent);
        ensure!(n_ranks <= RANKS_MAX, "--extent: {n_ranks} ranks are more than {RANKS_MAX}");
        options.quiet = n_quiet.map(|n_ranks| Quiet { n_ranks, minutes });
        let n_ranks = n_quiet.unwrap_or(1);
        ensure!((1..=RANKS_MAX).contains(&n_ranks), "--quiet-ranks: not {n_ranks}");
        ensure!(minutes <= MINUTES_MAX, "--minutes: at most {MINUTES_MAX}");
        Ok(options)
    }
}

/// Everything that was seen is kept until the end.
const FAULTS_MAX: usize = 1_000_000;
/// Each is a process of this machine.
const HOGS_MAX: usize = 256;
/// A week.
const MINUTES_MAX: u64 = 7 * 24 * 60;
/// Each rank is a process of this machine.
const RANKS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Options> {
        Options::parse(args.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_are_read_in_both_forms() {
        let expected = Options {
            is_of_actors: false,
            is_at_once: false,
            quiet: None,
            n_faults: 7,
            n_hogs: 3,
            seed: 9,
            extent: "procs=3".parse().unwrap(),
            json: Some("a.json".into()),
        };
        let args = "--faults 7 --hogs 3 --seed=9 --extent procs=3 --json a.json";
        assert_eq!(parse(args).unwrap(), expected);
    }

    #[test]
    fn actors_have_a_mesh_and_no_hogs_of_their_own() {
        let found = parse("--actors --seed 1").unwrap();
        assert_eq!((found.is_of_actors, found.n_hogs, found.extent.size()), (true, 0, 14));
        assert!(!parse("--seed 1").unwrap().is_of_actors);
    }

    #[test]
    fn nothing_is_done_for_five_minutes_if_nothing_else_is_said() {
        let quiet = |args| parse(args).unwrap().quiet;
        assert_eq!(quiet("--quiet-ranks 200"), Some(Quiet { n_ranks: 200, minutes: 5 }));
        assert_eq!(quiet("--quiet-ranks 3 --minutes=60"), Some(Quiet { n_ranks: 3, minutes: 60 }));
        assert_eq!(quiet("--minutes 60"), None);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for args in [
            "--fault 1",
            "--faults",
            "--faults x",
            "--hogs 999",
            "--extent procs=0",
            "--extent procs=9999",
            "--quiet-ranks 0",
            "--quiet-ranks 3 --minutes x",
        ] {
            assert!(parse(args).is_err(), "{args}");
        }
    }
}
