//! The processes that the guard has started, and what the kernel tells of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::ops::Bound;
use std::time::Duration;

use mesh_core::{Incarnation, MeshId, Timestamp};
use mesh_shape::Rank;
use rustix::io::Errno;
use rustix::process::{
    Pid, RawPid, Signal, WaitId, WaitIdOptions, WaitIdStatus, getpgid, getpid, kill_process,
    kill_process_group, waitid,
};

use super::cgroups::OwnCgroup;
use super::clock;
use super::watch::{LOOKS_AT_ONCE, Rounds, Watch, cores_are_piped};
use super::wire::{End, FromGuard, ProcKey};

/// The processes that were started and have not been reaped.
///
/// A process is in the table from its start until it is reaped, so its id and that of its process
/// group cannot have been given to anybody else.
#[derive(Debug, Default)]
pub(super) struct Children(BTreeMap<ProcKey, Child>);

#[derive(Debug)]
struct Child {
    pid: Pid,
    started_at: Timestamp,
    /// Whether it was killed because the lease of its mesh had run out.
    culled: bool,
    /// Whether the kernel's last word was that it is stopped.
    suspended: bool,
    /// Whether it was stopped by [`Children::hold`].
    held: bool,
    /// What is to be told next, once the agent reads: the newest only, so that a process that is
    /// stopped and continued all the time costs no memory.
    news: Option<FromGuard>,
    cgroup: Option<OwnCgroup>,
    watch: Watch,
}

/// The end of a process, to be told as [`FromGuard::Ended`].
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) key: ProcKey,
    pub(super) end: End,
    pub(super) evidence: Duration,
    pub(super) alive: Duration,
    pub(super) culled: bool,
    pub(super) oom: bool,
    /// What was its own, to be removed.
    pub(super) cgroup: Option<OwnCgroup>,
}

impl Children {
    /// Takes over a process that was just started.
    pub(super) fn insert(
        &mut self,
        key: ProcKey,
        (pid, cgroup): (Pid, Option<OwnCgroup>),
        started_at: Timestamp,
    ) {
        let (culled, suspended, held) = (false, false, false);
        let (news, watch) = (None, Watch::default());
        let child = Child { pid, started_at, culled, suspended, held, news, cgroup, watch };
        self.0.insert(key, child);
    }

    /// Kills a process that is not to be told of any more: it is reaped as a stranger.
    ///
    /// Its cgroup is given back.
    pub(super) fn abandon(&mut self, key: &ProcKey) -> Option<OwnCgroup> {
        let child = self.0.remove(key)?;
        child.signal(Signal::KILL);
        child.cgroup
    }

    /// Sends a signal to the process group of one process. An unknown one is ignored.
    pub(super) fn signal(&self, key: &ProcKey, signal: Signal) {
        if let Some(child) = self.0.get(key) {
            child.signal(signal);
        }
    }

    /// Kills the process groups of one mesh.
    pub(super) fn kill_mesh(&self, mesh: MeshId) {
        for (_, child) in self.0.range(keys_of(mesh)) {
            child.signal(Signal::KILL);
        }
    }

    /// Kills the process groups of one mesh because its lease has run out (K2). A process that has
    /// ended already was not culled.
    pub(super) fn cull_mesh(&mut self, mesh: MeshId) {
        for (_, child) in self.0.range_mut(keys_of(mesh)) {
            child.culled = child.peek_end().is_none();
            child.signal(Signal::KILL);
        }
    }

    /// Kills every process group, and every child of this process, adopted ones too.
    ///
    /// Children are killed and not their descendants: a child cannot be mistaken, since it keeps
    /// its id until this process reaps it, and its own children become ours when it has died.
    pub(super) fn kill_all(&self) {
        for child in self.0.values() {
            child.signal(Signal::KILL);
        }
        for pid in own_children() {
            let _gone = kill_process(pid, Signal::KILL);
        }
    }

    /// Stops every process group but those of processes that somebody else has stopped.
    pub(super) fn hold(&mut self) {
        for child in self.0.values_mut().filter(|child| !child.suspended && !child.held) {
            child.held = true;
            child.signal(Signal::STOP);
        }
    }

