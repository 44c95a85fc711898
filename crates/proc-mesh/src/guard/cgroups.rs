//! Cgroups: one for each process that is to have one, made below the guard's own or beside it, and removed
//! again.
//!
//! Version 2, version 1, and both at once (*hybrid*) are taken as they are mounted. Every guard makes its
//! cgroups in one directory of its own in each hierarchy, whose name says which guard that is: so whoever
//! comes later can tell, and remove, what a guard has left that was killed.

mod hierarchies;
mod leaving;
mod own;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mesh_core::{LaunchProblem, Timestamp};
use rustix::io::Errno;
use rustix::process::getpid;
use serde::{Deserialize, Serialize};

use super::clock;
use super::spawn::named_problem;
use super::wire::ProcKey;
use hierarchies::{Hierarchy, Version};
use leaving::Leaving;
pub(super) use own::OwnCgroup;

/// What cgroup a process is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupOrder {
    /// Whether it is not to be started without.
    pub is_required: bool,
    /// How much memory its processes may have together, in bytes.
    pub memory_max: Option<u64>,
    /// How many processes and threads there may be.
    pub pids_max: Option<u64>,
}

/// Where this guard makes cgroups, and those that it cannot remove yet.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    /// Found when the first is to be made.
    homes: Option<Vec<Home>>,
    leaving: Leaving<OwnCgroup>,
}

/// The directory of this guard in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Home {
    dir: PathBuf,
    version: Version,
    /// Whether a cgroup in it counts kills for lack of memory, and can be limited.
    has_memory: bool,
    has_pids: bool,
    /// Whether all processes of a cgroup can be reached at once.
    reaches: bool,
}

impl Cgroups {
    /// Makes the cgroup of one process; `None` if it can be without and this user may make none.
    pub(super) fn make(
        &mut self,
        key: &ProcKey,
        order: CgroupOrder,
    ) -> Result<Option<OwnCgroup>, LaunchProblem> {
        let homes = self.homes.get_or_insert_with(|| {
            remove_abandoned();
            find_homes(&hierarchies::mounted(), &own_name())
        });
        let mut cgroup = OwnCgroup::new();
        match make_in(homes, &mut cgroup, key, order) {
            Ok(()) => Ok(Some(cgroup)),
            Err(problem) => {
                self.leave(cgroup);
                if order.is_required { Err(problem) } else { Ok(None) }
            }
        }
    }

    /// What is left in the cgroup of a process that has ended is to be ended, and it is to be removed:
    /// [`Self::tidy`] does so.
    pub(super) fn leave(&mut self, cgroup: OwnCgroup) {
        self.leaving.push(cgroup, clock::now());
    }

    /// Removes those that have become empty, one at least and more until a moment has come: each takes the
    /// kernel a while.
    pub(super) fn tidy(&mut self, until: Timestamp) {
        let now = clock::now();
        while let Some(attempt) = self.leaving.pop(now) {
            if !attempt.what.end() {
                self.leaving.put_off(attempt, now);
            }
            if clock::now() >= until {
                break;
            }
        }
    }

    /// When one is to be removed.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.leaving.next_deadline()
    }

    /// Removes everything: nothing runs any more. Says whether that was achieved.
    pub(super) fn clear(&mut self) -> bool {
        let now = clock::now();
        for cgroup in self.leaving.take() {
            if !cgroup.end() {
                self.leaving.push(cgroup, now);
            }
        }
        self.homes.iter().flatten().filter(|home| !remove_tree(&home.dir)).count() == 0
    }
}

fn make_in(
    homes: &[Home],
    cgroup: &mut OwnCgroup,
    key: &ProcKey,
    order: CgroupOrder,
) -> Result<(), LaunchProblem> {
    let name = format!("{}-{}-{}", key.mesh, key.rank, key.incarnation);
    let mut is_whole = (false, order.pids_max.is_none());
    for home in homes {
        let is_needed = home.has_memory || home.reaches || (home.has_pids && !is_whole.1);
        if !is_needed {
            continue;
        }
        let dir = cgroup.make_in(home, &name).map_err(|error| problem(&error, &home.dir))?;
        let limit = |file: &str, max: Option<u64>| match max {
            Some(max) => {
                let file = dir.join(file);
                fs::write(&file, max.to_string()).map_err(|error| problem(&error, &file))
            }
            None => Ok(()),
        };
        if home.has_memory {
            limit(home.version.memory_max(), order.memory_max)?;
            is_whole.0 = true;
        }
        if home.has_pids {
            limit("pids.max", order.pids_max)?;
            is_whole.1 = true;
        }
    }
    match is_whole {
        (true, true) => Ok(()),
        (has_memory, _) => {
            let controller = if has_memory { "pids" } else { "memory" };
            let what = format!(
                "no cgroup with the controller {controller} can be made below or beside that of this run"
            );
            Err(named_problem(Errno::PERM, Some(what)))
        }
    }
}

