//! logs: a file for each rank, and the same line of many ranks once.

use std::fs;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::fixture::{MARK, meshwarden, run_script, temporary};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(each_rank_has_a_file_with_both_streams_and_all_its_lives),
        trial(logs_of_an_earlier_run_are_gone),
        trial(a_directory_that_cannot_be_made_starts_nothing),
        trial(a_log_that_cannot_be_written_is_said_once_and_gives_code_1),
        trial(a_log_whose_disk_is_full_has_whole_lines),
        trial(the_same_line_of_many_ranks_is_shown_once),
        trial(a_folded_line_is_not_held_back_for_long),
    ]
}

fn each_rank_has_a_file_with_both_streams_and_all_its_lives() -> Outcome {
    let dir = temporary("logs");
    let args = format!(
        "--extent procs=11 --max-restarts 1 --backoff-min 20ms --on-failure continue --log-dir {}/a",
        dir.display()
    );
    let script = "echo out of $RANK; sleep 0.05; echo err of $RANK >&2; sleep 0.05; \
                  test $RANK = 10 && exit 7; exit 0";
    let ended = run_script(&args, script).finish()?.must_be(7)?;
    assert_eq!(ended.lines_of("procs=3"), ["out of 3"], "they are shown as well");
    let log = |name: &str| fs::read_to_string(dir.join("a").join(name));
    assert_eq!(log("rank-03.log")?, "out of 3\nerr of 3\n");
    let life = "out of 10\nerr of 10\n";
    assert_eq!(log("rank-10.log")?, format!("{life}--- incarnation 1 ---\n{life}"));
    assert_eq!(fs::read_dir(dir.join("a"))?.count(), 11);
    fs::remove_dir_all(dir)?;
    Ok(())
}

fn logs_of_an_earlier_run_are_gone() -> Outcome {
    let dir = temporary("logs");
    let args = format!("--extent procs=2 --log-dir {}", dir.display());
    run_script(&args, "echo first").finish()?.must_be(0)?;
    fs::write(dir.join("mine.txt"), "mine")?;
    run_script(&args, "test $RANK = 0 || echo second").finish()?.must_be(0)?;
    assert_eq!(fs::read_to_string(dir.join("rank-0.log"))?, "");
    assert_eq!(fs::read_to_string(dir.join("rank-1.log"))?, "second\n");
    assert_eq!(fs::read_to_string(dir.join("mine.txt"))?, "mine");
    fs::remove_dir_all(dir)?;
    Ok(())
}

fn a_directory_that_cannot_be_made_starts_nothing() -> Outcome {
    let ended = run_script("--log-dir /dev/null/logs", "echo started").finish()?.must_be(2)?;
    assert!(ended.stderr.contains("/dev/null/logs"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    Ok(())
}

fn a_log_that_cannot_be_written_is_said_once_and_gives_code_1() -> Outcome {
    let dir = temporary("logs");
    let args = format!("--extent procs=1 --log-dir {}", dir.display());
    let script = format!("rm -r {}; echo one; sleep 0.1; echo two", dir.display());
    let ended = run_script(&args, &script).finish()?.must_be(1)?;
    assert_eq!(ended.lines_of("procs=0"), ["one", "two"]);
    let said = "output is lost, the log of rank 0 cannot be written";
    assert_eq!(ended.stderr.matches(said).count(), 1, "{}", ended.stderr);
    Ok(())
}

/// Here a file may have two of the kernel's blocks of 512 bytes, or one of 1024; the next line does not fit.
fn a_log_whose_disk_is_full_has_whole_lines() -> Outcome {
    let dir = temporary("logs");
    let line = format!("of $i {}", "x".repeat(90));
    let script = format!("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo {line}; sleep 0.02; done");
    let args = format!("run --extent procs=2 --log-dir {} -- sh -c", dir.display());
    let shell = r#"trap "" XFSZ; ulimit -f 1; exec "$@""#;
    let mut run = meshwarden(args.split_ascii_whitespace().chain([script.as_str()]));
    let mut command = Command::new("sh");
    command.args(["-c", shell, "sh"]).arg(run.command.get_program()).args(run.command.get_args());
    command.stdin(Stdio::null()).env(MARK, &run.mark);
    run.command = command;
    let ended = run.finish()?.must_be(1)?;
    for rank in 0..2 {
        assert_eq!(ended.lines_of(&format!("procs={rank}")).len(), 12, "{}", ended.stdout);
        let log = fs::read_to_string(dir.join(format!("rank-{rank}.log")))?;
        assert!(log.lines().count() >= 4 && log.ends_with('\n'), "{log}");
        let is_whole = |line: &str| line.ends_with(&"x".repeat(90)) || line.ends_with(" here ---");
        assert!(log.lines().all(is_whole), "{log}");
    }
    assert!(ended.stderr.ends_with("the logs of these ranks: 0..2\n"), "{}", ended.stderr);
    fs::remove_dir_all(dir)?;
    Ok(())
}

fn the_same_line_of_many_ranks_is_shown_once() -> Outcome {
    const RANKS: usize = 16;
    let go = temporary("go");
    let script = format!(
        "echo loading; echo rank $RANK; until test -e {}; do sleep 0.01; done; echo done",
        go.display()
    );
    let running = run_script(&format!("--extent procs={RANKS} --fold"), &script).start()?;
    running.until_printed("rank", RANKS)?;
    fs::write(&go, "")?;
    let ended = running.finish()?.must_be(0)?;
    fs::remove_file(go)?;
    for rank in 0..RANKS {
        let own = format!("[procs={rank}] rank {rank}");
        assert_eq!(ended.stdout.lines().filter(|line| *line == own).count(), 1, "{own}");
    }
    for text in ["loading", "done"] {
        let lines: Vec<_> = ended.stdout.lines().filter(|it| it.ends_with(text)).collect();
        let mut n_ranks = 0;
        for line in &lines {
            let folded = line.strip_prefix("[×").and_then(|rest| rest.split_once(']'));
            n_ranks += folded.map_or(Ok(1), |(n, _)| n.parse::<usize>())?;
        }
        assert_eq!(n_ranks, RANKS, "{lines:?}");
        // On a busy machine they do not all say it within the same moment.
        assert!(lines.len() < RANKS, "{lines:?}");
    }
    Ok(())
}

fn a_folded_line_is_not_held_back_for_long() -> Outcome {
    let running =
        run_script("--extent procs=2 --fold", "test $RANK = 1 || echo here; sleep 1000").start()?;
    running.until_printed("[procs=0] here", 1)?;
    running.signal(Signal::INT)?;
    running.finish()?.must_be(130)?;
    Ok(())
}
