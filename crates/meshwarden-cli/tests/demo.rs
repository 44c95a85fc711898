//! demo: the real program on folders of known text; what it prints, what it refuses, what it leaves.

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

fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

/// What must be so of every run, whatever was counted.
fn assert_promises(events: &[Value], n_ranks: usize) {
    let spawned = named(events, "spawned");
    assert_eq!(spawned.len(), n_ranks);
    let mesh = &spawned[0]["mesh"];
    let [killed] = named(events, "killed")[..] else { panic!("not one kill: {events:?}") };
    let failures = named(events, "failure");
    let mut told: Vec<_> = failures.iter().map(|failure| failure["to"].as_str()).collect();
    told.sort_unstable();
    assert_eq!(told, [Some("owner"), Some("subscriber")]);
    for failure in failures {
        let rank = killed["rank"].as_u64().expect("a rank is a number");
        let of_victim = spawned.iter().find(|spawned| spawned["rank"] == rank);
        let expected = json!({
            "event": "failure", "to": failure["to"], "t": failure["t"], "seconds": failure["seconds"],
            "mesh": mesh, "rank": rank, "point": of_victim.expect("it was spawned")["point"], "incarnation": 0,
            "cause": "signal 9 (SIGKILL)", "signal": 9,
        });
        assert_eq!(*failure, expected);
        assert!(failure["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    }
    let [restarted] = named(events, "restarted")[..] else { panic!("not one restart: {events:?}") };
    assert_eq!((&restarted["rank"], &restarted["incarnation"]), (&killed["rank"], &json!(1)));
    assert_ne!(restarted["pid"], killed["pid"]);
    let times: Vec<_> = events.iter().map(|event| event["t"].as_f64()).collect();
    assert!(times.iter().all(Option::is_some), "every event has its time: {events:?}");
    assert_eq!(events.last().map(|event| &event["left_over"]), Some(&json!(0)));
    let mesh = mesh.as_str().expect("an id is text");
    assert_eq!(processes_of(mesh), Vec::<PathBuf>::new());
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
    let events = events(&demo(&folder.0, &["--extent", "hosts=2,procs=2"]));
    assert_promises(&events, 4);
    let [result] = named(&events, "result")[..] else { panic!("not one result: {events:?}") };
    let expected = json!({
        "event": "result", "t": result["t"], "words": 800, "distinct": 5, "equal_to_serial": true,
        "top": [["the", 300], ["cat", 200], ["sat", 100], ["x1", 100], ["ärger", 100]],
    });
    assert_eq!(*result, expected);
}

#[test]
fn one_rank_is_enough() {
    let folder = known_text();
    assert_promises(&events(&demo(&folder.0, &["--extent", "procs=1"])), 1);
}

#[test]
fn more_ranks_than_files_do_no_harm() {
    let folder = Folder::with(&[("small", "two\nlines")]);
    let events = events(&demo(&folder.0, &["--extent", "hosts=2,procs=3"]));
    assert_promises(&events, 6);
    assert_eq!(named(&events, "result")[0]["words"], 2);
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
fn people_get_tables_and_nobody_who_reads_makes_no_panic() {
    let folder = known_text();
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshwarden"));
    command.args(["demo", "--extent", "procs=2", "--dir"]).arg(&folder.0);
    let output = command.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && output.stderr.is_empty());
    for text in ["800 words", "the same as one thread", "kill → owner", "0 processes are left over"]
    {
        assert!(stdout.contains(text), "{text} is not in {stdout}");
    }

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("standard output cannot be written") && !stderr.contains("panicked"));
}
