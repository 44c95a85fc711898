//! `shared`: one view of a mesh for all refs of a process.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mesh_core::{MeshId, Plane};
use mesh_runtime::Proc;
use tokio::time::{Instant, sleep_until};

use super::{Homes, View};

/// How long a view is kept at least for the next ref that comes.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// The views that a process has open.
#[derive(Default)]
struct OpenViews(BTreeMap<MeshId, Open>);

struct Open {
    view: Weak<View>,
    of: (usize, Homes),
    /// Until then it is kept, whoever uses it.
    kept_until: Instant,
}

impl View {
    /// The view that `proc` has of a mesh of so many ranks: one, however many refs of it come in messages. It
    /// stays for a while after its last use.
    pub(crate) fn of(proc: &Proc, mesh: MeshId, size: usize, homes: Homes) -> Arc<Self> {
        let now = Instant::now();
        proc.with_slot(|OpenViews(open)| {
            open.retain(|_, it| it.view.strong_count() > 0);
            let known = open.get(&mesh).filter(|it| it.of == (size, homes));
            let known = known.and_then(|it| Some((it.view.upgrade()?, it.kept_until)));
            let (view, kept_until) = match known {
                Some((view, kept_until)) if kept_until > now + KEPT_FOR / 2 => {
                    return (view, kept_until);
                }
                Some((view, _)) => (view, now + KEPT_FOR),
                None => (Arc::new(Self::open(proc, mesh, size, homes)), now + KEPT_FOR),
            };
            // By a task, and not by the process: it would keep itself alive.
            let kept = Arc::clone(&view);
            drop(proc.on(Plane::Control).runtime().spawn(async move {
                sleep_until(kept_until).await;
                drop(kept);
            }));
            let weak = Arc::downgrade(&view);
            open.insert(mesh, Open { view: weak, of: (size, homes), kept_until });
            (view, kept_until)
        })
        .0
    }
}
