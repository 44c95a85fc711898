//! The primitives of what is written by hand here, in one place: tests put a model checker's in their stead.

use std::hint;
use std::sync::TryLockError;

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock that is most often held for some nanoseconds and asked for all the time. Whoever finds it taken looks
/// away for longer and longer, before it sleeps: meanwhile who has it takes it again and again from its own caches,
/// where two that tug at it wait for memory each time, and are put to sleep and woken.
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

/// How many pauses of the processor are between the first two looks. All of them together take some 5 to 20 microseconds,
/// by the processor.
const PAUSES: u32 = 16;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Also where it is held for longer than anybody looks.
    #[test]
    fn one_at_a_time_has_it() {
        let sum = Arc::new(Mutex::new(0));
        let add = |sum: &Mutex<u32>| {
            for nth in 0..200 {
                let mut sum = lock(sum);
                let before = *sum;
                if nth % 50 == 0 {
                    thread::sleep(Duration::from_millis(2));
                }
                *sum = before + 1;
            }
        };
        let other = thread::spawn({
            let sum = Arc::clone(&sum);
            move || add(&sum)
        });
        add(&sum);
        other.join().unwrap();
        assert_eq!(*lock(&sum), 400);
    }

    /// Nothing that can panic runs under those that are taken so.
    #[test]
    fn one_that_is_poisoned_is_as_good_as_any() {
        let one = Arc::new(Mutex::new(1));
        let poison = Arc::clone(&one);
        let panicked = thread::spawn(move || {
            let _guard = lock(&poison);
            panic!("under the lock");
        });
        assert!(panicked.join().is_err() && one.is_poisoned());
        assert_eq!(*lock(&one), 1);
    }
}
