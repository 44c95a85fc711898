//! The messages that wait for an actor, in the order in which they came.
//!
//! Small messages of one type stand side by side, in memory that is used again. A box for each would be made on the
//! thread of its sender and freed on that of the actor, which costs an allocator more than a cast costs us.

use std::any::Any;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::task::Poll;

use mesh_core::{Message, PortId};

use crate::actor::{Actor, Handler};
use crate::letter::{AnyLetter, Cast, Letter, Parcel, Sealed, handle};
use crate::mailbox::{Line, Takes};
use crate::task::{Life, Ran, Row, Turn, Turns};

/// What waits for an actor of type `A`.
// As small as can be: it is moved for each message of an actor that sleeps in between, and of very many no line of memory
// is in a cache. Its most usual content, messages of one type, needs none but those of their stack.
pub(crate) struct Parcels<A: Actor> {
    /// The run of the next message.
    first: Option<Run>,
    /// The first stack. It stays, empty or not.
    stack: Option<Box<dyn AnyStack<A>>>,
    /// Made when there is more than one run, or stack, first.
    more: Option<Box<More<A>>>,
}

/// What is behind the first run, and the first stack.
struct More<A: Actor> {
    /// Empty if there is no first.
    runs: VecDeque<Run>,
    /// One for each other type of small message that has ever been put, and one for all else. They stay, empty or not.
    stacks: Vec<Box<dyn AnyStack<A>>>,
}

/// Messages that follow each other and stand in one stack.
struct Run {
    /// Its place.
    stack: u32,
    /// How many. No mailbox takes more.
    n: NonZeroU32,
}

/// Letters of one type, one behind the other.
// Many an actor is never sent two at once: one needs no memory but that of the stack.
pub(crate) struct Stack<T> {
    /// None if there was no more when it was taken out: then the first of the others is.
    first: Option<T>,
    others: VecDeque<T>,
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

impl Run {
    fn grow(&mut self, n: usize) {
        self.n = self.n.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
    }

    /// What is left of it without so many, no more than it has.
    fn without(&self, n: usize) -> Option<Self> {
        let left = self.n.get().saturating_sub(u32::try_from(n).unwrap_or(u32::MAX));
        Some(Self { stack: self.stack, n: NonZeroU32::new(left)? })
    }
}

impl<T> Stack<T> {
    const fn new() -> Self {
        Self { first: None, others: VecDeque::new() }
    }

    pub(super) fn push(&mut self, one: T) {
        if self.first.is_none() && self.others.is_empty() {
            self.first = Some(one);
        } else {
            self.others.push_back(one);
        }
    }

    /// The first one, to be worked on where it stands.
    pub(super) fn first_mut(&mut self) -> Option<&mut T> {
        self.first.as_mut().or_else(|| self.others.front_mut())
    }

    pub(super) fn first(&self) -> Option<&T> {
        self.first.as_ref().or_else(|| self.others.front())
    }

    /// Takes out the first one.
    pub(super) fn take_first(&mut self) -> Option<T> {
        self.first.take().or_else(|| take_first(&mut self.others))
    }
}

impl<A: Actor> Parcels<A> {
    /// Which message is next, and what it is called.
    pub(crate) fn label(&self) -> Option<(PortId, &'static str)> {
        match self.first.as_ref()?.stack.checked_sub(1) {
            None => self.stack.as_ref()?.label(),
            Some(place) => self.more.as_ref()?.stacks.get(place as usize)?.label(),
        }
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
        let Run { stack, n } = *self.first.as_ref()?;
        Some((self.stack_mut(stack)?, n.get() as usize))
    }

    /// So many were taken out of the stack of the next message, no more than followed each other there.
    pub(crate) fn taken(&mut self, n: usize) {
        let Some(run) = &self.first else { return };
        self.first = run.without(n).or_else(|| take_first(&mut self.more.as_mut()?.runs));
    }

    /// Takes out the next message.
    pub(crate) fn pop(&mut self) -> Option<Box<dyn AnyLetter>> {
        self.next()?.pop()
    }

    /// The stack whose first letter is the next message, which is to be taken out at once.
    fn next(&mut self) -> Option<&mut (dyn AnyStack<A> + 'static)> {
        let place = self.first.as_ref()?.stack;
        self.taken(1);
        self.stack_mut(place)
    }

    fn stack_mut(&mut self, place: u32) -> Option<&mut (dyn AnyStack<A> + 'static)> {
        match place.checked_sub(1) {
            None => self.stack.as_deref_mut(),
            Some(place) => {
                let stack = self.more.as_mut()?.stacks.get_mut(place as usize)?;
                Some(&mut **stack)
            }
        }
    }

    /// The stack in this place, if it is of what is of type `T`.
    fn stack_of<T: 'static>(&mut self, place: u32) -> Option<&mut Stack<T>> {
        self.stack_mut(place)?.as_any().downcast_mut()
    }

    /// The place of the stack of what is of type `T`.
    fn place_of<T: 'static>(&mut self) -> u32
    where
        Stack<T>: AnyStack<A>,
    {
        let mut place = 0;
        while self.stack_mut(place).is_some() {
            if self.stack_of::<T>(place).is_some() {
                return place;
            }
            place += 1;
        }
        let stack = Box::new(Stack::<T>::new());
        match self.stack {
            None => self.stack = Some(stack),
            Some(_) => {
                let stacks = &mut self.more().stacks;
                stacks.reserve_exact(1);
                stacks.push(stack);
            }
        }
        place
    }

