//! Whoever plays in the bench `transport` is a process with another one beside it. It is told line by line
//! what to do, and says in a line how long that took. In the bench [`actors`] it is a process that does one
//! work and ends.
#![forbid(unsafe_code)]

pub mod actors;
mod other;
mod playing;
mod resident;

use std::error::Error;

pub use other::{Other, end_with_it};
pub use playing::{play, say};

/// Why somebody cannot play.
pub type Failed = Box<dyn Error + Send + Sync>;

/// One who plays, and the process at the other end.
pub trait Player {
    /// One call of 64 B that is answered with as much.
    fn call(&mut self) -> impl Future<Output = Result<(), Failed>> + Send;

    /// So many messages of so many bytes that are not answered. Waits for room, if it has that.
    fn cast(&mut self, bytes: usize, n: usize) -> impl Future<Output = Result<(), Failed>> + Send;

    /// How many messages were handled at the other end since it was there: all that were sent before.
    fn handled(&mut self) -> impl Future<Output = Result<u64, Failed>> + Send;

    /// Waits until it knows that the other end has gone.
    fn lost(&mut self) -> impl Future<Output = Result<(), Failed>> + Send;

    /// The process at the other end.
    fn other(&mut self) -> &mut Other;
}
