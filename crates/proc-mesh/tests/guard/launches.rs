//! What cannot be started says why, and what is asked for twice happens once.

use std::env;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{self, Command, Stdio};
use std::time::Duration;

use libtest_mimic::Trial;
use mesh_core::{Epoch, LaunchProblem, Umask};
use proc_mesh::guard;
use proc_mesh::guard::wire::{Confines, End, FromGuard, ToGuard};
use proc_mesh::guard_link::GuardError;

use crate::fixture::{NOW, Rig, TOLD_WITHIN, exists, key, killed_by, life, marker, mesh, until};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(what_cannot_be_started_says_why),
        trial(a_start_asked_for_twice_happens_once),
        trial(a_command_is_forgotten_with_its_mesh),
        trial(a_long_command_line_arrives_whole),
        trial(a_command_line_too_long_for_the_kernel_is_told),
        trial(a_message_that_cannot_be_sent_is_refused_and_the_link_goes_on),
        trial(a_process_inherits_only_its_three_descriptors),
        trial(a_guard_keeps_no_descriptor_of_what_it_has_started),
        trial(a_process_has_its_variables_and_its_directory),
        trial(a_trampoline_has_the_process_id_of_its_program_and_costs_the_guard_no_time),
        trial(a_trampoline_that_is_killed_is_told_as_an_end),
        trial(a_trampoline_that_is_suspended_is_no_late_one),
        trial(a_trampoline_without_its_guard_starts_nothing_and_touches_nothing),
    ]
}

/// A file that is removed when the test is over.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, text: &str, mode: u32) -> std::io::Result<Self> {
        let path = env::temp_dir().join(format!("meshwarden-guard-{}-{name}", process::id()));
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(Self(path))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("made of text")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _gone_already = fs::remove_file(&self.0);
    }
}

async fn what_cannot_be_started_says_why() -> Outcome {
    use LaunchProblem::{NotExecutable, NotFound, WorkingDirectory};
    let no_exec = LaunchProblem::Os { errno: 8, message: "Exec format error".to_owned() };
    let nul = "nul byte found in provided data".to_owned();
    let plain = TempFile::new("plain", "#!/bin/sh\n", 0o644)?;
    let text = TempFile::new("text", "no shebang\n", 0o755)?;
    let empty = TempFile::new("empty", "", 0o755)?;
    let pipe = TempFile::new("pipe", "", 0o755)?;
    // Whoever opened it to look what it is would wait for ever.
    fs::remove_file(pipe.path())?;
    assert!(Command::new("mkfifo").args(["-m", "755", pipe.path()]).status()?.success());
    let (plain, text, empty, pipe) = (plain.path(), text.path(), empty.path(), pipe.path());
    let cases = [
        ("no-such-program-anywhere", None, NotFound),
        ("/no/such/program", None, NotFound),
        (plain, None, NotExecutable),
        ("/tmp", None, NotExecutable),
        (pipe, None, NotExecutable),
        (text, None, no_exec.clone()),
        (empty, None, no_exec),
        ("true", Some("/no/such/directory"), WorkingDirectory),
        ("true", Some(plain), WorkingDirectory),
        ("no-such-program-anywhere", Some("/tmp"), NotFound),
        ("a\0b", None, LaunchProblem::Os { errno: 22, message: nul }),
    ];
    let mut rig = Rig::start().await?;
    // Directly, with an environment of their own, and by a trampoline.
    let path = Some(vec![b"PATH".to_vec()]);
    let rounds =
        [(None, Confines::default()), (path.clone(), Confines::default()), (path, masked())];
    for (round, (inherit, confines)) in rounds.into_iter().enumerate() {
        (rig.inherit, rig.confines) = (inherit, confines);
        for (index, (program, dir, problem)) in cases.iter().enumerate() {
            let rank = round * cases.len() + index;
            rig.command(0, &[program], *dir)?;
            rig.start_rank(rank, 0)?;
            let expected = FromGuard::NotStarted { key: key(rank), problem: problem.clone() };
            assert_eq!(rig.next().await?, expected, "{program} in {dir:?}, round {round}");
        }
    }
    rig.start_rank(99, 42)?;
    let unknown = rig.next().await?;
    assert!(matches!(unknown, FromGuard::NotStarted { .. }), "an unknown command: {unknown:?}");
    rig.close().await
}

fn masked() -> Confines {
    Confines { umask: Some(Umask::from_bits(0o27)), ..Confines::default() }
}

async fn a_start_asked_for_twice_happens_once() -> Outcome {
    let mut rig = Rig::start().await?;
    rig.command(0, &["sleep", &marker()], None)?;
    rig.start_rank(0, 0)?;
    rig.start_rank(0, 0)?;
    rig.started().await?;
    assert_eq!(rig.during(Duration::from_millis(100)).await?, []);
    rig.ask(ToGuard::Signal { key: key(0), signal: 15 })?;
    rig.ended().await?;
    rig.start_rank(0, 0)?;
    assert_eq!(rig.during(Duration::from_millis(100)).await?, [], "that life is over");
    rig.start_life(life(0, 1), 0)?;
    rig.started().await?;
    rig.close().await
}

