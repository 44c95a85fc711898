//! How the types are sent: as plain lists, and checked when they arrive.

use std::ops::Range;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use crate::extent::Extent;
use crate::overlay::Overlay;
use crate::point::{Point, PointBuf};
use crate::rank::Rank;
use crate::rank_set::RankSet;
use crate::region::Region;
use crate::runs::Runs;
use crate::value_mesh::ValueMesh;

/// Sent as a list of names and sizes.
impl Serialize for Extent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.dims())
    }
}

impl<'de> Deserialize<'de> for Extent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::<(String, usize)>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Sent as its extent and its rank.
impl Serialize for Point<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.extent(), self.rank()).serialize(serializer)
    }
}

/// Sent as its extent and its rank.
impl Serialize for PointBuf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_point().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PointBuf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (extent, rank) = <(Extent, Rank)>::deserialize(deserializer)?;
        let point = extent.unravel(rank).map(|point| point.to_owned());
        point.map_err(D::Error::custom)
    }
}

/// Sent as its base, its offset, and its dims with their strides.
impl Serialize for Region {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.base(), self.offset(), self.extent(), self.strides()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (base, offset, extent, strides) =
            <(Extent, usize, Extent, Vec<isize>)>::deserialize(deserializer)?;
        Self::checked(&base, &extent, (offset, &strides))
            .ok_or_else(|| D::Error::custom("expected a region inside its base"))
    }
}

/// Sent as a list of starts and ends, or, where nobody reads it, of gaps and lengths.
impl Serialize for RankSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let spelled = spelled(serializer.is_human_readable());
        serializer.collect_seq(self.runs().map(spelled))
    }
}

impl<'de> Deserialize<'de> for RankSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut read = read(deserializer.is_human_readable());
        let raw = Vec::<(usize, usize)>::deserialize(deserializer)?;
        in_order(raw.into_iter().map(|run| (read(run), ()))).map(Self::from_runs)
    }
}

/// Sent as a list of starts, ends and values, or, where nobody reads it, of gaps, lengths and values.
impl<T: Serialize> Serialize for Overlay<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut spelled = spelled(serializer.is_human_readable());
        serializer.collect_seq(self.runs().map(|(run, value)| {
            let (start, end) = spelled(run);
            (start, end, value)
        }))
    }
}

impl<'de, T: Deserialize<'de> + PartialEq> Deserialize<'de> for Overlay<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut read = read(deserializer.is_human_readable());
        let raw = Vec::<(usize, usize, T)>::deserialize(deserializer)?;
        in_order(raw.into_iter().map(|(start, end, value)| (read((start, end)), value)))
            .map(Self::from_runs)
    }
}

/// Sent as a list of ends and values, or, where nobody reads it, of lengths and values; each run begins where the one before
/// it ends.
impl<T: Serialize> Serialize for ValueMesh<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_readable = serializer.is_human_readable();
        let until = |run: Range<usize>| if is_readable { run.end } else { run.len() };
        serializer.collect_seq(self.runs().map(|(run, value)| (until(run), value)))
    }
}

impl<'de, T: Deserialize<'de> + PartialEq> Deserialize<'de> for ValueMesh<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let is_readable = deserializer.is_human_readable();
        let raw = Vec::<(usize, T)>::deserialize(deserializer)?;
        let mut end: usize = 0;
        let runs = raw.into_iter().map(|(until, value)| {
            let start = end;
            end = if is_readable { until } else { start.saturating_add(until) };
            (start..end, value)
        });
        in_order(runs).map(Self::from_runs)
    }
}

/// How runs are written, one after the other: as start and end for people, and else as how far each is from the end of the
/// one before, and how long: where ranks differ from their neighbours these are small numbers, and take a third of the bytes.
fn spelled(is_readable: bool) -> impl FnMut(Range<usize>) -> (usize, usize) {
    let mut end = 0;
    move |run| {
        let before = std::mem::replace(&mut end, run.end);
        if is_readable { (run.start, run.end) } else { (run.start - before, run.len()) }
    }
}

/// The runs that were [`spelled`] so. One that would go on after the last number ends there.
fn read(is_readable: bool) -> impl FnMut((usize, usize)) -> Range<usize> {
    let mut before: usize = 0;
    move |(first, second)| {
        if is_readable {
            return first..second;
        }
        let start = before.saturating_add(first);
        before = start.saturating_add(second);
        start..before
    }
}

/// The runs, unless one is empty or begins before the end of the one before it.
///
/// Runs that touch and have equal values are joined.
fn in_order<T: PartialEq, E: Error>(
    raw: impl Iterator<Item = (Range<usize>, T)>,
) -> Result<Runs<T>, E> {
    let mut runs = Runs::new();
    for (range, value) in raw {
        if range.is_empty() || range.start < runs.end() {
            return Err(E::custom(format_args!(
                "expected a run of ranks from {} on, found {}..{}",
                runs.end(),
                range.start,
                range.end
            )));
        }
        runs.push(range, value);
    }
    Ok(runs)
}
