//! Programs of steps, run on a region and on the array that it must be like.

use mesh_shape::{Region, ShapeError, Slice, Take};
use proptest::prelude::*;
use proptest::sample::Index;

use super::array::Array;
use super::python::{keeps_empty, sizes, slice};

/// One step; which axes it means is known when it is made.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Slice(Index, Slice),
    Take {
        slices: Vec<Slice>,
        rest: Option<Index>,
        is_named: bool,
    },
    Permute([u8; 8]),
    Flip(Index),
    Squeeze,
    Flatten {
        first: Index,
        count: Index,
        old_name: bool,
    },
    FlattenAny([u8; 8], Index),
    /// Dims made one, of which every few positions are taken: what no dim of the base lies along.
    Stripe {
        first: Index,
        count: Index,
        start: Index,
        step: usize,
    },
    Split(Index, Index, bool),
    Chunk(Index, usize, Index),
    Window(Index, usize, Index),
    Group([u8; 8], Index, Index),
}

/// What a step makes of both; they are refused together.
type Made = Option<(Array, Region)>;

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        6 => (index(), slice()).prop_map(|(axis, slice)| Step::Slice(axis, slice)),
        3 => (prop::collection::vec(slice(), 0..4), any::<Option<Index>>(), any::<bool>())
            .prop_map(|(slices, rest, is_named)| Step::Take { slices, rest, is_named }),
        2 => any::<[u8; 8]>().prop_map(Step::Permute),
        2 => index().prop_map(Step::Flip),
        1 => Just(Step::Squeeze),
        5 => (index(), index(), any::<bool>())
            .prop_map(|(first, count, old_name)| Step::Flatten { first, count, old_name }),
        1 => (any::<[u8; 8]>(), index()).prop_map(|(keys, n)| Step::FlattenAny(keys, n)),
        4 => (index(), index(), index(), 2..9_usize)
            .prop_map(|(first, count, start, step)| Step::Stripe { first, count, start, step }),
        3 => (index(), index(), any::<bool>()).prop_map(|(axis, n, same)| Step::Split(axis, n, same)),
        1 => (index(), 1..4_usize, index()).prop_map(|(axis, len, at)| Step::Chunk(axis, len, at)),
        1 => (index(), 1..4_usize, index()).prop_map(|(axis, len, at)| Step::Window(axis, len, at)),
        1 => (any::<[u8; 8]>(), index(), index()).prop_map(|(keys, n, at)| Step::Group(keys, n, at)),
    ]
}

/// The axes of an array in the order of these keys.
pub(crate) fn shuffled(array: &Array, keys: &[u8; 8]) -> Vec<usize> {
    let mut axes: Vec<usize> = (0..array.dims.len()).collect();
    axes.sort_by_key(|axis| keys.get(*axis));
    axes
}

pub(crate) fn names<'a>(array: &'a Array, axes: &[usize]) -> Vec<&'a str> {
    axes.iter().map(|axis| array.name(*axis)).collect()
}

/// Both, if neither was refused.
fn together(expected: Option<Array>, found: Result<Region, ShapeError>) -> Made {
    assert_eq!(found.is_ok(), expected.is_some(), "{expected:?} {found:?}");
    expected.zip(found.ok())
}

fn take(array: &Array, region: &Region, slices: &[Slice], rest: Option<usize>) -> Made {
    let mut takes: Vec<Take<'_>> = slices.iter().copied().map(Take::At).collect();
    if let Some(rest) = rest {
        takes.insert(rest, Take::Rest);
    }
    let found = region.take(&takes);
    if slices.len() > array.dims.len() {
        let (found_len, ndim) = (slices.len(), array.dims.len());
        assert_eq!(found, Err(ShapeError::TooManySlices { found: found_len, ndim }));
        return None;
    }
    let n_kept = array.dims.len() - slices.len();
    let before = rest.unwrap_or(slices.len());
    let axis_of = |at: usize| if at < before { at } else { at + n_kept };
    // From the last on, so that dropped axes move none that are to come.
    let mut all = slices.iter().enumerate().rev();
    let expected =
        all.try_fold(array.clone(), |array, (at, slice)| array.slice(axis_of(at), *slice));
    together(expected, found)
}

fn take_named(array: &Array, region: &Region, slices: &[Slice], from: usize) -> Made {
    let ndim = array.dims.len();
    let named =
        slices.iter().take(ndim).enumerate().map(|(at, slice)| ((at + from) % ndim, *slice));
    let mut named: Vec<(usize, Slice)> = named.collect();
    let takes: Vec<Take<'_>> =
        named.iter().map(|(axis, slice)| Take::Of(array.name(*axis), *slice)).collect();
    let found = region.take(&takes);
    named.sort_by_key(|(axis, _)| std::cmp::Reverse(*axis));
    let expected =
        named.iter().try_fold(array.clone(), |array, (axis, slice)| array.slice(*axis, *slice));
    together(expected, found)
}

fn flatten(array: &Array, region: &Region, axes: &[usize], into: &str) -> Made {
    together(array.flatten(axes, into), region.flatten(&names(array, axes), into))
}

fn split(
    array: &Array,
    region: &Region,
    axis: usize,
    (n, same): (&Index, bool),
    at: usize,
) -> Made {
    let (name, size) = array.dims[axis].clone();
    let divisors: Vec<usize> = (1..=size).filter(|n| size % n == 0).collect();
    let outer = divisors.get(n.index(divisors.len().max(1))).copied().unwrap_or(3);
    let names = [if same { name.clone() } else { format!("s{at}") }, format!("t{at}")];
    let into = [(names[0].as_str(), outer), (names[1].as_str(), size / outer)];
    together(Some(array.split(axis, &into)), region.split(&name, &into))
}

