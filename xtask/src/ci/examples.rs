//! The step `examples`: every example program builds, those that end by themselves do what they tell,
//! and those that show a part alone are short and use that part alone.

use std::fs;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use crate::cargo::{self, Cargo};
use crate::metadata::Metadata;
use crate::stop::Stop;

/// An example that ends by itself, with exit code 0 if all went as it tells.
struct Example {
    /// The crate it belongs to.
    of: &'static str,
    /// Its name.
    name: &'static str,
    /// Our crates that it may name; all if it is none of those that show a part alone.
    alone: Option<&'static [&'static str]>,
}

/// Builds all examples, judges the text of some, and runs those that end.
///
/// # Errors
///
/// - [`Stop::Command`] if one does not build, does not exit with 0, or is not done in time.
/// - [`Stop::Problems`] if one that shows a part alone is too long, or names another crate of ours.
pub(super) fn run() -> Result<(), Stop> {
    let metadata = Metadata::load()?;
    let ours: Vec<&str> = metadata.ours().map(|package| package.name.as_str()).collect();
    let mut problems = Vec::new();
    for example in EXAMPLES {
        let path = format!("crates/{}/examples/{}.rs", example.of, example.name);
        let text = fs::read_to_string(cargo::root().join(&path))
            .map_err(|error| Stop::problem(format!("{path}: {error}")))?;
        problems
            .extend(judge(example, &text, &ours).into_iter().map(|why| format!("{path} {why}")));
    }
    problems.extend(judge_first()?);
    Stop::unless_empty(problems)?;
    Cargo::new("build --workspace --examples --all-features").run()?;
    for example in EXAMPLES {
        let program = metadata.target_directory.join("debug/examples").join(example.name);
        println!("$ {}", program.display());
        end_of(Command::new(program).current_dir(cargo::root()).spawn()).map_err(|ended| {
            let Example { of, name, .. } = example;
            let command = format!("cargo run -p {of} --all-features --example {name}");
            Stop::Command { command, ended }
        })?;
    }
    Ok(())
}

/// Waits until a program has ended well; it is killed when its time is over.
fn end_of(started: std::io::Result<Child>) -> Result<(), String> {
    let mut child = started.map_err(|error| error.to_string())?;
    let deadline = Instant::now() + DEADLINE;
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(status.to_string()),
            None if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            None => {
                child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
                return Err(format!("not done within {DEADLINE:?}"));
            }
        }
    }
}

/// What is wrong with the text of one example, given the names of all our crates.
fn judge(example: &Example, text: &str, ours: &[&str]) -> Vec<String> {
    let Some(alone) = example.alone else { return Vec::new() };
    let n_lines = text.lines().count();
    let mut problems = Vec::new();
    if n_lines >= LINES_MAX {
        problems.push(format!("has {n_lines} lines, but must have fewer than {LINES_MAX}"));
    }
    for name in ours.iter().filter(|name| !alone.contains(name)) {
        if begins_path(text, &name.replace('-', "_")) {
            problems.push(format!("names {name}, which is not the part that it shows"));
        }
    }
    problems
}

/// What is wrong with the first program of actors: it is short, and the front page shows it as it is.
fn judge_first() -> Result<Vec<String>, Stop> {
    let read = |path| {
        fs::read_to_string(cargo::root().join(path))
            .map_err(|error| Stop::problem(format!("{path}: {error}")))
    };
    Ok(compare(&read(FIRST)?, &read("README.md")?))
}

/// Whether the front page shows the program, without the lint that only examples expect.
fn compare(program: &str, front_page: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let n_lines = program.lines().count();
    if n_lines > FIRST_LINES_MAX {
        problems
            .push(format!("{FIRST} has {n_lines} lines, but may have at most {FIRST_LINES_MAX}"));
    }
    let shown = program.lines().filter(|line| !line.starts_with("#![expect("));
    let shown: String = shown.flat_map(|line| [line, "\n"]).collect();
    if !front_page.contains(&format!("```rust,no_run\n{shown}```\n")) {
        problems.push(format!("README.md does not show {FIRST} as it is"));
    }
    problems
}

