//! What holds, after flags, environment, file and preset have been laid over each other.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::parser::ValueSource;
use clap::{ArgMatches, ValueEnum};
use meshwarden::controller::{Config, RestartConfig, Strategy, Times};
use meshwarden::mesh_core::{Bind, OwnCgroup, Surroundings, Umask};
use meshwarden::mesh_shape::{Extent, extent};
use meshwarden::proc_mesh::Notify;
use serde::Deserialize;

use crate::config::args::{Preset, SettingArgs};
use crate::config::file::FileSettings;
use crate::config::{notify, surroundings};

/// What the first failure does to the other ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnFailure {
    /// They are stopped.
    Stop,
    /// They go on.
    Continue,
}

/// Which ranks start again when one has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RestartStrategy {
    /// That rank only.
    OneForOne,
    /// All ranks: those that live are stopped first.
    OneForAll,
    /// That rank and all of higher rank.
    RestForOne,
}

/// Where the value of a setting came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Environment,
    File,
    Preset(Preset),
    /// From the lease.
    Derived,
    Default,
}

/// One setting, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) key: &'static str,
    pub(crate) value: String,
    pub(crate) source: Source,
}

/// Every setting, and how each came to be.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) extent: Extent,
    pub(crate) name: String,
    pub(crate) on_failure: OnFailure,
    pub(crate) restart: RestartConfig,
    pub(crate) grace: Duration,
    pub(crate) times: Times,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) events: Option<PathBuf>,
    pub(crate) trace: Option<PathBuf>,
    pub(crate) log_dir: Option<PathBuf>,
    pub(crate) fold: bool,
    pub(crate) notify: Option<Notify>,
    pub(crate) surroundings: Surroundings,
    pub(crate) master_port: u16,
    pub(crate) rows: Vec<Row>,
}

/// Lays everything over each other, and refuses what cannot hold together.
///
/// `matches` are those of the subcommand: they know flags from environment variables.
///
/// # Errors
///
/// If the file is wrong, or a combination is impossible. Nothing was started.
pub(crate) fn resolve(args: &SettingArgs, matches: &ArgMatches) -> Result<Settings> {
    let file = args.config.as_deref().map(FileSettings::read).transpose()?.unwrap_or_default();
    let mut layers = Layers { matches, rows: Vec::new() };
    let preset = layers.pick("preset", args.preset, file.preset, (Preset::Local, Source::Default));
    let shape = extent!(hosts = 1, procs = 4).context("the default shape is a shape")?;
    let extent = layers.pick("extent", args.extent.clone(), file.extent.clone(), default(shape));
    let name = layers.pick("name", args.name.clone(), file.name.clone(), default("run".into()));
    let on_failure =
        layers.pick("on_failure", args.on_failure, file.on_failure, default(OnFailure::Stop));
    let restart = restart(&mut layers, args, &file);
    let grace = layers.pick("grace", args.grace, file.grace, default(Duration::from_secs(10)));
    let times = times(&mut layers, preset, args, &file);
    let metrics = layers.pick_optional("metrics", args.metrics, file.metrics);
    let mut path = |key, flag: &Option<PathBuf>, file: &Option<PathBuf>| {
        layers.pick_optional(key, flag.clone().map(Shown), file.clone().map(Shown)).map(|it| it.0)
    };
    let events = path("events", &args.events, &file.events);
    let trace = path("trace", &args.trace, &file.trace);
    let log_dir = path("log_dir", &args.log_dir, &file.log_dir);
    let fold = layers.pick("fold", args.fold, file.fold, default(false));
    let notify = notify::resolve(&mut layers, &args.notify, &file)?;
    let surroundings = surroundings::resolve(&mut layers, &args.surroundings, &file)?;
    let master_port = layers.pick("master_port", args.master_port, file.master_port, default(0));
    let impossible = "these settings cannot hold together (see `meshwarden config`)";
    let restart = RestartConfig { grace, ..restart };
    Config { restart, ..Config::from_times(times) }.validate().context(impossible)?;
    Ok(Settings {
        extent,
        name,
        on_failure,
        restart,
        grace,
        times,
        metrics,
        events,
        trace,
        log_dir,
        fold,
        notify,
        surroundings,
        master_port,
        rows: layers.rows,
    })
}

fn restart(layers: &mut Layers<'_>, args: &SettingArgs, file: &FileSettings) -> RestartConfig {
    let never = RestartConfig::NEVER;
    let max = layers.pick("max_restarts", args.max_restarts, file.max_restarts, default(0));
    let one_for_one = default(RestartStrategy::OneForOne);
    let strategy =
        layers.pick("restart_strategy", args.restart_strategy, file.restart_strategy, one_for_one);
    let period = layers.pick_optional(
        "restart_period",
        args.restart_period.map(Time),
        file.restart_period.map(Time),
    );
    let backoff_min =
        layers.pick("backoff_min", args.backoff_min, file.backoff_min, default(never.backoff_min));
    let backoff_max =
        layers.pick("backoff_max", args.backoff_max, file.backoff_max, default(never.backoff_max));
    let period = period.map(|period| period.0);
    let policy = if max == 0 { never.policy } else { RestartConfig::on_failure(max).policy };
    let strategy = strategy.into();
    RestartConfig { policy, strategy, max_restarts: max, period, backoff_min, backoff_max, ..never }
}

