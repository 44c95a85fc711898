//! `Pauses`: who calls very many lets others have their turn in between.

use std::future::poll_fn;
use std::mem;
use std::task::Poll;

use tokio::time::Instant;

/// When others have their turn while very many are called: so those who were called begin while what was touched for that
/// is in the caches of the processor still. Behind some thousands it is not.
///
/// For who waits for all answers: the first ones are heard no sooner for it.
pub(super) struct Pauses {
    /// How many more are called before the next pause; `None` if there is none.
    n_left: Option<usize>,
    until: Instant,
}

impl Pauses {
    /// While so many of this program are called, until the deadline of that: what is over is to be told.
    pub(super) fn of(n: usize, until: Instant) -> Self {
        Self { n_left: (n >= MANY).then_some(TOGETHER), until }
    }

    /// One more was called. Whether all who are ready are to have their turn now.
    pub(super) fn is_due(&mut self) -> bool {
        let Some(n_left) = &mut self.n_left else { return false };
        *n_left -= 1;
        if *n_left > 0 {
            return false;
        }
        *n_left = TOGETHER;
        Instant::now() < self.until
    }
}

/// All who are ready on this thread have their turn.
// Not by tokio's `yield_now`: after that others have theirs until the runtime looks for events, however long that is.
pub(super) async fn turn_of_others() {
    let mut had_theirs = false;
    poll_fn(|cx| {
        if mem::replace(&mut had_theirs, true) {
            return Poll::Ready(());
        }
        // Behind all that are ready.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Of fewer, what was touched is found in the caches without.
const MANY: usize = 4096;

/// How many are called between two pauses: what is touched for them are some hundred kilobytes, and they have room in the
/// queue of a worker of tokio.
const TOGETHER: usize = 128;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn due(pauses: &mut Pauses, n: usize) -> Vec<usize> {
        (1..=n).filter(|_| pauses.is_due()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn only_very_many_are_called_with_pauses() {
        let until = Instant::now() + Duration::from_secs(1);
        assert!(due(&mut Pauses::of(MANY - 1, until), MANY - 1).is_empty());
        let pauses = due(&mut Pauses::of(MANY, until), MANY);
        assert_eq!(pauses[..3], [TOGETHER, 2 * TOGETHER, 3 * TOGETHER]);
        assert_eq!(pauses.len(), MANY / TOGETHER);
    }

    /// R1: whoever waits is told in time.
    #[tokio::test(start_paused = true)]
    async fn nobody_has_a_turn_after_the_deadline() {
        let mut pauses = Pauses::of(MANY, Instant::now() + Duration::from_secs(1));
        assert_eq!(due(&mut pauses, 2 * TOGETHER).len(), 2);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(due(&mut pauses, MANY).is_empty());
    }

    #[tokio::test]
    async fn all_who_are_ready_have_their_turn() {
        let work = async {
            let n = Arc::new(AtomicUsize::new(0));
            for _ in 0..200 {
                let n = Arc::clone(&n);
                drop(tokio::spawn(async move { n.fetch_add(1, Ordering::Relaxed) }));
            }
            turn_of_others().await;
            n.load(Ordering::Relaxed)
        };
        assert_eq!(tokio::spawn(work).await.ok(), Some(200));
    }
}