/// O3: a guard that opens and closes meshes for ever keeps nothing of them.
async fn a_command_is_forgotten_with_its_mesh() -> Outcome {
    let mut rig = Rig::start().await?;
    rig.command(0, &["sleep", &marker()], None)?;
    rig.ask(ToGuard::Close { mesh: mesh() })?;
    assert_eq!(rig.next().await?, FromGuard::Closed { mesh: mesh() });
    rig.command(1, &["sleep", &marker()], None)?;
    let (term, beat_every) = (TOLD_WITHIN, TOLD_WITHIN / 20);
    let epoch = Epoch::FIRST;
    rig.ask(ToGuard::Open { mesh: mesh(), epoch, term, beat_every, since: NOW })?;
    for command in [0, 1] {
        let rank = usize::try_from(command)?;
        rig.start_rank(rank, command)?;
        let message = format!("command {command} was never given");
        let problem = LaunchProblem::Os { errno: 22, message };
        assert_eq!(rig.next().await?, FromGuard::NotStarted { key: key(rank), problem });
    }
    rig.close().await
}

async fn a_long_command_line_arrives_whole() -> Outcome {
    let mut rig = Rig::start().await?;
    let word = "x".repeat(50);
    let mut line = vec!["sh", "-c", "test $# -eq 20000 && exit 7", "sh"];
    line.extend(std::iter::repeat_n(word.as_str(), 20_000));
    rig.command(0, &line, None)?;
    for rank in 0..10 {
        rig.start_rank(rank, 0)?;
    }
    let mut n_ended = 0;
    while n_ended < 10 {
        match rig.next().await? {
            FromGuard::Ended { end, .. } => {
                assert_eq!(end, End::Exited { code: 7 });
                n_ended += 1;
            }
            other => assert!(matches!(other, FromGuard::Started { .. }), "{other:?}"),
        }
    }
    rig.close().await
}

async fn a_command_line_too_long_for_the_kernel_is_told() -> Outcome {
    let mut rig = Rig::start().await?;
    let word = "x".repeat(200_000);
    rig.command(0, &["true", &word], None)?;
    rig.start_rank(0, 0)?;
    let message = "Argument list too long".to_owned();
    let problem = LaunchProblem::Os { errno: 7, message };
    assert_eq!(rig.next().await?, FromGuard::NotStarted { key: key(0), problem });
    rig.close().await
}

async fn a_message_that_cannot_be_sent_is_refused_and_the_link_goes_on() -> Outcome {
    let mut rig = Rig::start().await?;
    let too_long = rig.command(0, &["true", &"x".repeat(9 << 20)], None);
    let told = too_long.err().ok_or("it was taken")?.downcast::<GuardError>()?;
    assert!(matches!(*told, GuardError::TooLong { .. }), "{told}");
    let (epoch, echoed, env) = (Epoch::FIRST, None, Vec::new());
    let start = ToGuard::Start { key: key(0), epoch, echoed, command: 0, cpu: None, env };
    let refused = rig.link.queue(start, Vec::new());
    assert_eq!(refused, Err(GuardError::WrongDescriptors { expected: 3, given: 0 }));
    rig.script(0, "exit 4")?;
    rig.started().await?;
    assert_eq!(rig.ended().await?, (key(0), End::Exited { code: 4 }, false));
    rig.close().await
}

async fn a_process_inherits_only_its_three_descriptors() -> Outcome {
    let mut rig = Rig::start().await?;
    // What this process has inherited and not closed on exec, everybody has: count with a child of
    // its own what that comes to.
    let count = "exit $(ls /proc/self/fd | wc -l)";
    let plain = Command::new("sh").args(["-c", count]).stdin(Stdio::null()).status()?;
    let expected = End::Exited { code: plain.code().ok_or("it exits")? };
    for (rank, confines) in [Confines::default(), masked()].into_iter().enumerate() {
        rig.confines = confines;
        rig.script(rank, count)?;
        rig.started().await?;
        assert_eq!(rig.ended().await?, (key(rank), expected, false));
    }
    rig.close().await
}

async fn a_guard_keeps_no_descriptor_of_what_it_has_started() -> Outcome {
    let mut rig = Rig::start().await?;
    let guard = rig.link.pid().ok_or("it is running")?;
    let open = || {
        let fds = fs::read_dir(format!("/proc/{guard}/fd")).ok()?;
        fds.map(|fd| fs::read_link(fd.ok()?.path()).ok()).collect::<Option<Vec<_>>>()
    };
    let before = open();
    rig.command(0, &["sleep", &marker()], None)?;
    rig.command(1, &["no-such-program-anywhere"], None)?;
    rig.start_rank(0, 0)?;
    rig.start_rank(1, 0)?;
    rig.start_rank(2, 1)?;
    let pids = [rig.started().await?, rig.started().await?];
    let told = rig.next().await?;
    assert!(matches!(told, FromGuard::NotStarted { .. }), "{told:?}");
    rig.confines = masked();
    rig.command(2, &["sleep", &marker()], None)?;
    rig.command(3, &["no-such-program-anywhere"], None)?;
    rig.start_rank(3, 2)?;
    rig.started().await?;
    rig.start_rank(4, 3)?;
    let told = rig.next().await?;
    assert!(matches!(told, FromGuard::NotStarted { .. }), "{told:?}");
    assert!(pids.into_iter().all(exists));
    until("all closed", TOLD_WITHIN, || before.is_some() && open() == before).await?;
    rig.close().await
}

