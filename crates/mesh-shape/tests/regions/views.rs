//! One region: what it shows, where each rank is, and its text.

use mesh_shape::{Rank, RankSet, Region, ValueMesh};
use proptest::prelude::*;

use super::cases;
use super::program::{is_like, programs};

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn a_region_shows_the_ranks_that_its_steps_leave((array, region) in programs()) {
        is_like(&region, &array);
        prop_assert_eq!((region.size(), region.iter().len()), (array.ranks.len(), array.ranks.len()));
        prop_assert_eq!(region.is_empty(), array.ranks.is_empty());
        prop_assert_eq!(region.offset(), array.ranks.first().copied().unwrap_or(0));
        let expected: RankSet = array.ranks.iter().copied().map(Rank::new).collect();
        prop_assert_eq!(region.ranks(), expected.clone());
        let ends = expected.first().zip(expected.last());
        let bounds = ends.map(|(first, last)| first.index()..last.index() + 1);
        prop_assert_eq!(region.bounds(), bounds);
        prop_assert_eq!(region.is_contiguous(), expected.n_runs() == 1);
        prop_assert!((expected.n_runs()..=region.size()).contains(&region.n_runs()));
    }

    #[test]
    fn every_point_is_visited_in_order((array, region) in programs()) {
        let mut visited = Vec::new();
        region.for_each_point(|point, base| visited.push((point.to_vec(), base.index())));
        let points = region.extent().points().map(|point| point.coordinates().to_vec());
        prop_assert_eq!(visited, points.zip(array.ranks).collect::<Vec<_>>());
    }

    #[test]
    fn base_ranks_and_view_ranks_are_inverse((array, region) in programs()) {
        let size = region.base().size();
        let mut places = vec![None; size + 2];
        for (view, base) in array.ranks.iter().enumerate() {
            places[*base] = Some(Rank::new(view));
        }
        for (base, view) in places.into_iter().enumerate() {
            let base = Rank::new(base);
            prop_assert_eq!(region.rank_of_base(base), view);
            prop_assert_eq!(region.contains(base), view.is_some());
            let point = view.and_then(|view| region.extent().unravel(view).ok());
            prop_assert_eq!(region.point_of_base(base), point);
        }
        for view in 0..region.size() + 2 {
            let base = array.ranks.get(view).copied().map(Rank::new);
            prop_assert_eq!(region.base_rank(Rank::new(view)), base);
        }
        prop_assert_eq!(region.rank_of_base(Rank::new(usize::MAX)), None);
        prop_assert_eq!(region.base_rank(Rank::new(usize::MAX)), None);
    }

    #[test]
    fn the_text_of_a_region_is_read_back((_, region) in programs()) {
        let text = region.to_string();
        prop_assert_eq!(Region::parse(&text, region.base()), Ok(region.clone()), "{}", text);
        if !text.contains('+') {
            let sliced = Region::all(region.base().clone()).parse_slice(&text);
            prop_assert_eq!(sliced, Ok(region), "{}", text);
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_region_that_is_sent_comes_back((_, region) in programs()) {
        let sent = serde_json::to_string(&region).expect("it can be written");
        let read: Region = serde_json::from_str(&sent).expect("it can be read");
        prop_assert_eq!(&read, &region);
        prop_assert_eq!(serde_json::to_string(&read).expect("it can be written"), sent);
    }

    #[test]
    fn values_are_sliced_as_ranks_are((array, region) in programs(), n_alike in 1_usize..20) {
        let values = ValueMesh::from_fn(region.base().size(), |rank| rank.index() / n_alike % 3);
        let taken = values.slice(&region).expect("the sizes are equal");
        let expected: Vec<usize> = array.ranks.iter().map(|rank| rank / n_alike % 3).collect();
        prop_assert_eq!(taken, ValueMesh::try_from_iter(array.ranks.len(), expected).unwrap());
    }
}
