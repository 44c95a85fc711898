//! What programs say of themselves by systemd's protocol (`sd_notify`), and what that means: pure.
//!
//! | field | what becomes of it |
//! |---|---|
//! | `READY=1` | the rank runs, if it was waited for |
//! | `STATUS=…` | kept: told as it changes, and with a failure; cut to [`TEXT_BYTES_MAX`], control characters escaped |
//! | `WATCHDOG=1` | the watchdog is fed |
//! | `WATCHDOG=trigger` | the rank hangs, by its own word, until the watchdog is fed |
//! | `WATCHDOG_USEC=…` | the watchdog is to be fed so often from now on; 0: never |
//! | `STOPPING=1` | told at once, with the status that it has; and the watchdog need not be fed any more. The rank is not `Stopping` by that: nobody has asked for a stop, and only an end leads out of it (H3) |
//! | `ERRNO=…`, `EXIT_STATUS=…` | kept, and told with a failure |
//! | `MAINPID=…` | nothing: the process of the rank is the leader of its group, which its guard is the parent of and waits for |
//! | `FDSTORE=1` | refused: nothing keeps descriptors here, and they are closed |
//! | `BARRIER=1` | its descriptor is closed once what was sent before it has been read, as for all |
//! | `RELOADING=1` and any other | nothing |

use std::fmt;
use std::time::Duration;

use mesh_core::{Silence, Stall};
use tokio::time::Instant;

use crate::lines::escape;
use crate::vigil::Vigil;

mod socket;

pub(crate) use socket::{Left, Notifier, Speaker};

/// The longest message that is read. A longer one is none.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// The longest text that is kept.
pub(crate) const TEXT_BYTES_MAX: usize = 256;

/// A status is told again no sooner than that.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// How programs are to speak for themselves.
///
/// Each finds a socket in `NOTIFY_SOCKET`. Believed is what comes from the process of a rank, or from a
/// member of its process group, by the word of the kernel. A helper that has ended before it is read cannot be
/// told from others any more: `systemd-notify` waits for that.
///
/// It is asked for, and not the default: a program that waits for nobody would be waited for; one that finds
/// the socket may feed a watchdog that nobody needs; and one that runs in a service of its own may have to
/// speak with the service manager. What is not asked for leaves the environment as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// How long a program may take until it says that it is ready (`READY=1`); one that does not is killed.
    /// If `None`, it runs as soon as it is started, as others do.
    pub ready_within: Option<Duration>,
    /// How often it is to feed its watchdog (`WATCHDOG=1`): it finds that in `WATCHDOG_USEC`, and hangs if it
    /// does not. If `None`, never, unless it asks for that itself. More than zero.
    pub watchdog: Option<Duration>,
}

/// One message, as far as it means something here. Of a field that comes twice the last one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) is_ready: bool,
    pub(crate) is_stopping: bool,
    pub(crate) feed: Option<Feed>,
    pub(crate) watchdog: Option<Duration>,
    pub(crate) status: Option<String>,
    pub(crate) errno: Option<i32>,
    pub(crate) exit_status: Option<String>,
    /// What is refused, and why.
    pub(crate) refused: Vec<&'static str>,
}

/// What a program says to its watchdog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    /// It goes on.
    Fed,
    /// It hangs.
    Triggered,
}

impl Message {
    /// Whatever it is: what cannot be read means nothing.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut message = Self::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            let Some(at) = line.iter().position(|byte| *byte == b'=') else { continue };
            message.field(&line[..at], &line[at + 1..]);
        }
        message
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        match (name, value) {
            (b"READY", b"1") => self.is_ready = true,
            (b"STOPPING", b"1") => self.is_stopping = true,
            (b"WATCHDOG", b"1") => self.feed = Some(Feed::Fed),
            (b"WATCHDOG", b"trigger") => self.feed = Some(Feed::Triggered),
            (b"WATCHDOG_USEC", value) => {
                self.watchdog = number(value).map(Duration::from_micros).or(self.watchdog);
            }
            (b"STATUS", value) => self.status = Some(text(value)),
            (b"ERRNO", value) => {
                self.errno = number(value).and_then(|it| i32::try_from(it).ok()).or(self.errno);
            }
            (b"EXIT_STATUS", value) => self.exit_status = Some(text(value)),
            (b"MAINPID" | b"MAINPIDFDID" | b"MAINPIDFD", _) => self
                .refused
                .push("MAINPID: the process of a rank is the one that its guard has started"),
            (b"FDSTORE", b"1") => self.refused.push("FDSTORE: no descriptors are kept"),
            _ => (),
        }
    }
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A text of a program, as far as it is kept.
fn text(value: &[u8]) -> String {
    let mut text = escape(&value[..value.len().min(TEXT_BYTES_MAX)]);
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// What one program has said of itself in this life.
#[derive(Debug)]
pub(crate) struct Spoken {
    awaits_ready: bool,
    /// Runs while the watchdog is to be fed.
    vigil: Option<Vigil>,
    watchdog: Option<Duration>,
    is_stopping: bool,
    stall: Option<Stall>,
    status: Option<String>,
    /// The status was told last then; and whether there is a newer one.
    told: Option<Instant>,
    is_untold: bool,
    errno: Option<i32>,
    exit_status: Option<String>,
}

/// What is new of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) is_ready: bool,
    /// What hangs now, if that has changed.
    pub(crate) stall: Option<Option<Stall>>,
    /// Its status, if that is to be told; and whether it has said that it ends.
    pub(crate) status: Option<String>,
    pub(crate) is_stopping: bool,
}

