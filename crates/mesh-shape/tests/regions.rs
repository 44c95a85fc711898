//! regions: views behave as the slices of a NumPy array, checked against a copy of every rank.

use mesh_shape::{Extent, Rank, RankSet, Region, Slice, ValueMesh};
use proptest::prelude::*;

/// An array with named dims that holds its base ranks one by one.
#[derive(Clone, Debug)]
struct Array {
    dims: Vec<(String, usize)>,
    ranks: Vec<usize>,
}

impl Array {
    fn all(sizes: &[usize]) -> Self {
        let dims = sizes.iter().enumerate().map(|(axis, size)| (format!("d{axis}"), *size));
        Self { dims: dims.collect(), ranks: (0..sizes.iter().product()).collect() }
    }

    fn extent(&self) -> Extent {
        Extent::new(self.dims.clone()).expect("the sizes are small")
    }

    /// The positions of `axis`, in this order; the axis is dropped if `is_kept` is false.
    fn take(&self, axis: usize, positions: &[usize], is_kept: bool) -> Self {
        let len = self.dims[axis].1;
        let inner: usize = self.dims[axis + 1..].iter().map(|(_, size)| size).product();
        let outer: usize = self.dims[..axis].iter().map(|(_, size)| size).product();
        let mut ranks = Vec::new();
        for row in 0..outer {
            for position in positions {
                let start = (row * len + position) * inner;
                ranks.extend_from_slice(&self.ranks[start..start + inner]);
            }
        }
        let mut dims = self.dims.clone();
        if is_kept {
            dims[axis].1 = positions.len();
        } else {
            dims.remove(axis);
        }
        Self { dims, ranks }
    }

    fn slice(&self, axis: usize, slice: Slice) -> Option<Self> {
        let len = i128::try_from(self.dims[axis].1).expect("it is small");
        match slice {
            Slice::Index(index) => {
                let at = (0..len).find(|at| [*at, at - len].contains(&(index as i128)))?;
                Some(self.take(axis, &[usize::try_from(at).expect("it is small")], false))
            }
            Slice::Range { step: 0, .. } => None,
            Slice::Range { start, end, step } => {
                let positions = python_range(len, start, end, step as i128);
                Some(self.take(axis, &positions, true))
            }
        }
    }
}

/// `list(range(*slice(start, end, step).indices(len)))`, from the words of Python's reference.
fn python_range(len: i128, start: Option<isize>, end: Option<isize>, step: i128) -> Vec<usize> {
    let wrap = |bound: isize| if bound < 0 { bound as i128 + len } else { bound as i128 };
    let mut positions = Vec::new();
    let first = start.map_or(if step > 0 { 0 } else { len - 1 }, wrap);
    let stop = end.map_or(if step > 0 { len } else { -1 }, |end| wrap(end).max(-1));
    // A start outside moves to the border first, and steps from there.
    let mut at = if step > 0 { first.max(0) } else { first.min(len - 1) };
    while (step > 0 && at < stop.min(len)) || (step < 0 && at > stop.max(-1)) {
        positions.push(usize::try_from(at).expect("it is inside"));
        at += step;
    }
    positions
}

fn bound() -> impl Strategy<Value = Option<isize>> {
    prop_oneof![
        6 => Just(None),
        8 => (-9_isize..9).prop_map(Some),
        1 => prop_oneof![Just(isize::MIN), Just(isize::MAX)].prop_map(Some),
    ]
}

fn slice() -> impl Strategy<Value = Slice> {
    let step = prop_oneof![
        6 => Just(1_isize),
        6 => -4_isize..5,
        1 => prop_oneof![Just(isize::MIN), Just(isize::MAX)],
    ];
    prop_oneof![
        1 => (-7_isize..7).prop_map(Slice::Index),
        4 => (bound(), bound(), step).prop_map(|(start, end, step)| Slice::Range { start, end, step }),
    ]
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1 => Just(0_usize), 24 => 1_usize..9], 0..5)
}

/// Whether slices that leave nothing are made: a few, or every region of many slices is empty.
fn keeps_empty() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.1)
}

