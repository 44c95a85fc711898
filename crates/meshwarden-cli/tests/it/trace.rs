//! trace: what a run has recorded is replayed to the same end; what is no whole trace is found.

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use libtest_mimic::Trial;
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;
use serde_json::Value;

use crate::fixture::{Ended, meshwarden, run_script, temporary};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(a_replay_tells_of_every_failure_restart_and_stop_of_the_run),
        trial(the_effects_of_a_replay_are_lines_of_json),
        trial(a_trace_says_its_version_and_its_number_of_steps),
        trial(a_trace_that_leads_elsewhere_is_found_at_its_step),
        trial(what_is_no_whole_trace_is_refused_with_its_line),
        trial(a_trace_of_something_else_is_refused),
        trial(a_trace_that_is_not_there_is_refused),
        trial(steps_that_were_lost_are_not_judged),
        trial(the_trace_of_a_killed_run_is_replayed_as_far_as_it_goes),
        trial(a_full_disk_loses_the_trace_and_says_so),
        trial(a_trace_that_cannot_be_written_is_refused),
        trial(a_refused_run_leaves_the_trace_of_the_last_one),
        trial(a_reader_that_goes_does_not_change_the_judgement),
    ]
}

fn text_of(path: &Path) -> Result<&str, Box<dyn Error>> {
    Ok(path.to_str().ok_or("the path is text")?)
}

fn replay(path: &Path) -> Result<Ended, Box<dyn Error>> {
    meshwarden(["replay", text_of(path)?]).finish()
}

/// The trace of a run in which rank 1 fails twice and is started again once; then all is stopped.
fn recorded() -> Result<(PathBuf, Ended), Box<dyn Error>> {
    let path = temporary("trace");
    let args = format!(
        "--extent hosts=2,procs=2 --max-restarts 1 --backoff-min 20ms --trace {}",
        path.display()
    );
    let script = "test $RANK = 1 && { echo why >&2; exit 7; }; exec sleep 1000";
    let ended = run_script(&args, script).finish()?.must_be(7)?;
    Ok((path, ended))
}

/// A trace that was written by hand: these lines, each with its end.
fn written(lines: &[&str]) -> Result<PathBuf, Box<dyn Error>> {
    let path = temporary("trace");
    fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    Ok(path)
}

fn must_say(ended: &Ended, code: i32, says: &str) -> Outcome {
    if ended.code() == code && ended.stderr.contains(says) {
        return Ok(());
    }
    Err(format!("not {says:?} and {code}: {ended:?}").into())
}

fn a_replay_tells_of_every_failure_restart_and_stop_of_the_run() -> Outcome {
    let (path, ran) = recorded()?;
    assert_eq!(ran.stderr.matches(": failed: exit code 7").count(), 2, "{}", ran.stderr);
    let replayed = replay(&path)?.must_be(0)?;
    assert_eq!(replayed.stderr, "");
    let lines: Vec<&str> = replayed.stdout.lines().map(str::trim).collect();
    let head = "proc mesh run: hosts=2,procs=2, 4 ranks, 2 agents, epoch 0, lease 4s, at most 1 \
        restarts, after failures, one for one";
    assert_eq!(lines.first(), Some(&head));
    let owner: Vec<_> = lines.iter().filter(|line| line.starts_with("-> tell owner: ")).collect();
    let [first, second] = owner.as_slice() else { return Err(format!("{owner:?}").into()) };
    let begins =
        "-> tell owner: rank 1 (hosts=0,procs=1), incarnation 0, failed: exit code 7, again";
    assert!(first.starts_with(begins), "{first}");
    let is = "-> tell owner: rank 1 (hosts=0,procs=1), incarnation 1, failed: exit code 7; it needed \
        more than 1 restart: no more are granted; failed ranks: 1";
    assert_eq!(**second, is);
    for effect in [
        "-> ask agent 0 to start 0..2 (incarnation 0)",
        "-> ask agent 1 to start 2..4 (incarnation 0)",
        "-> ask agent 0 to start 1 (incarnation 1)",
        "-> ask agent 0 to stop 0 (incarnation 0)",
        "-> ask agent 1 to stop 2..4 (incarnation 0)",
        "-> finish",
    ] {
        assert_eq!(lines.iter().filter(|line| **line == effect).count(), 1, "{effect}: {lines:#?}");
    }
    let stop = ": stop, with a grace of 10s, because: a rank has failed (--on-failure stop)";
    let asked = lines.iter().any(|line| line.ends_with(stop));
    assert!(asked, "{lines:#?}");
    assert!(lines.last().is_some_and(|line| line.ends_with("effects, as when recorded")));
    Ok(())
}