fn times(
    layers: &mut Layers<'_>,
    preset: Preset,
    args: &SettingArgs,
    file: &FileSettings,
) -> Times {
    let from_preset = match preset {
        Preset::Local => Times::local(),
        Preset::Lan => Times::lan(),
        Preset::Wan => Times::wan(),
    };
    let base = (from_preset.lease, Source::Preset(preset));
    let derived = Times::from_lease(layers.pick("lease", args.lease, file.lease, base));
    let mut time = |key, flag, file, value| layers.pick(key, flag, file, (value, Source::Derived));
    Times {
        lease: derived.lease,
        heartbeat: time("heartbeat", args.heartbeat, file.heartbeat, derived.heartbeat),
        suspect: time("suspect", args.suspect, file.suspect, derived.suspect),
        check: time("check", args.check, file.check, derived.check),
        poll_deadline: time(
            "poll_deadline",
            args.poll_deadline,
            file.poll_deadline,
            derived.poll_deadline,
        ),
        unreachable: time("unreachable", args.unreachable, file.unreachable, derived.unreachable),
        timeout: time("timeout", args.timeout, file.timeout, derived.timeout),
    }
}

pub(super) const fn default<T>(value: T) -> (T, Source) {
    (value, Source::Default)
}

/// Picks the value of each setting, and keeps where it came from.
pub(super) struct Layers<'a> {
    matches: &'a ArgMatches,
    rows: Vec<Row>,
}

impl Layers<'_> {
    pub(super) fn pick<T: Show>(
        &mut self,
        key: &'static str,
        given: Option<T>,
        file: Option<T>,
        otherwise: (T, Source),
    ) -> T {
        let (value, source) = match (given, file) {
            (Some(value), _) => (value, self.given_by(key)),
            (None, Some(value)) => (value, Source::File),
            (None, None) => otherwise,
        };
        self.rows.push(Row { key, value: value.show(), source });
        value
    }

    pub(super) fn pick_optional<T: Show>(
        &mut self,
        key: &'static str,
        given: Option<T>,
        file: Option<T>,
    ) -> Option<T> {
        let source = match (&given, &file) {
            (Some(_), _) => self.given_by(key),
            (None, Some(_)) => Source::File,
            (None, None) => Source::Default,
        };
        let value = given.or(file);
        let shown = value.as_ref().map_or_else(|| "-".to_owned(), Show::show);
        self.rows.push(Row { key, value: shown, source });
        value
    }

    fn given_by(&self, key: &str) -> Source {
        match self.matches.value_source(key) {
            Some(ValueSource::EnvVariable) => Source::Environment,
            _ => Source::Flag,
        }
    }
}

/// How a value is written, so that it can be read again.
pub(super) trait Show {
    fn show(&self) -> String;
}

/// A path, shown as it is.
pub(super) struct Shown(pub(super) PathBuf);

/// A time that may be missing.
pub(super) struct Time(pub(super) Duration);

impl Show for Shown {
    fn show(&self) -> String {
        self.0.display().to_string()
    }
}

impl Show for Time {
    fn show(&self) -> String {
        self.0.show()
    }
}

impl Show for Duration {
    fn show(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

impl Show for Preset {
    fn show(&self) -> String {
        value_name(self)
    }
}

impl Show for OnFailure {
    fn show(&self) -> String {
        value_name(self)
    }
}

impl Show for RestartStrategy {
    fn show(&self) -> String {
        value_name(self)
    }
}

macro_rules! show_by_display {
    ($($kind:ty),*) => {
        $(impl Show for $kind {
            fn show(&self) -> String {
                self.to_string()
            }
        })*
    };
}

show_by_display!(Extent, String, bool, u16, u32, u64, SocketAddr, Umask, Bind, OwnCgroup);

fn value_name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl From<RestartStrategy> for Strategy {
    fn from(strategy: RestartStrategy) -> Self {
        match strategy {
            RestartStrategy::OneForOne => Self::OneForOne,
            RestartStrategy::OneForAll => Self::OneForAll,
            RestartStrategy::RestForOne => Self::RestForOne,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::File => f.write_str("file"),
            Self::Preset(preset) => write!(f, "preset {}", value_name(preset)),
            Self::Derived => f.write_str("preset, derived from the lease"),
            Self::Default => f.write_str("preset, built in"),
        }
    }
}