/// One of the parts, all of which agree.
fn part(expected: Vec<Array>, found: mesh_shape::Parts, at: &Index) -> Made {
    assert_eq!(found.len(), expected.len());
    let mut both: Vec<(Array, Region)> = expected.into_iter().zip(found).collect();
    both.iter().for_each(|(array, region)| is_like(region, array));
    if both.is_empty() { None } else { Some(both.swap_remove(at.index(both.len()))) }
}

pub(crate) fn is_like(region: &Region, array: &Array) {
    assert_eq!(region.extent(), &array.extent(), "{region:?}");
    assert!(
        region.iter().map(mesh_shape::Rank::index).eq(array.ranks.iter().copied()),
        "{region:?}"
    );
}

/// The step `at` of a program, if it was not refused by both.
pub(crate) fn run(array: &Array, region: &Region, step: &Step, at: usize) -> Made {
    let ndim = array.dims.len();
    let axis = |index: &Index| index.index(ndim);
    match step {
        Step::Take { slices, rest, is_named: false } => {
            let rest = rest.map(|index| index.index(slices.len() + 1));
            return take(array, region, slices, rest);
        }
        Step::Permute(keys) => {
            let axes = shuffled(array, keys);
            return together(Some(array.permute(&axes)), region.permute(&names(array, &axes)));
        }
        Step::Squeeze => return Some((array.squeeze(), region.squeeze())),
        _ if ndim == 0 => return None,
        _ => (),
    }
    match step {
        Step::Slice(index, slice) => {
            let (by_name, by_axis) = (axis(index), axis(index));
            let found = region.slice(array.name(by_name), *slice);
            assert_eq!(region.slice_at(by_axis, *slice), found);
            together(array.slice(by_name, *slice), found)
        }
        Step::Take { slices, rest, .. } => {
            take_named(array, region, slices, rest.map_or(0, |from| axis(&from)))
        }
        Step::Flip(index) => {
            together(Some(array.flip(axis(index))), region.flip(array.name(axis(index))))
        }
        Step::Flatten { first, count, old_name } => {
            let first = axis(first);
            let axes: Vec<usize> = (first..=first + count.index(ndim - first)).collect();
            // A name that the base has and the view has lost makes the hardest texts.
            let is_lost =
                |name: &&str| region.extent().axis(name).is_none_or(|axis| axes.contains(&axis));
            let lost: Vec<&str> = region.base().names().filter(is_lost).collect();
            let fresh = format!("f{at}");
            let lost = lost.get(count.index(lost.len().max(1))).filter(|_| *old_name);
            flatten(array, region, &axes, lost.unwrap_or(&&*fresh))
        }
        Step::Stripe { first, count, start, step } => {
            let first = axis(first);
            let axes: Vec<usize> = (first..=first + count.index(ndim - first)).collect();
            let (array, region) = flatten(array, region, &axes, &format!("f{at}"))?;
            let start = start.index(array.dims[first].1.min(*step).max(1)).cast_signed();
            let stripe = Slice::from(start..).by(step.cast_signed());
            together(array.slice(first, stripe), region.slice_at(first, stripe))
        }
        Step::FlattenAny(keys, count) => {
            let axes = shuffled(array, keys);
            flatten(array, region, &axes[..count.index(ndim + 1)], &format!("f{at}"))
        }
        Step::Split(index, n, same) => split(array, region, axis(index), (n, *same), at),
        _ => run_part(array, region, step),
    }
}

fn run_part(array: &Array, region: &Region, step: &Step) -> Made {
    let ndim = array.dims.len();
    match step {
        Step::Chunk(index, len, at) => {
            let axis = index.index(ndim);
            part(array.chunks(axis, *len), region.chunks(array.name(axis), *len).ok()?, at)
        }
        Step::Window(index, len, at) => {
            let axis = index.index(ndim);
            part(array.windows(axis, *len), region.windows(array.name(axis), *len).ok()?, at)
        }
        Step::Group(keys, count, at) => {
            let mut axes = shuffled(array, keys);
            axes.truncate(count.index(ndim + 1));
            let found = region.group_by(&names(array, &axes)).expect("the names are there");
            part(array.group_by(&axes), found, at)
        }
        _ => unreachable!("the other steps were taken"),
    }
}

/// What steps make of the base of these sizes; those that both refuse are left out.
pub(crate) fn made(sizes: &[usize], steps: &[Step], keeps_empty: bool) -> (Array, Region) {
    let array = Array::all(sizes);
    let region = Region::all(array.extent());
    steps.iter().enumerate().fold((array, region), |(array, region), (at, step)| {
        let made = run(&array, &region, step, at);
        made.filter(|(_, region)| keeps_empty || !region.is_empty()).unwrap_or((array, region))
    })
}

/// A region and the array it must be like, made by up to seven steps.
pub(crate) fn programs() -> impl Strategy<Value = (Array, Region)> {
    (sizes(), prop::collection::vec(step(), 0..8), keeps_empty())
        .prop_map(|(sizes, steps, keeps_empty)| made(&sizes, &steps, keeps_empty))
}

/// Two regions of one base, and whether neither was flattened or split.
pub(crate) fn pairs() -> impl Strategy<Value = ([(Array, Region); 2], bool)> {
    let steps = || prop::collection::vec(step(), 0..5);
    (sizes(), steps(), steps(), keeps_empty()).prop_map(|(sizes, left, right, keeps_empty)| {
        let is_reshaped = |step: &Step| {
            matches!(
                step,
                Step::Flatten { .. } | Step::FlattenAny(..) | Step::Stripe { .. } | Step::Split(..)
            )
        };
        let is_plain = !left.iter().chain(&right).any(is_reshaped);
        ([made(&sizes, &left, keeps_empty), made(&sizes, &right, keeps_empty)], is_plain)
    })
}