    fn more(&mut self) -> &mut More<A> {
        let none = || Box::new(More { runs: VecDeque::new(), stacks: Vec::new() });
        self.more.get_or_insert_with(none)
    }

    /// The run of the last message.
    fn last_run(&mut self) -> Option<&mut Run> {
        let last = self.more.as_mut().and_then(|more| more.runs.back_mut());
        last.or(self.first.as_mut())
    }

    fn push<T: 'static>(&mut self, letter: T)
    where
        Stack<T>: AnyStack<A>,
    {
        // Most follow their like.
        let place = self.last_run().map(|run| run.stack);
        if let Some(stack) = place.and_then(|place| self.stack_of(place)) {
            stack.push(letter);
            return self.grow(1);
        }
        let place = self.place_of::<T>();
        if let Some(stack) = self.stack_of(place) {
            stack.push(letter);
            let run = Run { stack: place, n: NonZeroU32::MIN };
            match self.first {
                None => self.first = Some(run),
                Some(_) => self.more().runs.push_back(run),
            }
        }
    }

    /// The last run has so many messages more.
    fn grow(&mut self, n: usize) {
        if let Some(run) = self.last_run() {
            run.grow(n);
        }
    }

    /// Puts some that are alike.
    pub(crate) fn push_all<T: 'static>(&mut self, letters: impl ExactSizeIterator<Item = T>)
    where
        Stack<T>: AnyStack<A>,
    {
        let mut letters = letters;
        let Some(first) = letters.next() else { return };
        self.push(first);
        let place = self.last_run().map(|run| run.stack);
        if let Some(stack) = place.and_then(|place| self.stack_of(place)) {
            let n = letters.len();
            stack.others.extend(letters);
            self.grow(n);
        }
    }

    /// Puts what is `n` messages.
    pub(crate) fn push_together<T: 'static>(&mut self, messages: T, n: usize)
    where
        Stack<T>: AnyStack<A>,
    {
        if n > 0 {
            self.push(messages);
            self.grow(n - 1);
        }
    }
}

impl<M: Message, A: Handler<M>> AnyStack<A> for Stack<Cast<M>> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn label(&self) -> Option<(PortId, &'static str)> {
        Some((const { PortId::of::<M>() }, M::NAME))
    }

    fn pop(&mut self) -> Option<Box<dyn AnyLetter>> {
        Some(Box::new(Letter::from(self.take_first()?)))
    }

    fn begin(&mut self, life: Box<Life<A>>, turn: &mut Turns<A>) -> Option<Box<Life<A>>> {
        let Some(cast) = self.take_first() else { return Some(life) };
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
            let Some(cast) = self.take_first() else { break };
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

impl<M: Message, A: Handler<M>> AnyStack<A> for Stack<Letter<M>> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn label(&self) -> Option<(PortId, &'static str)> {
        Some((const { PortId::of::<M>() }, M::NAME))
    }

    fn pop(&mut self) -> Option<Box<dyn AnyLetter>> {
        let letter: Box<dyn AnyLetter> = Box::new(self.take_first()?);
        Some(letter)
    }

    fn begin(&mut self, life: Box<Life<A>>, turn: &mut Turns<A>) -> Option<Box<Life<A>>> {
        match self.take_first() {
            Some(letter) => letter.begin_by(life, turn),
            None => Some(life),
        }
    }
}

impl<M: Message, A: Handler<M>> AnyStack<A> for Stack<Sealed<M>> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn label(&self) -> Option<(PortId, &'static str)> {
        Some((const { PortId::of::<M>() }, M::NAME))
    }

    fn pop(&mut self) -> Option<Box<dyn AnyLetter>> {
        let letter: Box<dyn AnyLetter> = Box::new(self.take_first()?);
        Some(letter)
    }

    fn begin(&mut self, life: Box<Life<A>>, turn: &mut Turns<A>) -> Option<Box<Life<A>>> {
        match self.take_first() {
            Some(sealed) => sealed.begin_by(life, turn),
            None => Some(life),
        }
    }
}

impl<A: Actor> AnyStack<A> for Stack<Box<dyn Parcel<A>>> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn label(&self) -> Option<(PortId, &'static str)> {
        self.first().map(|parcel| (parcel.port(), parcel.name()))
    }

    fn pop(&mut self) -> Option<Box<dyn AnyLetter>> {
        let letter: Box<dyn AnyLetter> = self.take_first()?;
        Some(letter)
    }

    fn begin(&mut self, life: Box<Life<A>>, turn: &mut Turns<A>) -> Option<Box<Life<A>>> {
        match self.take_first() {
            Some(parcel) => parcel.begin(life, turn),
            None => Some(life),
        }
    }
}

/// Takes out the first of what stands in a row; what is empty then keeps as much of its memory as may be kept.
fn take_first<T>(queue: &mut VecDeque<T>) -> Option<T> {
    let first = queue.pop_front();
    let kept = KEPT / size_of::<T>().max(1);
    if queue.is_empty() && queue.capacity() > kept {
        queue.shrink_to(kept);
    }
    first
}

// By hand, because deriving would ask the same of `A`.
impl<A: Actor> Default for Parcels<A> {
    fn default() -> Self {
        Self { first: None, stack: None, more: None }
    }
}

impl<A: Actor> Line for Parcels<A> {
    fn len(&self) -> usize {
        let more = self.more.iter().flat_map(|more| &more.runs);
        self.first.iter().chain(more).map(|run| run.n.get() as usize).sum()
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
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

/// How many bytes of memory a stack keeps that is empty, and the runs.
const KEPT: usize = 32 * 1024;

#[cfg(test)]
mod tests;
