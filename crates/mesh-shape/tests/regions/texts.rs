//! Texts of extents, points and slices.

use mesh_shape::{Extent, Point, Rank, RankSet, Region};
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
