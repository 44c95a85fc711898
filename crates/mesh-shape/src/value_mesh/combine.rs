//! Meshes of values put together, taken apart and summed up; all by runs, not by ranks.

use std::collections::BTreeMap;

use super::ValueMesh;
use crate::overlay::Overlay;
use crate::rank::Rank;
use crate::rank_set::RankSet;
use crate::runs::Runs;
use crate::shape_error::ShapeError;

impl<T> ValueMesh<T> {
    /// The mesh of what `f` makes of the values of each rank here and in `other`; it is called once for
    /// each run of equal pairs.
    ///
    /// # Errors
    ///
    /// [`ShapeError::WrongLength`] if the sizes differ.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    ///
    /// let (loads, limits) = (ValueMesh::from_fn(4, |rank| rank.index()), ValueMesh::uniform(4, 2));
    /// let is_over = loads.zip(&limits, |load, limit| load > limit)?;
    /// assert_eq!(is_over.iter().copied().collect::<Vec<_>>(), [false, false, false, true]);
    /// # Ok::<(), mesh_shape::ShapeError>(())
    /// ```
    pub fn zip<U, V: PartialEq>(
        &self,
        other: &ValueMesh<U>,
        mut f: impl FnMut(&T, &U) -> V,
    ) -> Result<ValueMesh<V>, ShapeError> {
        let (expected, found) = (self.size(), other.size());
        if expected != found {
            return Err(ShapeError::WrongLength { expected, found });
        }
        let (mut lefts, mut rights) = (self.runs().peekable(), other.runs().peekable());
        let mut zipped = Runs::new();
        while let (Some((left, a)), Some((right, b))) = (lefts.peek(), rights.peek()) {
            let end = left.end.min(right.end);
            zipped.push(zipped.end()..end, f(a, b));
            let (is_left_done, is_right_done) = (left.end == end, right.end == end);
            if is_left_done {
                lefts.next();
            }
            if is_right_done {
                rights.next();
            }
        }
        Ok(ValueMesh { runs: zipped })
    }

    /// What `f` makes of all values: it is called once for each run, with the number of its ranks.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    ///
    /// let loads = ValueMesh::uniform(1_000_000, 3_usize);
    /// assert_eq!(loads.fold(0, |sum, load, n_ranks| sum + load * n_ranks), 3_000_000);
    /// ```
    pub fn fold<A>(&self, start: A, mut f: impl FnMut(A, &T, usize) -> A) -> A {
        self.runs().fold(start, |sum, (run, value)| f(sum, value, run.len()))
    }

    /// The ranks of each value, in the order of values.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{RankSet, ValueMesh};
    ///
    /// let statuses: ValueMesh<&str> = ["up", "down", "up"].into_iter().collect();
    /// let groups = statuses.group_by_value();
    /// assert_eq!(groups[&"up"].to_string(), "0,2");
    /// assert_eq!(groups[&"down"], RankSet::from(1..2));
    /// ```
    #[must_use]
    pub fn group_by_value(&self) -> BTreeMap<&T, RankSet>
    where
        T: Ord,
    {
        self.group_by(|value| value)
    }

    /// The ranks of each key that `key` gives to a value, in the order of keys; it is called once for
    /// each run.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    ///
    /// let loads = ValueMesh::from_fn(6, |rank| rank.index());
    /// assert_eq!(loads.group_by(|load| load % 2)[&1].to_string(), "1,3,5");
    /// ```
    pub fn group_by<'a, K: Ord>(&'a self, mut key: impl FnMut(&'a T) -> K) -> BTreeMap<K, RankSet> {
        let mut groups: BTreeMap<K, RankSet> = BTreeMap::new();
        for (run, value) in self.runs() {
            groups.entry(key(value)).or_default().insert_range(run);
        }
        groups
    }
}

impl<T: PartialEq, E> ValueMesh<Result<T, E>> {
    /// The mesh of all values, or the first error with its rank.
    ///
    /// # Errors
    ///
    /// The error of the lowest rank that has one.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::{Rank, ValueMesh};
    ///
    /// let replies: ValueMesh<Result<u8, &str>> = [Ok(1), Err("killed"), Ok(1)].into_iter().collect();
    /// assert_eq!(replies.transpose(), Err((Rank::new(1), "killed")));
    /// ```
    pub fn transpose(self) -> Result<ValueMesh<T>, (Rank, E)> {
        let mut values = Runs::new();
        for (run, value) in self.into_runs() {
            let start = run.start;
            values.push(run, value.map_err(|error| (Rank::new(start), error))?);
        }
        Ok(ValueMesh { runs: values })
    }

    /// The values of the ranks that have one, and the errors of the others.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    ///
    /// let replies: ValueMesh<Result<u8, &str>> = [Ok(1), Err("killed"), Ok(1)].into_iter().collect();
    /// let (values, errors) = replies.partition();
    /// assert_eq!((values.ranks().to_string(), errors.ranks().to_string()), ("0,2".into(), "1".into()));
    /// ```
    #[must_use]
    pub fn partition(self) -> (Overlay<T>, Overlay<E>)
    where
        E: PartialEq,
    {
        let (mut values, mut errors) = (Runs::new(), Runs::new());
        for (run, value) in self.into_runs() {
            match value {
                Ok(value) => values.push(run, value),
                Err(error) => errors.push(run, error),
            }
        }
        (Overlay::from_runs(values), Overlay::from_runs(errors))
    }
}

impl<T: PartialEq> ValueMesh<Option<T>> {
    /// The mesh of all values; `None` if a rank has none.
    ///
    /// # Examples
    ///
    /// ```
    /// use mesh_shape::ValueMesh;
    ///
    /// let some: ValueMesh<Option<u8>> = [Some(1), Some(2)].into_iter().collect();
    /// assert_eq!(some.transpose(), Some([1, 2].into_iter().collect()));
    /// ```
    #[must_use]
    pub fn transpose(self) -> Option<ValueMesh<T>> {
        let mut values = Runs::new();
        for (run, value) in self.into_runs() {
            values.push(run, value?);
        }
        Some(ValueMesh { runs: values })
    }
}

/// Collects the values of an iterator into a mesh of just so many.
///
/// # Examples
///
/// ```
/// use mesh_shape::{CollectMesh, ShapeError, extent};
///
/// let extent = extent!(hosts = 2, gpus = 2)?;
/// let squares = (0..4).map(|n| n * n).collect_mesh(extent.size())?;
/// assert_eq!(squares.iter().copied().collect::<Vec<_>>(), [0, 1, 4, 9]);
/// let wrong = ShapeError::WrongLength { expected: 4, found: 3 };
/// assert_eq!((0..3).collect_mesh(extent.size()), Err(wrong));
/// # Ok::<(), ShapeError>(())
/// ```
pub trait CollectMesh: Iterator + Sized {
    /// The mesh of exactly `size` values, in the order of ranks.
    ///
    /// # Errors
    ///
    /// [`ShapeError::WrongLength`] if there are fewer or more; no more than `size + 1` are taken.
    fn collect_mesh(self, size: usize) -> Result<ValueMesh<Self::Item>, ShapeError>
    where
        Self::Item: PartialEq,
    {
        ValueMesh::try_from_iter(size, self)
    }
}

impl<I: Iterator> CollectMesh for I {}
