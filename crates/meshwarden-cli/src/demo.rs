//! `meshwarden demo`: counts words with a mesh of workers, kills one in mid-run, and checks that all
//! that is promised holds.

mod actors;
mod corpus;
mod cuts;
mod farewell;
mod log;
mod patience;
mod people;
mod processes;
mod shard;
mod source;
mod stage;
mod story;
mod subscriber;
mod table;
mod tally;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use meshwarden::Registry;
use meshwarden::Root;
use meshwarden::mesh_shape::{Extent, Rank};
use meshwarden::proc_mesh::Census;

use crate::cli::{complain, usage_error};
use corpus::{Corpus, Limits};
use log::Log;
use shard::Shard;
use stage::Stage;
use story::{Event, Story};

/// Watch a mesh at work: count the words of a folder, and lose a process to SIGKILL in mid-run.
///
/// The text files of DIR are dealt out to actors, each on a process of its own, which are called together,
/// round by round. One of the processes is killed in mid-call: the call is answered at once, for that
/// rank with what killed it; the owner and a subscriber of each mesh are told once; a slice of the
/// others counts the lost share again; and the process and its actor start again. Then an actor
/// panics, and its process lives on. The count must be that of one thread, and no process may be left
/// over.
///
/// With --processes there are no actors: processes are handed the text, and the one that is killed does its
/// share anew when it has started again.
///
/// The exit code is 0 if all of that holds, 1 if not, 2 if there was nothing to count.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The folder whose text files are counted, without hidden folders and those called `target`.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    /// The shape of the mesh, of at most 256 ranks; each coordinate of a dim `hosts` is a host.
    #[arg(long, value_name = "SHAPE", default_value = "hosts=2,procs=4", value_parser = parse_extent)]
    extent: Extent,

    /// Count with actors, which live on processes (the default).
    #[arg(long, conflicts_with = "processes")]
    actors: bool,

    /// Count with processes alone, without actors.
    #[arg(long)]
    processes: bool,

    /// Print one JSON object per event on standard output, and nothing else.
    #[arg(long)]
    json: bool,
}

/// Registers the actors and the workers of the demonstration.
pub(crate) fn register(registry: &mut Registry) {
    actors::register(registry);
    processes::register(registry);
}

/// Runs the demonstration to its end.
///
/// # Errors
///
/// What kept it from its end; nothing is left over then. Wrong input is reported here, with exit code
/// 2, and starts nothing.
pub(crate) async fn run(root: Root, args: DemoArgs) -> Result<ExitCode> {
    let story = Story::begin(args.json);
    let Prepared { corpus, shards, victim } = match prepare(&args) {
        Ok(prepared) => prepared,
        Err(error) => return Ok(usage_error(&error)),
    };
    for left_out in &corpus.left_out {
        complain(format_args!("note: {left_out}"));
    }
    let mut log = Log::new(story, Census::begin().context(CENSUS)?);
    let n_hosts = args.extent.size_of("hosts").unwrap_or(1);
    let hosts = root.hosts(n_hosts).await.context("cannot start the hosts")?;
    let stage = Stage {
        root: &root,
        hosts: &hosts,
        extent: &args.extent,
        shards: Arc::clone(&shards),
        victim,
        serial: &corpus.serial,
    };
    let counted = if args.is_of_actors() {
        actors::count(&stage, &mut log).await
    } else {
        processes::count(&stage, &mut log).await
    };
    if !hosts.close().await {
        complain(format_args!("error: a guard did not say that nothing is left over"));
    }
    let Log { mut story, census, procs, .. } = log;
    let left_over = census.left_over(procs).context(CENSUS)?;
    story.tell(Instant::now(), Event::Stopped { left_over: left_over.len() });
    if !left_over.is_empty() {
        complain(format_args!("error: these processes are left over: {left_over:?}"));
    }
    let outcome = counted?;
    story.print(&people::report((&args.extent, &shards), &outcome, story.moments()));
    let broken = verdict::broken(&outcome.expected, story.moments());
    for why in &broken {
        complain(format_args!("error: {why}"));
    }
    let is_good = broken.is_empty() && story.is_written();
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What could not be done where `/proc` cannot be read.
const CENSUS: &str = "cannot look for processes";

/// What is had before anything is started.
struct Prepared {
    corpus: Corpus,
    shards: Arc<[Shard]>,
    victim: Rank,
}

fn prepare(args: &DemoArgs) -> Result<Prepared> {
    let corpus = Corpus::read(&args.dir, Limits::DEMO)?;
    let shards = shard::deal(&corpus.sources, args.extent.size());
    let victim = shard::victim(&shards).with_context(|| {
        let (dir, n_bytes) = (args.dir.display(), corpus.bytes());
        format!(
            "the text in {dir} ({n_bytes} bytes) is too short: with less than two lines no worker can \
             be killed in mid-run"
        )
    })?;
    if args.is_of_actors() {
        actors::check(&shards)?;
    }
    Ok(Prepared { victim: Rank::new(victim), shards: shards.into(), corpus })
}

impl DemoArgs {
    /// Whether actors count.
    const fn is_of_actors(&self) -> bool {
        self.actors || !self.processes
    }
}

/// A shape that can be watched: at least one rank, and not too many.
fn parse_extent(text: &str) -> Result<Extent, String> {
    let extent: Extent = text.parse().map_err(|error| format!("{error}"))?;
    match extent.size() {
        0 => Err(format!("{extent} has no rank: every dim must be at least 1")),
        size if size > RANKS_MAX => {
            Err(format!("{extent} is {size} ranks: the demonstration takes at most {RANKS_MAX}"))
        }
        _ => Ok(extent),
    }
}

/// More processes than that are no demonstration.
const RANKS_MAX: usize = 256;
