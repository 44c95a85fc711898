//! `watchers`: those who subscribe to the mesh, and write down what they are told.

use actor_mesh::ActorMesh;
use mesh_core::{Interest, News, Trouble};
use mesh_runtime::Proc;
use mesh_shape::Rank;
use supervise::MeshEvents;
use tokio::task::JoinHandle;

use crate::ledger::{self, Watcher};
use crate::plan::Plan;
use crate::probe::Probe;

/// One for the whole mesh beside its controller, and one for half of it by its address.
pub(crate) async fn watchers(
    plan: &Plan,
    proc: &Proc,
    mesh: &ActorMesh<Probe>,
) -> Result<Vec<JoinHandle<()>>, String> {
    let all = mesh.subscribe(Interest::All).await.map_err(|error| error.to_string())?;
    let half = mesh.mesh_ref().slice("hosts", ..plan.sizes[0].div_ceil(2).cast_signed());
    let half = half.map_err(|error| error.to_string())?;
    let some = half.subscribe(proc, Interest::All).await.map_err(|error| error.to_string())?;
    let to: Vec<usize> = half.region().iter().map(Rank::index).collect();
    let every = (0..plan.size).collect();
    Ok(vec![tokio::spawn(watch("all", all, every)), tokio::spawn(watch("half", some, to))])
}

/// Writes down what a subscriber is told, by the ranks of the whole mesh.
async fn watch(name: &'static str, mut events: MeshEvents, to: Vec<usize>) {
    ledger::with(|it| _ = it.watchers.insert(name, Watcher::default()));
    while let Some(event) = events.next().await {
        ledger::with(|it| {
            let (now, is_ending) = (it.now(), it.is_ending);
            let watcher = it.watchers.entry(name).or_default();
            let mut lines = Vec::new();
            if watcher.is_closed {
                watcher.complaints.push("N4: something is told after Closed".to_owned());
            }
            match &event.news {
                News::Changed(changes) => {
                    for change in changes.iter() {
                        lines.push(format!("{name} {} {}", change.ranks, change.status));
                        watcher.told((now, change), &to);
                    }
                }
                News::Snapshot(snapshot) if snapshot.lagged => {
                    watcher.complaints.push("N7: it has lagged".to_owned());
                }
                News::Trouble(trouble) => {
                    lines.push(format!("{name} {trouble:?}"));
                    if *trouble == Trouble::ControllerLost {
                        watcher.lost_at.push(now);
                    }
                }
                // What the end of all is too much for is no news.
                News::Escalated(_) if is_ending => (),
                News::Escalated(_) => watcher.n_escalated += 1,
                News::Closed => watcher.is_closed = true,
                _ => (),
            }
            lines.into_iter().for_each(|line| it.note(line));
        });
    }
}
