//! Regions of 2⁶² ranks: what looked at each of them would not end.

use mesh_shape::{Extent, Rank, RankSet, Region, ShapeError, Slice, ValueMesh};

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
    let wrong = ShapeError::WrongLength { expected: 1 << 62, found: 4 };
    assert_eq!(ValueMesh::uniform(4, 0).slice(&huge()), Err(wrong));
}

#[test]
fn regions_are_compared_without_looking_at_each_rank() {
    let all = huge();
    let (even, third) = (all.parse_slice("gpus=::2"), all.parse_slice("hosts=1:,gpus=::-3"));
    let (even, third) = (even.expect("it is a slice"), third.expect("it is a slice"));
    let common = even.intersection(&third).expect("both are aligned").expect("some is shared");
    // 2³¹ - 1 is 1 modulo 3: what is even too is 4 modulo 6.
    assert_eq!(common.to_string(), "hosts=1:2147483648,gpus=4:2147483645:6");
    assert!(common.is_subset(&even) && common.is_subset(&third) && !even.is_subset(&third));
    assert!(even.is_subset(&all) && even.intersects(&third));
    assert_eq!(even.bounds(), Some(0..(1 << 62) - 1));
    assert!(!even.is_contiguous() && all.is_contiguous());
}

#[test]
fn dims_are_made_one_and_several_without_looking_at_each_rank() {
    let flat = huge().flatten(&["hosts", "gpus"], "procs").expect("one stride leads through them");
    let some = flat.slice("procs", Slice::from(1..).by(3)).expect("it is a slice");
    let last = Rank::new(some.size() - 1);
    let base = some.base_rank(last).expect("it is inside");
    assert_eq!(base.index() % 3, 1);
    assert_eq!(some.rank_of_base(base), Some(last));
    assert_eq!(some.rank_of_base(Rank::new(base.index() - 1)), None);
    assert!(some.is_subset(&flat));
    let whole = flat.split("procs", &[("hosts", 1 << 31), ("gpus", 1 << 31)]);
    assert_eq!(whole, Ok(huge()));
}

#[test]
fn a_flat_range_is_compared_with_scattered_rows_without_a_set_of_either() {
    let all = huge();
    let flat = all.flatten(&["hosts", "gpus"], "procs").expect("one stride leads through them");
    let some = flat.parse_slice("procs=5:-7").expect("it is a slice");
    let column = all.parse_slice("gpus=3:5").expect("it is a slice");
    assert_eq!((some.n_runs(), column.n_runs()), (1, 1 << 31));
    assert_eq!(some.intersection(&column), Err(ShapeError::NotAligned));
    assert!(some.intersects(&column) && !some.is_subset(&column) && !column.is_subset(&some));
    let later = column.parse_slice("hosts=1:-1").expect("it is a slice");
    assert!(later.is_subset(&some) && some.is_subset(&all));
    let first = flat.parse_slice("procs=5:2147483651").expect("it is a slice");
    assert!(!first.intersects(&column), "from after the first to before the second");
}

#[test]
fn a_flat_step_is_compared_with_rows_by_cutting_it() {
    let all = huge();
    let flat = all.flatten(&["hosts", "gpus"], "procs").expect("one stride leads through them");
    let odd = flat.parse_slice("procs=1:-6:2").expect("it is a slice");
    let slice = |text| all.parse_slice(text).expect("it is a slice");
    assert_eq!(odd.intersection(&slice("gpus=3:9:2")), Err(ShapeError::NotAligned));
    assert!(slice("gpus=3:9:2").is_subset(&odd) && !odd.is_subset(&slice("gpus=3:9:2")));
    assert!(slice("gpus=3:9").intersects(&odd) && !slice("gpus=3:9").is_subset(&odd));
    assert!(!slice("gpus=2:9:2").intersects(&odd));
    // The last six ranks are left out.
    assert!(slice("gpus=1:-6:2").is_subset(&odd) && !slice("gpus=1:-4:2").is_subset(&odd));
}

#[test]
fn flat_ranges_are_compared_with_each_other_by_arithmetic() {
    let flat = huge().flatten(&["hosts", "gpus"], "procs").expect("one stride leads through them");
    let slice = |text| flat.parse_slice(text).expect("it is a slice");
    let (third, fifth) = (slice("procs=1::3"), slice("procs=-1::-5"));
    let common = third.intersection(&fifth).expect("one dim").expect("some is shared");
    // The last is 3 modulo 5: 13 is the first that is so, and 1 modulo 3.
    assert_eq!((common.offset(), common.strides()), (13, &[15][..]));
    assert!(common.is_subset(&third) && common.is_subset(&fifth) && !third.is_subset(&fifth));
    assert!(!third.intersects(&slice("procs=2::3")));
}

#[test]
fn dims_further_apart_than_an_isize_counts_are_not_made_one() {
    let base = Extent::new([("hosts", 1 << 31), ("gpus", (1 << 32) - 1)]);
    let all = Region::all(base.expect("an isize counts them"));
    // The first and the last host, and a third would be further away than any rank.
    let ends = all.slice("hosts", Slice::ALL.by((1 << 31) - 1)).expect("it is a slice");
    let (outer, inner) = ("gpus".to_owned(), "hosts".to_owned());
    let refused = ShapeError::NotFlat { outer, inner, stride: 1, steps: 2, way: isize::MAX };
    assert_eq!(ends.flatten(&["gpus", "hosts"], "procs"), Err(refused));
}

#[test]
fn a_step_across_split_dims_is_compared_with_what_is_taken_of_it() {
    let base = Extent::new([("hosts", 1 << 30), ("gpus", 10 << 26)]).expect("an isize counts them");
    let split = Region::all(base).split("gpus", &[("five", 5), ("in", 1 << 27)]);
    let some = split.and_then(|split| split.slice("five", Slice::from(1..).by(3)));
    let some = some.and_then(|some| some.slice("in", Slice::ALL.by(2))).expect("the sizes fit");
    let slice = |text| some.parse_slice(text).expect("it is a slice");
    let (fewer, others) = (slice("hosts=::3,in=5::3"), slice("in=::2,hosts=5:0:-1"));
    assert!(fewer.is_subset(&some) && !some.is_subset(&fewer) && fewer.intersects(&others));
    let common = fewer.intersection(&others).expect("some units part both").expect("host 3");
    assert_eq!(common, slice("hosts=3:4,in=8::6"));
}
