//! demo: the real program on folders of known text; what it prints, what it refuses, what it leaves.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

/// A folder of its own, gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("demo-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("the folder of temporary files can be written");
        for (name, text) in files {
            let file = path.join(name);
            fs::create_dir_all(file.parent().expect("it is in a folder")).expect("it is ours");
            fs::write(file, text).expect("the folder is ours");
        }
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0).is_ok();
    }
}

fn demo(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshwarden"));
    let output = command.args(["demo", "--json", "--dir"]).arg(dir).args(args).output();
    output.expect("the program can be started")
}

/// The events of a run that went well.
fn events(output: &Output) -> Vec<Value> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let line = |line| serde_json::from_str(line).expect("every line is one JSON object");
    stdout.lines().map(line).collect()
}

/// Both ways of counting; the first is the default.
const WAYS: [Way; 2] = [
    Way { flags: &[], kinds: &["proc", "actor"] },
    Way { flags: &["--processes"], kinds: &["proc"] },
];

/// A way of counting.
struct Way {
    flags: &'static [&'static str],
    /// The kinds of the meshes that there are, of each one.
    kinds: &'static [&'static str],
}

impl Way {
    /// Runs it, which must go well, and returns what has happened.
    fn run(&self, dir: &Path, extent: &str) -> Vec<Value> {
        events(&demo(dir, &[&["--extent", extent], self.flags].concat()))
    }

    /// What must be so of every run, whatever was counted.
    fn assert_promises(&self, events: &[Value], n_ranks: usize) {
        for kind in self.kinds {
            assert_eq!(of_kind(events, "spawned", kind).len(), n_ranks, "{events:?}");
            assert_all_are_told_of_the_kill(events, kind);
        }
        match self.kinds.contains(&"actor") {
            true => assert_calls_are_answered(events),
            false => assert!(named(events, "answer").is_empty(), "nobody is called"),
        }
        let times: Vec<_> = events.iter().map(|event| event["t"].as_f64()).collect();
        assert!(times.iter().all(Option::is_some), "every event has its time: {events:?}");
        let ends = [&json!("stopped"), &json!(0)];
        assert_eq!(events.last().map(|it| [&it["event"], &it["left_over"]]), Some(ends));
        let mesh = of_kind(events, "spawned", "proc")[0]["mesh"].as_str();
        assert_eq!(processes_of(mesh.expect("an id is text")), Vec::<PathBuf>::new());
    }
}

fn of_kind<'a>(events: &'a [Value], name: &str, kind: &str) -> Vec<&'a Value> {
    named(events, name).into_iter().filter(|event| event["mesh_kind"] == kind).collect()
}

fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

