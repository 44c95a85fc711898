//! A command with a deadline: what is not over by then is ended, and nothing else.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::stop::Stop;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself.
    Exited(ExitStatus),
    /// It was not over at its deadline, and was ended.
    Overdue,
}

/// Runs a command in a process group of its own, and writes all that it says to `log`.
///
/// # Errors
///
/// [`Stop::Problems`] if the log cannot be written or the command cannot be started.
pub(super) fn run(command: &mut Command, log: &Path, deadline: Duration) -> Result<Ended, Stop> {
    let told = |error: io::Error| Stop::problem(format!("{}: {error}", log.display()));
    let out = File::create(log).map_err(told)?;
    let errors = out.try_clone().map_err(told)?;
    command.stdin(Stdio::null()).stdout(out).stderr(errors).process_group(0);
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .spawn()
        .map_err(|error| Stop::problem(format!("{name} cannot be started: {error}")))?;
    let status = wait(&mut child, deadline).map_err(told)?;
    Ok(match status {
        Some(status) => Ended::Exited(status),
        None => {
            end(&mut child).map_err(told)?;
            Ended::Overdue
        }
    })
}

/// How it ended, if it did in that time.
fn wait(child: &mut Child, time: Duration) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        let status = child.try_wait()?;
        if status.is_some() || start.elapsed() >= time {
            return Ok(status);
        }
        sleep(POLL);
    }
}

/// Ends the group of a child that still runs: first asks, since a runner of tests has groups of its
/// own to end, and then kills.
fn end(child: &mut Child) -> io::Result<()> {
    signal("TERM", child.id())?;
    if wait(child, GRACE)?.is_none() {
        signal("KILL", child.id())?;
        child.wait()?;
    }
    Ok(())
}

/// Sends a signal to the process group `group`, which is that of a child that was not waited for.
fn signal(name: &str, group: u32) -> io::Result<()> {
    let line = format!("kill -s {name} -- -{group}");
    // A group that has just gone needs no signal.
    Command::new("sh").args(["-c", &line]).stderr(Stdio::null()).status().map(|_| ())
}

/// How long a runner may take to end its tests.
const GRACE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::process::{self, Command};
    use std::time::{Duration, Instant};

    use super::{Ended, run};

    fn ended(name: &str, line: &str, deadline: Duration) -> (Ended, String) {
        let log = env::temp_dir().join(format!("mutants-child-{}-{name}", process::id()));
        let ended = run(Command::new("sh").args(["-c", line]), &log, deadline).expect("sh is here");
        let text = fs::read_to_string(&log).expect("it was written");
        fs::remove_file(&log).expect("it is ours");
        (ended, text)
    }

    #[test]
    fn what_a_command_says_is_kept() {
        let (ended, text) = ended("says", "echo a; echo b >&2; exit 3", Duration::from_secs(60));
        assert!(matches!(ended, Ended::Exited(status) if status.code() == Some(3)), "{ended:?}");
        assert_eq!(text, "a\nb\n");
    }

    /// Its children too: else this test would take a minute.
    #[test]
    fn what_is_overdue_is_ended_with_its_children() {
        let start = Instant::now();
        let (ended, text) = ended("late", "echo a; sleep 61; echo b", Duration::from_millis(200));
        assert_eq!((ended, text.as_str()), (Ended::Overdue, "a\n"));
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
