//! What extents share that were made of one another: their names, and the base of a region.

use std::sync::Arc;

use super::Extent;
use crate::inline_vec::InlineVec;

/// What extents share that were made of one another. One counter for all of it: to count is most of
/// what a slice costs.
#[derive(Debug)]
pub(super) struct Table {
    /// The names of the extent that was made first; the others name theirs by their places in it.
    names: Arc<[Box<str>]>,
    /// What a region with these dims is a view of.
    base: Option<Base>,
}

/// The base of a region.
#[derive(Clone, Debug)]
struct Base {
    // Invariant: has no base itself, so that nothing lives on in a chain of them.
    extent: Extent,
    /// Its strides, 1 taken for the size 0.
    strides: InlineVec<usize>,
}

impl Table {
    /// The table of an extent that is made first.
    pub(super) const fn of_names(names: Arc<[Box<str>]>) -> Self {
        Self { names, base: None }
    }

    /// The name at a place.
    pub(super) fn name(&self, place: u8) -> &str {
        self.names.get(usize::from(place)).map_or("", |name| name)
    }
}

impl Extent {
    /// The same dims, as those of a region of `base`.
    pub(crate) fn view_of(&self, base: &Self) -> Self {
        let strides = base.row_major();
        let is_base = base.table.base.is_none();
        let extent = if is_base { base.clone() } else { base.with_base(None) };
        self.with_base(Some(Base { extent, strides }))
    }

    /// The same dims, as those of a region of the base that `view` has.
    pub(crate) fn view_like(&self, view: &Self) -> Self {
        self.with_base(view.table.base.clone())
    }

    /// What a region with this extent is a view of: an extent that is no region's is its own base.
    #[inline]
    pub(crate) fn base(&self) -> &Self {
        self.table.base.as_ref().map_or(self, |base| &base.extent)
    }

    /// The strides of the base, 1 taken for the size 0: never 0.
    #[inline]
    pub(crate) fn base_strides(&self) -> &[usize] {
        self.table.base.as_ref().map_or(&[], |base| &base.strides)
    }

    /// Whether two regions with these extents have equal bases.
    #[inline]
    pub(crate) fn is_of_base_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.table, &other.table) || self.base() == other.base()
    }

    fn with_base(&self, base: Option<Base>) -> Self {
        let table = Table { names: Arc::clone(&self.table.names), base };
        Self { table: table.into(), ..self.clone() }
    }
}
