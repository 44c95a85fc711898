//! The program as a child process, what it has printed so far, and who is left of it.

use std::error::Error;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// What is to come must come within this, on a busy machine too.
pub(crate) const WITHIN: Duration = Duration::from_secs(30);

/// The variable that marks every process of one run, also those that run away.
pub(crate) const MARK: &str = "MESH_TEST_MARK";

/// A command line that starts with the program, in a clean environment, with a mark of its own.
#[derive(Debug)]
pub(crate) struct Meshwarden {
    pub(crate) command: Command,
    pub(crate) mark: String,
}

/// A run of the program that was started, and what it has printed so far.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) mark: String,
    stdout: Printed,
    stderr: Printed,
    started: Instant,
}

/// How a run has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// From its start.
    pub(crate) took: Duration,
}

/// `meshwarden` with these arguments.
pub(crate) fn meshwarden<'a>(args: impl IntoIterator<Item = &'a str>) -> Meshwarden {
    wrapped("", args)
}

/// `meshwarden` with these arguments, started by a command line of another program.
pub(crate) fn wrapped<'a>(before: &str, args: impl IntoIterator<Item = &'a str>) -> Meshwarden {
    let mut words = before.split_ascii_whitespace().chain([PROGRAM]);
    let mut command = Command::new(words.next().unwrap_or(PROGRAM));
    command.args(words).args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let is_ours = name.to_str().is_some_and(|name| name.starts_with("MESHWARDEN"));
        if is_ours || name == "RANK" {
            command.env_remove(name);
        }
    }
    let mark = unique();
    command.env(MARK, &mark);
    Meshwarden { command, mark }
}

/// `meshwarden run` of a shell script, with the arguments of `run` in one text.
pub(crate) fn run_script(args: &str, script: &str) -> Meshwarden {
    let words = args.split_ascii_whitespace();
    meshwarden(["run"].into_iter().chain(words).chain(["--", "sh", "-c", script]))
}

impl Meshwarden {
    /// Starts it with both of its outputs captured.
    pub(crate) fn start(mut self) -> io::Result<Running> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.start_with_its_own_outputs()
    }

    /// Starts it; an output that was not set to a pipe is not captured.
    pub(crate) fn start_with_its_own_outputs(mut self) -> io::Result<Running> {
        let started = Instant::now();
        let mut child = self.command.spawn()?;
        let stdout = Printed::of(child.stdout.take());
        let stderr = Printed::of(child.stderr.take());
        Ok(Running { child, mark: self.mark, stdout, stderr, started })
    }

    /// Runs it to its end.
    pub(crate) fn finish(self) -> Result<Ended, Box<dyn Error>> {
        self.start()?.finish()
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until as many lines with this text were printed to standard output.
    pub(crate) fn until_printed(&self, text: &str, n_lines: usize) -> Result<(), Box<dyn Error>> {
        let holds = || self.stdout().lines().filter(|line| line.contains(text)).count() >= n_lines;
        until(&format!("{n_lines} lines with {text:?}"), WITHIN, holds)
            .map_err(|error| format!("{error}; out: {}; err: {}", self.stdout(), self.stderr()))?;
        Ok(())
    }

    /// The processes of this run, itself included, that are alive.
    pub(crate) fn alive(&self) -> Vec<u32> {
        alive(&self.mark)
    }

    /// The processes of this run in the given state of the kernel: `T` for stopped.
    pub(crate) fn in_state(&self, state: char) -> usize {
        self.alive().into_iter().filter(|pid| state_of(*pid) == Some(state)).count()
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Result<Ended, Box<dyn Error>> {
        let deadline = Instant::now() + WITHIN;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                let (out, err) = (self.stdout(), self.stderr());
                return Err(format!("it did not end; out: {out}; err: {err}").into());
            }
            thread::sleep(Duration::from_millis(2));
        };
        let took = self.started.elapsed();
        Ok(Ended { status, stdout: self.stdout.rest(), stderr: self.stderr.rest(), took })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its guards end the rest.
        _ = self.child.kill().is_ok();
        _ = self.child.wait().is_ok();
    }
}

