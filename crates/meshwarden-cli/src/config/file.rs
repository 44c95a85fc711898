//! The settings as a file.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use meshwarden::mesh_core::{Bind, Inherit, OwnCgroup, Rlimit, Umask};
use meshwarden::mesh_shape::Extent;
use serde::{Deserialize, Deserializer};

use crate::config::args::{Preset, parse_extent, parse_name, parse_time};
use crate::config::notify::parse_watchdog;
use crate::config::surroundings::{parse_count, parse_inherit};
use crate::config::{OnFailure, RestartStrategy};

/// What a file may set. An unknown name is an error: it is a typo.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FileSettings {
    pub(crate) preset: Option<Preset>,
    #[serde(deserialize_with = "extent")]
    pub(crate) extent: Option<Extent>,
    #[serde(deserialize_with = "name")]
    pub(crate) name: Option<String>,
    pub(crate) on_failure: Option<OnFailure>,
    pub(crate) max_restarts: Option<u32>,
    pub(crate) restart_strategy: Option<RestartStrategy>,
    #[serde(deserialize_with = "time")]
    pub(crate) restart_period: Option<Duration>,
    #[serde(deserialize_with = "time")]
    pub(crate) backoff_min: Option<Duration>,
    #[serde(deserialize_with = "time")]
    pub(crate) backoff_max: Option<Duration>,
    #[serde(deserialize_with = "time")]
    pub(crate) grace: Option<Duration>,
    #[serde(deserialize_with = "time")]
    pub(crate) lease: Option<Duration>,
    #[serde(deserialize_with = "time")]
    pub(crate) heartbeat: Option<Duration>,
    #[serde(deserialize_with = "time")]
    pub(crate) suspect: Option<Duration>,
    #[serde(deserialize_with = "time")]
    pub(crate) check: Option<Duration>,
    #[serde(deserialize_with = "time")]
    pub(crate) poll_deadline: Option<Duration>,
    #[serde(deserialize_with = "time")]
    pub(crate) unreachable: Option<Duration>,
    #[serde(deserialize_with = "time")]
    pub(crate) timeout: Option<Duration>,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) events: Option<PathBuf>,
    pub(crate) trace: Option<PathBuf>,
    pub(crate) log_dir: Option<PathBuf>,
    pub(crate) fold: Option<bool>,
    pub(crate) notify: Option<bool>,
    #[serde(deserialize_with = "time")]
    pub(crate) ready_within: Option<Duration>,
    #[serde(deserialize_with = "watchdog")]
    pub(crate) watchdog: Option<Duration>,
    pub(crate) dir: Option<PathBuf>,
    #[serde(deserialize_with = "inherit")]
    pub(crate) inherit_env: Option<Inherit>,
    #[serde(deserialize_with = "parsed")]
    pub(crate) umask: Option<Umask>,
    #[serde(deserialize_with = "all_parsed")]
    pub(crate) rlimit: Option<Vec<Rlimit>>,
    #[serde(deserialize_with = "parsed")]
    pub(crate) bind: Option<Bind>,
    #[serde(deserialize_with = "parsed")]
    pub(crate) cgroup: Option<OwnCgroup>,
    #[serde(deserialize_with = "count")]
    pub(crate) memory_max: Option<u64>,
    #[serde(deserialize_with = "count")]
    pub(crate) pids_max: Option<u64>,
    pub(crate) master_port: Option<u16>,
}

impl FileSettings {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, is not TOML, or names what is no setting; the error shows the line.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the settings in {}", path.display()))?;
        toml::from_str(&text)
            .with_context(|| format!("the settings in {} are wrong", path.display()))
    }
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_time(&text).map(Some).map_err(serde::de::Error::custom)
}

fn watchdog<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_watchdog(&text).map(Some).map_err(serde::de::Error::custom)
}

fn inherit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Inherit>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_inherit(&text).map(Some).map_err(serde::de::Error::custom)
}

/// A number, or one with a unit in quotes.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Count {
        Number(u64),
        Text(String),
    }
    let text = match Count::deserialize(deserializer)? {
        Count::Number(number) => number.to_string(),
        Count::Text(text) => text,
    };
    parse_count(&text).map(Some).map_err(serde::de::Error::custom)
}

fn parsed<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

fn all_parsed<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let all = texts.iter().map(|text| text.parse()).collect::<Result<_, _>>();
    all.map(Some).map_err(serde::de::Error::custom)
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_name(&text).map(Some).map_err(serde::de::Error::custom)
}

fn extent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Extent>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_extent(&text).map(Some).map_err(serde::de::Error::custom)
}
