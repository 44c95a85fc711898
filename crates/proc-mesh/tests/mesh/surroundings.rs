//! What processes are started in.

use std::fmt::Write;
use std::fs;

use libtest_mimic::Trial;
use mesh_core::{
    Bind, Inherit, LaunchProblem, Reason, Resource, RlimitError, Surroundings, SurroundingsError,
    Umask,
};
use proc_mesh::SpawnError;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity};

use crate::fixture::{Site, failures_to_the_end, reasons, shells, workers};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(nothing_is_inherited_but_what_is_named),
        trial(an_empty_list_of_variables_starts_nothing),
        trial(a_directory_that_is_not_there_is_told_for_every_rank),
        trial(a_long_environment_arrives_whole),
        trial(a_process_has_its_mask_and_its_limits),
        trial(a_worker_has_its_mask_and_its_limits),
        trial(a_limit_that_cannot_be_set_is_told_for_every_rank),
        trial(ranks_are_bound_to_the_processors_in_turn),
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
    let within =
        |inherit| Surroundings { dir: Some("/usr".into()), inherit, ..Surroundings::default() };
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
        notify: None,
    };
    let mut mesh = site.spawn(spec).await?;
    assert_eq!(failures_to_the_end(&mut mesh).await, []);
    site.close(mesh.label().id()).await
}

/// Also what is not said: it is as the caller has it.
async fn a_process_has_its_mask_and_its_limits() -> Outcome {
    let script = "test $(umask) = 0027 && test $(ulimit -Sn) = 77 && test $(ulimit -Hn) = 99 &&
                  test $(ulimit -Sc) = 0 && test $(ulimit -Hu) = $(sh -c 'ulimit -Hu')";
    must_hold(script, confined(&["nofile=77:99", "core=0"])?).await
}

async fn a_worker_has_its_mask_and_its_limits() -> Outcome {
    let site = Site::start().await?;
    let mut spec = workers("echo");
    spec.surroundings = confined(&["nofile=77:99"])?;
    let mesh = site.spawn(spec).await?;
    for seat in mesh.seats().await {
        let status = fs::read_to_string(format!("/proc/{}/status", seat.pid))?;
        assert!(status.contains("Umask:\t0027"), "{status}");
        let limits = fs::read_to_string(format!("/proc/{}/limits", seat.pid))?;
        let files = limits.lines().find(|line| line.starts_with("Max open files"));
        let words: Vec<_> = files.unwrap_or_default().split_ascii_whitespace().collect();
        assert_eq!(words[3..5], ["77", "99"], "{limits}");
    }
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

/// C4. Not even root may have more open files than the system allows one process.
async fn a_limit_that_cannot_be_set_is_told_for_every_rank() -> Outcome {
    let most: u64 = fs::read_to_string("/proc/sys/fs/nr_open")?.trim().parse()?;
    let limit = format!("nofile={}", most + 1);
    let twice = confined(&["cpu=9:", "cpu=:9"])?;
    let site = Site::start().await?;
    let mut spec = shells("true");
    spec.surroundings = confined(&[&limit])?;
    let Err(SpawnError::Ranks { failures }) = site.spawn(spec).await else {
        return Err("it was spawned".into());
    };
    let message = format!("the limit {limit} cannot be set: Operation not permitted");
    let problem = LaunchProblem::Os { errno: 1, message };
    let reason = Reason::Launch { program: "sh".to_owned(), problem };
    let mut told = reasons(&failures);
    told.sort_unstable_by_key(|(rank, _)| *rank);
    assert_eq!(told, (0..4).map(|rank| (rank, reason.clone())).collect::<Vec<_>>());

    let mut spec = shells("true");
    spec.surroundings = twice;
    let refused = site.spawn(spec).await.err();
    let twice = SurroundingsError::RlimitTwice { resource: Resource::Cpu };
    assert_eq!(refused, Some(SpawnError::Surroundings(twice)));

    let mut spec = shells("ulimit -n 49");
    spec.surroundings = confined(&["nofile=50:60"])?;
    let mut mesh = site.spawn(spec).await?;
    assert_eq!(failures_to_the_end(&mut mesh).await, [], "the hosts are as usable as before");
    site.close(failures[0].mesh.id()).await
}

fn confined(rlimits: &[&str]) -> Result<Surroundings, RlimitError> {
    let rlimits = rlimits.iter().map(|limit| limit.parse()).collect::<Result<_, _>>()?;
    let umask = Some(Umask::from_bits(0o27));
    Ok(Surroundings { umask, rlimits, ..Surroundings::default() })
}

/// The ranks of a host: rank 1 of two hosts is the first of the second one.
async fn ranks_are_bound_to_the_processors_in_turn() -> Outcome {
    let allowed = sched_getaffinity(None)?;
    let site = Site::with_hosts(2).await?;
    let mut spec = shells("sleep 1000");
    spec.extent = "procs=5,hosts=2".parse()?;
    spec.surroundings.bind = Bind::Core;
    let mesh = site.spawn(spec).await?;
    let mut cpus = Vec::new();
    for seat in mesh.seats().await {
        let set = sched_getaffinity(Pid::from_raw(seat.pid.try_into()?))?;
        assert_eq!(set.count(), 1, "{seat:?}");
        cpus.extend((0..CpuSet::MAX_CPU).find(|cpu| set.is_set(*cpu)));
    }
    assert_eq!(cpus.len(), 10);
    assert!(cpus.iter().all(|cpu| allowed.is_set(*cpu)), "{cpus:?}");
    let n_cpus = usize::try_from(allowed.count())?;
    for (rank, cpu) in cpus.iter().enumerate() {
        let place = rank / 2;
        assert_eq!(*cpu, cpus[2 * place], "both hosts alike: {cpus:?}");
        assert_eq!(*cpu == cpus[0], place % n_cpus == 0, "in turn: {cpus:?}");
    }
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}
