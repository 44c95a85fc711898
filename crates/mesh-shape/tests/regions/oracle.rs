//! The views of ndarray, as a second opinion.

use mesh_shape::{Extent, Rank, Region, Slice};
use ndarray::{Array1, ArrayD, ArrayViewD, Axis, IxDyn, Slice as Cut, SliceInfoElem};
use proptest::prelude::*;
use proptest::sample::Index;

use super::cases;
use super::program::programs;
use super::python::{keeps_empty, python_range, sizes, slice};

#[derive(Clone, Debug)]
enum Step {
    Slice(Index, Slice),
    All(Vec<Slice>),
    Permute([u8; 8]),
    Flip(Index),
    Merge(Index),
    Chunk(Index, usize, Index),
    Window(Index, usize, Index),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        4 => (index(), slice()).prop_map(|(axis, slice)| Step::Slice(axis, slice)),
        2 => prop::collection::vec(slice(), 4).prop_map(Step::All),
        2 => any::<[u8; 8]>().prop_map(Step::Permute),
        2 => index().prop_map(Step::Flip),
        3 => index().prop_map(Step::Merge),
        1 => (index(), 1..4_usize, index()).prop_map(|(axis, len, at)| Step::Chunk(axis, len, at)),
        1 => (index(), 1..4_usize, index()).prop_map(|(axis, len, at)| Step::Window(axis, len, at)),
    ]
}

/// The positions of a Python range as ndarray writes them: its falling slices are rising ones that
/// were turned around.
fn cut(len: usize, start: Option<isize>, end: Option<isize>, step: isize) -> (isize, isize, isize) {
    let positions = python_range(len as i128, start, end, step as i128);
    let (Some(first), Some(last)) = (positions.first(), positions.last()) else { return (0, 0, 1) };
    let (low, high) = (first.min(last).cast_signed(), first.max(last).cast_signed());
    // A step further than the dim leaves one position, whichever it is.
    let step = if positions.len() == 1 { 1 } else { step };
    (low, high + 1, step)
}

fn index_of(len: usize, index: isize) -> Option<usize> {
    let at = if index < 0 { index.checked_add_unsigned(len)? } else { index };
    usize::try_from(at).ok().filter(|at| *at < len)
}

/// One slice of an axis; `None` where it is refused.
fn sliced<'a>(
    view: &ArrayViewD<'a, usize>,
    axis: usize,
    slice: Slice,
) -> Option<ArrayViewD<'a, usize>> {
    let len = view.len_of(Axis(axis));
    let mut view = view.clone();
    match slice {
        Slice::Index(index) => {
            return Some(view.index_axis_move(Axis(axis), index_of(len, index)?));
        }
        Slice::Range { step: 0, .. } => return None,
        Slice::Range { start, end, step } => {
            let (start, end, step) = cut(len, start, end, step);
            view.slice_axis_inplace(Axis(axis), Cut::new(start, Some(end), step));
        }
    }
    Some(view)
}

/// Slices of all axes at once.
fn all_sliced<'a>(view: &ArrayViewD<'a, usize>, slices: &[Slice]) -> Option<ArrayViewD<'a, usize>> {
    let mut elements = Vec::new();
    for (slice, len) in slices.iter().zip(view.shape()) {
        elements.push(match *slice {
            Slice::Index(index) => SliceInfoElem::Index(index_of(*len, index)?.cast_signed()),
            Slice::Range { step: 0, .. } => return None,
            Slice::Range { start, end, step } => {
                let (start, end, step) = cut(*len, start, end, step);
                SliceInfoElem::Slice { start, end: Some(end), step }
            }
        });
    }
    Some(view.clone().slice_move(elements.as_slice()))
}

/// An axis made one with the next; `None` if no one stride leads through both.
fn merged<'a>(view: &ArrayViewD<'a, usize>, axis: usize) -> Option<ArrayViewD<'a, usize>> {
    let mut view = view.clone();
    let len = view.len_of(Axis(axis)) * view.len_of(Axis(axis + 1));
    if view.is_empty() {
        // Any strides will do where there are no elements, but ndarray looks at them all the same.
        let mut shape = view.shape().to_vec();
        shape.splice(axis..axis + 2, [len]);
        return ArrayViewD::from_shape(IxDyn(&shape), &[]).ok();
    }
    let is_merged = view.merge_axes(Axis(axis), Axis(axis + 1));
    is_merged.then(|| view.index_axis_move(Axis(axis), 0))
}

