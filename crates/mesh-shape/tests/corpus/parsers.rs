//! What must hold of any text given to a parser: it is refused where it is wrong, or what it says is
//! displayed and read again as the same. Shared with the fuzz targets.

#![allow(dead_code, reason = "each fuzz target uses one of these")]

use std::collections::BTreeSet;

use mesh_shape::{Extent, ParseShapeError, Point, Rank, RankSet, Region};

/// A region of more ranks is not walked.
const WALKED: usize = 512;

pub(crate) fn extent(text: &str) {
    match text.parse::<Extent>() {
        Ok(extent) => assert_eq!(extent.to_string().parse(), Ok(extent)),
        Err(error) => is_shown(&error, text),
    }
}

pub(crate) fn rank_set(text: &str) {
    match text.parse::<RankSet>() {
        Ok(ranks) => {
            assert_eq!(ranks.to_string().parse().as_ref(), Ok(&ranks));
            let runs: Vec<_> = ranks.runs().collect();
            assert!(runs.iter().all(|run| !run.is_empty()), "{ranks}");
            assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start), "{ranks}");
        }
        Err(error) => is_shown(&error, text),
    }
}

/// The first line is the extent, the rest the point.
pub(crate) fn point(text: &str) {
    let Some((extent, text)) = with_extent(text) else { return };
    match Point::parse(text, &extent) {
        Ok(point) => {
            assert_eq!(Point::parse(&point.to_string(), &extent), Ok(point));
            assert_eq!(extent.ravel(&point.coordinates()), Ok(point.rank()));
        }
        Err(error) => is_shown(&error, text),
    }
}

/// The first line is the extent, the rest what is taken of it.
pub(crate) fn slice(text: &str) {
    let Some((extent, text)) = with_extent(text) else { return };
    match Region::all(extent).parse_slice(text) {
        Ok(region) => {
            is_read_back(&region);
            is_a_view(&region);
        }
        Err(error) => is_shown(&error, text),
    }
}

/// The first line is the base, the rest the region.
pub(crate) fn region(text: &str) {
    let Some((base, text)) = with_extent(text) else { return };
    match Region::parse(text, &base) {
        Ok(region) => {
            is_read_back(&region);
            is_a_view(&region);
        }
        Err(error) => is_shown(&error, text),
    }
}

fn with_extent(text: &str) -> Option<(Extent, &str)> {
    let (extent, text) = text.split_once('\n')?;
    Some((extent.parse().ok()?, text))
}

fn is_read_back(region: &Region) {
    assert_eq!(Region::parse(&region.to_string(), region.base()).as_ref(), Ok(region));
}

/// Every rank is one of the base, none is there twice, and both directions agree.
fn is_a_view(region: &Region) {
    let mut seen = BTreeSet::new();
    for (view, base) in region.iter().take(WALKED).enumerate() {
        assert!(region.base().contains(base) && seen.insert(base), "{region:?} shows {base}");
        assert_eq!(region.base_rank(Rank::new(view)), Some(base), "{region:?}");
        assert_eq!(region.rank_of_base(base), Some(Rank::new(view)), "{region:?}");
    }
    assert_eq!(seen.len(), region.size().min(WALKED), "{region:?}");
}

/// The error keeps the text, points into it, and takes three lines.
fn is_shown(error: &ParseShapeError, text: &str) {
    assert_eq!(error.input, text);
    assert!(text.is_char_boundary(error.at), "{error:?}");
    assert_eq!(error.to_string().lines().count(), 3, "{error}");
}
