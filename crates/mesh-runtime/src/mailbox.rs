//! The mailbox of an actor: two lanes, one bounded, and one waker.
//!
//! The lanes share one lock with the bound. A sender takes it once for a message, and the reader once for
//! many: it swaps the whole data lane for the empty one that it has read. Senders wait in turn, and one
//! that gives up loses nothing.

use std::collections::VecDeque;
use std::hint;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use self::admission::{Admission, Turn};

use crate::sync::{self, AtomicBool, Mutex, MutexGuard, Ordering};

// Where it is from wherever this file is compiled: tests do so, too.
#[path = "mailbox/admission.rs"]
mod admission;

/// A data lane `Q` of messages with a bound, and a control lane of `C` that overtakes it.
///
/// The control lane has no bound of its own: each of its messages belongs to something of which there
/// is a bounded number, or comes from somebody who waits for what becomes of it.
// In this order: first what a sender touches for each message, and as little of it as can be, since of very many mailboxes
// no line of memory is in a cache. Then what is seldom touched; and far enough behind it what the reader asks between any
// two messages, which must not wait for what senders write.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Mailbox<Q, C> {
    /// Others wait before it.
    is_held_up: AtomicBool,
    /// Whether the data lane has something. The reader asks without the lock, and only where it would take that next.
    has_data: AtomicBool,
    queue: Mutex<Queue<Q, C>>,
    gap: Gap,
    /// Whether the control lane has something: asked between any two messages.
    is_urgent: AtomicBool,
}

/// With the control lane before it, as much as a line of memory. To align what is behind it to such lines would make the
/// allocation of each actor several times as expensive.
type Gap = [u64; 4];

// In this order: what is seldom touched is behind what each message touches.
#[derive(Debug)]
#[repr(C)]
struct Queue<Q, C> {
    state: State,
    /// What the reader sleeps for, if it does.
    waits_for: WaitFor,
    reader: Option<Waker>,
    data: Q,
    /// The bound of `data`.
    admission: Admission,
    control: VecDeque<C>,
}

/// Who is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// No more data is taken; the reader still reads.
    Closed,
    /// Nobody reads any more.
    Abandoned,
}

/// What messages wait in, one behind the other. Nothing that it does may panic, or run code of a user.
pub(crate) trait Line: Default {
    /// How many do.
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A line that messages of type `T` can wait in.
pub(crate) trait Takes<T>: Line {
    /// Puts a message behind the others.
    fn put(&mut self, message: T);
}

impl<T> Line for VecDeque<T> {
    fn len(&self) -> usize {
        self.len()
    }
}

impl<T> Takes<T> for VecDeque<T> {
    fn put(&mut self, message: T) {
        self.push_back(message);
    }
}

/// A message that was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused<T> {
    Full(T),
    Closed(T),
}

/// What the reader waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitFor {
    Control,
    Anything,
}

#[cfg(test)]
impl<Q, C> Mailbox<Q, C> {
    /// Before so many bytes is all that a sender touches for a message.
    pub(crate) const TOUCHED: usize = mem::offset_of!(Self, queue)
        + (size_of::<Mutex<Queue<Q, C>>>() - size_of::<Queue<Q, C>>())
        + mem::offset_of!(Queue<Q, C>, admission)
        + size_of::<u64>();
    /// Behind so many is what the reader asks between any two messages.
    pub(crate) const ASKED: usize = mem::offset_of!(Self, is_urgent);
}

impl<Q: Line, C> Mailbox<Q, C> {
    /// An empty mailbox whose data lane takes `capacity` messages, at least one.
    pub(crate) fn new(capacity: usize) -> Self {
        let admission = Admission::new(capacity.max(1));
        Self {
            is_held_up: AtomicBool::new(false),
            has_data: AtomicBool::new(false),
            queue: Mutex::new(Queue {
                state: State::Open,
                waits_for: WaitFor::Anything,
                reader: None,
                data: Q::default(),
                admission,
                control: VecDeque::new(),
            }),
            gap: [0; 4],
            is_urgent: AtomicBool::new(false),
        }
    }

    /// Letters of other processes wait before it, or do so no more.
    pub(crate) fn hold_up(&self, is_held_up: bool) {
        self.is_held_up.store(is_held_up, Ordering::Release);
    }

    /// Whether letters of other processes wait before it: then all others are to wait behind them.
    pub(crate) fn is_held_up(&self) -> bool {
        self.is_held_up.load(Ordering::Acquire)
    }

    /// Puts a message into the data lane if there is room.
    pub(crate) fn try_push<T>(&self, message: T) -> Result<(), Refused<T>>
    where
        Q: Takes<T>,
    {
        let mut queue = self.lock();
        if queue.state != State::Open {
            return Err(Refused::Closed(message));
        }
        if queue.admission.take(1) == 0 {
            return Err(Refused::Full(message));
        }
        self.put(queue, message);
        Ok(())
    }