/// What a step makes of both, unless both refuse it.
fn run<'a>(
    view: &ArrayViewD<'a, usize>,
    region: &Region,
    step: &Step,
    at: usize,
) -> Option<(ArrayViewD<'a, usize>, Region)> {
    let names: Vec<String> = region.extent().names().map(str::to_owned).collect();
    let axis = |index: &Index| index.index(names.len());
    let (expected, found) = match step {
        Step::Slice(index, slice) => {
            (sliced(view, axis(index), *slice), region.slice(&names[axis(index)], *slice))
        }
        Step::All(slices) => {
            let slices = slices.get(..names.len())?;
            let takes: Vec<_> = slices.iter().copied().map(mesh_shape::Take::At).collect();
            (all_sliced(view, slices), region.take(&takes))
        }
        Step::Permute(keys) => {
            let mut axes: Vec<usize> = (0..names.len()).collect();
            axes.sort_by_key(|axis| keys.get(*axis));
            let turned: Vec<&str> = axes.iter().map(|axis| &*names[*axis]).collect();
            (Some(view.clone().permuted_axes(IxDyn(&axes))), region.permute(&turned))
        }
        Step::Flip(index) => {
            let mut view = view.clone();
            view.invert_axis(Axis(axis(index)));
            (Some(view), region.flip(&names[axis(index)]))
        }
        Step::Merge(index) if names.len() > 1 => {
            let axis = index.index(names.len() - 1);
            let found = region.flatten(&[&*names[axis], &*names[axis + 1]], &format!("f{at}"));
            (merged(view, axis), found)
        }
        Step::Merge(_) => return None,
        Step::Chunk(index, len, at) => {
            let mut found = region.chunks(&names[axis(index)], *len).ok()?;
            let all: Vec<_> = chunks(view, axis(index), *len);
            assert_eq!(found.len(), all.len());
            let at = at.index(all.len().max(1));
            (Some(all.get(at)?.clone()), Ok(found.nth(at)?))
        }
        Step::Window(index, len, at) => {
            let mut found = region.windows(&names[axis(index)], *len).ok()?;
            let all: Vec<_> = windows(view, axis(index), *len);
            assert_eq!(found.len(), all.len());
            let at = at.index(all.len().max(1));
            (Some(all.get(at)?.clone()), Ok(found.nth(at)?))
        }
    };
    assert_eq!(found.is_ok(), expected.is_some(), "{region:?} {step:?}: {expected:?} {found:?}");
    expected.zip(found.ok())
}

fn parts<'a>(
    view: &ArrayViewD<'a, usize>,
    axis: usize,
    ranges: impl Iterator<Item = (usize, usize)>,
) -> Vec<ArrayViewD<'a, usize>> {
    let part = |(start, end): (usize, usize)| {
        let mut part = view.clone();
        part.slice_axis_inplace(Axis(axis), Cut::from(start..end));
        part
    };
    ranges.map(part).collect()
}

/// The chunks, whose elements are those of ndarray's own iterator.
fn chunks<'a>(view: &ArrayViewD<'a, usize>, axis: usize, len: usize) -> Vec<ArrayViewD<'a, usize>> {
    let size = view.len_of(Axis(axis));
    let ranges = (0..size.div_ceil(len)).map(|at| (at * len, (at * len + len).min(size)));
    let parts = parts(view, axis, ranges);
    assert!(view.axis_chunks_iter(Axis(axis), len).eq(parts.iter().cloned()));
    parts
}

/// The windows, whose elements are those of ndarray's own iterator.
fn windows<'a>(
    view: &ArrayViewD<'a, usize>,
    axis: usize,
    len: usize,
) -> Vec<ArrayViewD<'a, usize>> {
    let size = view.len_of(Axis(axis));
    let parts = parts(view, axis, (0..(size + 1).saturating_sub(len)).map(|at| (at, at + len)));
    if !view.is_empty() {
        assert!(view.axis_windows(Axis(axis), len).into_iter().eq(parts.iter().cloned()));
    }
    parts
}

fn is_like(region: &Region, view: &ArrayViewD<'_, usize>) {
    assert_eq!(region.extent().sizes(), view.shape(), "{region:?}");
    assert!(region.iter().map(Rank::index).eq(view.iter().copied()), "{region:?}");
    if view.is_empty() {
        return;
    }
    let strides = region.strides().iter().zip(view.strides()).zip(view.shape());
    for ((found, expected), len) in strides {
        assert!(*len == 1 || found == expected, "{region:?}");
    }
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn a_region_is_the_view_that_ndarray_makes(
        sizes in sizes(),
        steps in prop::collection::vec(step(), 0..7),
        keeps_empty in keeps_empty(),
    ) {
        let n_ranks = sizes.iter().product();
        let base = Array1::from_iter(0..n_ranks).into_shape_with_order(IxDyn(&sizes)).unwrap();
        let dims = sizes.iter().enumerate().map(|(axis, size)| (format!("d{axis}"), *size));
        let mut region = Region::all(Extent::new(dims).unwrap());
        let mut view = base.view();
        for (at, step) in steps.iter().enumerate() {
            if view.ndim() == 0 {
                break;
            }
            let made = run(&view, &region, step, at);
            if let Some(made) = made.filter(|(view, _)| keeps_empty || !view.is_empty()) {
                (view, region) = made;
                is_like(&region, &view);
            }
        }
    }

    #[test]
    fn an_array_is_seen_by_a_region_as_its_ranks((array, region) in programs()) {
        let sizes = region.base().sizes();
        let base = ArrayD::from_shape_vec(IxDyn(sizes), (0..region.base().size()).collect()).unwrap();
        let view = base.view();
        let seen = region.view_array(&view).unwrap();
        is_like(&region, &seen);
        prop_assert!(seen.iter().copied().eq(array.ranks.iter().copied()));
    }
}
