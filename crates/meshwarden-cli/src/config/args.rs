//! The settings as flags and environment variables.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use meshwarden::mesh_shape::Extent;
use meshwarden::proc_mesh::PROCS_MAX;
use serde::Deserialize;

use crate::config::notify::NotifyArgs;
use crate::config::surroundings::SurroundingArgs;
use crate::config::{OnFailure, RestartStrategy};

/// Print every setting, its value, and where it came from.
///
/// It takes the same flags, variables and file as `run`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

/// What can be set. Everything is optional: `config::resolve` says what holds.
#[expect(clippy::doc_markdown, reason = "it is what --help prints, for people")]
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SettingArgs {
    /// A file of settings (TOML), with the names of the long flags and `_` for `-`.
    #[arg(long, value_name = "FILE", env = "MESHWARDEN_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// What the times start from: local (a lease of 4 s), lan (10 s) or wan (30 s).
    #[arg(long, env = "MESHWARDEN_PRESET")]
    pub(crate) preset: Option<Preset>,

    /// The shape of the mesh; each coordinate of a dim `hosts` is a host [default: hosts=1,procs=4].
    // Not from the environment: every rank gets its shape in MESHWARDEN_EXTENT.
    #[arg(long, value_name = "SHAPE", value_parser = parse_extent)]
    pub(crate) extent: Option<Extent>,

    /// The name of the mesh in reports, metrics and its ranks' environment [default: run].
    #[arg(long, env = "MESHWARDEN_NAME", value_parser = parse_name)]
    pub(crate) name: Option<String>,

    /// What the first failure does to the others [default: stop].
    #[arg(long, env = "MESHWARDEN_ON_FAILURE")]
    pub(crate) on_failure: Option<OnFailure>,

    /// How many restarts of failed ranks are made, in the whole mesh [default: 0].
    #[arg(long, value_name = "N", env = "MESHWARDEN_MAX_RESTARTS")]
    pub(crate) max_restarts: Option<u32>,

    /// Which ranks start again when one has failed [default: one-for-one].
    #[arg(long, env = "MESHWARDEN_RESTART_STRATEGY")]
    pub(crate) restart_strategy: Option<RestartStrategy>,

    /// Count only the restarts of the last so long [default: of the whole run].
    #[arg(long, value_name = "TIME", env = "MESHWARDEN_RESTART_PERIOD", value_parser = parse_time)]
    pub(crate) restart_period: Option<Duration>,

    /// The delay before the first restart of a rank; it doubles [default: 100ms].
    #[arg(long, value_name = "TIME", env = "MESHWARDEN_BACKOFF_MIN", value_parser = parse_time)]
    pub(crate) backoff_min: Option<Duration>,

    /// The longest delay before a restart [default: 30s].
    #[arg(long, value_name = "TIME", env = "MESHWARDEN_BACKOFF_MAX", value_parser = parse_time)]
    pub(crate) backoff_max: Option<Duration>,

    /// How long ranks may take to end after SIGTERM before SIGKILL [default: 10s].
    #[arg(long, value_name = "TIME", env = "MESHWARDEN_GRACE", value_parser = parse_time)]
    pub(crate) grace: Option<Duration>,

    /// How long ranks live without word of their supervisor; all other times derive from it.
    #[arg(long, value_name = "TIME", env = "MESHWARDEN_LEASE", value_parser = parse_time)]
    pub(crate) lease: Option<Duration>,

    /// How often a host says that it lives [default: lease/20].
    #[arg(long, value_name = "TIME", env = "MESHWARDEN_HEARTBEAT", value_parser = parse_time)]
    pub(crate) heartbeat: Option<Duration>,

    /// The silence after which a host's ranks are suspect [default: lease/5].
    #[arg(long, value_name = "TIME", env = "MESHWARDEN_SUSPECT", value_parser = parse_time)]
    pub(crate) suspect: Option<Duration>,

    /// How often everything is checked [default: lease/4].
    #[arg(long, value_name = "TIME", env = "MESHWARDEN_CHECK", value_parser = parse_time)]
    pub(crate) check: Option<Duration>,

    /// How long a check may take [default: lease/5].
    #[arg(long, value_name = "TIME", env = "MESHWARDEN_POLL_DEADLINE", value_parser = parse_time)]
    pub(crate) poll_deadline: Option<Duration>,

    /// The silence after which a host's ranks are unreachable [default: 7/20 of the lease].
    #[arg(long, value_name = "TIME", env = "MESHWARDEN_UNREACHABLE", value_parser = parse_time)]
    pub(crate) unreachable: Option<Duration>,

    /// The silence after which a host's ranks are given up [default: 1.01 lease + max(2s, lease/5)].
    #[arg(long, value_name = "TIME", env = "MESHWARDEN_TIMEOUT", value_parser = parse_time)]
    pub(crate) timeout: Option<Duration>,

    /// Serve metrics to Prometheus at this loopback address, for example 127.0.0.1:9464.
    // Nor are these: a run within a rank would inherit them, find the port in use, and overwrite files.
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<SocketAddr>,

    /// Write one JSON line to this file for every change of a rank's status.
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,

    /// Record the supervision to this file, for `meshwarden replay`.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// Write what each rank says to a file of its own in this directory, `rank-0.log` and so on.
    #[arg(long, value_name = "DIR")]
    pub(crate) log_dir: Option<PathBuf>,

    /// Show a line that many ranks say at about the same time once, as `[×63] …` [default: false].
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        env = "MESHWARDEN_FOLD"
    )]
    pub(crate) fold: Option<bool>,
    #[command(flatten)]
    pub(crate) notify: NotifyArgs,

    #[command(flatten)]
    pub(crate) surroundings: SurroundingArgs,

    /// The port that ranks find in MASTER_PORT [default: 0, a free one].
    #[arg(long, value_name = "PORT", env = "MESHWARDEN_MASTER_PORT")]
    pub(crate) master_port: Option<u16>,
}

/// What the times start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Preset {
    /// Ranks on this machine: a lease of 4 s.
    Local,
    /// Ranks in one data centre: a lease of 10 s.
    Lan,
    /// Ranks far apart: a lease of 30 s.
    Wan,
}

/// Each host in this process has a guard; more than that are a mistake.
const HOSTS_MAX: usize = 1024;

/// A shape that processes can be started in: at least one, and not more than a machine can hold.
pub(crate) fn parse_extent(text: &str) -> Result<Extent, String> {
    let extent: Extent = text.parse().map_err(|error| format!("{error}"))?;
    if let Some(hosts) = extent.size_of("hosts").filter(|hosts| *hosts > HOSTS_MAX) {
        return Err(format!("{hosts} hosts on this machine; at most {HOSTS_MAX} can be asked for"));
    }
    match extent.size() {
        0 => Err(format!("{extent} has no rank: every dim must be at least 1")),
        size if size > PROCS_MAX => {
            Err(format!("{extent} is {size} processes; at most {PROCS_MAX} can be asked for"))
        }
        _ => Ok(extent),
    }
}

/// A name that can be shown in a line.
pub(crate) fn parse_name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("a name must not be empty".to_owned()),
        _ if text.chars().any(char::is_control) => {
            Err("a name must not hold control characters".to_owned())
        }
        _ if text.len() > NAME_BYTES_MAX => {
            Err(format!("a name has at most {NAME_BYTES_MAX} bytes"))
        }
        _ => Ok(text.to_owned()),
    }
}

/// The longest name of a mesh: it is in every line that tells of it.
const NAME_BYTES_MAX: usize = 128;

/// A time with its unit: `500ms`, `10s`, `1m 30s`.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error} (for example 500ms or 10s)"))
}
