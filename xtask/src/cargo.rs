//! `Cargo`: one command line of cargo, to be run, read, or printed so that it can be repeated.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};

use crate::stop::Stop;

/// One command line of cargo.
#[derive(Clone, Debug)]
pub(crate) struct Cargo {
    args: Vec<String>,
    env: Vec<(&'static str, &'static str)>,
}

impl Cargo {
    /// Cargo with the words of `line`, split at white space.
    pub(crate) fn new(line: &str) -> Self {
        Self { args: line.split_whitespace().map(str::to_owned).collect(), env: Vec::new() }
    }

    /// Appends arguments as they are, white space included.
    pub(crate) fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the environment for this command only.
    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    /// Runs it at the root of the workspace, with our own standard streams.
    ///
    /// # Errors
    ///
    /// - [`Stop::Command`] if it could not be started or did not exit with 0.
    pub(crate) fn run(&self) -> Result<(), Stop> {
        println!("$ {self}");
        self.judge(self.command().current_dir(root()).status())
    }

    /// Runs it at the root of the workspace and takes what it writes to standard output.
    ///
    /// # Errors
    ///
    /// - [`Stop::Command`] if it could not be started or did not exit with 0.
    pub(crate) fn read(&self) -> Result<String, Stop> {
        let mut command = self.command();
        let output = command.current_dir(root()).stderr(Stdio::inherit()).output();
        let (status, text) = match output {
            Ok(Output { status, stdout, .. }) => (Ok(status), stdout),
            Err(error) => (Err(error), Vec::new()),
        };
        self.judge(status)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Whether it can be started here and exits with 0. Writes nothing.
    pub(crate) fn works(&self) -> bool {
        let mut command = self.command();
        command.current_dir(root()).stdin(Stdio::null()).output().is_ok_and(|o| o.status.success())
    }

    /// Becomes this command, where the caller stands: exit code and signals are the command's own.
    ///
    /// Returns only if it could not be started.
    pub(crate) fn exec(&self) -> io::Error {
        self.command().exec()
    }

    fn command(&self) -> Command {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.args(&self.args).envs(self.env.iter().copied());
        command
    }

    fn judge(&self, status: io::Result<ExitStatus>) -> Result<(), Stop> {
        let ended = match status {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        Err(Stop::Command { command: self.to_string(), ended })
    }
}

/// As it can be typed into a shell.
impl fmt::Display for Cargo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str("cargo")?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", quoted(arg)))
    }
}

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,{}@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::Cargo;

    #[test]
    fn a_command_is_shown_as_it_is_typed() {
        let cargo = Cargo::new("doc --no-deps").env("RUSTDOCFLAGS", "-D warnings").args(["it's"]);
        assert_eq!(cargo.to_string(), r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'it'\''s'");
    }
}