impl Version {
    const fn memory_max(self) -> &'static str {
        match self {
            Self::One => "memory.limit_in_bytes",
            Self::Two => "memory.max",
        }
    }
}

fn problem(error: &io::Error, path: &Path) -> LaunchProblem {
    let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
    named_problem(errno, Some(format!("its cgroup cannot be made, {}", path.display())))
}

/// Makes this guard's directory wherever it may and that is of use.
fn find_homes(hierarchies: &[Hierarchy], name: &str) -> Vec<Home> {
    let two = hierarchies.iter().filter(|it| it.version == Version::Two);
    let mut homes: Vec<Home> = two.filter_map(|it| settle_in_two(it, name)).collect();
    for hierarchy in hierarchies.iter().filter(|it| it.version == Version::One) {
        let has = |name: &str| hierarchy.controllers.iter().any(|it| it == name);
        let is_new = |is_it: fn(&Home) -> bool| !homes.iter().any(is_it);
        let has_memory = has("memory") && is_new(|home| home.has_memory);
        let has_pids = has("pids") && is_new(|home| home.has_pids);
        let reaches = has("freezer") && is_new(|home| home.reaches);
        let dir = hierarchy.dir.join(name);
        if (has_memory || has_pids || reaches) && make_dir(&dir).is_ok() {
            homes.push(Home { dir, version: Version::One, has_memory, has_pids, reaches });
        }
    }
    homes
}

/// The best place of version 2: one with memory, or else the first.
fn settle_in_two(hierarchy: &Hierarchy, name: &str) -> Option<Home> {
    let mut best: Option<Home> = None;
    for place in hierarchy.places() {
        let dir = place.join(name);
        if make_dir(&dir).is_err() {
            continue;
        }
        for controller in ["+memory", "+pids"] {
            // Refused where there are processes in it, and where it is not given to this user.
            _ = fs::write(place.join("cgroup.subtree_control"), controller).is_ok();
            _ = fs::write(dir.join("cgroup.subtree_control"), controller).is_ok();
        }
        let enabled = fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap_or_default();
        let has = |name| enabled.split_ascii_whitespace().any(|it| it == name);
        let (has_memory, has_pids) = (has("memory"), has("pids"));
        // Only kernels since 5.14 have it.
        let reaches = dir.join("cgroup.kill").exists();
        let home = Home { dir, version: Version::Two, has_memory, has_pids, reaches };
        if has_memory || best.is_none() {
            best.replace(home).map(|other| remove_tree(&other.dir));
        } else {
            remove_tree(&home.dir);
        }
        if has_memory {
            break;
        }
    }
    best.filter(|home| home.has_memory || home.has_pids || home.reaches)
}

fn make_dir(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Removes what guards have left that are gone, as far as it is empty. Says whether nothing is left.
pub(crate) fn remove_abandoned() -> bool {
    let mut is_clean = true;
    for hierarchy in hierarchies::mounted() {
        for place in hierarchy.places() {
            let entries = fs::read_dir(place).into_iter().flatten().flatten();
            for entry in entries {
                let name = entry.file_name();
                if name.to_str().and_then(is_running).is_some_and(|is_running| !is_running) {
                    is_clean &= remove_tree(&entry.path());
                }
            }
        }
    }
    is_clean
}

/// Removes a cgroup and all below it, as far as they are empty. Says whether it is gone.
fn remove_tree(dir: &Path) -> bool {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    match fs::remove_dir(dir) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

const NAME: &str = "meshwarden";

/// What no other process has, also after this one: its number and when it was started.
fn own_name() -> String {
    let pid = getpid().as_raw_nonzero().get();
    format!("{NAME}-{pid}-{}", started_at(pid).unwrap_or_default())
}

/// Whether the guard runs that has made the directory of this name; `None` if no guard has.
fn is_running(name: &str) -> Option<bool> {
    let (pid, start) = name.strip_prefix(NAME)?.strip_prefix('-')?.split_once('-')?;
    let (pid, start): (i32, u64) = (pid.parse().ok()?, start.parse().ok()?);
    Some(started_at(pid) == Some(start))
}

/// When a process was started, in ticks since the machine was; `None` if it has ended.
fn started_at(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may contain anything; the state follows it.
    let mut fields = stat.rsplit(')').next()?.split_ascii_whitespace();
    let is_dead = matches!(fields.next()?, "Z" | "X");
    let start = fields.nth(18)?.parse().ok()?;
    (!is_dead).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_says_whose_it_is() {
        assert_eq!(is_running(&own_name()), Some(true));
        let (pid, _) =
            own_name().rsplit_once('-').map(|(pid, s)| (pid.to_owned(), s.len())).unwrap();
        assert_eq!(is_running(&format!("{pid}-1")), Some(false), "another process of that number");
        for other in ["meshwarden", "meshwarden-1", "meshwarden-a-b", "user.slice", "meshwarden-1-"]
        {
            assert_eq!(is_running(other), None, "{other}");
        }
    }
}
