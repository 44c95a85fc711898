//! Texts of extents, points and slices.

use mesh_shape::{Extent, ParseReason, Point, Rank, RankSet, Region, ShapeError, extent};
use proptest::prelude::*;

use super::array::Array;
use super::cases;
use super::python::sizes;

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn ravel_and_unravel_are_inverse(sizes in sizes()) {
        let extent = Array::all(&sizes).extent();
        for (rank, point) in extent.points().enumerate() {
            prop_assert_eq!(point.rank(), Rank::new(rank));
            prop_assert_eq!(extent.ravel(&point.coordinates()), Ok(Rank::new(rank)));
            prop_assert_eq!(extent.unravel(Rank::new(rank)), Ok(point));
            prop_assert_eq!(Point::parse(&point.to_string(), &extent), Ok(point));
        }
        prop_assert_eq!(extent.points().count(), extent.size());
    }

    #[test]
    fn any_names_are_read_back(names in prop::collection::btree_set(".{1,8}", 0..5)) {
        let extent = Extent::new(names.into_iter().map(|name| (name, 2))).unwrap();
        prop_assert_eq!(extent.to_string().parse(), Ok(extent.clone()));
        let turned: Vec<&str> = extent.names().rev().collect();
        let region = Region::all(extent.clone()).permute(&turned).unwrap();
        prop_assert_eq!(Region::parse(&region.to_string(), &extent), Ok(region));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in r#"([a-z0-9=,.:"\\()u{} +@-]|\PC){0,24}"#) {
        let extent = Array::all(&[2, 3]).extent();
        let all = Region::all(extent.clone());
        let shown = [
            text.parse::<Extent>().map_err(|error| error.to_string()).err(),
            text.parse::<RankSet>().map_err(|error| error.to_string()).err(),
            Point::parse(&text, &extent).map_err(|error| error.to_string()).err(),
            all.parse_slice(&text).map_err(|error| error.to_string()).err(),
            Region::parse(&text, &extent).map_err(|error| error.to_string()).err(),
        ];
        for shown in shown.into_iter().flatten() {
            prop_assert_eq!(shown.lines().count(), 3, "{}", shown);
        }
    }
}

fn all() -> Region {
    Region::all(extent!(hosts = 8, gpus = 2).expect("it is an extent"))
}

fn outside(dim: &str, index: isize, size: usize) -> ParseReason {
    ShapeError::IndexOutOfBounds { dim: dim.to_owned(), index, size }.into()
}

#[test]
fn every_wrong_text_by_position_is_refused_at_its_byte() {
    let too_many = |found| ShapeError::TooManySlices { found, ndim: 2 }.into();
    let zero = ShapeError::ZeroStep { dim: "gpus".to_owned() };
    let cases = [
        ("8", 0, outside("hosts", 8, 8)),
        ("5,2", 2, outside("gpus", 2, 2)),
        ("...,2", 4, outside("gpus", 2, 2)),
        // What is taken of the last dim must not be blamed on the one before it.
        ("...,5,2", 6, outside("gpus", 2, 2)),
        ("5,...,2", 6, outside("gpus", 2, 2)),
        (" 8 , 2", 1, outside("hosts", 8, 8)),
        (":,::0", 2, zero.into()),
        ("0,0,0", 4, too_many(3)),
        ("8,0,...,0", 8, too_many(3)),
        ("...,0,...", 6, ShapeError::TwoRests.into()),
        ("8,...,...", 6, ShapeError::TwoRests.into()),
        ("0,x", 3, ParseReason::MissingEquals),
        ("0,:x", 3, ParseReason::MissingNumber),
        ("0,", 2, ParseReason::TrailingComma),
    ];
    for (text, at, reason) in cases {
        let error = all().parse_slice(text).expect_err("the text is wrong");
        assert_eq!((error.at, error.reason), (at, reason), "{text}");
    }
}

#[test]
fn every_wrong_text_of_strides_is_refused_at_its_byte() {
    let twice = ShapeError::DuplicateDim { name: "a".to_owned() };
    let too_large = ShapeError::TooLarge { limit: isize::MAX.unsigned_abs() };
    let no_view = || ParseReason::from(ShapeError::NotAView);
    let cases = [
        ("0+a=2", 5, ParseReason::MissingStride),
        ("0+a=2@", 6, ParseReason::MissingNumber),
        ("0+a=2@1,", 8, ParseReason::TrailingComma),
        ("0+a=2@1;", 7, ParseReason::MissingComma),
        ("0+()1", 4, ParseReason::MissingComma),
        ("0+", 2, ParseReason::MissingName),
        ("10+a=1@0,a=1@0", 9, twice.into()),
        ("0+a=4294967296@1, b=4294967296@1,c=1@0", 18, too_large.into()),
        ("0+a=17@1", 0, no_view()),
        ("16+a=1@0", 0, no_view()),
        ("0+a=2@0", 0, no_view()),
        ("0+a=3@1,b=2@2", 0, no_view()),
    ];
    let base = all().base().clone();
    for (text, at, reason) in cases {
        let error = Region::parse(text, &base).expect_err("the text is wrong");
        assert_eq!((error.at, error.reason), (at, reason), "{text}");
    }
}

#[test]
fn a_name_that_went_to_another_dim_is_read_back() {
    let is_read_back = |region: Region, written: &str| {
        assert_eq!(region.to_string(), written);
        assert_eq!(Region::parse(written, region.base()), Ok(region));
    };
    let base = Region::all(extent!(a = 2, b = 2).expect("it is an extent"));
    let swapped = base
        .permute(&["b", "a"])
        .and_then(|turned| turned.flatten(&["b"], "c")?.flatten(&["a"], "b")?.flatten(&["c"], "a"));
    is_read_back(swapped.expect("no name is there twice"), "0+a=2@1,b=2@2");

    // Regions without ranks, whose dims are not those of the base.
    let base = Region::all(extent!(a = 2, b = 3, c = 4).expect("it is an extent"));
    let longer = base.slice("c", 4..).and_then(|empty| empty.flatten(&["a", "b"], "a"));
    is_read_back(longer.expect("nothing has gaps"), "0+a=6@0,c=0@0");
    let base = Region::all(extent!(a = 0, b = 3).expect("it is an extent"));
    let flat = base.flatten(&["a", "b"], "b").expect("nothing has gaps");
    is_read_back(flat, "0+b=0@0");
}
