//! Sizes, limits and the order of ranks.

use super::*;

fn extent(sizes: &[usize]) -> Extent {
    let dims = sizes.iter().enumerate().map(|(axis, size)| (format!("d{axis}"), *size));
    Extent::new(dims).expect("the names differ and the sizes are small")
}

#[test]
fn last_axis_varies_fastest() {
    let extent = extent(&[2, 3]);
    let points = extent.points().map(|point| point.coordinates().to_vec());
    let expected = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]].map(Vec::from);
    assert_eq!(points.collect::<Vec<_>>(), expected);
}

#[test]
fn a_dim_of_size_zero_leaves_no_ranks() {
    let empty = extent(&[2, 0, 3]);
    assert_eq!((empty.size(), empty.points().len(), empty.ranks().len()), (0, 0, 0));
    let refused = ShapeError::RankOutOfBounds { rank: Rank::new(0), size: 0 };
    assert_eq!(empty.unravel(Rank::new(0)), Err(refused));
}

#[test]
fn no_dims_make_one_rank() {
    let single = extent(&[]);
    assert_eq!(single.ravel(&[]), Ok(Rank::new(0)));
    assert_eq!(single.unravel(Rank::new(0)).map(|point| point.to_string()), Ok("()".to_owned()));
    assert_eq!(single.points().len(), 1);
}

#[test]
fn as_many_ranks_as_an_isize_counts_and_no_more() {
    assert_eq!(extent(&[Extent::SIZE_MAX]).size(), Extent::SIZE_MAX);
    let refused = Err(ShapeError::TooLarge { limit: Extent::SIZE_MAX });
    assert_eq!(Extent::new([("a", Extent::SIZE_MAX + 1)]), refused);
    assert_eq!(Extent::new([("a", 2), ("b", Extent::SIZE_MAX)]), refused);
    assert_eq!(Extent::new([("a", 0), ("b", 2), ("c", Extent::SIZE_MAX)]), refused);
}

#[test]
fn too_many_dims_are_refused() {
    let dims = |n_dims: usize| (0..n_dims).map(|axis| (axis.to_string(), 1));
    assert_eq!(Extent::new(dims(64)).map(|extent| extent.ndim()), Ok(64));
    assert_eq!(Extent::new(dims(65)), Err(ShapeError::TooManyDims { limit: 64 }));
}

#[test]
fn wrong_coordinates_are_refused_by_name() {
    let extent = extent(&[2, 3]);
    let wrong = ShapeError::WrongDimensions { expected: 2, found: 1 };
    assert_eq!(extent.ravel(&[1]), Err(wrong));
    let dim = "d1".to_owned();
    assert_eq!(extent.ravel(&[1, 3]), Err(ShapeError::OutOfBounds { dim, coordinate: 3, size: 3 }));
}

#[test]
fn dims_are_found_by_name() {
    let extent = extent(&[2, 3]);
    assert_eq!((extent.axis("d1"), extent.size_of("d1")), (Some(1), Some(3)));
    assert_eq!((extent.axis("d2"), extent.size_of("d2")), (None, None));
    assert_eq!(extent.dims().collect::<Vec<_>>(), [("d0", 2), ("d1", 3)]);
    assert!(extent.strides().eq([3, 1]));
}
