//! Values that are kept once and counted: whoever has one names it by a number of four bytes.

/// What a [`Pool`] keeps.
pub(crate) trait Pooled {
    /// What stands where nothing is kept.
    const NOTHING: Self;

    /// The number of those who have it, a field of the value; of what is free, the next that is.
    fn n_users(&mut self) -> &mut u32;

    /// Whether the two are the same, whoever has them.
    fn is_like(&self, other: &Self) -> bool;
}

/// The number of a value in its [`Pool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u32);

impl Id {
    /// Of nothing that is kept.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// The values in use. Equal ones mostly have one number, but need not.
///
/// Invariant: whatever is not free has users. It takes as much memory as it ever took, and at most
/// an eighth more.
#[derive(Clone, Debug)]
pub(crate) struct Pool<T> {
    values: Vec<T>,
    /// The first that is free, or [`Id::NONE`].
    free: Id,
    /// Those made last, newest first: ranks that change one after the other become alike.
    recent: Vec<Id>,
}

/// How many values are looked at before a new one is made.
const RECENT: usize = 16;

impl<T: Pooled> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self { values: Vec::new(), free: Id::NONE, recent: Vec::new() }
    }

    pub(crate) fn get(&self, id: Id) -> &T {
        &self.values[id.0 as usize]
    }

    /// The number of a value like this one, for one more user, who is to [release](Self::release) it.
    pub(crate) fn take(&mut self, value: T) -> Id {
        let known = self.recent.iter().find(|id| self.get(**id).is_like(&value)).copied();
        let id = known.unwrap_or_else(|| self.keep(value));
        self.share(id);
        id
    }

    /// One more user.
    pub(crate) fn share(&mut self, id: Id) {
        *self.values[id.0 as usize].n_users() += 1;
    }

    /// One user less. Returns the value if that was the last one.
    pub(crate) fn release(&mut self, id: Id) -> Option<T> {
        let value = &mut self.values[id.0 as usize];
        let n_users = value.n_users();
        *n_users -= 1;
        if *n_users > 0 {
            return None;
        }
        let unused = std::mem::replace(value, T::NOTHING);
        *value.n_users() = self.free.0;
        self.free = id;
        self.recent.retain(|recent| *recent != id);
        Some(unused)
    }

    fn keep(&mut self, value: T) -> Id {
        let id = self.free;
        let id = if let Some(free) = self.values.get_mut(id.0 as usize) {
            self.free = Id(*free.n_users());
            *free = value;
            id
        } else {
            if self.values.len() == self.values.capacity() {
                self.values.reserve_exact((self.values.len() / 8).max(1));
            }
            self.values.push(value);
            Id(u32::try_from(self.values.len() - 1).unwrap_or(u32::MAX))
        };
        self.recent.truncate(RECENT - 1);
        self.recent.insert(0, id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Word(&'static str, u32);

    impl Pooled for Word {
        const NOTHING: Self = Self("", 0);

        fn n_users(&mut self) -> &mut u32 {
            &mut self.1
        }

        fn is_like(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }

    fn take(pool: &mut Pool<Word>, word: &'static str) -> Id {
        pool.take(Word(word, 0))
    }

    #[test]
    fn what_is_alike_is_kept_once_for_as_long_as_anybody_has_it() {
        let mut pool = Pool::new();
        let [first, again] = [take(&mut pool, "a"), take(&mut pool, "a")];
        pool.share(first);
        assert_eq!((first, pool.values.len()), (again, 1));
        assert!(pool.release(first).is_none() && pool.release(first).is_none());
        assert_eq!(pool.get(first).0, "a");
        assert_eq!(pool.release(first).map(|word| word.0), Some("a"), "given back by the last");
    }

    /// H7: who asks for what nobody has any more gets a value of its own, and not what stands there now.
    #[test]
    fn a_value_that_was_let_go_is_not_found_again() {
        let mut pool = Pool::new();
        let [kept, gone] = [take(&mut pool, "kept"), take(&mut pool, "gone")];
        _ = pool.release(gone);
        let nothing = take(&mut pool, "");
        assert_eq!((nothing, pool.get(kept).0), (gone, "kept"), "its place is used again");
        let back = take(&mut pool, "gone");
        assert_ne!(back, nothing);
        _ = pool.release(nothing);
        assert_eq!([back, kept].map(|id| pool.get(id).0), ["gone", "kept"]);
    }

    #[test]
    fn all_that_was_let_go_is_used_before_there_is_more() {
        let mut pool = Pool::new();
        let words = ["a", "b", "c", "d", "e"];
        for _ in 0..3 {
            let ids = words.map(|word| take(&mut pool, word));
            assert_eq!(ids.map(|id| pool.get(id).0), words);
            ids.into_iter().for_each(|id| _ = pool.release(id));
        }
        assert_eq!((pool.values.len(), pool.recent.len()), (5, 0));
    }
}
