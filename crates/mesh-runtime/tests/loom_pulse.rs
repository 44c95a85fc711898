//! Whoever hangs is looked at, in every order in which an actor and a watchdog can take their steps: the source
//! itself, compiled against the primitives of a model checker.
//!
//! What one of them stores, the other sees at once here. In truth it does within the time between two looks, and a
//! model checker knows no time.

#![expect(dead_code, reason = "a whole module is compiled, and the test needs a part of it")]

use std::num::NonZeroU64;
use std::sync::Arc;

use loom::thread;
use mesh_core::{Incarnation, PeerId, ProcId};

use crate::pulse::{Doing, Names, Pulse, Slot, WatchList, Watched, Word};

#[path = "../src/pulse.rs"]
mod pulse;

/// The primitives of the model checker.
mod sync {
    pub(crate) use std::sync::PoisonError;

    pub(crate) use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::Ordering;

    /// What is stored is seen at once.
    #[derive(Debug)]
    pub(crate) struct SeenAtOnce<T>(Mutex<T>);

    pub(crate) type AtomicBool = SeenAtOnce<bool>;
    pub(crate) type AtomicU64 = SeenAtOnce<u64>;

    impl<T: Copy> SeenAtOnce<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        pub(crate) fn load(&self, _: Ordering) -> T {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn store(&self, value: T, _: Ordering) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
        }
    }
}

struct Actor {
    pulse: Pulse,
    names: Names,
}

impl Watched for Actor {
    fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    fn peer(&self) -> PeerId {
        PeerId { proc: ProcId::from_random(1), life: Incarnation::FIRST }
    }

    fn index(&self) -> NonZeroU64 {
        NonZeroU64::MIN
    }

    fn root(&self) -> NonZeroU64 {
        NonZeroU64::MIN
    }

    fn name(&self) -> &str {
        "a"
    }

    fn type_name(&self) -> &'static str {
        "a"
    }

    fn n_waiting(&self) -> usize {
        0
    }

    fn names(&self) -> &Names {
        &self.names
    }
}

/// One look of a watchdog, as `stalls::Seen` has it: whoever does nothing is looked at once more, and then
/// let go of.
fn look(list: &WatchList, seen: &mut Option<bool>) {
    for actor in list.take() {
        drop(actor);
        *seen = Some(false);
    }
}

/// An actor that hangs in a function is looked at, whenever it began that: it is on the list, or whoever
/// watches has not let go of it.
#[test]
fn who_hangs_is_looked_at() {
    loom::model(|| {
        let list = Arc::new(WatchList::default());
        let pulse = Pulse::new(Some(Arc::clone(&list)));
        let actor = Arc::new(Actor { pulse, names: Names::new() });
        let task = Arc::clone(&actor);
        let task = thread::spawn(move || {
            let own = || Arc::clone(&task) as Arc<dyn Watched>;
            let first = Word::IDLE.begin(Slot::START);
            task.pulse.run(first, own);
            task.pulse.set(first.idle());
            // It hangs in this one.
            task.pulse.run(first.idle().begin(Slot::STOP), own);
        });
        let mut seen: Option<bool> = None;
        for _ in 0..3 {
            look(&list, &mut seen);
            let Some(is_leaving) = &mut seen else { continue };
            match (actor.pulse.word().doing(), *is_leaving) {
                (Doing::Nothing, false) => {
                    *is_leaving = true;
                    actor.pulse.let_go();
                }
                (Doing::Nothing, true) => seen = None,
                (Doing::Runs | Doing::Waits, true) => {
                    *is_leaving = false;
                    actor.pulse.keep();
                }
                (Doing::Runs | Doing::Waits, false) => (),
            }
        }
        task.join().unwrap();
        look(&list, &mut seen);
        assert_eq!(actor.pulse.word().doing(), Doing::Runs);
        assert!(seen.is_some(), "nobody looks at it, and it hangs");
    });
}
