//! The mailbox beside a simple one, and between threads.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use proptest::collection::vec;
use proptest::prelude::*;

use crate::mailbox::{Mailbox, Refused, WaitFor};

/// What can be done with a mailbox.
#[derive(Clone, Copy, Debug)]
enum Deed {
    TryPush,
    /// Pushes so many together, as far as there is room.
    TryPushAll(usize),
    PushControl,
    /// The reader takes what is there, if it has handled what it took before.
    Take,
    /// The reader handles one message that it took.
    Handle,
    /// The reader tells of what it has handled.
    Release,
    PopControl,
    Sleep(WaitFor),
    /// The reader looks for a moment whether something has come.
    Linger,
    Close,
    Abandon,
}

/// The same mailbox, as simple as can be.
#[derive(Debug, Default)]
struct Naive {
    capacity: usize,
    data: VecDeque<u32>,
    control: VecDeque<u32>,
    /// Taken by the reader and not released: they count against the capacity.
    taken: VecDeque<u32>,
    handled: usize,
    is_closed: bool,
    is_abandoned: bool,
    sleeps_for: Option<WaitFor>,
    n_wakes: usize,
}

struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Naive {
    fn arrives(&mut self, what: WaitFor) {
        if self.sleeps_for.is_some_and(|wait| wait == WaitFor::Anything || wait == what) {
            self.sleeps_for = None;
            self.n_wakes += 1;
        }
    }

    fn try_push(&mut self, message: u32) -> Result<(), Refused<u32>> {
        if self.is_closed {
            return Err(Refused::Closed(message));
        }
        if self.data.len() + self.taken.len() + self.handled >= self.capacity {
            return Err(Refused::Full(message));
        }
        self.data.push_back(message);
        self.arrives(WaitFor::Anything);
        Ok(())
    }

    fn push_control(&mut self, message: u32) -> Result<(), u32> {
        if self.is_abandoned {
            return Err(message);
        }
        self.control.push_back(message);
        self.arrives(WaitFor::Control);
        Ok(())
    }

    fn sleep(&mut self, wait_for: WaitFor) -> bool {
        let has_data = wait_for == WaitFor::Anything && !self.data.is_empty();
        if has_data || !self.control.is_empty() {
            return true;
        }
        self.sleeps_for = Some(wait_for);
        false
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => Just(Deed::TryPush),
        3 => (0..6_usize).prop_map(Deed::TryPushAll),
        3 => Just(Deed::PushControl),
        4 => Just(Deed::Take),
        6 => Just(Deed::Handle),
        4 => Just(Deed::Release),
        3 => Just(Deed::PopControl),
        2 => Just(Deed::Sleep(WaitFor::Anything)),
        2 => Just(Deed::Sleep(WaitFor::Control)),
        2 => Just(Deed::Linger),
        1 => Just(Deed::Close),
        1 => Just(Deed::Abandon),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done in whatever order: the same messages come out as of the simple one, nothing is
    /// over its bound, and the reader is woken exactly when what it waits for arrives.
    #[test]
    fn it_does_what_the_simple_one_does(
        capacity in 1..5_usize,
        deeds in vec(deed(), 0..120),
    ) {
        let mailbox = Mailbox::<VecDeque<u32>, u32>::new(capacity);
        let mut naive = Naive { capacity, ..Naive::default() };
        let wakes = Arc::new(Counter(AtomicUsize::new(0)));
        let waker = Waker::from(wakes.clone());
        let mut batch = VecDeque::new();
        let mut handled = 0;
        for (number, deed) in (0_u32..).zip(deeds) {
            match deed {
                Deed::TryPush => prop_assert_eq!(mailbox.try_push(number), naive.try_push(number)),
                Deed::TryPushAll(n) => {
                    let room = mailbox.try_room(n);
                    let mut messages: Vec<u32> = (0..room.unwrap_or(0)).map(|_| number).collect();
                    let n_wakes = naive.n_wakes;
                    let taken = (0..n).take_while(|_| naive.try_push(number).is_ok()).count();
                    // Those that come together wake once.
                    prop_assert!(naive.n_wakes <= n_wakes + 1);
                    prop_assert_eq!(room, (!naive.is_closed).then_some(taken));
                    mailbox.push_all_permitted(&mut messages);
                    prop_assert!(messages.is_empty());
                }
                Deed::PushControl => {
                    prop_assert_eq!(mailbox.push_control(number), naive.push_control(number));
                }
                Deed::Take => {
                    if batch.is_empty() {
                        prop_assert_eq!(mailbox.has_data(), !naive.data.is_empty());
                        mailbox.take(&mut batch, mem::take(&mut handled));
                        naive.handled = 0;
                        naive.taken = mem::take(&mut naive.data);
                    }
                    prop_assert_eq!(&batch, &naive.taken);
                }
                Deed::Handle => {
                    let message = batch.pop_front();
                    handled += usize::from(message.is_some());
                    prop_assert_eq!(message, naive.taken.pop_front());
                    naive.handled = handled;
                }
                Deed::Release => {
                    mailbox.release(mem::take(&mut handled));
                    naive.handled = 0;
                }
                Deed::PopControl => {
                    prop_assert_eq!(mailbox.is_urgent(), !naive.control.is_empty());
                    prop_assert_eq!(mailbox.pop_control(), naive.control.pop_front());
                }
                Deed::Sleep(wait_for) => {
                    let n = mem::take(&mut handled);
                    naive.handled = 0;
                    // Either way: nothing is taken, and nothing waits that could be.
                    let has_come = match wait_for {
                        WaitFor::Anything if batch.is_empty() => mailbox.rest(&mut batch, &waker, n),
                        _ => mailbox.sleep(wait_for, &waker, n),
                    };
                    prop_assert_eq!(has_come, naive.sleep(wait_for));
                }
                Deed::Linger => {
                    let has_come = !naive.data.is_empty() || !naive.control.is_empty();
                    prop_assert_eq!(mailbox.linger(), has_come);
                }
                Deed::Close => {
                    mailbox.close();
                    naive.is_closed = true;
                }
                Deed::Abandon => {
                    let unread = mailbox.abandon();
                    let (data, control) = (&mut naive.data, &mut naive.control);
                    prop_assert_eq!(unread, (mem::take(data), mem::take(control)));
                    (naive.is_closed, naive.is_abandoned) = (true, true);
                    naive.sleeps_for = None;
                    // Nobody is there to take or to sleep any more.
                    break;
                }
            }
            prop_assert_eq!(mailbox.len(), naive.data.len());
            prop_assert_eq!(wakes.0.load(Ordering::SeqCst), naive.n_wakes);
        }
    }
}

/// Threads that push, one that reads: every accepted message comes out once, in the order of its sender.
#[test]
fn no_wake_is_lost_between_threads() {
    const SENDERS: u32 = 4;
    const EACH: u32 = 5_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mailbox = Arc::new(Mailbox::<VecDeque<(u32, u32)>, ()>::new(3));
    for sender in 0..SENDERS {
        let mailbox = Arc::clone(&mailbox);
        runtime.spawn(async move {
            for number in 0..EACH {
                assert!(mailbox.room().await);
                mailbox.push_permitted((sender, number)).unwrap();
            }
        });
    }
    let mut next = [0; SENDERS as usize];
    let mut batch = VecDeque::new();
    let read = std::future::poll_fn(|cx| {
        loop {
            mailbox.take(&mut batch, 0);
            mailbox.release(batch.len());
            for (sender, number) in batch.drain(..) {
                assert_eq!(number, mem::replace(&mut next[sender as usize], number + 1));
            }
            if next == [EACH; SENDERS as usize] {
                return std::task::Poll::Ready(());
            }
            if !mailbox.sleep(WaitFor::Anything, cx.waker(), 0) {
                return std::task::Poll::Pending;
            }
        }
    });
    runtime.block_on(read);
}

/// Who waits for room has some turns more than it is woken for where the reader is quick, and then sleeps; where the
/// reader is slow, it sleeps at once.
#[test]
fn who_waits_for_a_quick_reader_has_some_turns_and_then_sleeps() {
    for (n_together, n_turns) in [(64, 16), (1, 0)] {
        let mailbox = Mailbox::<VecDeque<u32>, u32>::new(64);
        (0..64).for_each(|number| mailbox.try_push(number).unwrap());
        mailbox.release(n_together);
        while mailbox.try_push(0).is_ok() {}

        let wakes = Arc::new(Counter(AtomicUsize::new(0)));
        let waker = Waker::from(wakes.clone());
        let mut cx = std::task::Context::from_waker(&waker);
        let mut room = std::pin::pin!(mailbox.room());
        for _ in 0..100 {
            assert!(room.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!(wakes.0.load(Ordering::SeqCst), n_turns, "{n_together} at once");
        mailbox.release(1);
        assert_eq!(wakes.0.load(Ordering::SeqCst), n_turns + 1);
        assert!(room.as_mut().poll(&mut cx).is_ready());
    }
}
