//! Real faults on real processes: each must be told exactly once, as what it was, and nothing else.
//!
//! Spawns a mesh of workers that are restarted whatever happens to them; ends them with every exit code,
//! kills, terminates, suspends and freezes them, has them crash with and without a core, starves them of memory,
//! and kills their guards, one after the other and several at once; does the same while hogs take the
//! processors' time; and judges what the owner and two subscribers were told. Beside it, whole programs
//! with meshes of their own are killed, suspended beyond their leases, or lose their host agents. The
//! exit code is 0 only if nothing was lost, told twice, invented or told wrongly, and no process is left
//! over. What this machine cannot do is said, and is no pass.
//!
//! With `--quiet-ranks` nothing is done, and nobody may be told of anything ([`quiet`]).
//! With `--actors` the same is done to [`actors`], and what is cast to them meanwhile is judged too.
//!
//! ```text
//! cargo run -p meshwarden --example chaos --all-features -- --faults 200 --hogs 16 --seed 7
//! cargo run -p meshwarden --example chaos --all-features -- --actors --faults 200 --seed 7
//! ```

#![forbid(unsafe_code)]

mod abilities;
mod actors;
mod drive;
mod floor;
mod freezer;
mod hogs;
mod inject;
mod kind;
mod ledger;
mod options;
mod plan;
mod processes;
mod programs;
mod quiet;
mod report;
mod subscriber;
mod victim;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use meshwarden::mesh_core::MeshId;
use meshwarden::prelude::HostMesh;
use meshwarden::proc_mesh::Census;
use meshwarden::{ClientError, Root};

use abilities::Abilities;
use drive::{Books, Driver};
use floor::Floor;
use hogs::Hogs;
use ledger::Ledger;
use options::{Options, USAGE};
use plan::Plan;
use programs::{Programs, client};
use report::{Machine, Report};
use victim::{VICTIM, victim};

fn main() -> ExitCode {
    meshwarden::main(
        |registry| {
            registry.worker(VICTIM, victim);
            registry.actor::<actors::Victim>();
        },
        async |root| match std::env::args().nth(1).as_deref() {
            Some(hogs::ARGUMENT) => Ok(hogs::be_a_hog()),
            Some(client::ARGUMENT) => client::be_a_program(&root).await.map_err(ClientError::from),
            _ => match Options::parse(std::env::args().skip(1)) {
                Ok(options) => run_as_asked(&root, &options).await.map_err(ClientError::from),
                Err(error) => {
                    // If nobody reads it, nobody misses it.
                    _ = writeln!(io::stderr().lock(), "error: {error:#}\n{USAGE}").is_ok();
                    Ok(ExitCode::from(2))
                }
            },
        },
    )
}

async fn run_as_asked(root: &Root, options: &Options) -> Result<ExitCode> {
    match options.quiet {
        Some(quiet) => quiet::run(root, options, quiet).await,
        None if options.is_of_actors => actors::run(root, options).await,
        None => run(root, options).await,
    }
}

async fn run(root: &Root, options: &Options) -> Result<ExitCode> {
    let mut census = Census::begin()?;
    let machine = Machine::look();
    let scratch = Scratch::new(options.extent.size())?;
    let floor = Floor::start(scratch.0.join(PLAIN))?;
    let mut ledger = Ledger::new(options.extent.size());
    let mut programs = Programs::default();
    let n_hosts = options.extent.size_of("hosts").unwrap_or(1);
    let hosts = root.hosts(n_hosts).await.context("the hosts cannot be started")?;
    let abilities = Abilities::probe(root, &hosts, &floor).await?;
    for (kind, why) in &abilities.skipped {
        _ = writeln!(io::stderr().lock(), "SKIPPED: {}: {why}", kind.label()).is_ok();
    }
    let mut mesh = None;
    let books =
        Books { floor: &floor, ledger: &mut ledger, programs: &mut programs, census: &mut census };
    let site = Site { root, hosts: &hosts, abilities: &abilities, scratch: &scratch };
    let ended = inject(site, options, books, &mut mesh).await;
    let is_closed = hosts.close().await;
    // Those that still run after an error are no leftovers of the mesh.
    programs.end().await;
    let report = Report {
        options,
        machine,
        skipped: &abilities.skipped,
        ledger: &ledger,
        programs: &programs,
        ended_early: ended.err().map(|error| format!("{error:#}")).or_else(|| {
            (!is_closed).then(|| "a guard did not say that nothing is left over".to_owned())
        }),
        left_over: census.left_over(mesh)?,
    };
    if let Some(path) = &options.json {
        let text = serde_json::to_vec_pretty(&report.json())?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(report.text().as_bytes()).context("standard output cannot be written")?;
    stdout.flush()?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where a run happens.
#[derive(Clone, Copy)]
struct Site<'a> {
    root: &'a Root,
    hosts: &'a HostMesh,
    abilities: &'a Abilities,
    scratch: &'a Scratch,
}

/// Injects all faults: the first half without hogs, the second with them, if there are to be any.
async fn inject(
    site: Site<'_>,
    options: &Options,
    books: Books<'_>,
    mesh: &mut Option<MeshId>,
) -> Result<()> {
    let Options { n_faults, n_hogs, seed, extent, .. } = options;
    let surroundings = site.abilities.surroundings(&site.scratch.0)?;
    let described = (extent.clone(), surroundings);
    let mut driver = Driver::spawn((site.root, site.hosts), described, books).await?;
    *mesh = Some(driver.id());
    driver.begin().await?;
    let mut plan = Plan::new(*seed, extent.size(), site.abilities.without());
    let n_hogged = if *n_hogs == 0 { 0 } else { n_faults / 2 };
    plan.extend(n_faults - n_hogged);
    driver.run(&mut plan, false).await?;
    if n_hogged > 0 {
        let hogs = Hogs::start(*n_hogs)?;
        plan.extend(n_hogged);
        driver.run(&mut plan, true).await?;
        drop(hogs);
    }
    driver.stop().await
}

/// A directory with one for each rank's cores, and one for those of plain children; removed with them.
struct Scratch(PathBuf);

/// Where plain children write cores.
const PLAIN: &str = "plain";

impl Scratch {
    fn new(n_ranks: usize) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("meshwarden-chaos-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let scratch = Self(dir);
        fs::create_dir(scratch.0.join(PLAIN))?;
        for rank in 0..n_ranks {
            fs::create_dir(scratch.0.join(rank.to_string()))?;
        }
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in the way of nobody.
        _ = fs::remove_dir_all(&self.0).is_ok();
    }
}
