//! What a guard makes of a broken lifeline, and a link of a program that is no guard.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use std::{env, process};

use libtest_mimic::Trial;
use mesh_core::{LaunchProblem, MeshId};
use proc_mesh::guard;
use proc_mesh::guard::wire::{FromGuard, ToGuard};
use proc_mesh::guard_link::{GuardError, GuardLink};
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
        trial(a_guard_that_is_killed_is_told_gone),
        trial(a_guard_obeys_while_its_agent_does_not_read),
    ]
}

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

async fn a_guard_that_is_killed_is_told_gone() -> Outcome {
    let mut rig = Rig::start().await?;
    let pid = rig.link.pid().and_then(|pid| rustix::process::Pid::from_raw(pid.try_into().ok()?));
    rustix::process::kill_process(pid.ok_or("it is running")?, rustix::process::Signal::KILL)?;
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
