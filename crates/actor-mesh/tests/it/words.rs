//! words: what errors say to whoever has made a mistake.

use std::error::Error;

use mesh_shape::Rank;

use crate::support::{Add, soon, world};

#[tokio::test]
async fn a_rank_that_does_not_exist_is_told_with_those_that_do() {
    let world = world("procs=3").await;
    let tools = world.tools().await;
    let error = soon(tools.at(Rank::new(99)).call(&world.proc, Add(1))).await;
    let error = error.expect_err("there is no such rank");
    assert_eq!(error.to_string(), "there is no rank 99: the mesh or slice has ranks 0..3");
    assert!(error.source().is_none(), "nothing is behind it");
    let nobody = tools.slice("procs", 1..1).expect("it is a slice");
    let error = soon(nobody.at(Rank::new(0)).cast(&world.proc, Add(1))).await;
    let error = error.expect_err("there is no such rank");
    assert_eq!(error.to_string(), "there is no rank 0: the mesh or slice has no ranks");
}