fn the_effects_of_a_replay_are_lines_of_json() -> Outcome {
    let (path, _) = recorded()?;
    let text = replay(&path)?.must_be(0)?;
    let json = meshwarden(["replay", "--json", text_of(&path)?]).finish()?.must_be(0)?;
    let effects: Vec<Value> =
        json.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let n_effects = text.stdout.lines().filter(|line| line.trim().starts_with("-> ")).count();
    assert_eq!(effects.len(), n_effects);
    let owner: Vec<_> =
        effects.iter().filter(|line| !line["effect"]["TellOwner"].is_null()).collect();
    assert_eq!(owner.len(), 2);
    let change = &owner[0]["effect"]["TellOwner"]["changes"][0];
    assert_eq!(change["ranks"], serde_json::json!([[1, 2]]));
    assert_eq!(change["status"]["Failed"]["reason"], serde_json::json!({"Exit": {"code": 7}}));
    assert_eq!(change["status"]["Failed"]["stderr"], serde_json::json!(["why"]));
    assert!(owner[0]["step"].as_u64() < owner[1]["step"].as_u64());
    assert!(owner[0]["t"].as_u64() < owner[1]["t"].as_u64());
    Ok(())
}

fn a_trace_says_its_version_and_its_number_of_steps() -> Outcome {
    let (path, _) = recorded()?;
    let text = fs::read_to_string(&path)?;
    let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let (Some(head), Some(end)) = (lines.first(), lines.last()) else { return Err("empty".into()) };
    let name = (&head["format"], &head["version"], &head["kind"]);
    assert_eq!(name, (&"meshwarden-trace".into(), &2.into(), &"proc".into()));
    assert_eq!(head["spec"]["agents"], serde_json::json!([[[0, 2]], [[2, 4]]]));
    assert_eq!(*end, serde_json::json!({"end": {"steps": lines.len() - 2, "lost": 0}}));
    let steps = &lines[1..lines.len() - 1];
    assert!(steps.iter().all(|line| line["step"]["event"] != Value::Null), "{text}");
    Ok(())
}

