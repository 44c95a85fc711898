//! `meshwarden run`: any program, one process per rank, supervised as a mesh.

mod events;
mod file;
mod fold;
mod outcome;
mod printer;
mod rank_logs;
mod recording;
mod room;
mod signals;
mod stdin;
mod supervision;

use std::ffi::OsString;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{ArgMatches, Args};
use meshwarden::Root;
use meshwarden::exporter::Exporter;
use meshwarden::mesh_core::{Command, Interest};
use meshwarden::mesh_shape::Rank;
use meshwarden::proc_mesh::{HostMesh, OutputSinks, ProcMesh, Program, Run};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::cli::{USAGE, complain, subcommand, usage_error};
use crate::config::{SettingArgs, Settings, resolve};
use crate::console::{Console, Voice};
use events::{EventLog, Written};
use printer::{Printers, Shown};
use rank_logs::RankLogs;
use recording::{TraceFile, TraceLog};
use signals::Signals;
use stdin::Typed;
use supervision::{Scene, Supervised, supervise};

/// Supervise any program as a mesh: one process per rank.
///
/// Each rank finds its place in MESHWARDEN_RANK, _POINT, _EXTENT and _MESH, and in the variables of
/// torchrun: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT. Its output
/// lines are prefixed with its point.
///
/// The exit code is 0 if all ranks ended well, else that of the first one that failed (128+n for
/// signal n); 2 if nothing could be started; 128+n if the run itself was ended by signal n. It is 1
/// instead of 0 if output is missing, which is said.
#[expect(clippy::doc_markdown, reason = "it is what --help prints, for people")]
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
pub(crate) async fn run(
    root: Root,
    args: &RunArgs,
    matches: &ArgMatches,
    console: &Console,
) -> Result<ExitCode> {
    let prepared = match prepare(&root, args, subcommand(matches)).await {
        Ok(prepared) => prepared,
        Err(error) => return Ok(usage_error(&error)),
    };
    let hosts = root.hosts(n_hosts(&prepared.settings)).await.context("cannot start the hosts")?;
    let (printers, output) = Printers::start(&prepared.shown, console)?;
    let mut signals = Signals::listen().context("signals cannot be heard")?;
    let grace = prepared.settings.grace;
    let ran = run_on(&root, (&hosts, output), prepared, (&mut signals, &console.voice)).await;
    let is_clean = hosts.close().await;
    if !is_clean {
        console.voice.say(format_args!("meshwarden: it is not certain that nothing is left over"));
    }
    let Ran { code, mesh, events, trace } = ran?;
    let code = if is_clean { code } else { code.max(1) };
    let rest = async {
        let is_logged = match events {
            Some(events) => events.await.unwrap_or(false),
            None => true,
        };
        // The controller tells the last subscriber of the last end before it goes.
        drop(mesh);
        let is_recorded = match trace {
            Some(trace) => trace.finish(&console.voice).await,
            None => true,
        };
        let is_printed = printers.finish().await;
        let is_said = console.voice.flush().await;
        is_logged && is_recorded && is_printed && is_said
    };
    let is_written = write_rest(rest, &mut signals, grace).await;
    Ok(ExitCode::from(if is_written { code } else { code.max(1) }))
}

/// Waits until all is written; returns whether it was. Where somebody wants the run to end, a reader
/// that does not read is given no more than the grace, and where he wants it again, nothing.
async fn write_rest(
    rest: impl Future<Output = bool>,
    signals: &mut Signals,
    grace: Duration,
) -> bool {
    let patience = if signals.has_stopped() { grace } else { Duration::MAX };
    tokio::select! {
        is_written = rest => is_written,
        () = signals.stop() => false,
        () = sleep(patience) => false,
    }
}

/// What is had before anything is started, so that wrong input starts nothing.
struct Prepared {
    settings: Settings,
    shown: Shown,
    run: Run,
    typed: Option<Typed>,
    events: Option<EventLog>,
    trace: Option<TraceFile>,
    /// Serves until the run ends.
    exporter: Option<Exporter>,
}