/// A region and the array it must be like; slices that are refused by both are left out.
fn sliced() -> impl Strategy<Value = (Array, Region)> {
    let slices = prop::collection::vec((any::<prop::sample::Index>(), slice()), 0..6);
    (sizes(), slices, keeps_empty()).prop_map(|(sizes, slices, keeps_empty)| {
        let mut array = Array::all(&sizes);
        let mut region = Region::all(array.extent());
        for (at, slice) in slices {
            if array.dims.is_empty() {
                break;
            }
            let axis = at.index(array.dims.len());
            let next = region.slice(&array.dims[axis].0, slice);
            let expected = array.slice(axis, slice);
            assert_eq!(next.is_ok(), expected.is_some(), "{region:?} {slice}: {next:?}");
            if let (Ok(next), Some(expected)) = (next, expected)
                && (keeps_empty || !next.is_empty())
            {
                (region, array) = (next, expected);
            }
        }
        (array, region)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_region_shows_the_ranks_that_numpy_shows((array, region) in sliced()) {
        prop_assert_eq!(region.extent(), &array.extent());
        let shown: Vec<usize> = region.iter().map(Rank::index).collect();
        prop_assert_eq!(&shown, &array.ranks);
        prop_assert_eq!(region.iter().len(), region.size());
        let expected: RankSet = array.ranks.iter().copied().map(Rank::new).collect();
        prop_assert_eq!(region.ranks(), expected);
    }

    #[test]
    fn base_ranks_and_view_ranks_are_inverse((array, region) in sliced()) {
        for base in (0..region.base().size() + 2).map(Rank::new) {
            let view = array.ranks.iter().position(|rank| *rank == base.index()).map(Rank::new);
            prop_assert_eq!(region.rank_of_base(base), view);
            prop_assert_eq!(region.contains(base), view.is_some());
            let point = view.and_then(|view| region.extent().unravel(view).ok());
            prop_assert_eq!(region.point_of_base(base), point);
        }
        for view in 0..region.size() + 2 {
            let base = array.ranks.get(view).copied().map(Rank::new);
            prop_assert_eq!(region.base_rank(Rank::new(view)), base);
        }
    }

    #[test]
    fn the_text_of_a_region_takes_it_of_its_base((_, region) in sliced()) {
        let read = Region::all(region.base().clone()).parse_slice(&region.to_string());
        prop_assert_eq!(read, Ok(region));
    }

    #[test]
    fn regions_are_equal_when_they_show_the_same(
        sizes in sizes(),
        left in prop::collection::vec(slice(), 5),
        right in prop::collection::vec(slice(), 5),
        keeps_empty in keeps_empty(),
    ) {
        let take = |slices: &[Slice]| {
            let mut region = Region::all(Array::all(&sizes).extent());
            for (axis, slice) in slices.iter().enumerate().take(sizes.len()) {
                let next = region.slice(&format!("d{axis}"), *slice);
                region = next.ok().filter(|next| keeps_empty || !next.is_empty()).unwrap_or(region);
            }
            region
        };
        let (left, right) = (take(&left), take(&right));
        let same = left.extent() == right.extent() && left.iter().eq(right.iter());
        prop_assert_eq!(left == right, same);
        prop_assert!(left.is_subset(&left) && left.is_subset(&Region::all(left.base().clone())));
        prop_assert_eq!(left.is_subset(&right), left.ranks().is_subset(&right.ranks()));
    }

    #[test]
    fn values_are_sliced_as_ranks_are((array, region) in sliced(), n_alike in 1_usize..20) {
        let values = ValueMesh::from_fn(region.base().size(), |rank| rank.index() / n_alike % 3);
        let taken = values.slice(&region).expect("the sizes are equal");
        let expected: Vec<usize> = array.ranks.iter().map(|rank| rank / n_alike % 3).collect();
        prop_assert_eq!(taken, ValueMesh::try_from_iter(array.ranks.len(), expected).unwrap());
    }

    #[test]
    fn ravel_and_unravel_are_inverse(sizes in sizes()) {
        let extent = Array::all(&sizes).extent();
        for (rank, point) in extent.points().enumerate() {
            prop_assert_eq!(point.rank(), Rank::new(rank));
            prop_assert_eq!(extent.ravel(&point.coordinates()), Ok(Rank::new(rank)));
            prop_assert_eq!(extent.unravel(Rank::new(rank)), Ok(point.clone()));
            let read = mesh_shape::Point::parse(&point.to_string(), &extent);
            prop_assert_eq!(read, Ok(point));
        }
        prop_assert_eq!(extent.points().count(), extent.size());
    }

    #[test]
    fn any_names_are_read_back(names in prop::collection::btree_set(".{1,8}", 0..5)) {
        let extent = Extent::new(names.into_iter().map(|name| (name, 2))).unwrap();
        prop_assert_eq!(extent.to_string().parse(), Ok(extent));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in r#"([a-z0-9=,.:"\\()u{} -]|\PC){0,24}"#) {
        let extent = Array::all(&[2, 3]).extent();
        let shown = [
            text.parse::<Extent>().map_err(|error| error.to_string()).err(),
            text.parse::<RankSet>().map_err(|error| error.to_string()).err(),
            mesh_shape::Point::parse(&text, &extent).map_err(|error| error.to_string()).err(),
            Region::all(extent).parse_slice(&text).map_err(|error| error.to_string()).err(),
        ];
        for shown in shown.into_iter().flatten() {
            prop_assert_eq!(shown.lines().count(), 3, "{}", shown);
        }
    }
}

/// 2⁶² ranks: what looked at each of them would not end.
fn huge() -> Region {
    let side = 1 << 31;
    Region::all(Extent::new([("hosts", side), ("gpus", side)]).expect("an isize counts them"))
}

#[test]
fn a_region_of_whole_rows_is_one_run_however_large() {
    let rows = huge().slice("hosts", 1..).expect("it is a slice");
    assert_eq!(rows.ranks(), RankSet::from(1 << 31..1 << 62));
    let backwards = rows.slice("gpus", Slice::ALL.by(-1)).expect("it is a slice");
    assert_eq!(backwards.ranks(), rows.ranks());
    assert!(rows.is_subset(&huge()) && backwards.is_subset(&rows));
}

#[test]
fn equal_values_are_sliced_without_looking_at_each() {
    let half = huge().parse_slice("hosts=::2,gpus=::-2").expect("it is a slice");
    let mut values = ValueMesh::uniform(1 << 62, 'a');
    assert_eq!(values.slice(&half), Ok(ValueMesh::uniform(1 << 60, 'a')));

    // The last of row 0 is the first of the view.
    values.set(Rank::new((1 << 31) - 1), 'b').expect("it is inside");
    let runs = values.slice(&half).expect("the sizes are equal").into_runs();
    assert_eq!(runs, [(0..1, 'b'), (1..1 << 60, 'a')]);
}

#[test]
fn values_over_another_size_are_not_sliced() {
    let wrong = mesh_shape::ShapeError::WrongLength { expected: 1 << 62, found: 4 };
    assert_eq!(ValueMesh::uniform(4, 0).slice(&huge()), Err(wrong));
}

#[test]
fn a_region_is_no_subset_of_one_of_another_base() {
    let (small, large) = (Array::all(&[2]), Array::all(&[3]));
    assert!(!Region::all(small.extent()).is_subset(&Region::all(large.extent())));
}
