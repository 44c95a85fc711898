//! Between ranks and places: rank to point, point to rank, base to view.

use std::hint::black_box;

use mesh_shape::{Extent, Point, Rank};

use super::mesh::{self, SIDE};
use super::peer::{self, Work};
use super::row::{Row, Target};
use crate::measure::Case;

/// One row for each way.
pub(super) fn rows() -> Vec<Row> {
    vec![
        point(),
        owned_point(),
        coordinates(),
        point_to_rank(),
        ravel(),
        view_to_base(),
        base_to_view(),
    ]
}

fn ranks() -> Vec<Rank> {
    mesh::ranks(SIDE.pow(3))
}

fn point() -> Row {
    let extent = mesh::cube(SIDE);
    let ours = Case::each("ours", ranks(), move |rank| {
        black_box(&extent).unravel(*rank).expect("it is inside").rank()
    });
    Row::new("rank → point", vec![ours])
        .beside(peer::case(Work::Coordinates(SIDE, ranks())))
        .must(Target::Nanos(5.0))
        .must(Target::Times(peer::NAME, 0.5))
}

fn owned_point() -> Row {
    let extent = mesh::cube(SIDE);
    let ours = Case::each("ours", ranks(), move |rank| {
        black_box(&extent).unravel(*rank).expect("it is inside").to_owned()
    });
    Row::new("rank → point that owns its extent", vec![ours])
}

fn coordinates() -> Row {
    let extent = mesh::cube(SIDE);
    let ours = Case::each("ours", ranks(), move |rank| {
        black_box(&extent).unravel(*rank).expect("it is inside").coordinates()
    });
    let sizes = [SIDE; 3];
    let floor = Case::each("floor", ranks(), move |rank| divided(rank.index(), black_box(&sizes)));
    Row::new("rank → coordinates", vec![ours, floor])
        .beside(peer::case(Work::Coordinates(SIDE, ranks())))
        .must(Target::Nanos(20.0))
        .must(Target::Times(peer::NAME, 0.5))
}

fn point_to_rank() -> Row {
    // Points borrow their extent, and cases outlive this function.
    let extent: &'static Extent = Box::leak(Box::new(mesh::cube(SIDE)));
    let point = |rank: &Rank| extent.unravel(*rank).expect("it is inside");
    let points: Vec<Point<'static>> = ranks().iter().map(point).collect();
    Row::new("point → rank", vec![Case::each("ours", points, |point| point.rank())])
        .beside(peer::case(Work::Location(SIDE, all())))
        .must(Target::Times(peer::NAME, 0.5))
}

fn ravel() -> Row {
    let extent = mesh::cube(SIDE);
    let all = all();
    let ours = Case::each("ours", all.clone(), move |coordinates| {
        black_box(&extent).ravel(coordinates).expect("they are inside")
    });
    let sizes = [SIDE; 3];
    let floor = Case::each("floor", all.clone(), move |coordinates| {
        let sizes = black_box(&sizes);
        coordinates.iter().zip(sizes).fold(0, |rank, (at, size)| rank * size + at)
    });
    Row::new("coordinates → rank", vec![ours, floor])
        .beside(peer::case(Work::Location(SIDE, all)))
        .must(Target::Times(peer::NAME, 0.5))
}

fn view_to_base() -> Row {
    let view = mesh::strided(SIDE);
    let ours = Case::each("ours", ranks(), move |rank| black_box(&view).base_rank(*rank));
    Row::new("view rank → base rank", vec![ours])
        .beside(peer::case(Work::Get(SIDE, ranks())))
        .must(Target::Nanos(30.0))
}

fn base_to_view() -> Row {
    let view = mesh::strided(SIDE);
    let bases: Vec<Rank> =
        ranks().iter().map(|rank| view.base_rank(*rank).expect("it is inside")).collect();
    let ours = Case::each("ours", bases.clone(), move |rank| {
        black_box(&view).point_of_base(*rank).map(|point| point.rank())
    });
    Row::new("base rank → view point", vec![ours])
        .beside(peer::case(Work::Index(SIDE, bases)))
        .must(Target::Nanos(30.0))
        .must(Target::Times(peer::NAME, 0.5))
}

/// The coordinates of all ranks.
fn all() -> Vec<[usize; 3]> {
    ranks().iter().map(|rank| divided(rank.index(), &[SIDE; 3])).collect()
}

/// The coordinates of a rank, by division.
fn divided(rank: usize, sizes: &[usize; 3]) -> [usize; 3] {
    let [_, y, z] = *sizes;
    [rank / z / y, rank / z % y, rank % z]
}
