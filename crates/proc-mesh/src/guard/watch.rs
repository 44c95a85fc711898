//! What the kernel tells of a process only if it is asked: whether its core is being written, and whether
//! memory had run out in its cgroup.

use std::fs;
use std::time::Duration;

use mesh_core::Timestamp;
use rustix::process::Pid;

use super::cgroups::OwnCgroup;

/// When to look at some processes next, and who comes first then.
#[derive(Debug)]
pub(super) struct Rounds<K> {
    /// The last one that was looked at.
    pub(super) after: Option<K>,
    at: Timestamp,
}

impl<K> Default for Rounds<K> {
    fn default() -> Self {
        Self { after: None, at: Timestamp::START }
    }
}

impl<K> Rounds<K> {
    /// Whether it is time to look; if so, the next time is not before a while has passed.
    pub(super) fn begin(&mut self, now: Timestamp) -> bool {
        let is_time = now >= self.at;
        if is_time {
            self.at = now + LOOK_EVERY;
        }
        is_time
    }

    /// Nobody needs to be looked at often: the next time is later.
    pub(super) fn put_off(&mut self, now: Timestamp) {
        self.at = now + LOOK_SELDOM;
    }

    /// Somebody is new, who is to be looked at soon.
    pub(super) fn hurry(&mut self, now: Timestamp) {
        self.at = self.at.min(now + LOOK_EVERY);
    }

    pub(super) const fn at(&self) -> Timestamp {
        self.at
    }
}

/// What was seen of one process.
#[derive(Debug, Default)]
pub(super) struct Watch {
    n_looks: u32,
    /// Whether its limits let it write a core, when they were last looked at.
    may_dump: bool,
    is_dumping: bool,
    /// The kills for lack of memory in its cgroup that it has survived.
    n_survived: u64,
    /// Whether there were more kills at the last look: they may have been of this process.
    is_in_doubt: bool,
}

impl Watch {
    /// Looks at a process. Says whether a core has begun to be written.
    pub(super) fn look(&mut self, pid: Pid, cgroup: Option<&OwnCgroup>, is_piped: bool) -> bool {
        if let Some(cgroup) = cgroup {
            self.look_for_kills(pid, cgroup);
        }
        // A program may raise its limit, which it does at its start if ever.
        if self.n_looks < LOOKS_AT_START || self.n_looks.is_multiple_of(LOOKS_BETWEEN) {
            self.may_dump = is_piped || core_limit_of(pid) != Some(0);
        }
        self.n_looks = self.n_looks.wrapping_add(1);
        let begins = self.may_dump && !self.is_dumping && is_dumping(pid);
        self.is_dumping |= begins;
        begins
    }

    /// Whether it is worth looking again before long.
    pub(super) const fn is_urgent(&self, has_cgroup: bool) -> bool {
        has_cgroup || (!self.is_dumping && (self.may_dump || self.n_looks < LOOKS_AT_START))
    }

    /// Whether the kernel killed it because memory had run out, given that it was ended by `SIGKILL`.
    ///
    /// Also one of its descendants may have been meant, if that was less than two looks ago.
    pub(super) fn was_out_of_memory(&self, cgroup: &OwnCgroup) -> bool {
        cgroup.n_oom_kills().is_some_and(|n_kills| n_kills > self.n_survived)
    }

    /// A kill that this process has outlived was of one of its descendants, and says nothing of its end.
    fn look_for_kills(&mut self, pid: Pid, cgroup: &OwnCgroup) {
        let n_kills = cgroup.n_oom_kills().unwrap_or_default();
        if n_kills <= self.n_survived {
            self.is_in_doubt = false;
        } else if self.is_in_doubt && !is_dying(pid) {
            self.n_survived = n_kills;
            self.is_in_doubt = false;
        } else {
            self.is_in_doubt = true;
        }
    }
}

/// Whether cores go to a program: then also processes have them that may write no file.
pub(super) fn cores_are_piped() -> bool {
    fs::read("/proc/sys/kernel/core_pattern").is_ok_and(|pattern| pattern.starts_with(b"|"))
}

/// How large a core a process may write; `None` if that has no limit, or is not known.
fn core_limit_of(pid: Pid) -> Option<u64> {
    let limits = fs::read_to_string(proc_file(pid, "limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Whether a fatal signal has hit a process and its core is being written.
fn is_dumping(pid: Pid) -> bool {
    let status = fs::read_to_string(proc_file(pid, "status")).unwrap_or_default();
    status_field(&status, "CoreDumping") == Some("1")
}

/// Whether a process has been killed, and only has not ended yet.
fn is_dying(pid: Pid) -> bool {
    let status = fs::read_to_string(proc_file(pid, "status")).unwrap_or_default();
    let is_pending = |field| {
        let mask = status_field(&status, field).and_then(|mask| u64::from_str_radix(mask, 16).ok());
        mask.is_none_or(|mask| mask & KILL != 0)
    };
    // One that is ending has no memory any more.
    status_field(&status, "VmSize").is_none() || is_pending("SigPnd") || is_pending("ShdPnd")
}

fn status_field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = status.lines().filter_map(|line| line.split_once(':'));
    fields.find_map(|(field, value)| (field == name).then(|| value.trim()))
}

fn proc_file(pid: Pid, name: &str) -> String {
    format!("/proc/{}/{name}", pid.as_raw_nonzero())
}

/// `SIGKILL` in a mask of signals.
const KILL: u64 = 1 << 8;
/// How often processes are looked at that may write a core, or have a cgroup: 64 of them in 200 ms (D4).
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often the others are.
const LOOK_SELDOM: Duration = Duration::from_millis(2_400);
/// How many looks after its start the limits of a process are looked at, too.
const LOOKS_AT_START: u32 = 12;
/// In how many looks they are looked at once, later.
const LOOKS_BETWEEN: u32 = 24;
/// How many processes are looked at together: the guard has other things to do.
pub(super) const LOOKS_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use rustix::process::getpid;

    use super::*;

    #[test]
    fn a_process_that_runs_is_neither_dumping_nor_dying() {
        assert!(!is_dumping(getpid()) && !is_dying(getpid()));
        let soft = rustix::process::getrlimit(rustix::process::Resource::Core).current;
        assert_eq!(core_limit_of(getpid()), soft);
    }

    #[test]
    fn a_field_of_the_status_is_found_by_its_whole_name() {
        let status = "Name:\ta: b\nSigPnd:\t0000000000000100\nCoreDumping:\t1\n";
        assert_eq!(status_field(status, "CoreDumping"), Some("1"));
        assert_eq!(status_field(status, "Core"), None);
        assert_eq!(status_field(status, "SigPnd"), Some("0000000000000100"));
    }

    #[test]
    fn who_need_not_be_looked_at_often_is_looked_at_seldom() {
        let at = |millis| Timestamp::from_start(Duration::from_millis(millis));
        let mut rounds = Rounds::<u8>::default();
        assert!(rounds.begin(at(5)) && !rounds.begin(at(6)));
        rounds.put_off(at(6));
        assert!(!rounds.begin(at(106)));
        rounds.hurry(at(200));
        assert!(!rounds.begin(at(299)) && rounds.begin(at(300)));
    }
}
