//! Whether any process is left over, as the kernel knows it.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use mesh_core::MeshId;

/// Looks for processes that a mesh has left behind; for those who want to be sure, and for tests.
///
/// # Examples
///
/// ```
/// use proc_mesh::Census;
///
/// let census = Census::begin()?;
/// // Spawn a mesh, stop it, close its hosts.
/// assert_eq!(census.left_over(None)?, []);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Census {
    /// Children that this process had before: a shell may leave it some of its own.
    before: BTreeSet<Process>,
    /// Every process that ever was a rank.
    seated: BTreeSet<Process>,
}

/// A process. Numbers are given away again, but not with the same start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    pid: u32,
    /// When it started, in ticks since boot.
    started: u64,
}

/// What `/proc` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    started: u64,
}

impl Census {
    /// Begins, before anything is started.
    ///
    /// # Errors
    ///
    /// If there is no `/proc` to look into.
    pub fn begin() -> io::Result<Self> {
        let me = std::process::id();
        let before = all()?.filter(|(_, stat)| stat.parent == me);
        let before = before.map(|(process, _)| process).collect();
        Ok(Self { before, seated: BTreeSet::new() })
    }

    /// Remembers that a rank sits there.
    pub fn seat(&mut self, pid: u32) {
        let started = stat(pid).map(|stat| stat.started);
        self.seated.extend(started.map(|started| Process { pid, started }));
    }

    /// The processes that are left: those in whose environment the mesh is named, those that ever were
    /// a rank, and the children of this process that it did not have before, which are guards.
    ///
    /// # Errors
    ///
    /// If there is no `/proc` to look into.
    pub fn left_over(&self, mesh: Option<MeshId>) -> io::Result<Vec<u32>> {
        let me = std::process::id();
        let mark = mesh.map(|mesh| format!("MESHWARDEN_MESH_ID={mesh}").into_bytes());
        let is_left = |(process, stat): &(Process, Stat)| {
            self.seated.contains(process)
                || (stat.parent == me && !self.before.contains(process))
                || mark.as_ref().is_some_and(|mark| has_variable(process.pid, mark))
        };
        Ok(all()?.filter(is_left).map(|(process, _)| process.pid).collect())
    }
}

/// Every process there is. One that ends meanwhile is none.
fn all() -> io::Result<impl Iterator<Item = (Process, Stat)>> {
    let found: Vec<fs::DirEntry> = fs::read_dir("/proc").and_then(Iterator::collect)?;
    let pids = found.into_iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(|pid: u32| {
        let stat = stat(pid)?;
        Some((Process { pid, started: stat.started }, stat))
    }))
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name of the program stands in parentheses, and may have some itself.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    // After the state; and 22nd of all, where the name is the second.
    let parent = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat { parent, started })
}

/// Whether a process was started with this variable. Those of other users keep that to themselves.
fn has_variable(pid: u32, variable: &[u8]) -> bool {
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environ.split(|byte| *byte == 0).any(|it| it == variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let rest = "S 7 1 1 0 -1 4 1 0 0 0 2 3 0 0 20 0 1 0 12345 67 8";
        let expected = Some(Stat { parent: 7, started: 12345 });
        for name in ["sh", "a b) S 9", ")"] {
            assert_eq!(parse_stat(&format!("42 ({name}) {rest}")), expected);
        }
        assert_eq!(parse_stat("42 (sh) S 7"), None);
    }

    #[test]
    fn a_child_and_a_seated_process_are_left_over_until_they_are_gone() {
        let mut census = Census::begin().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        census.seat(child.id());
        assert!(census.left_over(None).unwrap().contains(&child.id()));
        let later = Census::begin().unwrap();
        assert!(!later.left_over(None).unwrap().contains(&child.id()), "it was there before");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!census.left_over(None).unwrap().contains(&child.id()));
    }

    #[test]
    fn a_process_is_known_by_its_environment() {
        let mesh = MeshId::from_random(4_711);
        let census = Census::begin().unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .env("MESHWARDEN_MESH_ID", mesh.to_string())
            .spawn()
            .unwrap();
        let seen = |mesh| Census::begin().unwrap().left_over(Some(mesh)).unwrap();
        // The kernel lets whoever has started it go on a little before it has its environment.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !seen(mesh).contains(&child.id()) {
            assert!(std::time::Instant::now() < deadline, "it is not seen");
            std::thread::yield_now();
        }
        assert!(!seen(MeshId::from_random(4_712)).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!census.left_over(Some(mesh)).unwrap().contains(&child.id()));
    }
}
