//! What cannot be done is refused, each thing with its own reason.

use mesh_shape::{Region, ShapeError, Slice, Take, extent, slice};

fn all() -> Region {
    Region::all(extent!(pods = 2, hosts = 3, gpus = 4).expect("it is an extent"))
}

fn dim(name: &str) -> String {
    name.to_owned()
}

fn unknown(name: &str) -> ShapeError {
    ShapeError::UnknownDim { name: dim(name), known: ["pods", "hosts", "gpus"].map(dim).into() }
}

#[test]
fn slices_that_are_none_are_refused() {
    let outside = |index| ShapeError::IndexOutOfBounds { dim: dim("gpus"), index, size: 4 };
    assert_eq!(all().slice("gpus", 4), Err(outside(4)));
    assert_eq!(all().slice("gpus", -5), Err(outside(-5)));
    assert_eq!(all().slice("gpus", isize::MIN), Err(outside(isize::MIN)));
    assert_eq!(all().slice("racks", 0), Err(unknown("racks")));
    assert_eq!(all().slice_at(3, 0), Err(ShapeError::AxisOutOfBounds { axis: 3, ndim: 3 }));
    let zero = ShapeError::ZeroStep { dim: dim("hosts") };
    assert_eq!(all().slice("hosts", Slice::ALL.by(0)), Err(zero));
}

#[test]
fn takes_that_do_not_go_together_are_refused() {
    let mixed = [Take::At(Slice::ALL), Take::Of("gpus", Slice::ALL)];
    assert_eq!(all().take(&mixed), Err(ShapeError::MixedSlices));
    assert_eq!(all().take(&[Take::Rest, mixed[1]]), Err(ShapeError::MixedSlices));
    assert_eq!(all().take(&slice!(..., 0, ...)), Err(ShapeError::TwoRests));
    let too_many = ShapeError::TooManySlices { found: 4, ndim: 3 };
    assert_eq!(all().take(&slice!(0, 0, 0, ..., 0)), Err(too_many));
    let twice = ShapeError::DuplicateDim { name: dim("gpus") };
    assert_eq!(all().take(&slice!(gpus = 0, gpus = 0)), Err(twice));
    assert_eq!(all().take(&slice!(racks = 0)), Err(unknown("racks")));
    assert_eq!(all().take(&slice!()), Ok(all()));
    assert_eq!(all().take(&slice!(0, 0, 0, ...)).map(|one| one.size()), Ok(1));
}

#[test]
fn names_of_dims_that_are_none_are_refused() {
    let twice = ShapeError::DuplicateDim { name: dim("pods") };
    let missing = ShapeError::MissingDim { name: dim("hosts") };
    assert_eq!(all().permute(&["pods", "pods", "gpus"]), Err(twice.clone()));
    assert_eq!(all().permute(&["gpus", "pods"]), Err(missing));
    assert_eq!(all().permute(&["racks"]), Err(unknown("racks")));
    assert_eq!(all().flip("racks"), Err(unknown("racks")));
    assert_eq!(all().flatten(&["pods", "pods"], "x"), Err(twice.clone()));
    assert_eq!(all().flatten(&["hosts", "gpus"], "pods"), Err(twice.clone()));
    assert_eq!(all().flatten(&["hosts"], ""), Err(ShapeError::EmptyName { axis: 1 }));
    assert_eq!(all().split("gpus", &[("pods", 4)]), Err(twice.clone()));
    assert_eq!(all().group_by(&["pods", "pods"]).err(), Some(twice));
    assert_eq!(all().group_by(&["racks"]).err(), Some(unknown("racks")));
    assert_eq!(all().chunks("racks", 1).err(), Some(unknown("racks")));
    assert_eq!(all().windows("racks", 1).err(), Some(unknown("racks")));
}

#[test]
fn sizes_and_lengths_that_do_not_fit_are_refused() {
    let wrong = |into: &[usize]| {
        Err(ShapeError::WrongSplit { dim: dim("gpus"), size: 4, into: into.to_vec() })
    };
    assert_eq!(all().split("gpus", &[("a", 3), ("b", 1)]), wrong(&[3, 1]));
    assert_eq!(all().split("gpus", &[]), wrong(&[]));
    assert_eq!(all().split("gpus", &[("a", usize::MAX), ("b", 2)]), wrong(&[usize::MAX, 2]));
    let zero = Some(ShapeError::ZeroLength { dim: dim("gpus") });
    assert_eq!(all().chunks("gpus", 0).err(), zero.clone());
    assert_eq!(all().windows("gpus", 0).err(), zero);
    assert_eq!(all().windows("gpus", usize::MAX).map(|parts| parts.len()), Ok(0));
    assert_eq!(all().chunks("gpus", usize::MAX).map(|parts| parts.len()), Ok(1));
}