    /// Continues what [`Self::hold`] has stopped.
    pub(super) fn release(&mut self) {
        for child in self.0.values_mut().filter(|child| child.held) {
            child.held = false;
            child.signal(Signal::CONT);
        }
    }

    /// Asks the kernel what has become of the children, reaps the dead, and gives back the ends of
    /// those that were started here.
    pub(super) fn sweep(&mut self) -> Vec<Ended> {
        if any_child_has(WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED) {
            for (key, child) in &mut self.0 {
                child.note_suspension(key);
            }
        }
        if !any_child_has(WaitIdOptions::EXITED) {
            return Vec::new();
        }
        let mut ends = Vec::new();
        self.0.retain(|key, child| {
            let status = child.peek_end();
            ends.extend(status.as_ref().map(|status| child.reap(key, status)));
            status.is_none()
        });
        if any_child_has(WaitIdOptions::EXITED) {
            self.reap_strangers();
        }
        ends
    }

    /// Looks at some processes, those that were not looked at for the longest time, for what the kernel
    /// does not tell by itself.
    pub(super) fn look(&mut self, rounds: &mut Rounds<ProcKey>, now: Timestamp) {
        if self.0.is_empty() || !rounds.begin(now) {
            return;
        }
        let is_piped = cores_are_piped();
        let after = rounds.after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut looked = Vec::new();
        for (key, child) in self.0.range_mut((after, Bound::Unbounded)).take(LOOKS_AT_ONCE) {
            child.look(key, is_piped);
            looked.push(*key);
        }
        let n_left = LOOKS_AT_ONCE - looked.len();
        if let Bound::Excluded(last) = after {
            for (key, child) in self.0.range_mut(..=last).take(n_left) {
                child.look(key, is_piped);
                looked.push(*key);
            }
        }
        rounds.after = looked.last().copied();
        if !self.0.values().any(|child| child.watch.is_urgent(child.cgroup.is_some())) {
            rounds.put_off(now);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what is to be told of suspended and continued processes.
    pub(super) fn take_news(&mut self) -> Vec<FromGuard> {
        self.0.values_mut().filter_map(|child| child.news.take()).collect()
    }

    /// Whether no process of the mesh is left.
    pub(super) fn none_of(&self, mesh: MeshId) -> bool {
        self.0.range(keys_of(mesh)).next().is_none()
    }

    /// Reaps dead children that were not started here: orphans that this process has adopted.
    fn reap_strangers(&self) {
        let ours: BTreeSet<_> = self.0.values().map(|child| child.pid.as_raw_nonzero()).collect();
        // One of ours that has died only now must be seen by the next sweep.
        let is_stranger = |pid: &Pid| !ours.contains(&pid.as_raw_nonzero());
        for pid in own_children().into_iter().filter(is_stranger) {
            let _alive_or_gone = wait(pid, WaitIdOptions::EXITED);
        }
    }
}

impl Child {
    /// Signals its process group, and itself if it has left that.
    fn signal(&self, signal: Signal) {
        let is_led = getpgid(Some(self.pid)).is_ok_and(|group| group == self.pid);
        let is_reached = kill_process_group(self.pid, signal).is_ok();
        if !(is_led && is_reached) {
            let _gone = kill_process(self.pid, signal);
        }
    }

    fn look(&mut self, key: &ProcKey, is_piped: bool) {
        if self.watch.look(self.pid, self.cgroup.as_ref(), is_piped) {
            self.news = Some(FromGuard::DumpingCore { key: *key });
        }
    }

    fn note_suspension(&mut self, key: &ProcKey) {
        while let Some(status) = wait(self.pid, WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED) {
            let signal = status.stopping_signal();
            self.suspended = signal.is_some();
            self.news = Some(match signal {
                Some(signal) => FromGuard::Suspended { key: *key, signal },
                None => FromGuard::Continued { key: *key },
            });
        }
    }

    /// How it ended, if it has; it is not reaped by this.
    fn peek_end(&self) -> Option<WaitIdStatus> {
        wait(self.pid, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    }

    /// Kills what is left of its group, reaps it, and says how it ended.
    fn reap(&mut self, key: &ProcKey, status: &WaitIdStatus) -> Ended {
        let evidence = clock::now();
        // As long as the dead leader is not reaped, the number means this group and no other.
        let _empty = kill_process_group(self.pid, Signal::KILL);
        let cgroup = self.cgroup.take();
        let _same = wait(self.pid, WaitIdOptions::EXITED);
        let end = match status.terminating_signal() {
            Some(signal) => End::Signaled { signal, core: status.dumped() },
            None => End::Exited { code: status.exit_status().unwrap_or_default() },
        };
        Ended {
            key: *key,
            end,
            evidence: evidence.since_start(),
            alive: evidence.since(self.started_at),
            culled: self.culled && end == KILLED,
            // A shell passes on that its child was killed.
            oom: (end == KILLED || end == End::Exited { code: 128 + Signal::KILL.as_raw() })
                && cgroup.as_ref().is_some_and(|cgroup| self.watch.was_out_of_memory(cgroup)),
            cgroup,
        }
    }
}

impl From<Ended> for FromGuard {
    fn from(ended: Ended) -> Self {
        let Ended { key, end, evidence, alive, culled, oom, cgroup: _ } = ended;
        Self::Ended { key, end, evidence, alive, culled, oom }
    }
}

/// The end of a process that this guard has killed.
pub(super) const KILLED: End = End::Signaled { signal: Signal::KILL.as_raw(), core: false };

/// Whether the kernel has something of this kind to tell about any child. Takes nothing.
fn any_child_has(what: WaitIdOptions) -> bool {
    let options = what | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::All, options), Ok(Some(_)))
}

/// Whether this process has no child at all, neither running nor dead.
pub(super) fn is_childless() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::All, options), Err(Errno::CHILD))
}

