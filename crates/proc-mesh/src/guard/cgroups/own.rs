//! The cgroup of one process, in as many hierarchies as are needed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Home;
use super::hierarchies::Version;

/// The cgroup of one process. It is removed by who has it, once nothing is in it.
#[derive(Debug)]
pub(in crate::guard) struct OwnCgroup {
    parts: Vec<Part>,
}

/// One of its directories.
#[derive(Debug)]
struct Part {
    dir: PathBuf,
    version: Version,
    has_memory: bool,
    reaches: bool,
}

impl OwnCgroup {
    /// One that has no directory yet.
    pub(super) const fn new() -> Self {
        Self { parts: Vec::new() }
    }

    /// Makes its directory in one hierarchy, and gives that back.
    pub(super) fn make_in(&mut self, home: &Home, name: &str) -> io::Result<PathBuf> {
        let dir = home.dir.join(name);
        fs::create_dir(&dir)?;
        let Home { version, has_memory, reaches, .. } = *home;
        self.parts.push(Part { dir: dir.clone(), version, has_memory, reaches });
        Ok(dir)
    }

    /// The files by which a process joins it.
    pub(in crate::guard) fn doors(&self) -> impl Iterator<Item = PathBuf> {
        self.parts.iter().map(|part| part.dir.join("cgroup.procs"))
    }

    /// How many of its processes the kernel has killed because memory had run out; `None` if it does not
    /// say.
    pub(in crate::guard) fn n_oom_kills(&self) -> Option<u64> {
        let part = self.parts.iter().find(|part| part.has_memory)?;
        let file = match part.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        n_oom_kills_in(&fs::read_to_string(part.dir.join(file)).ok()?)
    }

    /// Kills every process in it. New ones may come meanwhile where the kernel has no such order: do it
    /// again until it can be removed.
    pub(in crate::guard) fn kill(&self) {
        // An order of the kernel, or else one process after the other.
        let Some(part) = self.parts.iter().find(|part| part.reaches).or_else(|| self.parts.first())
        else {
            return;
        };
        match part.version {
            Version::Two if part.reaches => {
                _ = fs::write(part.dir.join("cgroup.kill"), "1").is_ok();
            }
            Version::One if part.reaches => {
                let freezer = part.dir.join("freezer.state");
                // What is frozen starts nothing more, and cannot end: its number stays its own.
                _ = fs::write(&freezer, "FROZEN").is_ok();
                kill_each(&part.dir);
                _ = fs::write(&freezer, "THAWED").is_ok();
            }
            Version::One | Version::Two => kill_each(&part.dir),
        }
    }

    /// Kills what is in it, and removes it. Says whether it is gone.
    pub(super) fn end(&self) -> bool {
        self.remove() || {
            self.kill();
            self.remove()
        }
    }

    /// Removes it, if it is empty. Says whether it is gone.
    fn remove(&self) -> bool {
        // Not only up to the first that is not: each is one less.
        self.parts.iter().filter(|part| !super::remove_tree(&part.dir)).count() == 0
    }
}

/// The count in the text of `memory.events` or `memory.oom_control`.
fn n_oom_kills_in(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// Kills the processes in a cgroup, one by one. The handle holds on to the process that is looked at, so
/// that its number cannot be another's.
fn kill_each(dir: &Path) {
    let members = || {
        let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        let pids = text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?));
        pids.filter_map(|pid| Some((pid, pidfd_open(pid, PidfdFlags::empty()).ok()?)))
            .collect::<Vec<_>>()
    };
    let handles = members();
    let still: Vec<Pid> = members().into_iter().map(|(pid, _)| pid).collect();
    for (pid, pidfd) in handles {
        if still.contains(&pid) {
            // It may have ended in between.
            _ = pidfd_send_signal(pidfd, Signal::KILL).is_ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_counted_in_the_words_of_both_versions() {
        let one = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        let two = "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n";
        assert_eq!((n_oom_kills_in(one), n_oom_kills_in(two)), (Some(3), Some(1)));
        assert_eq!(n_oom_kills_in("oom_kill_disable 0\nunder_oom 0\n"), None);
    }
}
