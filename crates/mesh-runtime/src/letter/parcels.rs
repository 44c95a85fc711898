//! The messages that wait for an actor, in the order in which they came.
//!
//! Small messages of one type stand side by side, in memory that is used again. A box for each would be made on the
//! thread of its sender and freed on that of the actor, which costs an allocator more than a cast costs us.

use std::any::Any;
use std::collections::VecDeque;
use std::task::Poll;

use mesh_core::{Message, PortId};

use crate::actor::{Actor, Handler};
use crate::letter::{AnyLetter, Cast, Letter, Parcel, Sealed, handle};
use crate::mailbox::{Line, Takes};
use crate::task::{Life, Ran, Row, Turn, Turns};

/// What waits for an actor of type `A`.
// Its most usual content, messages of one type, needs no memory but that of their stack.
pub(crate) struct Parcels<A: Actor> {
    order: Order,
    /// One for each type of small message that has ever been put, and one for all else. They stay, empty or not.
    stacks: Stacks<A>,
}

/// In which stacks the messages stand, one after the other.
#[derive(Default)]
struct Order {
    first: Option<Run>,
    /// Empty if there is no first.
    more: VecDeque<Run>,
}

/// Stacks by their places.
struct Stacks<A: Actor> {
    first: Option<Box<dyn AnyStack<A>>>,
    /// Empty if there is no first.
    more: Vec<Box<dyn AnyStack<A>>>,
}

/// Messages that follow each other and stand in one stack.
struct Run {
    /// Its place.
    stack: usize,
    /// How many. Never 0.
    n: usize,
}

/// Letters for an actor of type `A` that stand side by side, of whatever type.
pub(crate) trait AnyStack<A: Actor>: Send {
    /// The stack, to be added to.
    fn as_any(&mut self) -> &mut dyn Any;

    /// Which message is the first, and what it is called.
    fn label(&self) -> Option<(PortId, &'static str)>;

    /// Takes out the first letter.
    fn pop(&mut self) -> Option<Box<dyn AnyLetter>>;

    /// Takes out the first letter and begins to handle it, as [`Parcel::begin`] does.
    fn begin(&mut self, life: Box<Life<A>>, turn: &mut Turns<A>) -> Option<Box<Life<A>>>;

    /// Handles one letter after the other, as long as `row` lets it and they need no more than that.
    fn go_on(&mut self, life: Box<Life<A>>, _: &mut Turns<A>, _: &mut Row<'_, '_, A>) -> Ran<A> {
        Ran::Handled(life)
    }
}

impl Order {
    /// The run of the next message.
    const fn front(&self) -> Option<&Run> {
        self.first.as_ref()
    }

    /// The run of the last one.
    fn back_mut(&mut self) -> Option<&mut Run> {
        self.more.back_mut().or(self.first.as_mut())
    }

    fn push(&mut self, run: Run) {
        match self.first {
            None => self.first = Some(run),
            Some(_) => push_first_exact(&mut self.more, run),
        }
    }

    /// So many messages of the first run were taken out, no more than it has.
    fn taken(&mut self, n: usize) {
        if let Some(run) = &mut self.first {
            run.n = run.n.saturating_sub(n);
            if run.n == 0 {
                self.first = take_first(&mut self.more);
            }
        }
    }

    /// How many messages there are.
    fn len(&self) -> usize {
        self.first.iter().chain(&self.more).map(|run| run.n).sum()
    }
}

impl<A: Actor> Stacks<A> {
    fn get(&self, place: usize) -> Option<&dyn AnyStack<A>> {
        match place.checked_sub(1) {
            None => self.first.as_deref(),
            Some(place) => self.more.get(place).map(|stack| &**stack),
        }
    }

    fn get_mut(&mut self, place: usize) -> Option<&mut (dyn AnyStack<A> + 'static)> {
        match place.checked_sub(1) {
            None => self.first.as_deref_mut(),
            Some(place) => self.more.get_mut(place).map(|stack| &mut **stack),
        }
    }

    /// The stack in this place, if it is of what is of type `T`.
    fn of<T: 'static>(&mut self, place: usize) -> Option<&mut VecDeque<T>> {
        self.get_mut(place)?.as_any().downcast_mut()
    }

    /// The place of the stack of what is of type `T`.
    fn place<T: 'static>(&mut self) -> usize
    where
        VecDeque<T>: AnyStack<A>,
    {
        let n = usize::from(self.first.is_some()) + self.more.len();
        (0..n).find(|place| self.of::<T>(*place).is_some()).unwrap_or_else(|| {
            let stack = Box::new(VecDeque::<T>::new());
            match self.first {
                None => self.first = Some(stack),
                Some(_) => {
                    self.more.reserve_exact(1);
                    self.more.push(stack);
                }
            }
            n
        })
    }
}