fn wait(pid: Pid, what: WaitIdOptions) -> Option<WaitIdStatus> {
    waitid(WaitId::Pid(pid), what | WaitIdOptions::NOHANG).ok().flatten()
}

/// Every key of one mesh.
fn keys_of(mesh: MeshId) -> std::ops::RangeInclusive<ProcKey> {
    let key = |rank, incarnation| ProcKey {
        mesh,
        rank: Rank::new(rank),
        incarnation: Incarnation::new(incarnation),
    };
    key(0, 0)..=key(usize::MAX, u64::MAX)
}

/// The children of this process, running or dead, as far as the kernel lists them.
///
/// The list may miss some while others come and go: ask again until [`is_childless`].
fn own_children() -> Vec<Pid> {
    listed_children().or_else(|_| searched_children()).unwrap_or_default()
}

/// From the kernel's own list, which not every kernel keeps.
fn listed_children() -> io::Result<Vec<Pid>> {
    let mut children = Vec::new();
    for thread in fs::read_dir("/proc/self/task")? {
        let list = fs::read_to_string(thread?.path().join("children"))?;
        children.extend(list.split_ascii_whitespace().filter_map(parse_pid));
    }
    Ok(children)
}

/// From the parents of all processes.
fn searched_children() -> io::Result<Vec<Pid>> {
    let me = getpid().as_raw_nonzero().to_string();
    let is_mine = |pid: &Pid| {
        let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        // The name is in parentheses and may contain anything; state and parent follow it.
        let after_name = stat.iter().rposition(|byte| *byte == b')').map_or(0, |at| at + 1);
        let text = String::from_utf8_lossy(&stat[after_name..]);
        text.split_ascii_whitespace().nth(1) == Some(me.as_str())
    };
    let names = fs::read_dir("/proc")?.filter_map(Result::ok).map(|entry| entry.file_name());
    Ok(names.filter_map(|name| parse_pid(name.to_str()?)).filter(is_mine).collect())
}

fn parse_pid(text: &str) -> Option<Pid> {
    Pid::from_raw(text.parse::<RawPid>().ok()?)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Kernels without the list are searched, and both ways find the same child.
    #[test]
    fn a_child_is_found_by_list_and_by_search() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        assert!(searched_children().unwrap().contains(&pid));
        if let Ok(listed) = listed_children() {
            assert!(listed.contains(&pid));
        }
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
}
