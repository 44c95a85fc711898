//! What the ranks write and read: whole lines with their point, in order, none lost.

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::fixture::{WITHIN, meshwarden, must_be_gone, run_script, until};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(nothing_is_lost_or_reordered_for_a_slow_reader),
        trial(lines_are_whole_and_have_the_point_of_their_rank),
        trial(both_streams_stay_apart),
        trial(an_unfinished_last_line_is_printed),
        trial(a_very_long_line_comes_in_pieces_and_whole),
        trial(bytes_that_are_no_text_go_through_as_they_are),
        trial(a_reader_that_goes_away_ends_the_run),
        trial(a_full_disk_is_said_and_gives_code_1),
        trial(a_reader_that_never_reads_does_not_hold_up_an_interrupt),
        trial(one_rank_reads_the_pipe_and_the_others_nothing),
        trial(one_rank_reads_the_file),
        trial(a_daemon_that_holds_the_output_open_delays_no_end),
    ]
}

fn nothing_is_lost_or_reordered_for_a_slow_reader() -> Outcome {
    const LINES: usize = 25_000;
    let mut command = run_script("--extent procs=8", &format!("seq {LINES}"));
    command.command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.command.spawn()?;
    let mut stdout = child.stdout.take().ok_or("it was piped")?;
    let mut text = Vec::new();
    let mut buffer = vec![0; 1 << 17];
    // Slower than the ranks write, and not at all at first.
    thread::sleep(Duration::from_millis(500));
    while let n_bytes @ 1.. = stdout.read(&mut buffer)? {
        text.extend_from_slice(&buffer[..n_bytes]);
        thread::sleep(Duration::from_millis(1));
    }
    assert!(child.wait()?.success());
    let mut next = [1; 8];
    for line in String::from_utf8(text)?.lines() {
        let rest = line.strip_prefix("[procs=").ok_or_else(|| format!("torn: {line:?}"))?;
        let (rank, number) = rest.split_once("] ").ok_or_else(|| format!("torn: {line:?}"))?;
        let expected = &mut next[rank.parse::<usize>()?];
        assert_eq!(number.parse::<usize>()?, *expected, "rank {rank}");
        *expected += 1;
    }
    assert_eq!(next, [LINES + 1; 8]);
    Ok(())
}

fn lines_are_whole_and_have_the_point_of_their_rank() -> Outcome {
    let script = "for n in 1 2 3; do printf %s half; sleep 0.02; echo \" $n of $RANK\"; done; echo";
    let ended = run_script("--extent hosts=2,procs=2", script).finish()?.must_be(0)?;
    for (rank, point) in
        ["hosts=0,procs=0", "hosts=0,procs=1", "hosts=1,procs=0", "hosts=1,procs=1"]
            .iter()
            .enumerate()
    {
        let expected: Vec<_> = (1..=3).map(|n| format!("half {n} of {rank}")).collect();
        assert_eq!(ended.lines_of(point), [expected.as_slice(), &[String::new()]].concat());
    }
    assert_eq!(ended.stdout.lines().count(), 16);
    Ok(())
}

fn both_streams_stay_apart() -> Outcome {
    let script = "echo to out; echo to err >&2";
    let ended = run_script("--extent procs=1", script).finish()?.must_be(0)?;
    assert_eq!(ended.stdout, "[procs=0] to out\n");
    assert_eq!(ended.stderr, "[procs=0] to err\n");
    Ok(())
}

fn an_unfinished_last_line_is_printed() -> Outcome {
    let script = "printf 'one\\nno end'; printf bad >&2; exit 3";
    let ended = run_script("--extent procs=1", script).finish()?.must_be(3)?;
    assert_eq!(ended.stdout, "[procs=0] one\n[procs=0] no end\n");
    assert!(ended.stderr.lines().any(|line| line == "[procs=0] bad"), "{}", ended.stderr);
    assert!(ended.stderr.contains("  | bad\n"), "{}", ended.stderr);
    Ok(())
}

fn a_very_long_line_comes_in_pieces_and_whole() -> Outcome {
    const BYTES: usize = 3_000_000;
    let script = format!("head -c {BYTES} /dev/zero | tr '\\0' x; echo; echo after");
    let ended = run_script("--extent procs=2", &script).finish()?.must_be(0)?;
    for point in ["procs=0", "procs=1"] {
        let lines = ended.lines_of(point);
        let (last, pieces) = lines.split_last().ok_or("there are lines")?;
        assert_eq!(*last, "after");
        assert!(pieces.iter().all(|piece| piece.bytes().all(|byte| byte == b'x')));
        assert_eq!(pieces.concat().len(), BYTES);
        assert!(pieces.len() <= 3, "{} pieces", pieces.len());
    }
    Ok(())
}

