//! `full_disk`: what is said of logs whose disk is full, on a real one of 64 KiB.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::Trial;

use crate::fixture::{MARK, Meshwarden, run_script, temporary};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let can = probe();
    if let Err(why) = &can {
        _ = writeln!(io::stderr(), "SKIPPED, LOUDLY: no test of a full disk: {why}").is_ok();
    }
    let trials = [
        trial(what_a_full_disk_has_cost_is_said_of_all_ranks_together),
        trial(a_log_says_where_lines_are_missing),
    ];
    trials.into_iter().map(|trial| trial.with_ignored_flag(can.is_err())).collect()
}

fn what_a_full_disk_has_cost_is_said_of_all_ranks_together() -> Outcome {
    let disk = Disk::new()?;
    // No disk of this size has room for all lines of one rank.
    let script = "line=$(printf %04999d 0); \
                  for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do echo $line; done; \
                  test $RANK = 2 && exit 5; exit 0";
    let args = format!("--extent procs=4 --on-failure continue --log-dir {}", disk.logs());
    let ended = disk.mounted_for(run_script(&args, script)).finish()?.must_be(5)?;
    for rank in 0..4 {
        let n_lines = ended.lines_of(&format!("procs={rank}")).len();
        assert_eq!(n_lines, 16, "rank {rank} goes on, and is shown");
    }
    let said: Vec<_> = ended.stderr.lines().filter(|line| line.contains("output is")).collect();
    let [first, sum] = said[..] else { return Err(format!("not two lines: {said:?}").into()) };
    assert!(first.starts_with("meshwarden: output is lost, the log of rank "), "{first}");
    assert!(first.contains("No space left on device"), "{first}");
    let mut n_lost = 4 * 16 * 5000;
    for rank in 0..4 {
        let log = disk.log(rank)?;
        n_lost -= log.lines().filter(|line| line.starts_with('0')).count() * 5000;
    }
    let all = format!("{n_lost} bytes are not in the logs of these ranks: 0..4");
    assert_eq!(sum, format!("meshwarden: output is missing: {all}"));
    disk.remove()
}

fn a_log_says_where_lines_are_missing() -> Outcome {
    let disk = Disk::new()?;
    let script = "cd DISK; \
                  if test $RANK = 0; then head -c 1000000 /dev/zero >logs/ballast; echo >full; fi \
                  2>/dev/null; until test -e full; do sleep 0.01; done; echo lost $RANK; \
                  until test -e go; do sleep 0.01; done; rm -f logs/ballast; echo kept $RANK";
    let script = script.replace("DISK", &disk.0.display().to_string());
    let args = format!("--extent procs=2 --log-dir {}", disk.logs());
    let running = disk.mounted_for(run_script(&args, &script)).start()?;
    running.until_printed("lost", 2)?;
    fs::write(disk.0.join("go"), "")?;
    let ended = running.finish()?.must_be(1)?;
    for rank in 0..2 {
        let expected = format!("--- 7 bytes are missing here ---\nkept {rank}\n");
        assert_eq!(disk.log(rank)?, expected);
    }
    let sum = "meshwarden: output is missing: 14 bytes are not in the logs of these ranks: 0..2\n";
    assert!(ended.stderr.ends_with(sum), "{}", ended.stderr);
    disk.remove()
}

/// A directory of a test. Below it, `logs` is a small disk while something runs; `kept` has what was there
/// at the end.
struct Disk(PathBuf);

impl Disk {
    fn new() -> io::Result<Self> {
        let dir = temporary("disk");
        for name in ["logs", "kept"] {
            fs::create_dir_all(dir.join(name))?;
        }
        Ok(Self(dir))
    }

    fn logs(&self) -> String {
        self.0.join("logs").display().to_string()
    }

    /// The same run with the disk, in a namespace of its own: it is gone with that.
    fn mounted_for(&self, mut run: Meshwarden) -> Meshwarden {
        let script = format!("{MOUNT} && \"$@\"; code=$?; cp logs/*.log kept; exit $code");
        let mut command = in_namespace(&self.0, &script);
        command.arg(run.command.get_program()).args(run.command.get_args()).env(MARK, &run.mark);
        run.command = command;
        run
    }

    fn log(&self, rank: usize) -> io::Result<String> {
        fs::read_to_string(self.0.join(format!("kept/rank-{rank}.log")))
    }

    fn remove(&self) -> Outcome {
        Ok(fs::remove_dir_all(&self.0)?)
    }
}

/// A shell that may mount what nobody else sees; its arguments are to be added.
fn in_namespace(dir: &Path, script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.current_dir(dir).stdin(Stdio::null());
    command
}

/// Whether a disk can be mounted here.
fn probe() -> Outcome {
    let disk = Disk::new()?;
    let output = in_namespace(&disk.0, MOUNT).output()?;
    disk.remove()?;
    let why = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(why.trim().into()) }
}

const MOUNT: &str = "mount -t tmpfs -o size=64k none logs";