async fn a_process_has_its_variables_and_its_directory() -> Outcome {
    let mut rig = Rig::start().await?;
    rig.command(0, &["sh", "-c", "test $N = 5 && test $PWD = /usr"], Some("/usr"))?;
    rig.start_rank(5, 0)?;
    rig.started().await?;
    assert_eq!(rig.ended().await?, (key(5), End::Exited { code: 0 }, false));
    rig.close().await
}

/// The guard starts the others, and beats, while one is on its way.
async fn a_trampoline_has_the_process_id_of_its_program_and_costs_the_guard_no_time() -> Outcome {
    let mut rig = Rig::start().await?;
    rig.confines = masked();
    rig.command(0, &["sh", "-c", "test $$ = $(cut -d' ' -f5 /proc/$$/stat) && umask"], None)?;
    for rank in 0..32 {
        rig.start_rank(rank, 0)?;
    }
    let (mut n_started, mut n_ended) = (0, 0);
    while n_ended < 32 {
        match rig.next().await? {
            FromGuard::Started { .. } => n_started += 1,
            FromGuard::Ended { end, .. } => {
                assert_eq!(end, End::Exited { code: 0 });
                n_ended += 1;
            }
            other => return Err(format!("{other:?}").into()),
        }
    }
    assert_eq!(n_started, 32);
    rig.close().await
}

/// A process that is most likely no program yet, because it was stopped before.
fn held_trampoline(rig: &mut Rig, script: &str) -> Result<(), Box<dyn std::error::Error>> {
    rig.confines = masked();
    rig.ask(ToGuard::Pause)?;
    rig.command(0, &["sh", "-c", script], None)?;
    rig.start_rank(0, 0)
}

/// GUARD-2.
async fn a_trampoline_that_is_killed_is_told_as_an_end() -> Outcome {
    let mut rig = Rig::start().await?;
    held_trampoline(&mut rig, &format!("exec sleep {}", marker()))?;
    rig.ask(ToGuard::Signal { key: key(0), signal: 9 })?;
    rig.started().await?;
    assert_eq!(rig.ended().await?, (key(0), killed_by(9), false));
    rig.close().await
}

async fn a_trampoline_that_is_suspended_is_no_late_one() -> Outcome {
    let mut rig = Rig::start().await?;
    held_trampoline(&mut rig, "exit 5")?;
    // It may be through before it is suspended.
    let mut told = rig.during(Duration::from_millis(200)).await?;
    rig.ask(ToGuard::Resume)?;
    let is_suspension =
        |it: &FromGuard| matches!(it, FromGuard::Suspended { .. } | FromGuard::Continued { .. });
    told.retain(|it| !is_suspension(it));
    while told.len() < 2 {
        told.push(rig.next().await?);
        told.retain(|it| !is_suspension(it));
    }
    assert!(matches!(told[0], FromGuard::Started { .. }), "{told:?}");
    assert!(matches!(told[1], FromGuard::Ended { end: End::Exited { code: 5 }, .. }), "{told:?}");
    rig.close().await
}

/// K3: when a guard is killed, the parent of a trampoline is whoever adopts it, and what that has open is not
/// for it.
async fn a_trampoline_without_its_guard_starts_nothing_and_touches_nothing() -> Outcome {
    let file = TempFile::new("mine", "untouched", 0o600)?;
    let mine = fs::File::options().write(true).open(file.path())?;
    // Of a guard that is gone, and of one that is not, whose descriptor is something else.
    for (guard_pid, why) in [(0, "it has been killed"), (process::id(), "invalid input")] {
        let mut orders = Vec::new();
        // The report goes to this descriptor of its parent, this process. Nothing else is ordered.
        for number in [u64::from(guard_pid), u64::try_from(mine.as_raw_fd())?] {
            orders.extend(postcard::to_allocvec(&(number * 2))?);
        }
        orders.extend([0; 5]);
        let orders: String = orders.iter().map(|byte| format!("{byte:02x}")).collect();
        let output = Command::new("/proc/self/exe")
            .args([guard::ARGUMENT, "launch", &orders, "echo", "started"])
            .output()?;
        assert_eq!(fs::read_to_string(file.path())?, "untouched");
        assert_eq!((output.status.code(), output.stdout), (Some(127), Vec::new()));
        let said = String::from_utf8(output.stderr)?;
        assert!(
            said.contains("the guard cannot be told of a start") && said.contains(why),
            "{said}"
        );
    }
    Ok(())
}
