//! `meshwarden demo`: counts words with a mesh of workers, kills one in mid-run, and checks that all
//! that is promised holds.

mod corpus;
mod counter;
mod cuts;
mod drive;
mod job;
mod people;
mod shard;
mod source;
mod story;
mod table;
mod tally;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use meshwarden::Registry;
use meshwarden::Root;
use meshwarden::mesh_core::MeshId;
use meshwarden::mesh_shape::{Extent, Rank};
use meshwarden::prelude::HostMesh;
use meshwarden::proc_mesh::Census;

use crate::cli::{complain, usage_error};
use corpus::{Corpus, Limits};
use drive::Driver;
use job::Job;
use story::{Event, Story};
use verdict::Expected;

/// Watch a mesh at work: count the words of a folder, and lose a worker to SIGKILL in mid-run.
///
/// The text files of DIR are dealt out to workers. One of them is killed when it has done a part of
/// its share; the owner and a subscriber are told once, it starts again, and its share is done anew.
/// The count must be that of one thread, and no process may be left over.
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

    /// Print one JSON object per event on standard output, and nothing else.
    #[arg(long)]
    json: bool,
}

/// Registers the workers of the demonstration.
pub(crate) fn register(registry: &mut Registry) {
    registry.worker(counter::ENTRY, counter::count);
}

/// Runs the demonstration to its end.
///
/// # Errors
///
/// What kept it from its end; nothing is left over then. Wrong input is reported here, with exit code
/// 2, and starts nothing.
pub(crate) async fn run(root: Root, args: DemoArgs) -> Result<ExitCode> {
    let mut story = Story::begin(args.json);
    let Prepared { corpus, job } = match prepare(&args) {
        Ok(prepared) => prepared,
        Err(error) => return Ok(usage_error(&error)),
    };
    for left_out in &corpus.left_out {
        complain(format_args!("note: {left_out}"));
    }
    let mut census = Census::begin().context(CENSUS)?;
    let n_hosts = args.extent.size_of("hosts").unwrap_or(1);
    let hosts = root.hosts(n_hosts).await.context("cannot start the hosts")?;
    let mut mesh = None;
    let stage = Stage { root: &root, hosts: &hosts, corpus: &corpus, mesh: &mut mesh };
    let counted = count(stage, &args.extent, job, (&mut story, &mut census)).await;
    if !hosts.close().await {
        complain(format_args!("error: a guard did not say that nothing is left over"));
    }
    let left_over = census.left_over(mesh).context(CENSUS)?;
    story.tell(Instant::now(), Event::Stopped { left_over: left_over.len() });
    if !left_over.is_empty() {
        complain(format_args!("error: these processes are left over: {left_over:?}"));
    }
    let (job, expected) = counted?;
    story.print(&people::report(&args.extent, &job, story.moments()));
    let broken = verdict::broken(&expected, story.moments());
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
    job: Job,
}

/// What a count stands on, and where it says which mesh it is.
struct Stage<'a> {
    root: &'a Root,
    hosts: &'a HostMesh,
    corpus: &'a Corpus,
    mesh: &'a mut Option<MeshId>,
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
    Ok(Prepared { job: Job::new(shards, Rank::new(victim)), corpus })
}

async fn count(
    stage: Stage<'_>,
    extent: &Extent,
    job: Job,
    (story, census): (&mut Story, &mut Census),
) -> Result<(Job, Expected)> {
    let victim = job.victim();
    let spawning = Driver::spawn((stage.root, stage.hosts), extent.clone(), job, story, census);
    let driver = spawning.await?;
    let mesh = driver.label().id();
    *stage.mesh = Some(mesh);
    let job = driver.count(&stage.corpus.serial).await?;
    let expected = Expected {
        mesh: mesh.to_string(),
        n_ranks: extent.size(),
        victim: victim.index(),
        point: extent.unravel(victim)?.to_string(),
    };
    Ok((job, expected))
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
