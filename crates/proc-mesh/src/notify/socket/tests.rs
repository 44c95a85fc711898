//! Who may speak, and until when.

use std::time::Duration;

use mesh_core::{Incarnation, MeshId};
use mesh_shape::Rank;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A socket whose reader never has its turn.
fn notifier() -> (Notifier, tokio::runtime::Runtime, mpsc::Receiver<Note>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (sender, notes) = mpsc::channel(8);
    (Notifier::start(runtime.handle(), sender).unwrap(), runtime, notes)
}

fn key(rank: usize) -> ProcKey {
    let mesh = MeshId::from_random(1);
    ProcKey { mesh, rank: Rank::new(rank), incarnation: Incarnation::FIRST }
}

fn fed_within(time: Duration) -> Notify {
    Notify { ready_within: None, watchdog: Some(time) }
}

/// O3: the system gives a number again, perhaps before it is known here that its process has ended.
#[test]
fn a_number_that_is_given_again_is_of_the_last_one_only() {
    let (notifier, _runtime, _notes) = notifier();
    let _first = notifier.seat(1, (key(0), fed_within(SECOND)), Arc::default());
    let _again = notifier.seat(1, (key(1), fed_within(10 * SECOND)), Arc::default());
    let mut table = notifier.shared.table();
    table.on_due(Instant::now() + 2 * SECOND);
    assert_eq!((table.seated[&1].key, table.deadlines.len()), (key(1), 1));
}

/// O3: also of a process whose mesh is dropped while it runs.
#[test]
fn of_who_may_not_speak_any_more_nothing_is_kept() {
    let (notifier, _runtime, _notes) = notifier();
    let speaker = notifier.seat(1, (key(0), fed_within(SECOND)), Arc::default()).unwrap();
    drop(speaker);
    let table = notifier.shared.table();
    assert!(table.seated.is_empty() && table.deadlines.is_empty());
}
