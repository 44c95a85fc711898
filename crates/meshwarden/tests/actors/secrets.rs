//! secrets: what a worker must know comes over the socket that only it has, and is not for others to read: not in
//! a command line, which every user of the machine sees, and not in an environment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use meshwarden::Root;

use crate::support::{Outcome, World};

/// What a process is told in its environment: who it is, and no more.
const TOLD: [&str; 7] = [
    "MESHWARDEN_INCARNATION",
    "MESHWARDEN_HOST_ID",
    "MESHWARDEN_MESH",
    "MESHWARDEN_MESH_ID",
    "MESHWARDEN_RANK",
    "MESHWARDEN_POINT",
    "MESHWARDEN_EXTENT",
];

/// What there is of a process for others to read.
struct Shown {
    pid: u32,
    words: Vec<String>,
    environment: BTreeSet<String>,
}

impl Shown {
    fn of(pid: u32) -> Option<Self> {
        let read = |file: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).ok()?;
            let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
            Some(parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect::<Vec<_>>())
        };
        let environment = read("environ")?.into_iter().collect();
        Some(Self { pid, words: read("cmdline")?, environment })
    }
}

/// The processes that this one has started, and those that they have.
fn descendants() -> Vec<u32> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // After the name, which may have spaces in it.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let parent = fields.split_ascii_whitespace().nth(1).and_then(|text| text.parse().ok());
        parents.insert(pid, parent.unwrap_or_default());
    }
    let us = std::process::id();
    let is_ours = |mut pid: u32| {
        while let Some(parent) = parents.get(&pid) {
            if *parent == us {
                return true;
            }
            pid = *parent;
        }
        false
    };
    parents.keys().copied().filter(|pid| is_ours(*pid)).collect()
}

pub(crate) async fn a_worker_shows_nobody_what_it_was_told(root: Arc<Root>) -> Outcome {
    let world = World::new(&root, "procs=2").await?;
    let workers: BTreeSet<u32> = world.procs.seats().await.iter().map(|seat| seat.pid).collect();
    let shown: Vec<_> = descendants().into_iter().filter_map(Shown::of).collect();
    let us = Shown::of(std::process::id()).ok_or("there is /proc")?;
    let program = us.words.first().ok_or("it has a name")?;
    let n_workers = shown.iter().filter(|one| workers.contains(&one.pid)).count();
    assert_eq!(n_workers, 2, "they are among those that are looked at");
    assert!(shown.len() > 2, "and so are guards");
    for one in shown {
        for entry in one.environment.difference(&us.environment) {
            let name = entry.split_once('=').map_or(&**entry, |(name, _)| name);
            assert!(TOLD.contains(&name), "{} has {entry}", one.pid);
        }
        let is_program = one.words.iter().all(|word| word == program || word.len() < 32);
        assert!(is_program, "{}: {:?}", one.pid, one.words);
    }
    world.close().await
}
