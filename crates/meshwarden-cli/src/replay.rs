//! `meshwarden replay`: what a recorded run led to, step by step.

mod text;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use meshwarden::controller::{Effect, Spec};
use meshwarden::proc_mesh::{PROCS_MAX, ProcKind, ProcReport};
use meshwarden::trace::{Reader, Replay, Replayed};
use serde::Serialize;

use crate::cli::{complain, usage_error};

/// Replay a trace that `run --trace` has recorded: print what happened, and what was to be done.
///
/// Nothing is started: the recorded events are given to the controller once more, which comes to the
/// same effects. Each step is a line with its time in seconds, each effect an indented one.
///
/// The exit code is 0 if every step led to as many effects as when it was recorded, 1 if not, and 2
/// if the trace is wrong, or not whole.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The trace.
    #[arg(value_name = "TRACE")]
    file: PathBuf,

    /// Print one JSON object per effect, and nothing else.
    #[arg(long)]
    json: bool,
}

/// Replays a trace to its end, or to what is wrong with it.
///
/// # Errors
///
/// If standard output cannot be written. What is wrong with the trace is reported here.
pub(crate) fn run(args: &ReplayArgs) -> Result<ExitCode> {
    let steps = match open(&args.file) {
        Ok(steps) => steps,
        Err(error) => return Ok(usage_error(&error)),
    };
    let mut page = Page::new(args.json);
    page.begin(&steps.spec)?;
    let mut counts = (0, 0);
    for step in steps.replay {
        let step = match step {
            Ok(step) => step,
            Err(error) => {
                page.flush()?;
                let name = args.file.display().to_string();
                return Ok(usage_error(&anyhow::Error::new(error).context(name)));
            }
        };
        page.step(&step)?;
        counts = (counts.0 + 1, counts.1 + step.effects.len());
        if !step.agrees() {
            page.flush()?;
            complain(format_args!(
                "error: step {} led to {} effects when it was recorded, and leads to {} now: the trace \
                 was made by another version, or changed",
                step.number,
                step.n_recorded,
                step.effects.len()
            ));
            return Ok(ExitCode::FAILURE);
        }
    }
    page.end(counts)?;
    Ok(ExitCode::SUCCESS)
}

/// A trace that can be replayed.
struct Steps {
    spec: Spec,
    replay: Replay<BufReader<File>, ProcKind>,
}

fn open(path: &Path) -> Result<Steps> {
    let name = || path.display().to_string();
    let file = File::open(path).with_context(name)?;
    let reader = Reader::open(BufReader::new(file)).with_context(name)?;
    let spec = reader.spec().clone();
    let size = spec.region.size();
    ensure!(size <= PROCS_MAX, "{}: a mesh of {size} processes, more than {PROCS_MAX}", name());
    let replay = Replay::new(reader, ProcKind).with_context(name)?;
    Ok(Steps { spec, replay })
}

/// What is printed. If nobody reads on, the rest is judged all the same.
struct Page {
    out: Option<BufWriter<io::StdoutLock<'static>>>,
    is_json: bool,
}

/// One effect, as a line of JSON.
#[derive(Serialize)]
struct EffectLine<'a> {
    /// The number of its step.
    step: u64,
    /// The time of the step, in nanoseconds from the start of the clock.
    t: u128,
    effect: &'a Effect,
}

impl Page {
    fn new(is_json: bool) -> Self {
        Self { out: Some(BufWriter::new(io::stdout().lock())), is_json }
    }

    fn begin(&mut self, spec: &Spec) -> Result<()> {
        if self.is_json { Ok(()) } else { self.line(&text::spec(spec)) }
    }

    fn step(&mut self, step: &Replayed<ProcReport>) -> Result<()> {
        let now = step.now.since_start();
        if self.is_json {
            for effect in &step.effects {
                let line = EffectLine { step: step.number, t: now.as_nanos(), effect };
                self.line(&serde_json::to_string(&line)?)?;
            }
            return Ok(());
        }
        let seconds = now.as_secs_f64();
        self.line(&format!("{seconds:>12.6}  {}", text::event(&ProcKind, &step.event)))?;
        for effect in &step.effects {
            self.line(&format!("              -> {}", text::effect(effect)))?;
        }
        Ok(())
    }

    fn end(&mut self, (n_steps, n_effects): (usize, usize)) -> Result<()> {
        if !self.is_json {
            self.line(&format!("{n_steps} steps led to {n_effects} effects, as when recorded"))?;
        }
        self.flush()
    }

    fn line(&mut self, text: &str) -> Result<()> {
        self.write(|out| writeln!(out, "{text}"))
    }

    fn flush(&mut self) -> Result<()> {
        self.write(Write::flush)
    }

    fn write(
        &mut self,
        write: impl FnOnce(&mut BufWriter<io::StdoutLock<'static>>) -> io::Result<()>,
    ) -> Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        match write(out) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.out = None;
                Ok(())
            }
            result => result.context("standard output cannot be written"),
        }
    }
}
