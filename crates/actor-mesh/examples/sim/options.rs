//! `Options`: what is typed after `cargo xtask sim`.

/// What can be typed.
pub(crate) const USAGE: &str = "\
cargo xtask sim [--seeds N] [--ranks M] [--from SEED] [--jobs J] [--hosts] [--twice] [--verbose] [--log]

  --seeds N     how many seeds; 100 if nothing is said
  --ranks M     how many ranks a mesh has at most; 64
  --from SEED   the first seed; 0
  --jobs J      how many at once; as many as there are processors
  --hosts       hosts with leases whose controllers die and have successors, instead of meshes of actors
  --twice       runs each seed twice, and compares what happened
  --verbose     says of each seed what it is
  --log         prints all that happened";

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) seeds: u64,
    pub(crate) ranks: usize,
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
}

impl Options {
    pub(crate) fn read(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut options = Self {
            seeds: 100,
            ranks: 64,
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
                "--twice" => options.twice = true,
                "--verbose" => options.verbose = true,
                "--log" => options.log = true,
                "--seeds" => options.seeds = number(&name, args.next())?,
                "--from" => options.from = number(&name, args.next())?,
                "--ranks" => options.ranks = number::<usize>(&name, args.next())?.max(1),
                "--jobs" => options.jobs = number::<usize>(&name, args.next())?.max(1),
                _ => return Err(format!("there is no {name}")),
            }
        }
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(name: &str, value: Option<String>) -> Result<T, String> {
    let value = value.ok_or_else(|| format!("{name} needs a number"))?;
    value.parse().ok().ok_or_else(|| format!("{name} needs a number, and not {value}"))
}
