//! `Limits`: the bounds of every buffer.

/// The bounds of what casters and relays keep. Both sides of a stream must have the same.
///
/// A caster that [keeps](crate::Caster::keeping) room for casts that are made ahead, as that of [`shell`](crate::shell)
/// does, lets others wait at so much less of [`window`](Self::window), [`rank`](Self::rank) and [`open`](Self::open).
///
/// # Examples
///
/// ```
/// use mesh_cast::Limits;
///
/// let small = Limits { window: 8, ..Limits::default() };
/// assert_eq!((small.rank, small.calls), (64, 512));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How far the number of a cast may be ahead of the oldest one that has not arrived at some process. At
    /// least 1. At this bound the caster waits, and so no node keeps more casts of a stream for others than
    /// this.
    pub window: u64,
    /// How many bytes of messages that have not arrived everywhere a caster keeps; and how many bytes of
    /// messages that a rank has not taken. A larger message is taken when there is no other. So no node keeps
    /// more of a stream than this or one message, for others and for each of its ranks.
    pub window_bytes: usize,
    /// How many casts and calls there may be that a rank has not taken. At least 1. At this bound what is for
    /// that rank waits, and nothing else does.
    pub rank: usize,
    /// How many calls of one caster may wait for replies. Each rank has at most as many of them as are left, and
    /// always one: so there may be one more for each rank. At its bound calls of that rank wait.
    pub calls: usize,
    /// How many casts and calls of one caster may be open: not taken by some rank, or not answered. Each rank has
    /// at most an eighth of those that are left, and always one: so ranks that take nothing hold up no other, and
    /// there may be one more for each rank.
    pub open: usize,
    /// How many bytes of messages that some rank has not taken. Each rank has at most as many as are left, and
    /// always one message.
    pub open_bytes: usize,
    /// How many casts and calls of one actor may wait for room, in order; of all programs that are no actors, so many for
    /// each rank: the first of theirs that has none, or the first of theirs if all of these have. At this bound one
    /// more is refused, with the ranks that have no room.
    pub waiting: usize,
    /// How many bytes of messages may wait so. A larger message waits when there is no other.
    pub waiting_bytes: usize,
    /// How many casts and calls of all of them together may wait for room. A sender that has half as many as are left of
    /// it has no more of it, which is a third of what others have left, and always one if any is left: so what becomes
    /// free is for those who have less. Programs that are no actors are one sender for that, all of them together.
    pub waiting_in_all: usize,
    /// How many bytes of messages of all of them together; shared in the same way. The first of a sender may take more than
    /// is left, if any is: so there may be less than one message more.
    pub waiting_bytes_in_all: usize,
    /// How often a caster tries to reach a node that the tree did not reach, in turn directly and through
    /// another node, before it gives it up.
    pub tries: u32,
    /// How many streams a relay knows. At this bound it forgets one that has ended, or that it owes nothing, if nothing
    /// was heard of it for so long that none of its legs is on its way; it refuses new ones only if there is none.
    pub streams: usize,
    /// How many bytes a process keeps of what others or its own actors have taken and not handled, until it is known to
    /// have come back to who sent that. What comes at this bound is lost, counted and logged.
    pub back_bytes: usize,
    /// How many legs of one cast a node has open at once. There is one, and one more for each node that was
    /// lost between it and the caster meanwhile; more are refused.
    pub legs: usize,
}

impl Limits {
    /// Those that are used where nobody says otherwise.
    pub const DEFAULT: Self = Self {
        window: 64,
        window_bytes: 64 << 20,
        rank: 64,
        calls: 512,
        open: 1024,
        open_bytes: 256 << 20,
        waiting: 1024,
        waiting_bytes: 64 << 20,
        // Fourteen actors that wait for as much as they may leave some to others, and two with as many bytes.
        waiting_in_all: 16_384,
        waiting_bytes_in_all: 256 << 20,
        tries: 4,
        streams: 16_384,
        back_bytes: 64 << 20,
        legs: 64,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
