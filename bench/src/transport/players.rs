//! Those who play, as processes that are told what to do.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use meshwarden_bench_player::Failed;

/// One who may play.
#[derive(Clone, Debug)]
pub(crate) struct Entrant {
    /// As the figures call it.
    pub(crate) by: &'static str,
    program: PathBuf,
    words: Vec<&'static str>,
}

/// One who plays: a process that has one at the other end.
#[derive(Debug)]
pub(crate) struct Pair {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// Who is what in the figures, and what starts it. A program that is not this one is a peer.
const ALL: &[(&str, &str, &str)] = &[
    (OURS, "", "actors-tcp"),
    (FLOOR, "", "floor"),
    (UNBATCHED, "", "unbatched"),
    (OURS_TLS, "", "actors-tls"),
    (OURS_UNIX, "", "actors-unix"),
    (SESSIONS, "", "sessions-tcp"),
    (SESSIONS_TLS, "", "sessions-tls"),
    (SESSIONS_UNIX, "", "sessions-unix"),
    ("ractor_cluster 0.16.5", "peer-ractor", ""),
    ("kameo 0.22.2", "peer-kameo", ""),
    ("elfo 0.2.0-alpha.21", "peer-elfo", ""),
];

pub(crate) const OURS: &str = "ours";
pub(crate) const FLOOR: &str = "floor";
pub(crate) const UNBATCHED: &str = "floor, unbatched";
pub(crate) const OURS_TLS: &str = "ours, TLS";
pub(crate) const OURS_UNIX: &str = "ours, Unix socket";
pub(crate) const SESSIONS: &str = "ours, session";
pub(crate) const SESSIONS_TLS: &str = "ours, session, TLS";
pub(crate) const SESSIONS_UNIX: &str = "ours, session, Unix socket";

/// Everybody who is here, ours first.
pub(crate) fn all() -> Vec<Entrant> {
    ALL.iter().filter_map(|(by, program, word)| Entrant::find(by, program, word)).collect()
}

/// The peers that are not.
pub(crate) fn missing() -> Vec<&'static str> {
    let found = all();
    let is_missing = |by: &&str| found.iter().all(|entrant| entrant.by != *by);
    ALL.iter().map(|(by, ..)| *by).filter(is_missing).collect()
}

impl Entrant {
    fn find(by: &'static str, program: &str, word: &'static str) -> Option<Self> {
        let own = env::current_exe().ok()?;
        if program.is_empty() {
            return Some(Self { by, program: own, words: vec!["play", word] });
        }
        // Built into a folder of their own, beside the one of this program.
        let built = own.ancestors().nth(3)?.join("bench-build-peers/release").join(program);
        built.is_file().then_some(Self { by, program: built, words: Vec::new() })
    }

    /// Whether somebody else has made it.
    pub(crate) const fn is_peer(&self) -> bool {
        self.words.is_empty()
    }

    pub(crate) fn start(&self) -> Result<Pair, Failed> {
        let mut command = Command::new(&self.program);
        command.args(&self.words).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Some panic when their other end has gone.
        command.env("RUST_BACKTRACE", "0");
        let mut child = command.spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stdin = stdin.ok_or("it was piped")?;
        let stdout = BufReader::new(stdout.ok_or("it was piped")?);
        let mut pair = Pair { child, stdin, stdout };
        match pair.line()?.as_str() {
            "ready" => Ok(pair),
            other => Err(format!("{} says {other:?}", self.by).into()),
        }
    }
}

impl Pair {
    /// Tells it what to do. Returns what it has found.
    pub(crate) fn tell(&mut self, words: &str) -> Result<Vec<f64>, Failed> {
        writeln!(self.stdin, "{words}")?;
        let line = self.line()?;
        if line.is_empty() {
            return Err(format!("{words}: it has ended").into());
        }
        Ok(line.split(' ').map(str::parse).collect::<Result<_, _>>()?)
    }

    fn line(&mut self) -> Result<String, Failed> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Pair {
    /// It ends with its standard input, and its other end with it; then nobody is in the way of who is next.
    fn drop(&mut self) {
        _ = self.child.kill().is_ok();
        _ = self.child.wait().is_ok();
    }
}
