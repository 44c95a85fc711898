//! What a guard makes of a broken lifeline, and a link of a program that is no guard.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use std::{env, process};

use libtest_mimic::Trial;
use mesh_core::{LaunchProblem, MeshId};
use proc_mesh::guard;
use proc_mesh::guard::wire::{FromGuard, ToGuard};
use proc_mesh::guard_link::{GuardError, GuardLink};
use rustix::process::Signal;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::fixture::{Rig, TOLD_WITHIN, marker};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(garbage_on_the_lifeline_ends_the_guard_with_an_error),
        trial(a_lifeline_that_closes_at_once_ends_the_guard_well),
        trial(a_program_that_is_no_guard_is_told_clearly),
        trial(a_program_that_never_answers_is_killed),
        trial(a_program_that_is_not_there_is_told_clearly),
        trial(a_program_that_did_not_become_what_it_was_started_as_gets_no_guard),
        trial(a_guard_that_is_killed_is_told_gone),
        trial(a_guard_obeys_while_its_agent_does_not_read),
    ]
}

/// In the environment of a copy of this program that is to be one that forgets [`guard::run`].
pub(crate) const FORGETFUL: &str = "MESHWARDEN_TEST_FORGETFUL";

/// The first argument of a worker.
const WORKER_ARGUMENT: &str = "meshwarden:worker";

/// A guard with our end of its lifeline.
fn bare_guard() -> std::io::Result<(Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let guard = Command::new("/proc/self/exe")
        .arg(guard::ARGUMENT)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    Ok((guard, ours))
}

/// GUARD-6.
async fn garbage_on_the_lifeline_ends_the_guard_with_an_error() -> Outcome {
    let long_length = [0xff; 100].to_vec();
    let unknown_kind = [&1_u32.to_le_bytes()[..], &[99]].concat();
    let left_over = [&2_u32.to_le_bytes()[..], &[5, 5]].concat();
    let start_without_descriptors =
        [&24_u32.to_le_bytes()[..], &[2, 16], &[7; 16], &[0, 0, 0, 0, 0, 0]].concat();
    for garbage in [long_length, unknown_kind, left_over, start_without_descriptors] {
        let (mut guard, mut ours) = bare_guard()?;
        ours.write_all(&garbage)?;
        let status = timeout(TOLD_WITHIN, guard.wait()).await??;
        assert_eq!(status.code(), Some(1), "after {garbage:?}");
    }
    Ok(())
}

async fn a_lifeline_that_closes_at_once_ends_the_guard_well() -> Outcome {
    let (mut guard, mut ours) = bare_guard()?;
    ours.read_exact(&mut [0])?;
    drop(ours);
    assert!(timeout(TOLD_WITHIN, guard.wait()).await??.success());
    Ok(())
}

async fn a_program_that_is_no_guard_is_told_clearly() -> Outcome {
    for program in ["/bin/true", "/bin/cat"] {
        let refused = GuardLink::start(Path::new(program)).await.err().ok_or("it is no guard")?;
        assert_eq!(
            refused.to_string(),
            format!(
                "{program} did not answer as a guard within 5s: it must call `meshwarden::main` \
                 before anything else"
            )
        );
    }
    Ok(())
}

async fn a_program_that_never_answers_is_killed() -> Outcome {
    let path = env::temp_dir().join(format!("meshwarden-guard-{}-mute", process::id()));
    fs::write(&path, "#!/bin/sh\nexec sleep 600\n")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    let answer = timeout(TOLD_WITHIN, GuardLink::start(&path)).await;
    fs::remove_file(&path)?;
    let refused = answer?.err().ok_or("it is no guard")?;
    let within = Duration::from_secs(5);
    assert_eq!(refused, GuardError::NoHello { program: path, within });
    Ok(())
}

async fn a_program_that_is_not_there_is_told_clearly() -> Outcome {
    let program = Path::new("/no/such/guard");
    let refused = GuardLink::start(program).await.err().ok_or("it is not there")?;
    let problem = LaunchProblem::NotFound;
    assert_eq!(refused, GuardError::NotStarted { program: program.to_owned(), problem });
    Ok(())
}

async fn a_program_that_did_not_become_what_it_was_started_as_gets_no_guard() -> Outcome {
    let socket = || UnixStream::pair().map(|(ours, _theirs)| Stdio::from(OwnedFd::from(ours)));
    let refused = GuardError::NotBootstrapped.to_string();
    let no_guard = "/bin/true did not answer as a guard within 5s: it must call \
                    `meshwarden::main` before anything else";
    let cases = [
        (guard::ARGUMENT, socket()?, refused.as_str()),
        (guard::ARGUMENT, Stdio::null(), &refused),
        (WORKER_ARGUMENT, socket()?, &refused),
        // A worker that has become one has put this in the place of its socket.
        (WORKER_ARGUMENT, Stdio::null(), no_guard),
        ("something-else", socket()?, no_guard),
    ];
    for (argument, stdin, expected) in cases {
        let forgetful = Command::new("/proc/self/exe")
            .arg(argument)
            .env(FORGETFUL, "")
            .stdin(stdin)
            .kill_on_drop(true)
            .output();
        let told = timeout(TOLD_WITHIN, forgetful).await??.stdout;
        assert_eq!(String::from_utf8(told)?, expected, "as {argument}");
    }
    Ok(())
}

/// A program that starts a guard whatever it was started as, and says why it cannot.
///
/// What it starts is no guard and no copy of itself, so that nothing can go on without end.
pub(crate) fn be_forgetful() -> ExitCode {
    let run = async || -> Outcome {
        let refused = GuardLink::start(Path::new("/bin/true")).await.err().ok_or("no guard")?;
        Ok(write!(std::io::stdout(), "{refused}")?)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn a_guard_that_is_killed_is_told_gone() -> Outcome {
    let mut rig = Rig::start().await?;
    rig.signal_guard(Signal::KILL)?;
    let over = loop {
        if let Err(over) = rig.link.recv().await {
            break over;
        }
    };
    assert_eq!(over, GuardError::Gone);
    rig.ask(ToGuard::Pause)?;
    rig.link.flush().await;
    assert!(!rig.link.close(TOLD_WITHIN).await, "it did not end well");
    Ok(())
}

/// GUARD-5: it obeys to the last message while nothing can be told, and then tells all.
async fn a_guard_obeys_while_its_agent_does_not_read() -> Outcome {
    let mut rig = Rig::start().await?;
    // The answers alone are over a megabyte: far more than a socket takes.
    let meshes = || (1_000..51_000).map(MeshId::from_random);
    for mesh in meshes() {
        rig.ask(ToGuard::Close { mesh })?;
    }
    rig.command(0, &["sleep", &marker()], None)?;
    rig.start_rank(0, 0)?;
    // Nothing is received: this ends only if the guard reads all the same.
    rig.link.flush().await;
    for mesh in meshes() {
        assert_eq!(rig.next().await?, FromGuard::Closed { mesh });
    }
    rig.started().await?;
    rig.close().await
}
