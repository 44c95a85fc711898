//! What ranks are started in: flags, environment variables, and what holds in the end.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use meshwarden::mesh_core::{
    Amount, Bind, Cgroup, Inherit, OwnCgroup, Rlimit, Surroundings, Umask,
};

use crate::config::file::FileSettings;
use crate::config::settings::{Layers, Show, Shown, default};

/// What the ranks are started in, as far as it was said.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SurroundingArgs {
    /// The working directory of the ranks [default: that of the run].
    #[arg(long, value_name = "DIR", env = "MESHWARDEN_DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// What ranks inherit of the environment: all, none, or the variables NAME,NAME,… [default: all].
    #[arg(long, value_name = "WHICH", env = "MESHWARDEN_INHERIT_ENV", value_parser = parse_inherit)]
    pub(crate) inherit_env: Option<Inherit>,

    /// The mask of files that ranks make, in octal: 027 [default: that of the run].
    #[arg(long, value_name = "MASK", env = "MESHWARDEN_UMASK")]
    pub(crate) umask: Option<Umask>,

    /// A resource limit of ranks, as in nofile=1024 or core=0:unlimited (soft:hard, either may be left
    /// out); the names are those of prlimit(1) [default: the limits of the run].
    #[arg(long, value_name = "NAME=LIMIT", env = "MESHWARDEN_RLIMIT", value_delimiter = ',')]
    pub(crate) rlimit: Vec<Rlimit>,

    /// Bind each rank to a processor: none, or core (those of a host in turn) [default: none].
    #[arg(long, value_name = "WHAT", env = "MESHWARDEN_BIND")]
    pub(crate) bind: Option<Bind>,

    /// Give each rank a cgroup of its own, so that a kill for lack of memory is told as such: never,
    /// auto (where this user may) or always [default: never].
    #[arg(long, value_name = "WHEN", env = "MESHWARDEN_CGROUP")]
    pub(crate) cgroup: Option<OwnCgroup>,

    /// The most memory that a rank may have, as in 512M; it needs a cgroup [default: no limit].
    #[arg(long, value_name = "BYTES", env = "MESHWARDEN_MEMORY_MAX", value_parser = parse_count)]
    pub(crate) memory_max: Option<u64>,

    /// The most processes and threads that a rank may have; it needs a cgroup [default: no limit].
    #[arg(long, value_name = "N", env = "MESHWARDEN_PIDS_MAX", value_parser = parse_count)]
    pub(crate) pids_max: Option<u64>,
}

/// Lays flags, environment and file over each other.
///
/// # Errors
///
/// If there can be no such surroundings.
pub(super) fn resolve(
    layers: &mut Layers<'_>,
    args: &SurroundingArgs,
    file: &FileSettings,
) -> Result<Surroundings> {
    let dir = layers.pick_optional("dir", args.dir.clone().map(Shown), file.dir.clone().map(Shown));
    let inherit = layers.pick(
        "inherit_env",
        args.inherit_env.clone(),
        file.inherit_env.clone(),
        default(Inherit::All),
    );
    let umask = layers.pick_optional("umask", args.umask, file.umask);
    let given = Some(args.rlimit.clone()).filter(|limits| !limits.is_empty());
    let rlimits =
        layers.pick_optional("rlimit", given.map(Limits), file.rlimit.clone().map(Limits));
    let rlimits = rlimits.map(|limits| limits.0).unwrap_or_default();
    let bind = layers.pick("bind", args.bind, file.bind, default(Bind::None));
    let wanted = layers.pick("cgroup", args.cgroup, file.cgroup, default(OwnCgroup::Never));
    let memory_max = layers.pick_optional("memory_max", args.memory_max, file.memory_max);
    let pids_max = layers.pick_optional("pids_max", args.pids_max, file.pids_max);
    let cgroup = Cgroup { wanted, memory_max, pids_max };
    let dir = dir.map(|dir| dir.0);
    let surroundings = Surroundings { dir, inherit, umask, rlimits, bind, cgroup };
    surroundings.validate().context("ranks cannot be started like that")?;
    Ok(surroundings)
}

/// `all`, `none`, or names with commas between them.
pub(crate) fn parse_inherit(text: &str) -> Result<Inherit, String> {
    let inherit = match text {
        "all" => Inherit::All,
        "none" => Inherit::Nothing,
        "" => Inherit::Only(Vec::new()),
        names => Inherit::Only(names.split(',').map(Into::into).collect()),
    };
    inherit.validate().map_err(|error| error.to_string())?;
    Ok(inherit)
}

/// A number of at least 1, perhaps with K, M, G or T behind it.
pub(crate) fn parse_count(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(Amount::Of(count)) if count > 0 => Ok(count),
        Ok(_) | Err(_) => {
            Err("expected a number of at least 1, perhaps with K, M, G or T".to_owned())
        }
    }
}

impl Show for Inherit {
    fn show(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Nothing => "none".to_owned(),
            Self::Only(names) => {
                let names: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
                names.join(",")
            }
        }
    }
}

/// Limits, which are shown as they are read.
struct Limits(Vec<Rlimit>);

impl Show for Limits {
    fn show(&self) -> String {
        let limits: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        limits.join(",")
    }
}
