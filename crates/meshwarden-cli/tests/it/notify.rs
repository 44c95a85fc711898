//! `--notify`: programs that speak for themselves, as under systemd.

use libtest_mimic::Trial;

use crate::fixture::{Meshwarden, meshwarden, temporary};
use crate::run::{events, statuses};
use crate::{Outcome, trial, trial_with};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial_with("python3", a_hang_of_a_program_is_in_the_events_with_what_it_says_of_itself),
        trial_with("python3", a_program_that_is_never_ready_is_killed),
        trial(without_it_a_program_finds_no_socket),
        trial(what_needs_notify_is_refused_without_it),
        trial(a_file_lets_ranks_speak_and_a_flag_does_not),
    ]
}

const PRELUDE: &str = r#"
import os, socket, sys, time
rank = int(os.environ["RANK"])
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def say(text): s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
"#;

fn python(args: &str, script: &str) -> Meshwarden {
    let script = format!("{PRELUDE}{script}");
    let words = ["run"].into_iter().chain(args.split_ascii_whitespace());
    meshwarden(words.chain(["--", "python3", "-c", &script]))
}

/// D7
fn a_hang_of_a_program_is_in_the_events_with_what_it_says_of_itself() -> Outcome {
    let path = temporary("events");
    let args = format!(
        "--extent procs=2 --notify --watchdog 1500ms --lease 4s --events {}",
        path.display()
    );
    let script = r#"
time.sleep(0.5)
say("READY=1\nSTATUS=step \x1b[31m0")
for i in range(25):
    say("WATCHDOG=1")
    time.sleep(4 if (rank, i) == (1, 3) else 0.2)
if rank == 1:
    say("STATUS=out of ideas\nERRNO=5\nSTOPPING=1")
    time.sleep(0.3)
    sys.exit(3)
time.sleep(1000)
"#;
    let ended = python(&args, script).finish()?.must_be(3)?;
    assert!(
        ended.stderr.contains("| (notified: STATUS=out of ideas, ERRNO=5, STOPPING=1)"),
        "{}",
        ended.stderr
    );
    let events = events(&path)?;
    let changes: Vec<_> =
        events.iter().filter(|event| event["event"] == "status").cloned().collect();
    let is: Vec<String> = statuses(&changes, 1).into_iter().map(|(status, _)| status).collect();
    let expected = ["initializing", "running", "stalled", "running", "failed"];
    assert!(is.ends_with(&expected.map(str::to_owned)), "{is:?}");
    let stalled = changes.iter().find(|event| event["status"] == "stalled").ok_or("it hangs")?;
    let detail = stalled["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("stalled (its watchdog was not fed for "), "{detail}");
    let said = events.iter().filter(|event| event["event"] == "said" && event["rank"] == 1);
    let said: Vec<_> = said.collect();
    let last = said.last().ok_or("it says something")?;
    assert_eq!((&last["status_text"], &last["stopping"]), (&"out of ideas".into(), &true.into()));
    let said: Vec<_> =
        said.into_iter().map(|event| event["status_text"].as_str().unwrap_or_default()).collect();
    assert_eq!(said.first(), Some(&"step \\u{1b}[31m0"), "{said:?}");
    Ok(())
}

fn a_program_that_is_never_ready_is_killed() -> Outcome {
    let args = "--extent procs=1 --notify --ready-within 1s";
    let ended = python(args, "time.sleep(1000)").finish()?;
    assert!(ended.stderr.contains("not ready within 1s"), "{}", ended.stderr);
    assert!(!ended.status.success());
    Ok(())
}

fn without_it_a_program_finds_no_socket() -> Outcome {
    let script = "echo ${NOTIFY_SOCKET-none} ${WATCHDOG_USEC-none}";
    let words = ["run", "--extent", "procs=1", "--", "sh", "-c", script];
    let ended = meshwarden(words).finish()?.must_be(0)?;
    assert!(ended.stdout.contains("none none"), "{}", ended.stdout);
    Ok(())
}

fn what_needs_notify_is_refused_without_it() -> Outcome {
    for args in [["--watchdog", "1s"], ["--ready-within", "1s"]] {
        let words = ["run"].into_iter().chain(args).chain(["--", "true"]);
        let ended = meshwarden(words).finish()?.must_be(2)?;
        assert!(ended.stderr.contains("--notify"), "{}", ended.stderr);
    }
    let alone = ["run", "--", "true"];
    let ended = meshwarden(alone).env("MESHWARDEN_WATCHDOG", "1s").finish()?.must_be(2)?;
    assert!(ended.stderr.contains("--notify"), "{}", ended.stderr);
    let words = ["run", "--notify", "--watchdog", "1ms", "--", "true"];
    let ended = meshwarden(words).finish()?.must_be(2)?;
    assert!(ended.stderr.contains("at least 100ms"), "{}", ended.stderr);
    Ok(())
}

/// The settings of a run are those that `meshwarden config` shows.
fn a_file_lets_ranks_speak_and_a_flag_does_not() -> Outcome {
    let file = temporary("settings.toml");
    std::fs::write(&file, "notify = true\nwatchdog = \"2s\"\nready_within = \"1s\"\n")?;
    let script = "echo ${NOTIFY_SOCKET-none} ${WATCHDOG_USEC-none}; sleep 100";
    let args = format!("run --extent procs=1 --config {}", file.display());
    let words = || args.split_ascii_whitespace();
    let ended = meshwarden(words().chain(["--", "sh", "-c", script])).finish()?;
    assert!(ended.stderr.contains("not ready within 1s"), "{}", ended.stderr);
    assert!(ended.stdout.contains(" 2000000"), "{}", ended.stdout);
    let script = "echo ${NOTIFY_SOCKET-none} ${WATCHDOG_USEC-none}";
    let words = words().chain(["--notify=false", "--", "sh", "-c", script]);
    let ended = meshwarden(words).finish()?.must_be(0)?;
    assert!(ended.stdout.contains("none none"), "{}", ended.stdout);
    std::fs::remove_file(file)?;
    Ok(())
}
