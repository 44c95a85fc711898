//! The primitives of what is written by hand here, in one place: tests put a model checker's in their stead.

use std::hint;
use std::sync::TryLockError;

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock that is held for some nanoseconds and asked for all the time. Whoever finds it taken looks away for
/// longer and longer, at last for some microseconds, before it sleeps: meanwhile who has it takes it again and again
/// from its own caches, where two that tug at it wait for memory each time, and are put to sleep and woken.
///
/// A lock that is poisoned is as good as any: nothing that can panic runs under those that are taken so.
///
/// # Source
///
/// Exponential backoff: Anderson, "The Performance of Spin Lock Alternatives for Shared-Memory Multiprocessors" (1990).
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    for doubled in 0..LOOKS {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                (0..PAUSES << doubled).for_each(|_| hint::spin_loop());
            }
        }
    }
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often who finds it taken looks again before it sleeps.
const LOOKS: u32 = 5;

/// How many pauses of the processor, of some ten nanoseconds each, are between the first two looks.
const PAUSES: u32 = 16;
