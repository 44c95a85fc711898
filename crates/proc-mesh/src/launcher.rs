//! How the processes of a mesh are started: any program, or this program again as a worker.

use std::ffi::OsString;

use mesh_core::{Command, Launcher, Seat};
use mesh_shape::Extent;

/// The argument that makes this program a worker.
pub(crate) const WORKER_ARG: &str = "meshwarden:worker";

/// The dim whose coordinate says on which host a rank is.
pub(crate) const HOSTS: &str = "hosts";

/// Runs any program, unmodified, with the variables that such programs know.
///
/// | variable | value |
/// |---|---|
/// | `MESHWARDEN_MESH`, `MESHWARDEN_MESH_ID` | the name and the id of the mesh |
/// | `MESHWARDEN_RANK`, `RANK` | the rank |
/// | `MESHWARDEN_POINT` | its coordinates: `hosts=0,procs=3` |
/// | `MESHWARDEN_EXTENT` | the shape: `hosts=2,procs=4` |
/// | `MESHWARDEN_INCARNATION` | how often the rank was started before |
/// | `WORLD_SIZE` | the number of ranks |
/// | `LOCAL_RANK`, `LOCAL_WORLD_SIZE` | the same among the ranks of its host (dim `hosts`) |
/// | `MASTER_ADDR`, `MASTER_PORT` | where rank 0 may listen for the others |
#[derive(Clone, Debug)]
pub struct Program {
    command: Command,
    master: (String, u16),
}

impl Program {
    /// The program, whose rank 0 may listen at `master` (an address and a port).
    #[must_use]
    pub const fn new(command: Command, master: (String, u16)) -> Self {
        Self { command, master }
    }
}

impl Launcher for Program {
    fn command(&self) -> &Command {
        &self.command
    }

    fn env(&self, seat: &Seat<'_>) -> Vec<(OsString, OsString)> {
        let (local_rank, local_size) = local(seat);
        let extent = seat.point.extent();
        let mut env = identity(seat);
        env.extend(
            [
                ("RANK", seat.point.rank().to_string()),
                ("WORLD_SIZE", extent.size().to_string()),
                ("LOCAL_RANK", local_rank.to_string()),
                ("LOCAL_WORLD_SIZE", local_size.to_string()),
                ("MASTER_ADDR", self.master.0.clone()),
                ("MASTER_PORT", self.master.1.to_string()),
            ]
            .map(|(name, value)| (name.into(), value.into())),
        );
        env
    }
}

/// Runs this program again, as a worker.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    command: Command,
}

impl Workers {
    pub(crate) fn new() -> Self {
        // Not the path it was started by: that may be gone, or be another program by now.
        Self { command: Command::new("/proc/self/exe", [WORKER_ARG]) }
    }
}

impl Launcher for Workers {
    fn command(&self) -> &Command {
        &self.command
    }

    fn env(&self, seat: &Seat<'_>) -> Vec<(OsString, OsString)> {
        identity(seat)
    }
}

fn identity(seat: &Seat<'_>) -> Vec<(OsString, OsString)> {
    [
        ("MESHWARDEN_MESH", seat.mesh.name().to_owned()),
        ("MESHWARDEN_MESH_ID", seat.mesh.id().to_string()),
        ("MESHWARDEN_RANK", seat.point.rank().to_string()),
        ("MESHWARDEN_POINT", seat.point.to_string()),
        ("MESHWARDEN_EXTENT", seat.point.extent().to_string()),
        ("MESHWARDEN_INCARNATION", seat.incarnation.to_string()),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into()
}

/// The rank of `seat` among the ranks of its host, and their number.
fn local(seat: &Seat<'_>) -> (usize, usize) {
    let extent: &Extent = seat.point.extent();
    let mut rank = 0;
    let mut size = 1;
    for ((name, dim), coordinate) in extent.dims().zip(seat.point.coordinates().iter()) {
        if name != HOSTS {
            rank = rank * dim + coordinate;
            size *= dim;
        }
    }
    (rank, size)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mesh_core::{Incarnation, MeshId, MeshLabel};
    use mesh_shape::Rank;

    use super::*;

    #[test]
    fn a_rank_gets_the_names_that_programs_expect() {
        let extent: Extent = "hosts=2,procs=4".parse().unwrap();
        let point = extent.unravel(Rank::new(6)).unwrap();
        let mesh = MeshLabel::new(MeshId::from_random(7), "train", "proc");
        let seat = Seat { mesh: &mesh, point, incarnation: Incarnation::new(2) };
        let program = Program::new(Command::new("true", [""; 0]), ("127.0.0.1".into(), 29_500));
        let env: BTreeMap<OsString, OsString> = program.env(&seat).into_iter().collect();
        let expected = [
            ("MESHWARDEN_MESH", "train"),
            ("MESHWARDEN_RANK", "6"),
            ("MESHWARDEN_POINT", "hosts=1,procs=2"),
            ("MESHWARDEN_EXTENT", "hosts=2,procs=4"),
            ("MESHWARDEN_INCARNATION", "2"),
            ("RANK", "6"),
            ("WORLD_SIZE", "8"),
            ("LOCAL_RANK", "2"),
            ("LOCAL_WORLD_SIZE", "4"),
            ("MASTER_ADDR", "127.0.0.1"),
            ("MASTER_PORT", "29500"),
        ];
        for (name, value) in expected {
            assert_eq!(env.get(&OsString::from(name)), Some(&value.into()), "{name}");
        }
    }

    #[test]
    fn a_rank_is_local_by_all_dims_but_its_host_wherever_that_stands() {
        let extent: Extent = "a=2,hosts=3,b=5".parse().unwrap();
        let mesh = MeshLabel::new(MeshId::from_random(7), "m", "proc");
        let point = extent.point(&[1, 2, 4]).unwrap();
        let seat = Seat { mesh: &mesh, point, incarnation: Incarnation::FIRST };
        assert_eq!(local(&seat), (9, 10));
    }
}
