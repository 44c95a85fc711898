//! `Tables` and `View`: which processes there are, and what one of them knows of that.

use std::sync::Arc;

use mesh_cast::{FanOut, Member, Members, Plan};
use mesh_shape::{Extent, Overlay, RankSet, Region};

use crate::setup::Setup;

/// All tables of members that there were, the newest last.
#[derive(Clone, Debug)]
pub(crate) struct Tables(Vec<Table>);

#[derive(Clone, Debug)]
struct Table {
    nodes: Vec<usize>,
    /// Since which version other processes are at their positions than in the first.
    successors: Overlay<u64>,
    /// The plan of each slice, with nobody dead.
    plans: Vec<Plan<usize>>,
}

/// What a process knows.
#[derive(Clone, Debug)]
pub(crate) struct View {
    version: u64,
    /// The positions whose process is dead, in the table of that version.
    dead: RankSet,
    /// The plan of each slice without these.
    plans: Vec<Arc<Plan<usize>>>,
}

impl Tables {
    /// Each process is called as its position is.
    pub(crate) fn new(setup: &Setup) -> Self {
        Self(vec![Table::new(setup, 1, ((0..setup.n_nodes).collect(), Overlay::new()))])
    }

    /// Another process is at a position.
    pub(crate) fn replace(&mut self, setup: &Setup, position: usize, node: usize) {
        let Table { mut nodes, mut successors, .. } = self.newest().clone();
        nodes[position] = node;
        let version = self.version() + 1;
        successors.insert(position..position + 1, version);
        self.0.push(Table::new(setup, version, (nodes, successors)));
    }

    pub(crate) fn version(&self) -> u64 {
        self.0.len() as u64
    }

    /// The process at a position, by the newest table.
    pub(crate) fn node(&self, position: usize) -> Option<usize> {
        self.newest().nodes.get(position).copied()
    }

    /// The plan of a slice, with nobody dead.
    pub(crate) fn plan(&self, slice: usize) -> &Plan<usize> {
        &self.newest().plans[slice]
    }

    pub(crate) fn slice_of(&self, region: Option<&Region>) -> usize {
        let mut plans = self.newest().plans.iter();
        let slice = plans.position(|plan| plan.region().map(AsRef::as_ref) == region);
        slice.expect("a slice that is cast to")
    }

    fn newest(&self) -> &Table {
        self.0.last().expect("the first is always there")
    }

    fn of(&self, version: u64) -> &Table {
        &self.0[version as usize - 1]
    }
}

impl Table {
    fn new(setup: &Setup, version: u64, (nodes, successors): (Vec<usize>, Overlay<u64>)) -> Self {
        let n_ranks = setup.n_ranks;
        let member = |(position, node): (usize, &usize)| Member {
            node: *node,
            host: position / setup.per_host,
            ranks: (position * n_ranks..(position + 1) * n_ranks).into(),
        };
        let members = Members::new(version, nodes.iter().enumerate().map(member).collect());
        let members = members.expect("nodes and ranks are there once");
        let members = Arc::new(members.with_successors(successors.clone()));
        let whole = Plan::new(members, FanOut::new(setup.fan_out).expect("at least two"));
        let extent = Extent::new([("r", nodes.len() * n_ranks)]).expect("a small extent");
        let slice = |text: &&str| whole.to(Region::parse(text, &extent).expect("a slice"));
        let plans = [whole.clone()].into_iter().chain(SLICES.iter().map(slice)).collect();
        Self { nodes, successors, plans }
    }
}

impl View {
    /// Everything of the newest table, and that nobody is dead.
    pub(crate) fn of(tables: &Tables) -> Self {
        let mut view = Self { version: tables.version(), dead: RankSet::new(), plans: Vec::new() };
        view.remake(tables);
        view
    }

    pub(crate) fn plan(&self, slice: usize) -> Arc<Plan<usize>> {
        Arc::clone(&self.plans[slice])
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// A process is dead.
    pub(crate) fn learn_dead(&mut self, tables: &Tables, node: usize) {
        let nodes = &tables.of(self.version).nodes;
        if let Some(position) = nodes.iter().position(|known| *known == node) {
            self.dead.insert_range(position..position + 1);
            self.remake(tables);
        }
    }

    /// There is a table of that version. Whoever is new in it is not dead.
    pub(crate) fn learn_table(&mut self, tables: &Tables, version: u64) {
        if version > self.version {
            let pairs = tables.of(self.version).nodes.iter().zip(&tables.of(version).nodes);
            for (position, (old, new)) in pairs.enumerate() {
                if old != new {
                    self.dead.remove_range(position..position + 1);
                }
            }
            self.version = version;
            self.remake(tables);
        }
    }

    fn remake(&mut self, tables: &Tables) {
        let plans = tables.of(self.version).plans.iter();
        self.plans = plans.map(|plan| Arc::new(plan.without(&self.dead))).collect();
    }
}

/// The slices that are cast to besides the whole mesh.
const SLICES: &[&str] = &["r=::2", "r=1:6", "r=-1::-3"];