impl Spoken {
    pub(crate) fn new(notify: Notify, now: Instant) -> Self {
        let mut spoken = Self {
            awaits_ready: notify.ready_within.is_some(),
            vigil: None,
            watchdog: notify.watchdog,
            is_stopping: false,
            stall: None,
            status: None,
            told: None,
            is_untold: false,
            errno: None,
            exit_status: None,
        };
        spoken.watch(now);
        spoken
    }

    /// The watchdog counts from now on: not before the program is ready, nor when it ends.
    fn watch(&mut self, now: Instant) {
        let within = self.watchdog.filter(|within| !within.is_zero());
        let within = within.filter(|_| !self.awaits_ready && !self.is_stopping);
        self.vigil = within.map(|within| Vigil::new(within, now));
    }

    /// It says something.
    pub(crate) fn on_message(&mut self, now: Instant, message: Message) -> News {
        let stalled = self.stall.clone();
        let mut news = News::default();
        if message.is_ready && std::mem::take(&mut self.awaits_ready) {
            news.is_ready = true;
            self.watch(now);
        }
        if message.watchdog.is_some() {
            self.watchdog = message.watchdog;
            self.clear(now);
        }
        let begins_to_stop = message.is_stopping && !self.is_stopping;
        if begins_to_stop {
            self.is_stopping = true;
            self.clear(now);
        }
        match message.feed {
            Some(Feed::Fed) => {
                self.stall = None;
                _ = self.vigil.as_mut().map(|vigil| vigil.heard(now));
            }
            Some(Feed::Triggered) => {
                self.stall = Some(Stall::silent(Silence::Triggered, Duration::ZERO));
            }
            None => (),
        }
        if message.status.is_some() && message.status != self.status {
            (self.status, self.is_untold) = (message.status, true);
        }
        self.errno = message.errno.or(self.errno);
        self.exit_status = message.exit_status.or_else(|| self.exit_status.take());
        if begins_to_stop {
            // That it ends is told once, and waits for nothing.
            (self.is_untold, self.told) = (true, None);
            self.status.get_or_insert_default();
        }
        news.status = self.status_to_tell(now);
        news.is_stopping = self.is_stopping && news.status.is_some();
        news.stall = (stalled != self.stall).then(|| self.stall.clone());
        news
    }

    /// The watchdog begins anew.
    fn clear(&mut self, now: Instant) {
        self.stall = None;
        self.watch(now);
    }

    fn status_to_tell(&mut self, now: Instant) -> Option<String> {
        if !self.is_untold || self.told.is_some_and(|told| now < told + TELL_EVERY) {
            return None;
        }
        (self.is_untold, self.told) = (false, Some(now));
        self.status.clone()
    }

    /// Time has passed. `changes`: how often it was suspended and let go on in all.
    pub(crate) fn on_due(&mut self, now: Instant, changes: u64) -> News {
        let silent = self.vigil.as_mut().and_then(|vigil| vigil.on_due(now, changes));
        // Its own word that it hangs says more.
        let is_by_its_word =
            matches!(self.stall, Some(Stall::Silent { what: Silence::Triggered, .. }));
        let silent = silent.filter(|_| !is_by_its_word);
        let stall = silent.map(|age| {
            let stall = Stall::silent(Silence::Watchdog, age);
            self.stall = Some(stall.clone());
            Some(stall)
        });
        let status = self.status_to_tell(now);
        let is_stopping = self.is_stopping && status.is_some();
        News { is_ready: false, stall, status, is_stopping }
    }

    /// When [`on_due`](Self::on_due) is to be called.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let tell = self.told.filter(|_| self.is_untold).map(|told| told + TELL_EVERY);
        let watch = self.vigil.as_ref().map(Vigil::next_deadline);
        [tell, watch].into_iter().flatten().min()
    }

    /// Whether it has said that it is ready, or need not.
    pub(crate) const fn is_ready(&self) -> bool {
        !self.awaits_ready
    }

    /// What is to be said of it when it has failed; nothing if it has not said anything.
    pub(crate) fn last_words(&self) -> Option<String> {
        let words = self.to_string();
        (!words.is_empty()).then_some(words)
    }
}

/// Its last words, in one line.
impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        let status = self.status.as_ref().filter(|status| !status.is_empty());
        words.extend(status.map(|status| format!("STATUS={status}")));
        words.extend(self.errno.map(|errno| format!("ERRNO={errno}")));
        words.extend(self.exit_status.as_ref().map(|status| format!("EXIT_STATUS={status}")));
        words.extend(self.is_stopping.then(|| "STOPPING=1".to_owned()));
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
mod tests;
