//! Real faults on real processes: each must be told exactly once, as what it was, and nothing else.
//!
//! Spawns a mesh of workers that are restarted whatever happens to them, kills, ends, terminates and
//! suspends them one after the other and several at once, and judges what the owner and two
//! subscribers were told. The exit code is 0 only if nothing was lost, told twice, invented or told
//! wrongly, and no process is left over.
//!
//! ```text
//! cargo run -p meshwarden --example chaos -- --faults 300 --seed 7
//! ```

#![forbid(unsafe_code)]

mod drive;
mod ledger;
mod options;
mod plan;
mod report;

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use meshwarden::prelude::Worker;
use meshwarden::proc_mesh::Census;
use meshwarden::{ClientError, Root};

use drive::Driver;
use ledger::Ledger;
use options::{Options, USAGE};
use plan::Plan;
use report::Report;

/// The name that the worker is registered under.
const VICTIM: &str = "victim";

fn main() -> ExitCode {
    meshwarden::main(
        |registry| registry.worker(VICTIM, victim),
        async |root| match Options::parse(std::env::args().skip(1)) {
            Ok(options) => run(&root, &options).await.map_err(ClientError::from),
            Err(error) => {
                // If nobody reads it, nobody misses it.
                _ = writeln!(io::stderr().lock(), "error: {error:#}\n{USAGE}").is_ok();
                Ok(ExitCode::from(2))
            }
        },
    )
}

/// The worker: obeys `exit N`, and idles until then.
async fn victim(mut worker: Worker) -> ExitCode {
    let order = worker.recv().await.and_then(|message| String::from_utf8(message).ok());
    let code = order.as_deref().and_then(|order| order.strip_prefix("exit ")?.parse::<u8>().ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

async fn run(root: &Root, options: &Options) -> Result<ExitCode> {
    let Options { n_faults, seed, extent, json } = options;
    let mut census = Census::begin()?;
    let mut ledger = Ledger::new(extent.size());
    let n_hosts = extent.size_of("hosts").unwrap_or(1);
    let hosts = root.hosts(n_hosts).await.context("the hosts cannot be started")?;
    let mut mesh = None;
    let injected = async {
        let spawning = Driver::spawn((root, &hosts), extent.clone(), &mut ledger, &mut census);
        let driver = spawning.await?;
        mesh = Some(driver.id());
        driver.run(Plan::new(*seed, extent.size(), *n_faults)).await
    };
    let ended = injected.await;
    let is_closed = hosts.close().await;
    let report = Report {
        seed: *seed,
        extent,
        ledger: &ledger,
        ended_early: ended.err().map(|error| format!("{error:#}")).or_else(|| {
            (!is_closed).then(|| "a guard did not say that nothing is left over".to_owned())
        }),
        left_over: census.left_over(mesh)?,
    };
    if let Some(path) = json {
        let text = serde_json::to_vec_pretty(&report.json())?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(report.text().as_bytes()).context("standard output cannot be written")?;
    stdout.flush()?;
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