/// Whether a path begins with `name`. Behind another crate it is what that crate exports.
fn begins_path(text: &str, name: &str) -> bool {
    let is_inner = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    text.match_indices(&format!("{name}::")).any(|(at, _)| !text[..at].ends_with(is_inner))
}

/// How long one may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// An example that is meant to be read at one go is shorter.
const LINES_MAX: usize = 120;

/// The first program of actors.
const FIRST: &str = "crates/meshwarden/examples/hello.rs";

/// It is to fit on a page.
const FIRST_LINES_MAX: usize = 40;

/// What is needed to supervise resources of one's own.
const SUPERVISION: &[&str] = &["mesh-shape", "controller", "supervise"];

/// What is needed for actors.
const ACTORS: &[&str] = &["mesh-runtime"];

const EXAMPLES: &[Example] = &[
    Example { of: "supervise", name: "tasks", alone: Some(SUPERVISION) },
    Example { of: "supervise", name: "services", alone: Some(SUPERVISION) },
    Example { of: "mesh-runtime", name: "calls", alone: Some(ACTORS) },
    Example { of: "mesh-runtime", name: "names", alone: Some(ACTORS) },
    Example { of: "mesh-runtime", name: "timers", alone: Some(ACTORS) },
    Example { of: "mesh-runtime", name: "work", alone: Some(ACTORS) },
    Example { of: "mesh-runtime", name: "ends", alone: Some(ACTORS) },
    Example { of: "mesh-runtime", name: "supervision", alone: Some(ACTORS) },
    Example { of: "mesh-runtime", name: "mailboxes", alone: Some(ACTORS) },
    Example { of: "mesh-runtime", name: "many", alone: Some(ACTORS) },
    Example { of: "mesh-runtime", name: "hangs", alone: Some(ACTORS) },
    Example { of: "mesh-runtime", name: "measured", alone: Some(ACTORS) },
    Example { of: "mesh-runtime", name: "processes", alone: Some(ACTORS) },
    Example { of: "meshwarden", name: "first", alone: None },
    Example { of: "meshwarden", name: "hello", alone: None },
    Example { of: "meshwarden", name: "map_reduce", alone: None },
    Example { of: "meshwarden", name: "verbs", alone: None },
    Example { of: "meshwarden", name: "averaging", alone: None },
];

#[cfg(test)]
mod tests {
    use super::{Example, FIRST_LINES_MAX, LINES_MAX, SUPERVISION, compare, end_of, judge};

    const PART: Example = Example { of: "supervise", name: "part", alone: Some(SUPERVISION) };
    const OURS: &[&str] = &["mesh-shape", "mesh-core", "controller", "supervise", "proc-mesh"];

    #[test]
    fn a_part_alone_is_shown_by_itself_and_at_one_go() {
        let good =
            "use controller::mesh_core::Status;\nuse supervise::Setup;\nuse mesh_shape::Rank;\n";
        assert_eq!(judge(&PART, good, OURS), [""; 0]);

        let bad = "use proc_mesh::Host;\n".repeat(LINES_MAX) + "fn f(_: mesh_core::Rank) {}\n";
        assert_eq!(
            judge(&PART, &bad, OURS),
            [
                "has 121 lines, but must have fewer than 120",
                "names mesh-core, which is not the part that it shows",
                "names proc-mesh, which is not the part that it shows"
            ]
        );
        assert_eq!(judge(&Example { alone: None, ..PART }, &bad, OURS), [""; 0]);
    }

    #[test]
    fn the_first_program_is_short_and_on_the_front_page() {
        let program = "//! Hello.\n#![expect(it)]\nfn main() {}\n";
        let page = "# Us\n\n```rust,no_run\n//! Hello.\nfn main() {}\n```\n";
        assert_eq!(compare(program, page), [""; 0]);
        assert_eq!(compare(&program.replace("main", "other"), page).len(), 1);
        assert_eq!(compare(&"\n".repeat(FIRST_LINES_MAX + 1), page).len(), 2);
    }

    #[test]
    fn an_example_that_fails_or_is_missing_is_no_success() {
        let end = |program| end_of(std::process::Command::new(program).spawn());
        assert_eq!(end("true"), Ok(()));
        assert_eq!(end("false"), Err("exit status: 1".to_owned()));
        assert!(end("/nowhere/at/all").is_err());
    }
}
