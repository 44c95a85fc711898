//! How ranks speak for themselves: flags, environment variables, and what holds in the end.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;
use meshwarden::proc_mesh::Notify;

use crate::config::args::parse_time;
use crate::config::file::FileSettings;
use crate::config::settings::{Layers, Time, default};

/// How the ranks speak for themselves, as far as it was said.
#[expect(clippy::doc_markdown, reason = "it is what --help prints, for people")]
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct NotifyArgs {
    /// Let the ranks speak for themselves, as under systemd: each finds a socket in NOTIFY_SOCKET, and runs
    /// when it has sent READY=1. Its STATUS=… is in the events, and with a failure [default: false].
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        env = "MESHWARDEN_NOTIFY"
    )]
    pub(crate) notify: Option<bool>,

    /// How long a rank may take to send READY=1; one that does not is killed [default: 90s].
    #[arg(long, value_name = "TIME", env = "MESHWARDEN_READY_WITHIN", value_parser = parse_time)]
    pub(crate) ready_within: Option<Duration>,

    /// How often a rank is to send WATCHDOG=1, which it finds in WATCHDOG_USEC; it is stalled while it does
    /// not [default: never, unless it asks for that].
    #[arg(long, value_name = "TIME", env = "MESHWARDEN_WATCHDOG", value_parser = parse_watchdog)]
    pub(crate) watchdog: Option<Duration>,
}

/// Lays flags, environment and file over each other. `None` if the ranks do not speak.
///
/// # Errors
///
/// If times are given for what nobody has asked for. Who says that ranks are not to speak may leave them.
pub(super) fn resolve(
    layers: &mut Layers<'_>,
    args: &NotifyArgs,
    file: &FileSettings,
) -> Result<Option<Notify>> {
    let is_said = args.notify.or(file.notify).is_some();
    let speaks = layers.pick("notify", args.notify, file.notify, default(false));
    let is_timed = args.ready_within.or(file.ready_within).or(args.watchdog).or(file.watchdog);
    ensure!(is_said || is_timed.is_none(), "ready_within and watchdog need notify (--notify)");
    let within =
        layers.pick("ready_within", args.ready_within, file.ready_within, default(READY_WITHIN));
    let watchdog =
        layers.pick_optional("watchdog", args.watchdog.map(Time), file.watchdog.map(Time));
    let watchdog = watchdog.map(|time| time.0);
    Ok(speaks.then_some(Notify { ready_within: Some(within), watchdog }))
}

/// A time that can be kept.
pub(crate) fn parse_watchdog(text: &str) -> Result<Duration, String> {
    match parse_time(text)? {
        time if time < WATCHDOG_MIN => Err(format!("a watchdog needs at least {WATCHDOG_MIN:?}")),
        time => Ok(time),
    }
}

/// As under systemd.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// Less cannot be kept on a busy machine.
const WATCHDOG_MIN: Duration = Duration::from_millis(100);
