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
pub(crate) struct Parcels<A: Actor> {
    order: VecDeque<Run>,
    /// One for each type of small message that has ever been put, and one for all else. They stay, empty or not.
    stacks: Vec<Box<dyn AnyStack<A>>>,
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
    pub(crate) fn first_run(&mut self) -> Option<(&mut dyn AnyStack<A>, usize)> {
        let run = self.order.front()?;
        Some((&mut **self.stacks.get_mut(run.stack)?, run.n))
    }

    /// So many were taken out of the stack of the next message, no more than followed each other there.
    pub(crate) fn taken(&mut self, n: usize) {
        if let Some(run) = self.order.front_mut() {
            run.n = run.n.saturating_sub(n);
            if run.n == 0 {
                take_first(&mut self.order);
            }
        }
    }

    /// Takes out the next message.
    pub(crate) fn pop(&mut self) -> Option<Box<dyn AnyLetter>> {
        self.next()?.pop()
    }

    /// The stack whose first letter is the next message, which is to be taken out at once.
    fn next(&mut self) -> Option<&mut dyn AnyStack<A>> {
        let place = self.order.front()?.stack;
        self.taken(1);
        Some(&mut **self.stacks.get_mut(place)?)
    }

    fn push<T: 'static>(&mut self, letter: T)
    where
        VecDeque<T>: AnyStack<A>,
    {
        // Most follow their like.
        if let Some(run) = self.order.back_mut()
            && let Some(stack) = stack_of(&mut self.stacks, run.stack)
        {
            run.n += 1;
            return push_first_exact(stack, letter);
        }
        let place = self.place::<T>();
        if let Some(stack) = stack_of(&mut self.stacks, place) {
            push_first_exact(&mut self.order, Run { stack: place, n: 1 });
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
            && let Some(stack) = stack_of(&mut self.stacks, run.stack)
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

    /// The place of the stack of what is of type `T`.
    fn place<T: 'static>(&mut self) -> usize
    where
        VecDeque<T>: AnyStack<A>,
    {
        let stacks = &mut self.stacks;
        (0..stacks.len()).find(|place| stack_of::<A, T>(stacks, *place).is_some()).unwrap_or_else(
            || {
                stacks.reserve_exact(1);
                stacks.push(Box::new(VecDeque::<T>::new()));
                stacks.len() - 1
            },
        )
    }
}

/// The stack in this place, if it is of what is of type `T`.
fn stack_of<A: Actor, T: 'static>(
    stacks: &mut [Box<dyn AnyStack<A>>],
    place: usize,
) -> Option<&mut VecDeque<T>> {
    stacks.get_mut(place)?.as_any().downcast_mut()
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
        Self { order: VecDeque::new(), stacks: Vec::new() }
    }
}

impl<A: Actor> Line for Parcels<A> {
    fn len(&self) -> usize {
        self.order.iter().map(|run| run.n).sum()
    }

    fn is_empty(&self) -> bool {
        self.order.is_empty()
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