/// The owner and the subscriber of a mesh are told of the kill, once, and the rank starts again.
fn assert_all_are_told_of_the_kill(events: &[Value], kind: &str) {
    let [killed] = named(events, "killed")[..] else { panic!("not one kill: {events:?}") };
    let rank = killed["rank"].as_u64().expect("a rank is a number");
    let spawned = of_kind(events, "spawned", kind);
    let of_victim = spawned.iter().find(|spawned| spawned["rank"] == rank);
    let of_victim = of_victim.expect("it was spawned");
    let cause = match kind {
        "proc" => "signal 9 (SIGKILL)".to_owned(),
        _ => chain(rank),
    };
    let failures = of_kind(events, "failure", kind);
    let failures: Vec<_> = failures.into_iter().filter(|it| it["signal"] == 9).collect();
    let mut told: Vec<_> = failures.iter().map(|failure| failure["to"].as_str()).collect();
    told.sort_unstable();
    assert_eq!(told, [Some("owner"), Some("subscriber")], "{events:?}");
    for failure in failures {
        let expected = json!({
            "event": "failure", "to": failure["to"], "t": failure["t"], "seconds": failure["seconds"],
            "mesh_kind": kind, "mesh": of_victim["mesh"], "rank": rank, "point": of_victim["point"],
            "incarnation": 0, "cause": cause, "signal": 9,
        });
        assert_eq!(*failure, expected);
        assert!(failure["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    }
    let restarts = of_kind(events, "restarted", kind);
    let of_kill = restarts.iter().filter(|it| it["rank"] == rank && it["incarnation"] == 1);
    let pids: Vec<_> = of_kill.map(|it| &it["pid"]).collect();
    assert!(pids.len() == 1 && *pids[0] != killed["pid"], "not one restart: {events:?}");
    assert_eq!(restarts.len(), if kind == "proc" { 1 } else { 2 }, "{events:?}");
}

/// What is said of an actor whose process was killed.
fn chain(rank: u64) -> String {
    format!(
        "ended with what it lived in, caused by rank {rank} of proc mesh demo: signal 9 (SIGKILL)"
    )
}

/// R1, E1: the entry of a rank is its failure, whether its process was killed or it has panicked; and the
/// process of the one that has panicked lives on.
fn assert_calls_are_answered(events: &[Value]) {
    let killed = named(events, "killed")[0]["rank"].as_u64().expect("a rank is a number");
    let [panicked] = named(events, "panicked")[..] else { panic!("not one panic: {events:?}") };
    let [of_kill, of_panic] = named(events, "answer")[..] else { panic!("not 2: {events:?}") };
    let expected = format!("the rank has failed: {}", chain(killed));
    assert_eq!((&of_kill["rank"], &of_kill["error"]), (&json!(killed), &json!(expected)));
    assert_eq!(of_panic["rank"], panicked["rank"]);
    let error = of_panic["error"].as_str().expect("an error is text");
    assert!(error.contains("counter.rs:") && error.contains("a bug in"), "{error}");
    for answer in [of_kill, of_panic] {
        // Much longer than "at once" takes on a busy machine, and much shorter than any deadline.
        assert!(answer["seconds"].as_f64().is_some_and(|seconds| seconds < 5.0), "{answer}");
    }
    let of_panic = of_kind(events, "failure", "actor");
    let of_panic: Vec<_> = of_panic.into_iter().filter(|it| it["signal"].is_null()).collect();
    let told: BTreeSet<_> = of_panic.iter().map(|failure| failure["to"].as_str()).collect();
    assert_eq!((told.len(), of_panic.len()), (2, 2), "{events:?}");
    let again = of_kind(events, "restarted", "actor");
    let again = again.last().map(|it| (&it["rank"], &it["pid"]));
    assert_eq!(again, Some((&panicked["rank"], &panicked["pid"])), "its process lives on");
    let [recounted] = named(events, "recounted")[..] else { panic!("not one: {events:?}") };
    assert_eq!(recounted["rank"], killed);
}

/// The processes that were started as ranks of a mesh and still run.
fn processes_of(mesh: &str) -> Vec<PathBuf> {
    let mark = format!("MESHWARDEN_MESH_ID={mesh}");
    let is_of_mesh = |process: &PathBuf| {
        let environ = fs::read(process.join("environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let all = fs::read_dir("/proc").expect("there is a /proc").flatten();
    all.map(|entry| entry.path()).filter(is_of_mesh).collect()
}

fn refusal(dir: &Path, args: &[&str]) -> String {
    let output = demo(dir, args);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty(), "nothing was started");
    stderr
}

/// Words that are known: 300 times "the", 200 "cat", 100 each of "sat", "ärger" and "x1".
fn known_text() -> Folder {
    let lines = "The cat, the CAT sat; the\tÄrger-x1!\n".repeat(50);
    Folder::with(&[("a.txt", &lines), ("b/c.txt", &lines), ("target/x", "no"), (".git/x", "no")])
}

#[test]
fn the_words_are_counted_and_everybody_is_told_once_of_the_kill() {
    let folder = known_text();
    for way in WAYS {
        let events = way.run(&folder.0, "hosts=2,procs=2");
        way.assert_promises(&events, 4);
        let [result] = named(&events, "result")[..] else { panic!("not one result: {events:?}") };
        let expected = json!({
            "event": "result", "t": result["t"], "words": 800, "distinct": 5, "equal_to_serial": true,
            "top": [["the", 300], ["cat", 200], ["sat", 100], ["x1", 100], ["ärger", 100]],
        });
        assert_eq!(*result, expected);
    }
}

#[test]
fn what_is_lost_is_counted_again_by_a_slice_of_the_survivors() {
    let folder = known_text();
    let [recounted_by_two, recounted_by_itself] = ["hosts=2,procs=2", "procs=1"].map(|extent| {
        let events = WAYS[0].run(&folder.0, extent);
        named(&events, "recounted")[0]["n_ranks"].clone()
    });
    assert_eq!((recounted_by_two, recounted_by_itself), (json!(2), json!(1)));
}

#[test]
fn one_rank_is_enough() {
    let folder = known_text();
    for way in WAYS {
        way.assert_promises(&way.run(&folder.0, "procs=1"), 1);
    }
}

#[test]
fn more_ranks_than_files_do_no_harm() {
    let folder = Folder::with(&[("small", "two\nlines")]);
    for way in WAYS {
        let events = way.run(&folder.0, "hosts=2,procs=3");
        way.assert_promises(&events, 6);
        assert_eq!(named(&events, "result")[0]["words"], 2);
    }
}

#[test]
fn a_folder_that_cannot_be_counted_is_refused() {
    let folder = Folder::with(&[("one-line", "there is nothing to kill here"), ("x/nul", "\0")]);
    assert!(refusal(&folder.0, &[]).contains("too short"));
    assert!(refusal(&folder.0.join("x"), &[]).contains("no text"));
    assert!(refusal(&folder.0.join("none"), &[]).contains("No such file"));
    assert!(refusal(&folder.0.join("one-line"), &[]).contains("not a folder"));
}

#[test]
fn a_shape_that_cannot_be_watched_is_refused() {
    let folder = known_text();
    for (extent, why) in
        [("procs=0", "no rank"), ("procs=257", "at most 256"), ("procs=,", "procs=,\n")]
    {
        let stderr = refusal(&folder.0, &["--extent", extent]);
        assert!(stderr.contains(why), "{extent}: {stderr}");
    }
}

#[test]
fn who_counts_is_said_once() {
    let folder = known_text();
    assert!(refusal(&folder.0, &["--actors", "--processes"]).contains("cannot be used with"));
    WAYS[0].assert_promises(&events(&demo(&folder.0, &["--actors", "--extent", "procs=2"])), 2);
}

#[test]
fn people_get_tables_and_nobody_who_reads_makes_no_panic() {
    let folder = known_text();
    for way in WAYS {
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshwarden"));
        command.args(["demo", "--extent", "procs=2", "--dir"]).arg(&folder.0).args(way.flags);
        let output = command.output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && stderr.is_empty(), "{stderr}");
        for text in
            ["800 words", "the same as one thread", "kill → owner", "0 processes are left over"]
        {
            assert!(stdout.contains(text), "{text} is not in {stdout}");
        }

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let is_said = stderr.contains("standard output cannot be written");
        assert!(is_said && !stderr.contains("panicked"), "{stderr}");
    }
}
