//! `meshwarden run`: any program, one process per rank, supervised as a mesh.

mod events;
mod limits;
mod outcome;
mod printer;
mod signals;
mod stdin;
mod supervision;

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{ArgMatches, Args};
use meshwarden::exporter::Exporter;
use meshwarden::mesh_core::{Command, Interest};
use meshwarden::mesh_shape::Rank;
use meshwarden::proc_mesh::{HostMesh, OutputSinks, ProcMesh, Program, Run};
use meshwarden::supervise::MeshEvents;
use meshwarden::{Root, prelude::SpawnError};
use tokio::time::sleep;

use crate::cli::{USAGE, complain, subcommand, usage_error};
use crate::config::{SettingArgs, Settings, resolve};
use events::EventLog;
use printer::Printers;
use signals::Signals;
use stdin::Typed;
use supervision::{Ended, supervise};

/// Supervise any program as a mesh: one process per rank.
///
/// Each rank finds its place in MESHWARDEN_RANK, _POINT, _EXTENT and _MESH, and in the variables of
/// torchrun: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT. Its output
/// lines are prefixed with its point.
///
/// The exit code is 0 if all ranks ended well, else that of the first one that failed (128+n for
/// signal n); 2 if nothing could be started; 128+n if the run itself was ended by signal n.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    settings: SettingArgs,

    /// Give this rank the standard input of `meshwarden`; the others read /dev/null.
    #[arg(long, value_name = "RANK")]
    stdin: Option<usize>,

    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs the program on every rank, to the end.
///
/// # Errors
///
/// What is nobody's input. Wrong input is reported here, with exit code 2, and starts nothing.
pub(crate) async fn run(root: Root, args: &RunArgs, matches: &ArgMatches) -> Result<ExitCode> {
    let prepared = match prepare(&root, args, subcommand(matches)).await {
        Ok(prepared) => prepared,
        Err(error) => return Ok(usage_error(&error)),
    };
    let hosts = root.hosts(n_hosts(&prepared.settings)).await.context("cannot start the hosts")?;
    limits::raise_open_files();
    let (printers, output) = Printers::start(&prepared.settings.extent)?;
    let mut signals = Signals::listen().context("signals cannot be heard")?;
    let grace = prepared.settings.grace;
    let code = run_on(&root, &hosts, prepared, output, &mut signals).await;
    if !hosts.close().await {
        complain(format_args!("meshwarden: a guard did not say that nothing is left over"));
    }
    let is_printed = print_rest(printers, &mut signals, grace).await;
    let code = code?;
    Ok(if is_printed || code != 0 { ExitCode::from(code) } else { ExitCode::FAILURE })
}

/// Waits until all is printed; returns whether it was. Where somebody wants the run to end, a reader
/// that does not read is given no more than the grace, and where he wants it again, nothing.
async fn print_rest(printers: Printers, signals: &mut Signals, grace: Duration) -> bool {
    let patience = if signals.has_stopped() { grace } else { Duration::MAX };
    tokio::select! {
        is_printed = printers.finish() => return is_printed,
        () = signals.stop() => (),
        () = sleep(patience) => (),
    }
    complain(format_args!("meshwarden: output is lost, nobody reads it"));
    false
}

/// What is had before anything is started, so that wrong input starts nothing.
struct Prepared {
    settings: Settings,
    run: Run,
    typed: Option<Typed>,
    events: Option<EventLog>,
    /// Serves until the run ends.
    _exporter: Option<Exporter>,
}

async fn prepare(root: &Root, args: &RunArgs, matches: &ArgMatches) -> Result<Prepared> {
    let settings = resolve(&args.settings, matches)?;
    let stdin = args.stdin.map(|rank| stdin::open(Rank::new(rank), &settings.extent));
    let (stdin, typed) = stdin.transpose()?.unzip();
    let events = settings.events.as_deref().map(EventLog::create).transpose()?;
    let exporter = match settings.metrics {
        Some(address) => Some(Exporter::serve(address, root.output()).await?),
        None => None,
    };
    if let Some(exporter) =
        exporter.as_ref().filter(|_| settings.metrics.is_some_and(|it| it.port() == 0))
    {
        complain(format_args!("meshwarden: metrics at http://{}/metrics", exporter.address()));
    }
    let (program, args) = args.command.split_first().context("no command was given")?;
    let command = Command::new(program, args);
    let launcher =
        Program::new(command, (Ipv4Addr::LOCALHOST.to_string(), master_port(&settings)?));
    let run = Run::Program { launcher: std::sync::Arc::new(launcher), stdin };
    let typed = typed.flatten();
    Ok(Prepared { settings, run, typed, events, _exporter: exporter })
}

/// The port that was asked for, or one that is free now.
fn master_port(settings: &Settings) -> Result<u16> {
    if settings.master_port != 0 {
        return Ok(settings.master_port);
    }
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
    Ok(free.context("cannot find a free port for MASTER_PORT")?.port())
}

fn n_hosts(settings: &Settings) -> usize {
    settings.extent.size_of("hosts").unwrap_or(1)
}

/// Spawns the mesh and supervises it to its end; the exit code.
async fn run_on(
    root: &Root,
    hosts: &HostMesh,
    prepared: Prepared,
    output: OutputSinks,
    signals: &mut Signals,
) -> Result<u8> {
    let Prepared { settings, run, typed, events, _exporter } = prepared;
    let started = root
        .procs(settings.extent.clone())
        .name(settings.name.clone())
        .times(settings.times)
        .restart(settings.restart)
        .output(output)
        .run(run)
        .start(hosts)
        .await;
    let mut mesh = match started {
        Ok(mesh) => mesh,
        Err(error) => {
            complain(format_args!("meshwarden: {error}"));
            return Ok(USAGE);
        }
    };
    typed.map(Typed::copy).transpose().context("cannot copy the standard input")?;
    let logging = match events {
        Some(log) => {
            Some(tokio::spawn(log.write_all(subscribe(&mesh).await?, settings.extent.clone())))
        }
        None => None,
    };
    let ended = supervise(&mut mesh, hosts, &settings, signals).await;
    let code = match ended {
        Ended::Code(code) => code,
        Ended::NotSpawned(error) => report_not_spawned(&error),
    };
    let is_logged = match logging {
        Some(logging) => logging.await.unwrap_or(false),
        None => true,
    };
    Ok(if is_logged || code != 0 { code } else { 1 })
}

async fn subscribe(mesh: &ProcMesh) -> Result<MeshEvents> {
    mesh.subscribe(Interest::All).await.context("the events cannot be written")
}

fn report_not_spawned(error: &SpawnError) -> u8 {
    if let SpawnError::Ranks { failures } = error {
        for failed in failures {
            complain(format_args!("{failed}"));
        }
    }
    complain(format_args!("meshwarden: {error}; the others were stopped, nothing is left running"));
    USAGE
}