impl<A: Actor> Parcels<A> {
    /// Which message is next, and what it is called.
    pub(crate) fn label(&self) -> Option<(PortId, &'static str)> {
        self.stacks.get(self.order.front()?.stack)?.label()
    }

    /// Takes out the next message and begins to handle it, as [`Parcel::begin`] does.
    pub(crate) fn begin(
        &mut self,
        life: Box<Life<A>>,
        turn: &mut Turns<A>,
    ) -> Option<Box<Life<A>>> {
        match self.next() {
            Some(stack) => stack.begin(life, turn),
            None => Some(life),
        }
    }

    /// The stack of the next message, and how many follow each other there, with that one. Those that are taken out
    /// must then be told of, by [`taken`](Self::taken).
    pub(crate) fn first_run(&mut self) -> Option<(&mut (dyn AnyStack<A> + 'static), usize)> {
        let run = self.order.front()?;
        Some((self.stacks.get_mut(run.stack)?, run.n))
    }

    /// So many were taken out of the stack of the next message, no more than followed each other there.
    pub(crate) fn taken(&mut self, n: usize) {
        self.order.taken(n);
    }

    /// Takes out the next message.
    pub(crate) fn pop(&mut self) -> Option<Box<dyn AnyLetter>> {
        self.next()?.pop()
    }

    /// The stack whose first letter is the next message, which is to be taken out at once.
    fn next(&mut self) -> Option<&mut (dyn AnyStack<A> + 'static)> {
        let place = self.order.front()?.stack;
        self.taken(1);
        self.stacks.get_mut(place)
    }

    fn push<T: 'static>(&mut self, letter: T)
    where
        VecDeque<T>: AnyStack<A>,
    {
        // Most follow their like.
        if let Some(run) = self.order.back_mut()
            && let Some(stack) = self.stacks.of(run.stack)
        {
            run.n += 1;
            return push_first_exact(stack, letter);
        }
        let place = self.stacks.place::<T>();
        if let Some(stack) = self.stacks.of(place) {
            self.order.push(Run { stack: place, n: 1 });
            push_first_exact(stack, letter);
        }
    }

    /// Puts some that are alike.
    pub(crate) fn push_all<T: 'static>(&mut self, letters: impl ExactSizeIterator<Item = T>)
    where
        VecDeque<T>: AnyStack<A>,
    {
        let mut letters = letters;
        let Some(first) = letters.next() else { return };
        self.push(first);
        if let Some(run) = self.order.back_mut()
            && let Some(stack) = self.stacks.of(run.stack)
        {
            run.n += letters.len();
            stack.extend(letters);
        }
    }

    /// Puts what is `n` messages.
    pub(crate) fn push_together<T: 'static>(&mut self, messages: T, n: usize)
    where
        VecDeque<T>: AnyStack<A>,
    {
        if n > 0 {
            self.push(messages);
            if let Some(run) = self.order.back_mut() {
                run.n += n - 1;
            }
        }
    }
}

impl<M: Message, A: Handler<M>> AnyStack<A> for VecDeque<Cast<M>> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn label(&self) -> Option<(PortId, &'static str)> {
        Some((const { PortId::of::<M>() }, M::NAME))
    }

    fn pop(&mut self) -> Option<Box<dyn AnyLetter>> {
        Some(Box::new(Letter::from(take_first(self)?)))
    }

    fn begin(&mut self, life: Box<Life<A>>, turn: &mut Turns<A>) -> Option<Box<Life<A>>> {
        let Some(cast) = take_first(self) else { return Some(life) };
        cast.begin_by(life, turn);
        None
    }

    fn go_on(
        &mut self,
        mut life: Box<Life<A>>,
        turns: &mut Turns<A>,
        row: &mut Row<'_, '_, A>,
    ) -> Ran<A> {
        let Some(home) = turns.home_of(handle::<M, A>) else { return Ran::Handled(life) };
        while row.begins() {
            let Some(cast) = take_first(self) else { break };
            cast.tell_sender(&mut life);
            match home.run(handle(life, cast.message), row.cx) {
                Poll::Pending => return Ran::Waits,
                Poll::Ready(Turn { life: Some(handled), outcome: Ok(None) }) => life = handled,
                Poll::Ready(turn) => return Ran::Ended(turn),
            }
        }
        Ran::Handled(life)
    }
}