fn bytes_that_are_no_text_go_through_as_they_are() -> Outcome {
    let mut command = run_script("--extent procs=1", "printf '\\000\\377\\033[31m\\r\\n\\200'");
    let output = command.command.output()?;
    assert_eq!(output.stdout, b"[procs=0] \x00\xff\x1b[31m\r\n[procs=0] \x80\n");
    assert!(output.status.success());
    Ok(())
}

fn a_reader_that_goes_away_ends_the_run() -> Outcome {
    let mut command = meshwarden(["run", "--grace", "2s", "--", "yes"]);
    command.command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mark = command.mark.clone();
    let mut child = command.command.spawn()?;
    let mut first = [0; 20];
    child.stdout.take().ok_or("it was piped")?.read_exact(&mut first)?;
    assert!(first.starts_with(b"[hosts=0,procs="), "{first:?}");
    until("the end of the run", WITHIN, || child.try_wait().is_ok_and(|end| end.is_some()))?;
    assert_eq!(child.wait()?.code(), Some(128 + 13), "as the ranks end");
    must_be_gone(&mark)?;
    Ok(())
}

fn a_full_disk_is_said_and_gives_code_1() -> Outcome {
    let mut command = run_script("--extent procs=2", "seq 100000");
    command.command.stdout(File::options().write(true).open("/dev/full")?);
    command.command.stderr(Stdio::piped());
    let ended = command.start_with_its_own_outputs()?.finish()?.must_be(1)?;
    assert_eq!(ended.stderr.matches("output is lost").count(), 1, "{}", ended.stderr);
    let script = "exit 3";
    let ended = run_script("--extent procs=1 --events /dev/full", script).finish()?.must_be(3)?;
    assert_eq!(ended.stderr.matches("events are lost").count(), 1, "{}", ended.stderr);
    meshwarden(["run", "--events", "/dev/full", "--", "true"]).finish()?.must_be(1)?;
    Ok(())
}

fn a_reader_that_never_reads_does_not_hold_up_an_interrupt() -> Outcome {
    let mut command = run_script("--extent procs=2 --grace 300ms", "echo yes >&2; exec yes");
    command.command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.command.spawn()?;
    let _never_read = child.stdout.take();
    let mut stderr = child.stderr.take().ok_or("it was piped")?;
    let mut first = [0; 10];
    stderr.read_exact(&mut first)?;
    // Until the pipe is full there is somebody who may read.
    until("full pipes", WITHIN, || sleeps_in_write(child.id()))?;
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::INT,
    )?;
    until("the end of the run", WITHIN, || child.try_wait().is_ok_and(|end| end.is_some()))?;
    assert_eq!(child.wait()?.code(), Some(130));
    Ok(())
}

/// Whether the thread that prints waits for its reader.
fn sleeps_in_write(pid: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    tasks.filter_map(Result::ok).any(|task| {
        let read = |name| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let is_writing = ["pipe_write", "anon_pipe_write"].contains(&read("wchan").trim());
        let is_printer = read("comm").trim() == "meshwarden-stdo";
        let waits = read("stat").rsplit(')').next().is_some_and(|rest| rest.starts_with(" S"));
        // Not every kernel says where a thread waits; then one that prints and sleeps is taken.
        is_printer && (is_writing || (waits && read("wchan").trim() == "0"))
    })
}

fn one_rank_reads_the_pipe_and_the_others_nothing() -> Outcome {
    let mut command = run_script("--extent procs=3 --stdin 1", "cat; echo end");
    command.command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.command.spawn()?;
    child.stdin.take().ok_or("it was piped")?.write_all(b"one\ntwo\n")?;
    let output = child.wait_with_output()?;
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout)?;
    let lines_of = |point: &str| {
        let prefix = format!("[{point}] ");
        text.lines()
            .filter_map(|line| line.strip_prefix(&prefix))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(lines_of("procs=0"), ["end"]);
    assert_eq!(lines_of("procs=1"), ["one", "two", "end"]);
    assert_eq!(lines_of("procs=2"), ["end"]);
    Ok(())
}

fn one_rank_reads_the_file() -> Outcome {
    let mut command = run_script("--extent procs=2 --stdin 0", "head -c 14; echo");
    command.command.stdin(File::open(file!()).or_else(|_| File::open("tests/it/output.rs"))?);
    let ended = command.finish()?.must_be(0)?;
    assert_eq!(ended.lines_of("procs=0"), ["//! What the ra"[..14].to_owned()]);
    assert_eq!(ended.lines_of("procs=1"), [""]);
    Ok(())
}

fn a_daemon_that_holds_the_output_open_delays_no_end() -> Outcome {
    let script = "echo before; setsid sleep 1000 & echo after; exit 0";
    let command = run_script("--extent procs=2", script);
    let mark = command.mark.clone();
    let ended = command.finish()?.must_be(0)?;
    assert!(ended.took < Duration::from_secs(10), "{ended:?}");
    assert_eq!(ended.lines_of("procs=0"), ["before", "after"]);
    must_be_gone(&mark)?;
    Ok(())
}
