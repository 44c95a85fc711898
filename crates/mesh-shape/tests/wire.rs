//! wire: what is sent comes back; bytes that break an invariant are refused.

use std::fmt::Debug;

use mesh_shape::{Extent, Overlay, PointBuf, Rank, RankSet, Region, Slice, ValueMesh, extent};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, json: &str) {
    assert_eq!(serde_json::to_string(value).expect("it can be written"), json);
    assert_eq!(&serde_json::from_str::<T>(json).expect("it can be read"), value);
    let bytes = postcard::to_allocvec(value).expect("it can be written");
    assert_eq!(&postcard::from_bytes::<T>(&bytes).expect("it can be read"), value);
}

fn is_refused<T: DeserializeOwned + Debug>(texts: &[&str]) {
    for json in texts {
        let read = serde_json::from_str::<T>(json);
        assert!(read.is_err(), "{json} was read as {read:?}");
    }
}

fn hosts_and_gpus() -> Extent {
    extent!(hosts = 2, gpus = 8).expect("it is an extent")
}

#[test]
fn every_type_comes_back_as_it_was() {
    comes_back(&Rank::new(7), "7");
    comes_back(&hosts_and_gpus(), r#"[["hosts",2],["gpus",8]]"#);
    let extent = hosts_and_gpus();
    let point = extent.unravel(Rank::new(9)).expect("it is inside").to_owned();
    comes_back(&point, r#"[[["hosts",2],["gpus",8]],9]"#);
    comes_back(&"0..4,7".parse::<RankSet>().expect("it is a set"), "[[0,4],[7,8]]");
    comes_back(&ValueMesh::from_fn(3, |rank| rank.index() / 2), "[[2,0],[3,1]]");
    comes_back(&ValueMesh::<u8>::from_fn(0, |_| 0), "[]");
    let overlay: Overlay<u8> = [(Rank::new(5), 1), (Rank::new(2), 0)].into_iter().collect();
    comes_back(&overlay, "[[2,3,0],[5,6,1]]");
}

#[test]
fn a_slice_comes_back_as_it_was() {
    comes_back(&Slice::from(-1), r#"{"Index":-1}"#);
    comes_back(&Slice::from(..8).by(2), r#"{"Range":{"start":null,"end":8,"step":2}}"#);
}

#[test]
fn a_region_comes_back_as_it_was() {
    let all = Region::all(hosts_and_gpus());
    let base = r#"[["hosts",2],["gpus",8]]"#;
    let view = all.parse_slice("hosts=1,gpus=::-3").expect("it is a slice");
    comes_back(&view, &format!(r#"[{base},15,[["gpus",3]],[-3]]"#));
    let empty = all.parse_slice("hosts=1,gpus=4:2").expect("it is a slice");
    comes_back(&empty, &format!(r#"[{base},0,[["gpus",0]],[0]]"#));
    let turned = all.permute(&["gpus", "hosts"]).expect("it is every dim");
    comes_back(&turned, &format!(r#"[{base},0,[["gpus",8],["hosts",2]],[1,8]]"#));
}

#[test]
fn extents_and_points_that_cannot_be_are_refused() {
    is_refused::<Extent>(&[
        r#"[["a",2],["a",8]]"#,
        r#"[["",2]]"#,
        r#"[["a",4294967296],["b",4294967296]]"#,
        r#"[["a",-1]]"#,
    ]);
    is_refused::<PointBuf>(&[r#"[[["a",2]],2]"#, r#"[[["a",0]],0]"#]);
}

#[test]
fn regions_that_leave_their_base_or_show_a_rank_twice_are_refused() {
    is_refused::<Region>(&[
        r#"[[["a",4]],0,[["a",4]],[]]"#,
        r#"[[["a",4]],0,[["a",4]],[1,1]]"#,
        r#"[[["a",4]],0,[["a",5]],[1]]"#,
        r#"[[["a",4]],1,[["a",4]],[1]]"#,
        r#"[[["a",4]],4,[["a",1]],[0]]"#,
        r#"[[["a",4]],4,[],[]]"#,
        r#"[[["a",4]],0,[["a",2]],[0]]"#,
        r#"[[["a",4]],0,[["a",2]],[-1]]"#,
        r#"[[["a",4]],3,[["a",2]],[2]]"#,
        r#"[[["a",4]],0,[["a",2],["b",2]],[1,1]]"#,
        r#"[[["a",4]],0,[["a",3],["b",2]],[1,1]]"#,
        r#"[[["a",9]],0,[["a",3],["b",3]],[2,1]]"#,
        r#"[[["a",4]],0,[["a",2],["a",2]],[2,1]]"#,
        r#"[[["a",4]],1,[["a",3]],[9223372036854775807]]"#,
        r#"[[["a",4]],1,[["a",2]],[-9223372036854775808]]"#,
        r#"[[["a",4]],1,[["a",3]],[-9223372036854775808]]"#,
        r#"[[["a",4]],1,[["a",5]],[4611686018427387904]]"#,
        r#"[[["a",4]],0,[["a",9223372036854775807]],[1]]"#,
    ]);
}

#[test]
fn an_unusual_form_of_a_region_becomes_the_usual_one() {
    let text = r#"[[["a",4]],2,[["a",1]],[7]]"#;
    let read: Region = serde_json::from_str(text).expect("it is inside");
    let all = Region::all(extent!(a = 4).expect("it is an extent"));
    assert_eq!(read, all.slice("a", 2..3).expect("it is a slice"));
    let text = r#"[[["a",4]],2,[["a",0]],[7]]"#;
    let read: Region = serde_json::from_str(text).expect("it is empty");
    assert_eq!(read, all.slice("a", 3..3).expect("it is a slice"));
}

#[test]
fn runs_out_of_order_are_refused() {
    is_refused::<RankSet>(&["[[4,4]]", "[[4,2]]", "[[0,4],[3,5]]", "[[6,8],[1,2]]"]);
    is_refused::<Overlay<u8>>(&["[[4,4,0]]", "[[0,4,1],[3,5,1]]", "[[6,8,0],[1,2,0]]"]);
    is_refused::<ValueMesh<u8>>(&["[[0,1]]", "[[4,1],[4,2]]", "[[4,1],[2,2]]"]);
}

#[test]
fn runs_that_should_be_one_are_joined() {
    let ranks: RankSet = serde_json::from_str("[[0,2],[2,4]]").expect("it is in order");
    assert_eq!(ranks, RankSet::from(0..4));
    let mesh: ValueMesh<u8> = serde_json::from_str("[[2,7],[4,7]]").expect("it is in order");
    assert_eq!(mesh, ValueMesh::uniform(4, 7));
}

/// Where nobody reads them numbers are short: so what is told of ranks that differ from their neighbours fits into a message.
#[test]
fn runs_of_single_ranks_take_two_bytes_each() {
    let ranks: RankSet = (0..1_000).map(|rank| Rank::new(100_000 + 2 * rank)).collect();
    let bytes = postcard::to_allocvec(&ranks).expect("it can be written");
    assert_eq!(bytes.len(), 2 * 1_000 + 4, "the number of them, and the first gap of three");
    let mesh = ValueMesh::from_fn(1_000, |rank| rank.index() % 2 == 0);
    let bytes = postcard::to_allocvec(&mesh).expect("it can be written");
    assert_eq!(bytes.len(), 2 * 1_000 + 2);
}

#[test]
fn runs_without_a_rank_are_refused_as_bytes() {
    let ranks = |runs: &[(usize, usize)]| {
        let bytes = postcard::to_allocvec(runs).expect("it can be written");
        postcard::from_bytes::<RankSet>(&bytes)
    };
    let read = ranks(&[(1, 2), (0, 1), (4, 1)]).expect("they are in order");
    assert_eq!(read, "1..4,8".parse().expect("it is a set"));
    for runs in [&[(1, 0)][..], &[(1, 2), (4, 0)], &[(usize::MAX, 1)], &[(1, usize::MAX), (1, 1)]] {
        assert!(ranks(runs).is_err(), "{runs:?}");
    }
    let bytes = postcard::to_allocvec(&[(2, 7), (0, 8)]).expect("it can be written");
    assert!(postcard::from_bytes::<ValueMesh<u8>>(&bytes).is_err());
}