impl<M: Message, A: Handler<M>> AnyStack<A> for VecDeque<Letter<M>> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn label(&self) -> Option<(PortId, &'static str)> {
        Some((const { PortId::of::<M>() }, M::NAME))
    }

    fn pop(&mut self) -> Option<Box<dyn AnyLetter>> {
        let letter: Box<dyn AnyLetter> = Box::new(take_first(self)?);
        Some(letter)
    }

    fn begin(&mut self, life: Box<Life<A>>, turn: &mut Turns<A>) -> Option<Box<Life<A>>> {
        match take_first(self) {
            Some(letter) => letter.begin_by(life, turn),
            None => Some(life),
        }
    }
}

impl<M: Message, A: Handler<M>> AnyStack<A> for VecDeque<Sealed<M>> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn label(&self) -> Option<(PortId, &'static str)> {
        Some((const { PortId::of::<M>() }, M::NAME))
    }

    fn pop(&mut self) -> Option<Box<dyn AnyLetter>> {
        let letter: Box<dyn AnyLetter> = Box::new(take_first(self)?);
        Some(letter)
    }

    fn begin(&mut self, life: Box<Life<A>>, turn: &mut Turns<A>) -> Option<Box<Life<A>>> {
        match take_first(self) {
            Some(sealed) => sealed.begin_by(life, turn),
            None => Some(life),
        }
    }
}

impl<A: Actor> AnyStack<A> for VecDeque<Box<dyn Parcel<A>>> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn label(&self) -> Option<(PortId, &'static str)> {
        self.front().map(|parcel| (parcel.port(), parcel.name()))
    }

    fn pop(&mut self) -> Option<Box<dyn AnyLetter>> {
        let letter: Box<dyn AnyLetter> = take_first(self)?;
        Some(letter)
    }

    fn begin(&mut self, life: Box<Life<A>>, turn: &mut Turns<A>) -> Option<Box<Life<A>>> {
        match take_first(self) {
            Some(parcel) => parcel.begin(life, turn),
            None => Some(life),
        }
    }
}

/// Takes out the first of a stack, or of the order; what is empty then keeps as much of its memory as may be kept.
pub(super) fn take_first<T>(queue: &mut VecDeque<T>) -> Option<T> {
    let first = queue.pop_front();
    let kept = KEPT / size_of::<T>().max(1);
    if queue.is_empty() && queue.capacity() > kept {
        queue.shrink_to(kept);
    }
    first
}

/// Adds one. Many an actor is never sent two at once: there is room for one first.
fn push_first_exact<T>(queue: &mut VecDeque<T>, one: T) {
    if queue.capacity() == 0 {
        queue.reserve_exact(1);
    }
    queue.push_back(one);
}

// By hand, because deriving would ask the same of `A`.
impl<A: Actor> Default for Parcels<A> {
    fn default() -> Self {
        let stacks = Stacks { first: None, more: Vec::new() };
        Self { order: Order::default(), stacks }
    }
}

impl<A: Actor> Line for Parcels<A> {
    fn len(&self) -> usize {
        self.order.len()
    }

    fn is_empty(&self) -> bool {
        self.order.front().is_none()
    }
}

impl<A: Actor> Takes<Box<dyn Parcel<A>>> for Parcels<A> {
    fn put(&mut self, parcel: Box<dyn Parcel<A>>) {
        self.push(parcel);
    }
}

impl<M: Message, A: Handler<M>> Takes<Cast<M>> for Parcels<A> {
    fn put(&mut self, cast: Cast<M>) {
        if size_of::<Cast<M>>() > SMALL {
            self.push::<Box<dyn Parcel<A>>>(Box::new(Letter::from(cast)));
        } else {
            self.push(cast);
        }
    }
}

impl<M: Message, A: Handler<M>> Takes<Letter<M>> for Parcels<A> {
    fn put(&mut self, letter: Letter<M>) {
        if size_of::<Letter<M>>() > SMALL {
            self.push::<Box<dyn Parcel<A>>>(Box::new(letter));
        } else {
            self.push(letter);
        }
    }
}

/// Messages of at most so many bytes, with who is to know what becomes of them, are small. What is larger is moved
/// seldom if it is in a box, and would keep much memory.
const SMALL: usize = 128;

/// How many bytes of memory a stack keeps that is empty, and their order.
const KEPT: usize = 32 * 1024;

#[cfg(test)]
mod tests;
