//! Freezes a process by a cgroup, of either version, and thaws it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::kind::Freezer;

/// A process that is frozen, until this is dropped.
#[derive(Debug)]
pub(crate) struct Frozen {
    pid: u32,
    freezer: Freezer,
    /// The cgroup that is frozen.
    dir: PathBuf,
    /// Where the process was, if it was moved to be frozen.
    home: Option<PathBuf>,
}

impl Freezer {
    /// A process in a cgroup, ready to be frozen: in its own, if it has one that its guard has made, or
    /// in one that is made for it.
    ///
    /// # Errors
    ///
    /// If this user may not.
    pub(crate) fn prepare(self, pid: u32) -> Result<Frozen> {
        let home = self.dir_of(pid)?;
        if home.components().any(|it| it.as_os_str().to_string_lossy().starts_with("meshwarden-")) {
            return Ok(Frozen { pid, freezer: self, dir: home, home: None });
        }
        let dir = self.dir_of(std::process::id())?.join(format!("chaos-{pid}"));
        fs::create_dir(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let frozen = Frozen { pid, freezer: self, dir, home: Some(home) };
        frozen.enter(&frozen.dir)?;
        Ok(frozen)
    }

    /// Freezes a child of this program and thaws it again.
    ///
    /// # Errors
    ///
    /// If that is not possible here.
    pub(crate) fn probe(self) -> Result<()> {
        let mut child = std::process::Command::new("sleep").arg("60").spawn()?;
        let probed = self.prepare(child.id()).and_then(|mut frozen| {
            frozen.freeze()?;
            let deadline = Instant::now() + Duration::from_secs(2);
            while !frozen.is_frozen() {
                ensure!(Instant::now() < deadline, "what was frozen goes on");
                sleep(Duration::from_millis(1));
            }
            Ok(())
        });
        child.kill()?;
        child.wait()?;
        probed
    }

    /// The directory of the cgroup of a process.
    fn dir_of(self, pid: u32) -> Result<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let what = match self {
            Self::One => "no freezer of cgroup version 1 is mounted",
            Self::Two => "no cgroup version 2 is mounted",
        };
        self.locate(&mounts, &cgroups).context(what)
    }

    /// The same, given the text of the kernel's tables.
    fn locate(self, mounts: &str, cgroups: &str) -> Option<PathBuf> {
        let mut mounted = mounts.lines().filter_map(|line| {
            let (mount, kind) = line.split_once(" - ")?;
            let mut kind = kind.split(' ');
            let (name, options) = (kind.next()?, kind.nth(1)?);
            let is_it = match self {
                Self::One => name == "cgroup" && options.split(',').any(|it| it == "freezer"),
                Self::Two => name == "cgroup2",
            };
            let mut fields = mount.split(' ').skip(3);
            is_it.then_some((fields.next()?, fields.next()?))
        });
        let (root, point) = mounted.next()?;
        let path = cgroups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            let is_it = match self {
                Self::One => controllers.split(',').any(|it| it == "freezer"),
                Self::Two => controllers.is_empty(),
            };
            is_it.then_some(path)
        })?;
        let within = path.strip_prefix(root.trim_end_matches('/'))?;
        Some(Path::new(point).join(within.trim_start_matches('/')))
    }
}

impl Frozen {
    /// Freezes the process: from now on, or soon, it does nothing.
    pub(crate) fn freeze(&mut self) -> Result<()> {
        self.write(true)
    }

    fn is_frozen(&self) -> bool {
        let (file, word) = match self.freezer {
            Freezer::One => ("freezer.state", "FROZEN"),
            Freezer::Two => ("cgroup.events", "frozen 1"),
        };
        fs::read_to_string(self.dir.join(file))
            .is_ok_and(|text| text.lines().any(|line| line == word))
    }

    fn write(&self, is_frozen: bool) -> Result<()> {
        let (file, word) = match (self.freezer, is_frozen) {
            (Freezer::One, true) => ("freezer.state", "FROZEN"),
            (Freezer::One, false) => ("freezer.state", "THAWED"),
            (Freezer::Two, true) => ("cgroup.freeze", "1"),
            (Freezer::Two, false) => ("cgroup.freeze", "0"),
        };
        let file = self.dir.join(file);
        fs::write(&file, word).with_context(|| format!("{} cannot be written", file.display()))
    }

    fn enter(&self, dir: &Path) -> Result<()> {
        let door = dir.join("cgroup.procs");
        fs::write(&door, self.pid.to_string())
            .with_context(|| format!("{} cannot be written", door.display()))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Its own cgroup is removed by its guard, perhaps before this.
        _ = self.write(false).is_ok();
        if let Some(home) = &self.home {
            _ = self.enter(home).is_ok();
            let deadline = Instant::now() + Duration::from_secs(1);
            // One that has just ended is in it until it was reaped.
            while fs::remove_dir(&self.dir).is_err() && Instant::now() < deadline {
                sleep(Duration::from_millis(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        31 23 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n\
        36 31 0:31 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n\
        37 31 0:32 /box /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn the_cgroup_of_a_process_is_where_its_hierarchy_is_mounted() {
        let cgroups = "7:memory:/m\n6:cpu,freezer:/jobs/a\n0::/box/b\n";
        let one = Freezer::One.locate(MOUNTS, cgroups);
        assert_eq!(one, Some("/sys/fs/cgroup/freezer/jobs/a".into()));
        let two = Freezer::Two.locate(MOUNTS, cgroups);
        assert_eq!(two, Some("/sys/fs/cgroup/unified/b".into()));
        assert_eq!(Freezer::One.locate("", cgroups), None);
        assert_eq!(Freezer::Two.locate(MOUNTS, "0::/elsewhere\n"), None);
    }
}
