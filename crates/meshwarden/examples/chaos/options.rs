//! The command line of the chaos driver.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use meshwarden::mesh_shape::Extent;

/// How it is used.
pub(crate) const USAGE: &str = "\
usage: chaos [--faults N] [--hogs N] [--seed N] [--extent SHAPE] [--json FILE]

  --faults N      how many faults are injected; each hundred has every kind [default: 200]
  --hogs N        how many processes take the processors' time while the second half of the faults is
                  injected; 0: all are injected without [default: 16]
  --seed N        what they are drawn from [default: another one each time; it is printed]
  --extent SHAPE  the shape of the mesh [default: hosts=2,procs=4]
  --json FILE     write every fault, every observation and the verdict to this file";

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) n_faults: usize,
    pub(crate) n_hogs: usize,
    pub(crate) seed: u64,
    pub(crate) extent: Extent,
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments, without the name of the program.
    ///
    /// # Errors
    ///
    /// If one of them is not known, or cannot be.
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            n_faults: 200,
            n_hogs: 16,
            seed: RandomState::new().hash_one(()),
            extent: "hosts=2,procs=4".parse()?,
            json: None,
        };
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
                "--json" => options.json = Some(value()?.into()),
                _ => bail!("there is no flag {flag}"),
            }
        }
        ensure!(options.n_faults <= FAULTS_MAX, "--faults: at most {FAULTS_MAX}");
        ensure!(options.n_hogs <= HOGS_MAX, "--hogs: at most {HOGS_MAX}");
        let n_ranks = options.extent.size();
        ensure!(n_ranks > 0, "--extent: {} has no rank", options.extent);
        ensure!(n_ranks <= RANKS_MAX, "--extent: {n_ranks} ranks are more than {RANKS_MAX}");
        Ok(options)
    }
}

/// Everything that was seen is kept until the end.
const FAULTS_MAX: usize = 1_000_000;
/// Each is a process of this machine.
const HOGS_MAX: usize = 256;
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
    fn what_cannot_be_is_refused() {
        for args in [
            "--fault 1",
            "--faults",
            "--faults x",
            "--hogs 999",
            "--extent procs=0",
            "--extent procs=9999",
        ] {
            assert!(parse(args).is_err(), "{args}");
        }
    }
}
