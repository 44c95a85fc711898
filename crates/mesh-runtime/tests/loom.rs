//! What is written by hand without a lock, or with one that does not hold for all of it, in every order that
//! threads can run in: the sources themselves, compiled against the primitives of a model checker.
//!
//! # Source
//!
//! loom, after Norris and Demsky, "`CDSChecker`" (OOPSLA 2013).

// Of what is compiled here again, not all is used.
#![expect(dead_code, reason = "whole modules are compiled, and tests need a part of them")]

use std::sync::Arc;

#[path = "../src/listing.rs"]
mod listing;
#[path = "../src/mailbox.rs"]
mod mailbox;

/// The primitives of the model checker.
mod sync {
    use std::sync::PoisonError;

    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every order in which threads are cut off by others no more than so often.
fn model(n_preemptions: usize, work: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(n_preemptions);
    builder.check(work);
}

mod listed {
    use loom::sync::Mutex;
    use loom::thread;

    use super::*;
    use crate::listing::Listing;

    /// Who has ended is not on the list, and who asked for it before the end was known found it there.
    #[test]
    fn nobody_stays_on_the_list_who_has_ended() {
        model(3, || {
            let actor = Arc::new((Listing::new(), Mutex::new(false)));
            let lists = |actor: &Arc<(Listing, Mutex<bool>)>| {
                let actor = Arc::clone(actor);
                thread::spawn(move || {
                    let (listing, is_on_it) = &*actor;
                    let set = |on| *is_on_it.lock().unwrap() = on;
                    listing.list(|| set(true), || set(false));
                    if !listing.has_ended() {
                        // It may end right now, and not before.
                        assert!(*is_on_it.lock().unwrap() || listing.has_ended());
                    }
                })
            };
            let threads = [lists(&actor), lists(&actor)];
            let (listing, is_on_it) = &*actor;
            listing.end(|| *is_on_it.lock().unwrap() = false);
            for thread in threads {
                thread.join().unwrap();
            }
            assert!(!*is_on_it.lock().unwrap());
        });
    }
}

mod mailboxes {
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::mem;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use loom::thread;

    use super::*;
    use crate::mailbox::{Mailbox, WaitFor};

    /// Reads as the task of an actor does, until it has been told to stop and has everything.
    async fn read(
        mailbox: &Mailbox<VecDeque<u8>, u8>,
        n_data: usize,
        n_control: usize,
    ) -> (Vec<u8>, Vec<u8>) {
        let (mut data, mut control) = (Vec::new(), Vec::new());
        let (mut batch, mut handled) = (VecDeque::new(), 0);
        poll_fn(|cx| {
            loop {
                if mailbox.is_urgent() {
                    control.extend(std::iter::from_fn(|| mailbox.pop_control()));
                }
                if batch.is_empty() && mailbox.has_data() {
                    mailbox.take(&mut batch, mem::take(&mut handled));
                }
                if let Some(message) = batch.pop_front() {
                    handled += 1;
                    data.push(message);
                    continue;
                }
                if data.len() == n_data && control.len() == n_control {
                    return Poll::Ready(());
                }
                if !mailbox.rest(&mut batch, cx.waker(), mem::take(&mut handled)) {
                    return Poll::Pending;
                }
            }
        })
        .await;
        (data, control)
    }

    /// Nobody sleeps with something in the mailbox: it would never wake up, and the model would say so.
    #[test]
    fn whatever_is_pushed_is_read_in_order_on_both_lanes() {
        model(3, || {
            let mailbox = Arc::new(Mailbox::<VecDeque<u8>, u8>::new(4));
            let data = Arc::clone(&mailbox);
            let data = thread::spawn(move || {
                for message in [1, 2] {
                    assert_eq!(data.try_push(message), Ok(()));
                }
            });
            let control = Arc::clone(&mailbox);
            let control = thread::spawn(move || assert_eq!(control.push_control(9), Ok(())));
            let read = loom::future::block_on(read(&mailbox, 2, 1));
            assert_eq!(read, (vec![1, 2], vec![9]));
            data.join().unwrap();
            control.join().unwrap();
        });
    }

    /// While a handler runs, its task sleeps for the control lane alone: data wakes nobody, and a stop does.
    #[test]
    fn a_stop_wakes_who_awaits_something_and_cannot_take_data() {
        loom::model(|| {
            let mailbox = Arc::new(Mailbox::<VecDeque<u8>, u8>::new(1));
            let others = Arc::clone(&mailbox);
            let others = thread::spawn(move || {
                assert_eq!(others.try_push(1), Ok(()));
                assert!(others.try_push(2).is_err(), "the data lane is full");
                assert_eq!(others.push_control(9), Ok(()));
            });
            let stop = loom::future::block_on(poll_fn(|cx| {
                loop {
                    if mailbox.is_urgent() {
                        return Poll::Ready(mailbox.pop_control());
                    }
                    if !mailbox.sleep(WaitFor::Control, cx.waker(), 0) {
                        return Poll::Pending;
                    }
                }
            }));
            assert_eq!(stop, Some(9));
            others.join().unwrap();
        });
    }

    /// R3: a message is either taken and then given back by who leaves, or refused: never neither.
    #[test]
    fn nothing_is_lost_between_a_sender_and_who_leaves() {
        loom::model(|| {
            let mailbox = Arc::new(Mailbox::<VecDeque<u8>, u8>::new(2));
            let sender = Arc::clone(&mailbox);
            let sender = thread::spawn(move || sender.try_push(1).is_ok());
            mailbox.close();
            let (data, _) = mailbox.abandon();
            let is_taken = sender.join().unwrap();
            assert_eq!(data.len(), usize::from(is_taken));
        });
    }

    /// A lane that is full: who waits for room is woken when there is some, or when there will never be.
    #[test]
    fn who_waits_for_room_is_woken() {
        loom::model(|| {
            let mailbox = Arc::new(Mailbox::<VecDeque<u8>, u8>::new(1));
            assert_eq!(mailbox.try_push(1), Ok(()));
            let sender = Arc::clone(&mailbox);
            let sender = thread::spawn(move || {
                assert!(loom::future::block_on(sender.room()));
                assert_eq!(sender.push_permitted(2), Ok(()));
                loom::future::block_on(sender.room())
            });
            let read = loom::future::block_on(read(&mailbox, 2, 0));
            assert_eq!(read, (vec![1, 2], vec![]));
            mailbox.close();
            // Admitted before, or turned away: in any case it does not sleep.
            sender.join().unwrap();
        });
    }

    /// Of two who wait for one place, one gives up: whatever it had is the other's.
    #[test]
    fn what_one_who_gives_up_had_goes_to_the_next() {
        model(3, || {
            let mailbox = Arc::new(Mailbox::<VecDeque<u8>, u8>::new(1));
            assert_eq!(mailbox.try_push(1), Ok(()));
            let fickle = Arc::clone(&mailbox);
            let fickle = thread::spawn(move || {
                let mut room = fickle.room();
                let waker = std::task::Waker::noop();
                let polled = Pin::new(&mut room).poll(&mut Context::from_waker(waker));
                if polled.is_ready() {
                    // It had nothing to wait for, and lets go of what it was given.
                    fickle.release(1);
                }
                drop(room);
            });
            let patient = Arc::clone(&mailbox);
            let patient = thread::spawn(move || loom::future::block_on(patient.room()));
            mailbox.release(1);
            fickle.join().unwrap();
            assert!(patient.join().unwrap());
        });
    }
}
