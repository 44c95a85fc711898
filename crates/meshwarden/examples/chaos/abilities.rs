//! What this machine can do, and this user may: each is tried before the run, and what fails is said.

use std::fs;
use std::path::Path;

use anyhow::Result;
use meshwarden::Root;
use meshwarden::mesh_core::{Cgroup, OwnCgroup, Surroundings};
use meshwarden::mesh_shape::extent;
use meshwarden::prelude::HostMesh;
use rustix::process::{Resource, getrlimit};

use crate::drive::patiently;
use crate::floor::Floor;
use crate::kind::{Freezer, Kind};

/// What cannot be done here: each kind that is skipped, and why.
#[derive(Clone, Debug, Default)]
pub(crate) struct Abilities {
    pub(crate) skipped: Vec<(Kind, String)>,
}

impl Abilities {
    /// Tries everything. Ranks are started on `hosts`, and plain children by `floor`.
    ///
    /// # Errors
    ///
    /// If not even trying is possible.
    pub(crate) async fn probe(root: &Root, hosts: &HostMesh, floor: &Floor) -> Result<Self> {
        let mut abilities = Self::default();
        let mut skip = |kind, why| abilities.skipped.push((kind, why));
        if !floor.sample(Kind::SegvCore).await?.dumped {
            let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
            let why = format!(
                "a plain child writes no core: the pattern is {:?}, the hard limit {:?}",
                pattern.trim(),
                getrlimit(Resource::Core).maximum
            );
            skip(Kind::SegvCore, why);
        }
        let surroundings = Surroundings { cgroup: LIMITED, ..Surroundings::default() };
        let mesh = root.procs(extent!(hosts = hosts.len())?).name("probe");
        let mesh = mesh.surroundings(surroundings);
        match patiently("a probe", mesh.command("sleep", ["1000"]).start(hosts)).await? {
            Ok(mut mesh) => {
                if let Err(error) = patiently("a probe", mesh.ready()).await? {
                    skip(Kind::OutOfMemory, error.to_string());
                }
            }
            Err(error) => skip(Kind::OutOfMemory, error.to_string()),
        }
        if let Err(error) = Freezer::Two.probe() {
            skip(Kind::FreezeTwo, format!("{error:#}"));
        }
        if let Err(error) = Freezer::One.probe() {
            skip(Kind::FreezeOne, format!("{error:#}"));
        }
        Ok(abilities)
    }

    /// The kinds that are skipped.
    pub(crate) fn without(&self) -> Vec<Kind> {
        self.skipped.iter().map(|(kind, _)| *kind).collect()
    }

    /// What ranks are started in, so that everything that is possible can be done to them.
    ///
    /// # Errors
    ///
    /// None, as long as a limit can be written as it is read.
    pub(crate) fn surroundings(&self, dir: &Path) -> Result<Surroundings> {
        let core = getrlimit(Resource::Core).maximum;
        let core = core.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let cgroup = if self.without().contains(&Kind::OutOfMemory) {
            Cgroup { wanted: OwnCgroup::Auto, ..Cgroup::default() }
        } else {
            LIMITED
        };
        Ok(Surroundings {
            dir: Some(dir.to_owned()),
            rlimits: vec![format!("core={core}").parse()?],
            cgroup,
            ..Surroundings::default()
        })
    }
}

/// Enough for a worker, and soon used up.
const LIMITED: Cgroup =
    Cgroup { wanted: OwnCgroup::Auto, memory_max: Some(32 << 20), pids_max: None };
