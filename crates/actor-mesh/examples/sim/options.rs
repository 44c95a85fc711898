//! `Options`: what is typed after `cargo xtask sim`.

use crate::plan::Ranks;

/// What can be typed.
pub(crate) const USAGE: &str = "\
cargo xtask sim [--seeds N] [--ranks M] [--exactly] [--from SEED] [--jobs J] [--hosts|--whole] [--twice] [--verbose] [--log]

  --seeds N     how many seeds; 100 if nothing is said
  --ranks M     how many ranks a mesh has at most; 64
  --exactly     so many, and not fewer; of meshes of actors alone
  --from SEED   the first seed; 0
  --jobs J      how many at once; as many as there are processors
  --hosts       hosts with leases whose controllers die and have successors, instead of meshes of actors
  --whole       the same hosts, and a mesh of actors of somebody else on them
  --twice       runs each seed twice, and compares what happened
  --verbose     says of each seed what it is
  --log         prints all that happened, and what was warned of";

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) seeds: u64,
    pub(crate) ranks: Ranks,
    pub(crate) from: u64,
    pub(crate) jobs: usize,
    pub(crate) world: World,
    pub(crate) twice: bool,
    pub(crate) verbose: bool,
    pub(crate) log: bool,
}

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum World {
    /// Meshes of actors on processes.
    Actors,
    /// Attached hosts, and their controllers.
    Hosts,
    /// Both: actors on hosts whose controllers change.
    Whole,
}

impl World {
    /// How it is asked for.
    pub(crate) const fn flag(self) -> &'static str {
        match self {
            Self::Actors => "",
            Self::Hosts => " --hosts",
            Self::Whole => " --whole",
        }
    }
}

impl Options {
    pub(crate) fn read(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let (mut ranks, mut is_exact) = (64, false);
        let mut options = Self {
            seeds: 100,
            ranks: Ranks::AtMost(ranks),
            from: 0,
            jobs,
            world: World::Actors,
            twice: false,
            verbose: false,
            log: false,
        };
        while let Some(name) = args.next() {
            match name.as_str() {
                "--hosts" => options.world = World::Hosts,
                "--whole" => options.world = World::Whole,
                "--twice" => options.twice = true,
                "--verbose" => options.verbose = true,
                "--log" => options.log = true,
                "--seeds" => options.seeds = number(&name, args.next())?,
                "--from" => options.from = number(&name, args.next())?,
                "--ranks" => ranks = number::<usize>(&name, args.next())?.max(1),
                "--exactly" => is_exact = true,
                "--jobs" => options.jobs = number::<usize>(&name, args.next())?.max(1),
                _ => return Err(format!("there is no {name}")),
            }
        }
        options.ranks = match (is_exact, options.world) {
            (true, World::Hosts | World::Whole) => {
                return Err("hosts are drawn, and not asked for".to_owned());
            }
            (true, World::Actors) => Ranks::Exactly(ranks),
            (false, _) => Ranks::AtMost(ranks),
        };
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(name: &str, value: Option<String>) -> Result<T, String> {
    let value = value.ok_or_else(|| format!("{name} needs a number"))?;
    value.parse().ok().ok_or_else(|| format!("{name} needs a number, and not {value}"))
}