    /// Takes room for at most `n` messages, which [`push_all_permitted`](Self::push_all_permitted) must then take
    /// at once. Returns for how many; `None` if the mailbox has been closed.
    pub(crate) fn try_room(&self, n: usize) -> Option<usize> {
        let mut queue = self.lock();
        (queue.state == State::Open).then(|| queue.admission.take(n))
    }

    /// Puts messages into the data lane, for which there was room. If the mailbox has been closed, none is taken
    /// out of `messages`.
    pub(crate) fn push_all_permitted<T>(&self, messages: &mut Vec<T>)
    where
        Q: Takes<T>,
    {
        if !messages.is_empty() {
            self.put_permitted(|data| messages.drain(..).for_each(|message| data.put(message)));
        }
    }

    /// Lets `put` put messages into the data lane, for which there was room. `false` if the mailbox has been closed:
    /// then it was not asked to.
    pub(crate) fn put_permitted(&self, put: impl FnOnce(&mut Q)) -> bool {
        let mut queue = self.lock();
        if queue.state != State::Open {
            return false;
        }
        self.tell_of_data(&queue.data);
        put(&mut queue.data);
        let reader = queue.wake_for(WaitFor::Anything);
        drop(queue);
        wake(reader);
        true
    }

    /// Waits until there is room for one message, which [`push_permitted`](Self::push_permitted) must then
    /// take at once. Those that wait have their turn in the order in which they came. `false` if the mailbox
    /// has been closed.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    pub(crate) const fn room(&self) -> Room<'_, Q, C> {
        Room { mailbox: self, number: None, n_turns: 0 }
    }

    /// Puts a message into the data lane, for which there was room. Gives it back if the mailbox has
    /// been closed.
    pub(crate) fn push_permitted<T>(&self, message: T) -> Result<(), T>
    where
        Q: Takes<T>,
    {
        let queue = self.lock();
        if queue.state != State::Open {
            return Err(message);
        }
        self.put(queue, message);
        Ok(())
    }

    #[inline]
    fn put<T>(&self, mut queue: MutexGuard<'_, Queue<Q, C>>, message: T)
    where
        Q: Takes<T>,
    {
        self.tell_of_data(&queue.data);
        queue.data.put(message);
        let reader = queue.wake_for(WaitFor::Anything);
        drop(queue);
        wake(reader);
    }

    /// Puts a message into the control lane. Gives it back if the reader has gone.
    pub(crate) fn push_control(&self, message: C) -> Result<(), C> {
        let mut queue = self.lock();
        if queue.state == State::Abandoned {
            return Err(message);
        }
        queue.control.push_back(message);
        self.is_urgent.store(true, Ordering::Release);
        let reader = queue.wake_for(WaitFor::Control);
        drop(queue);
        wake(reader);
        Ok(())
    }

    /// Whether the control lane may have something.
    pub(crate) fn is_urgent(&self) -> bool {
        self.is_urgent.load(Ordering::Acquire)
    }

    /// The next message of the control lane.
    pub(crate) fn pop_control(&self) -> Option<C> {
        let mut queue = self.lock();
        let message = queue.control.pop_front();
        if queue.control.is_empty() {
            self.is_urgent.store(false, Ordering::Release);
        }
        message
    }

    /// Whether the data lane has something. What comes at this moment is seen by who falls asleep.
    pub(crate) fn has_data(&self) -> bool {
        self.has_data.load(Ordering::Acquire)
    }

    /// Lets go of `n` messages that were taken before, and takes everything from the data lane into `batch`, which
    /// must be empty.
    pub(crate) fn take(&self, batch: &mut Q, n: usize) {
        debug_assert!(batch.is_empty(), "what was taken is handled before more is");
        let mut queue = self.lock();
        mem::swap(&mut queue.data, batch);
        self.has_data.store(false, Ordering::Release);
        let admitted = queue.admission.release(n);
        drop(queue);
        admitted.into_iter().for_each(Waker::wake);
    }

    /// Looks for what arrives for a moment, less than it takes to be woken. `true` if something has.
    pub(crate) fn linger(&self) -> bool {
        (0..LOOKS).any(|_| {
            hint::spin_loop();
            self.is_urgent() || self.has_data()
        })
    }

    /// Lets go of `n` messages that were taken: so many more may be sent.
    pub(crate) fn release(&self, n: usize) {
        let admitted = self.lock().admission.release(n);
        admitted.into_iter().for_each(Waker::wake);
    }

    /// Lets go of `n` messages that were taken, and asks to be woken for what arrives; `true` if it has arrived
    /// already.
    pub(crate) fn sleep(&self, wait_for: WaitFor, waker: &Waker, n: usize) -> bool {
        let mut queue = self.lock();
        let admitted = queue.admission.release(n);
        let has_arrived = queue.sleep(wait_for, waker);
        drop(queue);
        admitted.into_iter().for_each(Waker::wake);
        has_arrived
    }

    /// The same for whatever arrives. If nothing has, it will have the memory of `batch`, which must be empty: that was
    /// used last, and what is in neither is in the way of others in the caches.
    pub(crate) fn rest(&self, batch: &mut Q, waker: &Waker, n: usize) -> bool {
        debug_assert!(batch.is_empty(), "what was taken is handled before");
        let mut queue = self.lock();
        let admitted = queue.admission.release(n);
        let has_arrived = queue.sleep(WaitFor::Anything, waker);
        if !has_arrived && batch.is_empty() {
            mem::swap(&mut queue.data, batch);
        }
        drop(queue);
        admitted.into_iter().for_each(Waker::wake);
        has_arrived
    }

    /// Takes no more data. What is in the lane stays there to be taken.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        if queue.state == State::Open {
            queue.state = State::Closed;
        }
        let turned_away = queue.admission.close();
        drop(queue);
        turned_away.for_each(Waker::wake);
    }

    /// The reader goes away. Returns what it has not read; nothing is taken any more.
    pub(crate) fn abandon(&self) -> (Q, VecDeque<C>) {
        let mut queue = self.lock();
        queue.state = State::Abandoned;
        queue.reader = None;
        self.has_data.store(false, Ordering::Release);
        let unread = (mem::take(&mut queue.data), mem::take(&mut queue.control));
        let turned_away = queue.admission.close();
        drop(queue);
        turned_away.for_each(Waker::wake);
        unread
    }

    /// How many messages have been accepted and not let go of: those in the data lane, and those that the reader
    /// has taken.
    pub(crate) fn n_accepted(&self) -> usize {
        self.lock().admission.n_taken()
    }

    /// How many messages wait in the data lane.
    pub(crate) fn len(&self) -> usize {
        self.lock().data.len()
    }

    /// Under the lock, before something is put into `data`. Written once for all that is taken together.
    fn tell_of_data(&self, data: &Q) {
        if data.is_empty() {
            self.has_data.store(true, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<Q, C>> {
        sync::lock(&self.queue)
    }
}

impl<Q: Line, C> Queue<Q, C> {
    fn sleep(&mut self, wait_for: WaitFor, waker: &Waker) -> bool {
        let has_data = wait_for == WaitFor::Anything && !self.data.is_empty();
        if has_data || !self.control.is_empty() {
            return true;
        }
        self.waits_for = wait_for;
        if !self.reader.as_ref().is_some_and(|old| old.will_wake(waker)) {
            self.reader = Some(waker.clone());
        }
        false
    }

    /// The waker of the reader, if it sleeps and waits for what has arrived.
    fn wake_for(&mut self, arrived: WaitFor) -> Option<Waker> {
        let is_waited_for = self.waits_for == WaitFor::Anything || arrived == WaitFor::Control;
        if is_waited_for { self.reader.take() } else { None }
    }
}

/// Waits for room for one message. See [`Mailbox::room`].
#[derive(Debug)]
pub(crate) struct Room<'a, Q: Line, C> {
    mailbox: &'a Mailbox<Q, C>,
    /// It waits under this number, or has been admitted since.
    number: Option<u64>,
    /// How many turns it has had that it was not woken for.
    n_turns: u8,
}

impl<Q: Line, C> Future for Room<'_, Q, C> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let mut queue = self.mailbox.lock();
        if queue.state != State::Open {
            drop(queue);
            self.number = None;
            return Poll::Ready(false);
        }
        let turn = queue.admission.take_or_wait(self.number, cx.waker());
        let is_keen = queue.admission.is_quick() && self.n_turns < TURNS;
        drop(queue);
        match turn {
            Turn::Now => {
                self.number = None;
                Poll::Ready(true)
            }
            Turn::Later(number) => {
                self.number = Some(number);
                if is_keen {
                    self.n_turns += 1;
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }
}

impl<Q: Line, C> Drop for Room<'_, Q, C> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let mut queue = self.mailbox.lock();
            // Nobody is admitted any more, nor was.
            if queue.state != State::Open {
                return;
            }
            let admitted = queue.admission.give_up(number);
            drop(queue);
            admitted.into_iter().for_each(Waker::wake);
        }
    }
}

/// Outside of the lock: whoever is woken may run at once.
fn wake(reader: Option<Waker>) {
    if let Some(reader) = reader {
        reader.wake();
    }
}

/// How many turns who waits for room has before there is some, where a quick reader is about to make it: it takes some
/// microseconds, which a thread with nothing else to do would spend on falling asleep and being woken.
const TURNS: u8 = 16;

/// How often who lingers looks: for some hundred nanoseconds in all.
const LOOKS: usize = 16;
