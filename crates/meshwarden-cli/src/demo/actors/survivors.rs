//! Slices of a mesh: one rank, or as many as can be had at once without it.

use meshwarden::mesh_shape::{Extent, Rank, Region, ShapeError};

/// The largest slice along one dim that leaves out a rank, the first of equals; `None` if there is none.
///
/// # Errors
///
/// [`ShapeError`] if it is no rank of the extent.
pub(crate) fn without(extent: &Extent, rank: Rank) -> Result<Option<Region>, ShapeError> {
    let all = Region::all(extent.clone());
    let mut largest: Option<Region> = None;
    for (axis, (index, size)) in coordinates(extent, rank)?.into_iter().enumerate() {
        for range in [0..index, index + 1..size] {
            let slice = all.slice_at(axis, range)?;
            if slice.size() > largest.as_ref().map_or(0, Region::size) {
                largest = Some(slice);
            }
        }
    }
    Ok(largest)
}

/// The slice that is one rank, with all dims.
///
/// # Errors
///
/// [`ShapeError`] if it is no rank of the extent.
pub(crate) fn only(extent: &Extent, rank: Rank) -> Result<Region, ShapeError> {
    let mut slice = Region::all(extent.clone());
    for (axis, (index, _)) in coordinates(extent, rank)?.into_iter().enumerate() {
        slice = slice.slice_at(axis, index..index + 1)?;
    }
    Ok(slice)
}

/// The coordinate of a rank along each axis, and the size of that.
fn coordinates(extent: &Extent, rank: Rank) -> Result<Vec<(isize, isize)>, ShapeError> {
    let coordinates = extent.unravel(rank)?.coordinates();
    let sized = coordinates.iter().zip(extent.sizes());
    Ok(sized.map(|(index, size)| (index.cast_signed(), size.cast_signed())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survivors(extent: &str, rank: usize) -> Option<Vec<usize>> {
        let slice = without(&extent.parse().unwrap(), Rank::new(rank)).unwrap()?;
        Some(slice.iter().map(Rank::index).collect())
    }

    #[test]
    fn the_largest_slice_without_a_rank_is_taken() {
        assert_eq!(survivors("hosts=2,procs=4", 6), Some(vec![0, 1, 2, 3]));
        assert_eq!(survivors("hosts=2,procs=4", 0), Some(vec![1, 2, 3, 5, 6, 7]));
        assert_eq!(survivors("hosts=1,procs=4", 1), Some(vec![2, 3]));
        assert_eq!(survivors("procs=2", 1), Some(vec![0]));
    }

    #[test]
    fn one_rank_has_no_survivors() {
        assert_eq!(survivors("procs=1", 0), None);
        assert_eq!(survivors("hosts=1,procs=1", 0), None);
    }

    #[test]
    fn one_rank_is_a_slice() {
        let extent: Extent = "hosts=2,procs=4".parse().unwrap();
        let slice = only(&extent, Rank::new(6)).unwrap();
        assert_eq!(slice.iter().collect::<Vec<_>>(), [Rank::new(6)]);
    }
}
