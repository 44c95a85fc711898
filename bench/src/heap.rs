//! `Heap`: how many bytes of it are in use.

/// The heap of a program whose allocator counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heap {
    live: fn() -> usize,
}

impl Heap {
    /// The heap of which `live` says how many bytes are in use.
    pub(crate) const fn new(live: fn() -> usize) -> Self {
        Self { live }
    }

    /// What `make` makes, and how many more bytes are in use than before it. Bytes as they were asked
    /// for: what the allocator adds for itself is not counted.
    pub(crate) fn held<T>(self, make: impl FnOnce() -> T) -> (T, usize) {
        let before = (self.live)();
        let made = make();
        (made, (self.live)().saturating_sub(before))
    }
}
