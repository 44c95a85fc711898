//! What processes are started in.

use std::fmt::Write;

use libtest_mimic::Trial;
use mesh_core::{Inherit, LaunchProblem, Reason, Surroundings, SurroundingsError};
use proc_mesh::SpawnError;

use crate::fixture::{Site, failures_to_the_end, reasons, shells};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(nothing_is_inherited_but_what_is_named),
        trial(an_empty_list_of_variables_starts_nothing),
        trial(a_directory_that_is_not_there_is_told_for_every_rank),
        trial(a_long_environment_arrives_whole),
    ]
}

/// Runs a script on every rank, which must end with code 0.
async fn must_hold(script: &str, surroundings: Surroundings) -> Outcome {
    let site = Site::start().await?;
    let mut spec = shells(script);
    spec.surroundings = surroundings;
    let mut mesh = site.spawn(spec).await?;
    assert_eq!(failures_to_the_end(&mut mesh).await, []);
    site.close(mesh.label().id()).await
}

/// The ranks have what identifies them in any case.
async fn nothing_is_inherited_but_what_is_named() -> Outcome {
    let check = |home: &str, user: &str| {
        format!(
            "{home} \"$HOME\" && {user} \"$CARGO_MANIFEST_DIR\" && test $MESHWARDEN_MESH = test &&
             test -n \"$MESHWARDEN_RANK\" && test \"$PWD\" = /usr"
        )
    };
    let within = |inherit| Surroundings { dir: Some("/usr".into()), inherit };
    let only = Inherit::Only(vec!["HOME".into(), "NO_SUCH_VARIABLE".into()]);
    must_hold(&check("test -n", "test -n"), within(Inherit::All)).await?;
    must_hold(&check("test -z", "test -z"), within(Inherit::Nothing)).await?;
    must_hold(&check("test -n", "test -z"), within(only)).await
}

async fn an_empty_list_of_variables_starts_nothing() -> Outcome {
    let site = Site::start().await?;
    let mut spec = shells("true");
    spec.surroundings.inherit = Inherit::Only(Vec::new());
    let refused = site.spawn(spec).await.err();
    assert_eq!(refused, Some(SpawnError::Surroundings(SurroundingsError::EmptyInherit)));
    Ok(())
}

/// C4
async fn a_directory_that_is_not_there_is_told_for_every_rank() -> Outcome {
    let site = Site::start().await?;
    let mut spec = shells("true");
    spec.surroundings.dir = Some("/no/such/directory".into());
    let Err(SpawnError::Ranks { failures }) = site.spawn(spec).await else {
        return Err("it was spawned".into());
    };
    let (program, problem) = ("sh".to_owned(), LaunchProblem::WorkingDirectory);
    let reason = Reason::Launch { program, problem };
    let mut told = reasons(&failures);
    told.sort_unstable_by_key(|(rank, _)| *rank);
    assert_eq!(told, (0..4).map(|rank| (rank, reason.clone())).collect::<Vec<_>>());
    site.close(failures[0].mesh.id()).await
}

/// 1,400 kB, near what the kernel takes; one variable may have 128 KiB.
async fn a_long_environment_arrives_whole() -> Outcome {
    #[derive(Debug)]
    struct Long(mesh_core::Command);
    impl mesh_core::Launcher for Long {
        fn command(&self) -> &mesh_core::Command {
            &self.0
        }

        fn env(&self, seat: &mesh_core::Seat<'_>) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
            let value = "x".repeat(99_998 + seat.point.rank().index());
            let id = ("MESHWARDEN_MESH_ID".into(), seat.mesh.id().to_string().into());
            (0..14).map(|n| (format!("V{n}").into(), value.clone().into())).chain([id]).collect()
        }
    }
    let site = Site::start().await?;
    // Of a rank its variables have 14 × 99,998 bytes and 14 × its number.
    let mut script = "n=0; for v in".to_owned();
    for n in 0..14 {
        write!(script, " $V{n}")?;
    }
    script += "; do n=$((n + ${#v})); done; test $n -ge 1399972 -a $n -le 1400014";
    let mut spec = shells("");
    spec.run = proc_mesh::Run::Program {
        launcher: std::sync::Arc::new(Long(mesh_core::Command::new("sh", ["-c", &script]))),
        stdin: None,
    };
    let mut mesh = site.spawn(spec).await?;
    assert_eq!(failures_to_the_end(&mut mesh).await, []);
    site.close(mesh.label().id()).await
}