impl Ended {
    /// The exit code; -n for signal n.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().or_else(|| Some(-self.status.signal()?)).unwrap_or(i32::MIN)
    }

    /// Fails unless it ended with this code.
    pub(crate) fn must_be(self, code: i32) -> Result<Self, Box<dyn Error>> {
        if self.code() == code { Ok(self) } else { Err(format!("not {code}: {self:?}").into()) }
    }

    /// The lines of a rank on standard output, without the prefix, which is its point.
    pub(crate) fn lines_of<'a>(&'a self, point: &str) -> Vec<&'a str> {
        let prefix = format!("[{point}] ");
        self.stdout.lines().filter_map(|line| line.strip_prefix(prefix.as_str())).collect()
    }
}

/// What comes out of a pipe, gathered by a thread.
#[derive(Debug)]
struct Printed {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Printed {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let gathered = Arc::clone(&bytes);
        let reader = pipe.map(|mut pipe| {
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(n_bytes @ 1..) = pipe.read(&mut buffer) {
                    let mut bytes = gathered.lock().unwrap_or_else(PoisonError::into_inner);
                    bytes.extend_from_slice(&buffer[..n_bytes]);
                }
            })
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// All of it; the program has ended, and so nobody else may hold the pipe open.
    fn rest(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            until("the end of the output", WITHIN, || reader.is_finished())
                .expect("no process of the run is left to hold its output open");
        }
        self.text()
    }
}

/// A number that no other process has: good for a mark, a name, and as the seconds of a `sleep`.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("87654.{}{:04}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A path for a file of a test, with nothing there.
pub(crate) fn temporary(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = dir.join(format!("{}-{name}", unique()));
    _ = fs::remove_file(&path).is_ok();
    path
}

/// The live processes with this mark. Zombies do not count: they have no environment.
pub(crate) fn alive(mark: &str) -> Vec<u32> {
    let entry = format!("{MARK}={mark}").into_bytes();
    let is_marked = |pid: &u32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|variable| variable == entry)
    };
    pids().filter(is_marked).collect()
}

/// Fails if a process with this mark is alive.
pub(crate) fn must_be_gone(mark: &str) -> Result<(), Box<dyn Error>> {
    let line = |pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let left: Vec<_> = alive(mark).into_iter().map(|pid| (pid, line(pid))).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("left over: {left:?}").into()) }
}

/// The live processes with this mark that run a program of this name.
pub(crate) fn alive_as(mark: &str, program: &str) -> Vec<u32> {
    let is_it = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == program)
    };
    alive(mark).into_iter().filter(is_it).collect()
}

/// The guards of a process.
pub(crate) fn guards_of(parent: u32) -> Vec<u32> {
    let is_guard = |pid: &u32| {
        parent_of(*pid) == Some(parent)
            && fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.starts_with(b"meshwarden-guard"))
    };
    pids().filter(is_guard).collect()
}

/// The letter of the kernel for what the process is doing.
pub(crate) fn state_of(pid: u32) -> Option<char> {
    stat_field(pid, 0)?.chars().next()
}

fn parent_of(pid: u32) -> Option<u32> {
    stat_field(pid, 1)?.parse().ok()
}

/// A field of `/proc/PID/stat`, counted from behind the name.
fn stat_field(pid: u32, index: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = stat.rsplit(')').next()?;
    fields.split_ascii_whitespace().nth(index).map(str::to_owned)
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").expect("Linux has it").filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Waits until the condition holds; how long that took.
pub(crate) fn until(
    what: &str,
    within: Duration,
    mut holds: impl FnMut() -> bool,
) -> Result<Duration, Box<dyn Error>> {
    let started = Instant::now();
    while !holds() {
        if started.elapsed() > within {
            return Err(format!("not within {within:?}: {what}").into());
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(started.elapsed())
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_meshwarden");
