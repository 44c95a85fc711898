//! A real terminal: job control, and what is typed.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::fixture::{
    Meshwarden, WITHIN, alive, alive_as, must_be_gone, run_script, state_of, unique, until,
};
use crate::{Outcome, trial_with};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial_with("setsid", what_is_typed_goes_to_one_rank),
        trial_with("setsid", ctrl_c_ends_the_run),
        trial_with("setsid", a_shell_suspends_the_run_and_brings_it_back),
        trial_with("setsid", a_run_in_the_background_leaves_what_is_typed_to_the_shell),
    ]
}

/// A terminal, and what runs in it.
struct Terminal {
    keys: File,
    screen: Arc<Mutex<Vec<u8>>>,
    child: Child,
}

impl Terminal {
    /// Starts a command as the leader of a session on a terminal of its own.
    fn start(command: &Command) -> Result<Self, Box<dyn std::error::Error>> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?.into_string()?;
        let open = || OpenOptions::new().read(true).write(true).open(&name).map(Stdio::from);
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        // The first descriptor that `setsid` makes the terminal of the session is standard input.
        let child = session.stdin(open()?).stdout(open()?).stderr(open()?).spawn()?;
        let keys = File::from(master);
        let screen = Arc::<Mutex<Vec<u8>>>::default();
        watch(keys.try_clone()?.into(), Arc::clone(&screen));
        Ok(Self { keys, screen, child })
    }

    fn press(&mut self, keys: &str) -> Outcome {
        Ok(self.keys.write_all(keys.as_bytes())?)
    }

    fn shown(&self) -> String {
        let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&screen).into_owned()
    }

    fn until_shown(&self, text: &str) -> Outcome {
        until(text, WITHIN, || self.shown().contains(text))
            .map_err(|error| format!("{error}; shown: {}", self.shown()))?;
        Ok(())
    }

    fn code(mut self) -> Result<Option<i32>, Box<dyn std::error::Error>> {
        until("the end", WITHIN, || self.child.try_wait().is_ok_and(|end| end.is_some()))
            .map_err(|error| format!("{error}; shown: {}", self.shown()))?;
        Ok(self.child.wait()?.code())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        _ = self.child.kill().is_ok();
        _ = self.child.wait().is_ok();
    }
}

fn watch(from: OwnedFd, screen: Arc<Mutex<Vec<u8>>>) {
    let mut from = File::from(from);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        // A terminal that nobody has open any more is an error.
        while let Ok(n_bytes @ 1..) = from.read(&mut buffer) {
            let mut screen = screen.lock().unwrap_or_else(PoisonError::into_inner);
            screen.extend_from_slice(&buffer[..n_bytes]);
        }
    });
}

fn what_is_typed_goes_to_one_rank() -> Outcome {
    let script = "echo reads; while read line; do echo \"got <$line>\"; done; echo end";
    let Meshwarden { command, mark } = run_script("--extent procs=2 --stdin 1", script);
    let mut terminal = Terminal::start(&command)?;
    terminal.until_shown("[procs=0] end")?;
    terminal.press("hello\n")?;
    terminal.until_shown("[procs=1] got <hello>")?;
    terminal.press("again\n")?;
    terminal.until_shown("[procs=1] got <again>")?;
    // Ctrl-D: the end of the input.
    terminal.press("\x04")?;
    terminal.until_shown("[procs=1] end")?;
    assert_eq!(terminal.code()?, Some(0));
    must_be_gone(&mark)?;
    Ok(())
}

fn ctrl_c_ends_the_run() -> Outcome {
    let script = "trap 'echo interrupted' INT; echo up; while :; do sleep 0.05; done";
    let Meshwarden { command, mark } = run_script("--extent procs=2", script);
    let mut terminal = Terminal::start(&command)?;
    terminal.until_shown("[procs=0] up")?;
    terminal.until_shown("[procs=1] up")?;
    terminal.press("\x03")?;
    until("the end", WITHIN, || alive(&mark).is_empty())?;
    let shown = terminal.shown();
    assert!(!shown.contains("interrupted"), "it is not meant for the ranks: {shown}");
    assert_eq!(terminal.code()?, Some(130));
    Ok(())
}

/// A shell with job control, in the environment of a command.
fn shell(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-i", "-m"]);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// A command as one types it.
fn typed(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| format!("'{}' ", word.display())).collect()
}

fn a_shell_suspends_the_run_and_brings_it_back() -> Outcome {
    let script = "echo up; sleep 1000 & while :; do sleep 0.05; done";
    let Meshwarden { command, mark } = run_script("--extent procs=2 --lease 1s", script);
    let mut terminal = Terminal::start(&shell(&command))?;
    let done = unique();
    terminal.press(&format!("{}; echo ended $?\n", typed(&command)))?;
    terminal.until_shown("[procs=0] up")?;
    terminal.until_shown("[procs=1] up")?;
    let ranks = || alive_as(&mark, "sleep");
    until("the ranks", WITHIN, || ranks().len() >= 2)?;
    terminal.press("\x1a")?;
    // The shell has its terminal back.
    terminal.press(&format!("echo {done} | tr . ,\n"))?;
    terminal.until_shown(&done.replace('.', ","))?;
    let is_suspended = |pid: u32| state_of(pid) == Some('T');
    until("suspended ranks", WITHIN, || ranks().into_iter().all(is_suspended))?;
    // Longer than the lease.
    thread::sleep(Duration::from_millis(1_500));
    terminal.press("fg\n")?;
    until("ranks that go on", WITHIN, || !ranks().into_iter().any(is_suspended))?;
    thread::sleep(Duration::from_millis(1_200));
    assert!(!terminal.shown().contains(": failed: "), "{}", terminal.shown());
    assert!(!ranks().is_empty());
    terminal.press("\x03")?;
    until("the end of the ranks", WITHIN, || ranks().is_empty())?;
    terminal.press("exit\n")?;
    terminal.code()?;
    until("nothing left", WITHIN, || alive(&mark).is_empty())?;
    Ok(())
}

fn a_run_in_the_background_leaves_what_is_typed_to_the_shell() -> Outcome {
    let script = "echo up; read line; echo \"got <$line>\"";
    let args = "--extent procs=1 --stdin 0 --lease 1s";
    let Meshwarden { command, mark } = run_script(args, script);
    let mut terminal = Terminal::start(&shell(&command))?;
    terminal.press(&format!("{} &\n", typed(&command)))?;
    terminal.until_shown("[procs=0] up")?;
    for word in ["9.1", "9.2", "9.3"] {
        terminal.press(&format!("echo {word} | tr . ,\n"))?;
        terminal.until_shown(&word.replace('.', ","))?;
    }
    // Longer than the lease.
    thread::sleep(Duration::from_millis(1_500));
    assert!(!alive(&mark).into_iter().any(|pid| state_of(pid) == Some('T')));
    terminal.press("fg\n")?;
    let shown = |text: &str| terminal.shown().matches(text).count();
    until("the foreground", WITHIN, || shown("meshwarden") == 2)?;
    terminal.press("hello\n")?;
    terminal.until_shown("[procs=0] got <hello>")?;
    // As long as it runs, what is typed is its own.
    until("the end of the run", WITHIN, || alive_as(&mark, "meshwarden").is_empty())?;
    assert!(!terminal.shown().contains(": failed: "), "{}", terminal.shown());
    terminal.press("exit\n")?;
    terminal.code()?;
    until("nothing left", WITHIN, || alive(&mark).is_empty())?;
    Ok(())
}