fn a_trace_that_leads_elsewhere_is_found_at_its_step() -> Outcome {
    let (path, _) = recorded()?;
    let text = fs::read_to_string(&path)?;
    // Another number of effects, and another event.
    let recounted =
        text.replacen(r#""effects":2,"event":"Opened""#, r#""effects":3,"event":"Opened""#, 1);
    let unopened = text.replacen(r#""event":"Opened""#, r#""event":"Tick""#, 1);
    for (changed, leads) in [(recounted, "led to 3 effects"), (unopened, "leads to 0 now")] {
        assert_ne!(changed, text);
        fs::write(&path, changed)?;
        let ended = replay(&path)?;
        must_say(&ended, 1, "error: step 1 led to ")?;
        must_say(&ended, 1, leads)?;
        assert!(!ended.stdout.contains("as when recorded"), "{ended:?}");
    }
    Ok(())
}

fn what_is_no_whole_trace_is_refused_with_its_line() -> Outcome {
    let (path, _) = recorded()?;
    let text = fs::read_to_string(&path)?;
    let lines: Vec<&str> = text.lines().collect();
    let (head, end) = (lines[0], lines[lines.len() - 1]);
    let other_version = head.replacen(r#""version":2"#, r#""version":3"#, 1);
    let no_size = head.replacen(r#"[["hosts",2],"#, r#"[["hosts",0],"#, 1);
    let n_steps = lines.len() - 2;
    let cases: Vec<(Vec<&str>, String)> = vec![
        (vec![], "it is empty".to_owned()),
        (vec!["hello"], "it is not a trace".to_owned()),
        (vec!["{}", lines[1]], "it is not a trace".to_owned()),
        (vec![&other_version], "it has version 3 of the format".to_owned()),
        (vec![&no_size], "line 1, column ".to_owned()),
        (vec![head, "garbage", end], "line 2, column 1: expected value".to_owned()),
        (vec![head, lines[1], "", end], "line 3, column 0".to_owned()),
        (vec![head, lines[1]], "it is cut off after step 1".to_owned()),
        (vec![head, lines[1], end], format!("tells of {n_steps} steps, but there are 1")),
        ([&lines[..], &[end]].concat(), format!("line {} comes after the last", lines.len() + 1)),
    ];
    for (lines, says) in cases {
        let ended = replay(&written(&lines)?)?;
        must_say(&ended, 2, &says)?;
    }
    // Cut off within a line.
    fs::write(&path, &text[..text.len() / 2])?;
    must_say(&replay(&path)?, 2, "it is cut off after step ")?;
    // A line that never ends: a hole in a file is zeros.
    let mut file = File::create(&path)?;
    writeln!(file, "{head}")?;
    file.set_len(head.len() as u64 + (65 << 20))?;
    must_say(&replay(&path)?, 2, "line 2 is longer than 67108864 bytes")?;
    fs::remove_file(&path)?;
    Ok(())
}

fn a_trace_of_something_else_is_refused() -> Outcome {
    let (path, _) = recorded()?;
    let text = fs::read_to_string(&path)?;
    for (from, to, says) in [
        (
            r#""kind":"proc","spec""#,
            r#""kind":"actor","spec""#,
            "of a mesh of kind actor, not proc",
        ),
        (r#"[[0,2]],[[2,4]]"#, r#"[[0,2]],[[3,4]]"#, "no agent answers for rank 2"),
        (r#""lease":{"secs":4"#, r#""lease":{"secs":0"#, "is outside"),
        (
            r#"[["hosts",2],["procs",2]],0,[["hosts",2],["procs",2]],[2,1]"#,
            r#"[["procs",1048577]],0,[["procs",1048577]],[1]"#,
            "a mesh of 1048577 processes, more than 1048576",
        ),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        fs::write(&path, changed)?;
        must_say(&replay(&path)?, 2, says)?;
    }
    Ok(())
}

fn a_trace_that_is_not_there_is_refused() -> Outcome {
    must_say(
        &meshwarden(["replay", "/no/such/trace"]).finish()?,
        2,
        "/no/such/trace: No such file",
    )?;
    must_say(
        &meshwarden(["replay", "/proc"]).finish()?,
        2,
        "/proc: it cannot be read: is a directory",
    )?;
    must_say(&meshwarden(["replay"]).finish()?, 2, "<TRACE>")
}

fn steps_that_were_lost_are_not_judged() -> Outcome {
    let (path, _) = recorded()?;
    let text = fs::read_to_string(&path)?;
    let mut lines: Vec<&str> = text.lines().collect();
    lines[2] = r#"{"lost":1}"#;
    let ended = replay(&written(&lines)?)?;
    must_say(
        &ended,
        2,
        "after step 1, 1 steps were lost: what came of the others cannot be judged",
    )?;
    assert!(ended.stdout.contains("  opened\n"), "{ended:?}");
    Ok(())
}

/// What was recorded before is what one wants to see then.
fn the_trace_of_a_killed_run_is_replayed_as_far_as_it_goes() -> Outcome {
    let path = temporary("trace");
    let args = format!("--extent procs=2 --lease 400ms --trace {}", path.display());
    let running = run_script(&args, "echo runs; exec sleep 1000").start()?;
    running.until_printed("runs", 2)?;
    let is_recorded =
        || fs::read_to_string(&path).is_ok_and(|text| text.matches(r#""Heard""#).count() > 2);
    crate::fixture::until("some beats", crate::fixture::WITHIN, is_recorded)?;
    running.signal(Signal::KILL)?;
    running.finish()?;
    let ended = replay(&path)?;
    must_say(&ended, 2, "it is cut off after step ")?;
    assert!(ended.stdout.contains(" running (inc 0, gen 1)\n"), "{ended:?}");
    Ok(())
}

fn a_full_disk_loses_the_trace_and_says_so() -> Outcome {
    let ended =
        run_script("--extent procs=2 --trace /dev/full", "echo ran").finish()?.must_be(1)?;
    assert_eq!(ended.lines_of("procs=1"), ["ran"]);
    let line = ended.stderr.lines().collect::<Vec<_>>();
    let [line] = line.as_slice() else { return Err(format!("{ended:?}").into()) };
    let says = "meshwarden: the trace is not whole, /dev/full cannot be written: No space left";
    assert!(line.starts_with(says) && line.ends_with(" steps are lost"), "{line}");
    run_script("--extent procs=2 --trace /dev/full", "exit 5").finish()?.must_be(5)?;
    Ok(())
}

fn a_trace_that_cannot_be_written_is_refused() -> Outcome {
    let pipe = temporary("trace");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR)?;
    for (path, says) in [
        ("/no/such/dir/trace", "cannot write the trace to /no/such/dir/trace"),
        ("/proc", "Is a directory"),
        (text_of(&pipe)?, "cannot write the trace to"),
    ] {
        let ended = run_script(&format!("--trace {path}"), "echo ran").finish()?;
        must_say(&ended, 2, says)?;
        assert_eq!(ended.stdout, "");
    }
    let ended = run_script("--trace same --events same", "echo ran").finish()?;
    must_say(&ended, 2, "events and trace cannot be written to the same file")
}

fn a_refused_run_leaves_the_trace_of_the_last_one() -> Outcome {
    let path = temporary("trace");
    fs::write(&path, "what was before\n".repeat(10_000))?;
    let args = format!("--extent procs=1 --trace {}", path.display());
    run_script(&format!("{args} --metrics 192.0.2.1:1"), "true").finish()?.must_be(2)?;
    assert!(fs::read_to_string(&path)?.starts_with("what was before\n"));
    run_script(&args, "true").finish()?.must_be(0)?;
    assert!(!fs::read_to_string(&path)?.contains("before"));
    replay(&path)?.must_be(0)?;
    Ok(())
}

fn a_reader_that_goes_does_not_change_the_judgement() -> Outcome {
    let (path, _) = recorded()?;
    let text = fs::read_to_string(&path)?;
    for (file, code) in [(text.clone(), 0), (text.replacen(r#""lost":0"#, r#""lost":1"#, 1), 2)] {
        fs::write(&path, file)?;
        let mut command = meshwarden(["replay", text_of(&path)?]);
        command.command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.command.spawn()?;
        drop(child.stdout.take());
        assert_eq!(child.wait()?.code(), Some(code));
    }
    Ok(())
}