async fn prepare(root: &Root, run_args: &RunArgs, matches: &ArgMatches) -> Result<Prepared> {
    let settings = resolve(&run_args.settings, matches)?;
    room::check(settings.extent.size())?;
    let stdin = run_args.stdin.map(|rank| stdin::open(Rank::new(rank), &settings.extent));
    let (stdin, typed) = stdin.transpose()?.unzip();
    let exporter = match settings.metrics {
        Some(address) => Some(Exporter::serve(address, root.output()).await?),
        None => None,
    };
    if let Some(exporter) =
        exporter.as_ref().filter(|_| settings.metrics.is_some_and(|it| it.port() == 0))
    {
        complain(format_args!("meshwarden: metrics at http://{}/metrics", exporter.address()));
    }
    let is_one = settings.events.is_some() && settings.events == settings.trace;
    ensure!(!is_one, "events and trace cannot be written to the same file");
    let events = settings.events.as_deref().map(EventLog::open).transpose()?;
    let trace = settings.trace.as_deref().map(TraceFile::open).transpose()?;
    let (program, args) = run_args.command.split_first().context("no command was given")?;
    let command = Command::new(program, args);
    let launcher =
        Program::new(command, (Ipv4Addr::LOCALHOST.to_string(), master_port(&settings)?));
    let run = Run::Program { launcher: Arc::new(launcher), stdin, notify: settings.notify };
    let typed = typed.flatten();
    // Last, since it empties what an earlier run has left.
    let n_ranks = settings.extent.size();
    let logs = settings.log_dir.as_deref().map(|dir| RankLogs::create(dir, n_ranks)).transpose()?;
    let shown =
        Shown { extent: settings.extent.clone(), folds: settings.fold, logs: logs.map(Arc::new) };
    Ok(Prepared { settings, shown, run, typed, events, trace, exporter })
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

/// What a run gives back.
struct Ran {
    code: u8,
    /// To be kept until all events have been written.
    mesh: Option<ProcMesh>,
    /// Gets whether all events were written, in time.
    events: Option<oneshot::Receiver<bool>>,
    /// To be waited for once the mesh has been dropped.
    trace: Option<TraceLog>,
}

/// Starts the mesh and supervises it to its end.
async fn run_on(
    root: &Root,
    (hosts, output): (&HostMesh, OutputSinks),
    prepared: Prepared,
    (signals, voice): (&mut Signals, &Voice),
) -> Result<Ran> {
    let Prepared { settings, run, typed, events, trace, exporter, .. } = prepared;
    let (recorder, trace) = trace.map(TraceFile::start).transpose()?.unzip();
    let mut described = root
        .procs(settings.extent.clone())
        .name(settings.name.clone())
        .times(settings.times)
        .restart(settings.restart)
        .output(output)
        .surroundings(settings.surroundings.clone());
    if let Some(recorder) = recorder {
        described = described.trace(recorder);
    }
    let mut mesh = match described.run(run).start(hosts).await {
        Ok(mesh) => mesh,
        Err(error) => {
            voice.say(format_args!("meshwarden: {error}"));
            return Ok(Ran { code: USAGE, mesh: None, events: None, trace });
        }
    };
    typed.map(Typed::copy).transpose().context("cannot copy the standard input")?;
    let mut written = None;
    if let Some(log) = events {
        let events = mesh.subscribe(Interest::All).await.context("events cannot be written")?;
        written = Some(log.start(events, settings.extent.clone(), voice.clone())?);
    }
    let (said, written) = written.map(|Written { said, all }| (said, all)).unzip();
    let scene = Scene { hosts, settings: &settings, voice, said };
    let Supervised { code, is_finished } = supervise(&mut mesh, signals, scene).await;
    drop(exporter);
    Ok(Ran { code, mesh: is_finished.then_some(mesh), events: written, trace })
}
