//! Breadth first: every world that can be reached, and the shortest way to a broken one.

use std::collections::BTreeSet;

use super::model::Model;
use super::world::{Broken, Event, World};

/// What a search has found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) n_worlds: usize,
    /// The shortest way to it.
    pub(super) broken: Option<(Broken, Vec<Event>)>,
}

/// One world that was reached, and from which.
struct Reached {
    world: World,
    from: usize,
    by: Option<Event>,
}

/// Visits every world that can be reached from the start, until one is broken.
pub(super) fn search(model: &Model) -> Found {
    let start = World::start(model);
    let mut known = BTreeSet::from([start.key()]);
    let mut reached = vec![Reached { world: start, from: 0, by: None }];
    let mut next = 0;
    while let Some(&Reached { world, .. }) = reached.get(next) {
        for event in world.events(model) {
            match world.after(event, model) {
                Ok(after) => {
                    if known.insert(after.key()) {
                        reached.push(Reached { world: after, from: next, by: Some(event) });
                    }
                }
                Err(broken) => {
                    let mut way = way_to(next, &reached);
                    way.push(event);
                    return Found { n_worlds: known.len(), broken: Some((broken, way)) };
                }
            }
        }
        next += 1;
    }
    Found { n_worlds: known.len(), broken: None }
}

/// The events from the start to the world at `index`.
fn way_to(mut index: usize, reached: &[Reached]) -> Vec<Event> {
    let mut way = Vec::new();
    while let Some(event) = reached[index].by {
        way.push(event);
        index = reached[index].from;
    }
    way.reverse();
    way
}
