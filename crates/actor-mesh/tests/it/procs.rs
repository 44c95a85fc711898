//! procs: the processes within this one keep the contract of all.

use mesh_testkit::procs_suite;

use crate::support::{SOON, soon, world};

#[tokio::test]
async fn processes_within_this_one_keep_the_contract() {
    for extent in ["procs=3", "hosts=2,procs=2"] {
        let world = world(extent).await;
        let kill = async |rank| world.procs.crash(rank);
        let kept = soon(procs_suite(&world.proc, &world.procs.procs(), kill, SOON)).await;
        assert_eq!(kept, Ok(()), "{extent}");
    }
}
