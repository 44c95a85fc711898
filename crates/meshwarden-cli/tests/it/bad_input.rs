//! Wrong input: a clear error, exit code 2, and nothing was started.

use std::fs;
use std::net::TcpListener;

use libtest_mimic::Trial;

use crate::fixture::{Ended, meshwarden, must_be_gone, temporary};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(a_shape_that_cannot_be_is_refused_with_the_reason),
        trial(a_program_that_cannot_be_started_is_told_for_every_rank),
        trial(a_missing_command_is_refused),
        trial(a_metrics_port_in_use_is_refused),
        trial(a_metrics_address_that_others_can_reach_is_refused),
        trial(an_events_file_that_cannot_be_written_is_refused),
        trial(standard_input_for_a_rank_that_is_not_there_is_refused),
        trial(a_value_that_is_no_value_is_refused_with_its_name),
        trial(an_unknown_resource_is_refused_with_those_that_there_are),
        trial(a_limit_that_cannot_be_set_is_told),
    ]
}

/// Runs it with a command that leaves a trace if it is started.
fn refused(options: &[&str], says: &str) -> Outcome {
    let trace = temporary("started");
    let trace = trace.to_str().ok_or("the path is text")?;
    let command = meshwarden([&["run"], options, &["--", "touch", trace]].concat());
    let mark = command.mark.clone();
    let ended = command.finish()?;
    must_say(&ended, says)?;
    must_be_gone(&mark)?;
    assert!(!fs::exists(trace)?, "{options:?} started something");
    Ok(())
}

fn must_say(ended: &Ended, says: &str) -> Outcome {
    if ended.code() == 2 && ended.stderr.contains(says) && ended.stdout.is_empty() {
        return Ok(());
    }
    Err(format!("not {says:?} and 2: {ended:?}").into())
}

fn a_shape_that_cannot_be_is_refused_with_the_reason() -> Outcome {
    let shapes = [
        ("gpus=0", "every dim must be at least 1"),
        ("gpus=-1", "expected a number of at least 0"),
        ("gpus=4,gpus=4", "gpus is there twice"),
        ("gpus=", "expected a number"),
        ("4", "expected = and a value"),
        ("", "found an empty text"),
        ("procs=1048577", "at most 1048576"),
        ("hosts=1025", "at most 1024"),
        ("gpus=18446744073709551616", "expected a number of at most"),
        ("a=4294967296,b=4294967296,c=4294967296", "ranks"),
    ];
    for (shape, says) in shapes {
        refused(&["--extent", shape], says)?;
    }
    Ok(())
}

/// C4
fn a_program_that_cannot_be_started_is_told_for_every_rank() -> Outcome {
    let not_executable = temporary("program");
    fs::write(&not_executable, "#!/bin/sh\nexit 0\n")?;
    let not_executable = not_executable.to_str().ok_or("the path is text")?;
    let programs = [
        ("/no/such/program", "no such program"),
        ("no-such-program-on-the-path", "no such program"),
        (not_executable, "not executable"),
        ("/proc", "not executable"),
        ("", "no such program"),
    ];
    for (program, says) in programs {
        let command = meshwarden(["run", "--extent", "procs=3", "--", program]);
        let mark = command.mark.clone();
        let ended = command.finish()?;
        must_say(&ended, says)?;
        must_be_gone(&mark)?;
        for rank in 0..3 {
            must_say(&ended, &format!("rank {rank} (procs={rank})"))?;
        }
        must_say(&ended, "3 of the ranks could not be started")?;
    }
    Ok(())
}

fn a_missing_command_is_refused() -> Outcome {
    must_say(&meshwarden(["run"]).finish()?, "<CMD>")?;
    must_say(&meshwarden(["run", "--extent", "procs=1", "--"]).finish()?, "<CMD>")?;
    must_say(&meshwarden([]).finish()?, "Usage")?;
    must_say(&meshwarden(["jump"]).finish()?, "unrecognized subcommand 'jump'")
}

fn a_metrics_port_in_use_is_refused() -> Outcome {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    refused(&["--metrics", &address], &format!("cannot serve metrics at {address}"))
}

fn a_metrics_address_that_others_can_reach_is_refused() -> Outcome {
    refused(&["--metrics", "0.0.0.0:0"], "not a loopback address")
}

fn an_events_file_that_cannot_be_written_is_refused() -> Outcome {
    refused(&["--events", "/no/such/dir/events"], "cannot write events to /no/such/dir/events")?;
    refused(&["--events", "/proc"], "Is a directory")
}

fn standard_input_for_a_rank_that_is_not_there_is_refused() -> Outcome {
    refused(&["--extent", "procs=4", "--stdin", "4"], "the ranks of procs=4 are 0 to 3")
}

fn a_value_that_is_no_value_is_refused_with_its_name() -> Outcome {
    for (option, value) in [
        ("--on-failure", "panic"),
        ("--max-restarts", "-1"),
        ("--max-restarts", "4294967296"),
        ("--grace", "10"),
        ("--lease", "soon"),
        ("--metrics", "9464"),
        ("--preset", "moon"),
        ("--master-port", "65536"),
        ("--inherit-env", ""),
        ("--inherit-env", "A,,B"),
        ("--inherit-env", "A=1"),
        ("--umask", "rwx"),
        ("--umask", "1000"),
        ("--rlimit", "files=1"),
        ("--rlimit", "nofile"),
        ("--rlimit", "nofile=many"),
        ("--rlimit", "nofile=2:1"),
        ("--bind", "socket"),
        ("--cgroup", "perhaps"),
        ("--memory-max", "0"),
        ("--memory-max", "much"),
        ("--memory-max", "unlimited"),
        ("--pids-max", "-1"),
    ] {
        refused(
            &[&format!("{option}={value}")],
            &format!("invalid value '{value}' for '{option}"),
        )?;
    }
    Ok(())
}

fn an_unknown_resource_is_refused_with_those_that_there_are() -> Outcome {
    refused(&["--rlimit", "files=9"], "there is no resource files; there are as, core, cpu,")?;
    refused(&["--rlimit", "cpu=9:", "--rlimit", "cpu=:9"], "the limit of cpu is given twice")
}

/// C4. Not even root may have more open files than the system allows one process.
fn a_limit_that_cannot_be_set_is_told() -> Outcome {
    let most: u64 = fs::read_to_string("/proc/sys/fs/nr_open")?.trim().parse()?;
    let limit = format!("nofile={}", most + 1);
    let says = format!("the limit {limit} cannot be set: Operation not permitted (errno 1)");
    refused(&["--extent", "procs=2", "--rlimit", &limit], &says)
}
