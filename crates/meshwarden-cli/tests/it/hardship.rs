//! Much, little and strange: many ranks, few descriptors, long command lines, runs within runs.

use std::time::Duration;

use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::fixture::{alive_as, meshwarden, must_be_gone, run_script, until, wrapped};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(two_hundred_ranks_on_forty_hosts_come_and_go),
        trial(a_run_can_be_what_another_runs),
        trial(a_very_long_command_line_arrives_whole),
        trial(with_few_descriptors_it_runs_or_says_why_not),
        trial(with_nobody_to_hear_it_it_still_ends_with_its_code),
        trial(without_standard_streams_it_still_runs),
    ]
}

fn two_hundred_ranks_on_forty_hosts_come_and_go() -> Outcome {
    let running = run_script("--extent hosts=40,procs=5", "exec sleep 1000").start()?;
    let within = Duration::from_secs(30);
    until("200 ranks", within, || alive_as(&running.mark, "sleep").len() == 200)?;
    running.signal(Signal::INT)?;
    let mark = running.mark.clone();
    running.finish()?.must_be(130)?;
    must_be_gone(&mark)?;
    let ended = meshwarden(["run", "--extent", "procs=200", "--", "printenv", "RANK"]).finish()?;
    assert_eq!(ended.must_be(0)?.stdout.lines().count(), 200);
    Ok(())
}

fn a_run_can_be_what_another_runs() -> Outcome {
    let program = env!("CARGO_BIN_EXE_meshwarden");
    let inner =
        format!("exec {program} run --extent b=2 -- sh -c 'echo $MESHWARDEN_POINT; exit $INNER'");
    let command = run_script("--extent a=2", &inner).env("INNER", "0");
    let mark = command.mark.clone();
    let ended = command.finish()?.must_be(0)?;
    let mut lines: Vec<_> = ended.stdout.lines().collect();
    lines.sort_unstable();
    let expected = ["[a=0] [b=0] b=0", "[a=0] [b=1] b=1", "[a=1] [b=0] b=0", "[a=1] [b=1] b=1"];
    assert_eq!(lines, expected);
    must_be_gone(&mark)?;
    run_script("--extent a=2", &inner).env("INNER", "6").finish()?.must_be(6)?;
    // The outer one is killed: the inner guards die with their runs.
    let inner = format!("exec {program} run --extent b=2 -- sleep 1000");
    let running = run_script("--extent a=2", &inner).start()?;
    until("the innermost", Duration::from_secs(30), || {
        alive_as(&running.mark, "sleep").len() == 4
    })?;
    running.signal(Signal::KILL)?;
    until("nothing left", Duration::from_secs(1), || running.alive().is_empty())?;
    Ok(())
}

fn a_very_long_command_line_arrives_whole() -> Outcome {
    let long = "x".repeat(100_000);
    let mut args = vec!["run", "--extent", "procs=3", "--", "sh", "-c", "echo $# ${#1} ${15}"];
    args.push("sh");
    args.extend([long.as_str(); 14]);
    args.push("last");
    let ended = meshwarden(args).finish()?.must_be(0)?;
    for point in ["procs=0", "procs=1", "procs=2"] {
        assert_eq!(ended.lines_of(point), ["15 100000 last"]);
    }
    Ok(())
}

fn with_few_descriptors_it_runs_or_says_why_not() -> Outcome {
    // `ulimit` is of the shell; the words of the command line are its arguments.
    let limited = |n_ranks: &str, n_files: &str| {
        let script = format!("ulimit -n {n_files}; exec \"$0\" \"$@\"");
        let mut command = wrapped("sh", ["run", "--extent", n_ranks, "--", "true"]);
        let words: Vec<_> = command.command.get_args().map(ToOwned::to_owned).collect();
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(script).args(words).stdin(std::process::Stdio::null());
        for (name, value) in command.command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        command.command = shell;
        command
    };
    limited("procs=4", "64").finish()?.must_be(0)?;
    let command = limited("procs=60", "64");
    let mark = command.mark.clone();
    let ended = command.finish()?;
    must_be_gone(&mark)?;
    if ended.code() != 0 {
        let ended = ended.must_be(2)?;
        assert!(ended.stderr.contains("Too many open files (errno 24)"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("os error"), "{}", ended.stderr);
    }
    Ok(())
}

fn with_nobody_to_hear_it_it_still_ends_with_its_code() -> Outcome {
    use std::process::Stdio;
    let script = "sleep 0.2; test $RANK = 1 && exit 7; exec sleep 1000";
    let mut command = run_script("--extent procs=2 --lease 400ms", script);
    command.command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mark = command.mark.clone();
    let mut child = command.command.spawn()?;
    drop((child.stdout.take(), child.stderr.take()));
    // Paused, so that there is a warning that nobody reads either.
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::STOP)?;
    std::thread::sleep(Duration::from_millis(250));
    rustix::process::kill_process(pid, Signal::CONT)?;
    assert_eq!(child.wait()?.code(), Some(7));
    must_be_gone(&mark)?;
    Ok(())
}

fn without_standard_streams_it_still_runs() -> Outcome {
    let program = env!("CARGO_BIN_EXE_meshwarden");
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let script =
            format!("{program} run --extent procs=2 -- sh -c 'test $RANK = 0 || exit 4' {closed}");
        let status = std::process::Command::new("sh").args(["-c", &script]).status()?;
        assert_eq!(status.code(), Some(4), "{closed}");
    }
    Ok(())
}
