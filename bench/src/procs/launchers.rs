//! The commands that start many processes: ours, and those of others where they are installed.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A command that starts many processes, and ends them when it is told to or one of them fails.
pub(crate) struct Launcher {
    /// `ours`, or its name and version.
    pub(crate) by: String,
    program: PathBuf,
    /// What goes before the command line of the processes, given their number.
    args: fn(usize) -> Vec<String>,
    /// What comes after it.
    rest: fn(usize) -> Vec<String>,
}

impl Launcher {
    /// To start so many processes with this command line.
    pub(crate) fn command(&self, n_procs: usize, words: &[String]) -> Command {
        let mut command = Command::new(&self.program);
        command.args((self.args)(n_procs)).args(words).args((self.rest)(n_procs));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// What ours is called in the figures.
pub(crate) const OURS: &str = "ours";

/// Those that are here, ours first.
pub(crate) fn all() -> Vec<Launcher> {
    let ours = ours().map(|program| Launcher {
        by: OURS.to_owned(),
        program,
        args: |n| words(&format!("run --extent procs={n} --")),
        rest: |_| Vec::new(),
    });
    let mpirun = on_path("mpirun").map(|program| Launcher {
        by: format!("mpirun {}", version(&program, &["--version"])),
        program,
        args: |n| words(&format!("--allow-run-as-root --oversubscribe --bind-to none -n {n}")),
        rest: |_| Vec::new(),
    });
    let parallel = on_path("parallel").map(|program| Launcher {
        by: format!("parallel {}", version(&program, &["--version"])),
        program,
        args: |n| words(&format!("--will-cite --halt now,fail=1 -j {n} -n0")),
        rest: |n| {
            let numbers = (0..n).map(|number| number.to_string());
            [":::".to_owned()].into_iter().chain(numbers).collect()
        },
    });
    let torchrun = torchrun().map(|program| Launcher {
        by: format!("torchrun {}", torch_version(&program)),
        program,
        args: |n| words(&format!("--standalone --nproc-per-node {n} --no-python")),
        rest: |_| Vec::new(),
    });
    [ours, mpirun, parallel, torchrun].into_iter().flatten().collect()
}

/// Those that are not, and how they are got.
pub(crate) fn missing() -> Vec<(&'static str, &'static str)> {
    let peers = "not installed here; bench/peers.sh does that";
    [
        ("meshwarden", ours(), "`cargo xtask bench procs` builds it beside this program"),
        ("mpirun", on_path("mpirun"), peers),
        ("parallel", on_path("parallel"), peers),
        ("torchrun", torchrun(), peers),
    ]
    .into_iter()
    .filter(|(_, found, _)| found.is_none())
    .map(|(name, _, why)| (name, why))
    .collect()
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Built into the same folder.
fn ours() -> Option<PathBuf> {
    Some(env::current_exe().ok()?.with_file_name("meshwarden")).filter(|path| path.is_file())
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// In the virtual environment that `bench/peers.sh` makes, below the folder that this program is built
/// into.
fn torchrun() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let target = program.ancestors().nth(3)?;
    Some(target.join("bench-peers/torch/bin/torchrun")).filter(|path| path.is_file())
}

/// The first word that begins with a digit.
fn version(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let is_number = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit());
    text.split_ascii_whitespace().find(is_number).unwrap_or_default().to_owned()
}

/// To ask itself would be to load all of it.
fn torch_version(program: &Path) -> String {
    let script = "import importlib.metadata as m; print(m.version('torch'))";
    version(&program.with_file_name("python"), &["-c", script])
}
