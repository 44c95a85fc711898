//! How processes end, and who is told.

use std::fs::read_to_string;
use std::time::Duration;

use libtest_mimic::Trial;
use mesh_core::{Cause, Change, Failures, MeshPhase, News, Reason, Stall, Status};
use proc_mesh::{ProcMesh, ProcSeat};
use rustix::process::{Pid, Signal, kill_process};
use supervise::MeshEvents;
use tokio::time::{Instant, sleep};

use crate::fixture::{
    Site, ends_to_the_close, failures_to_the_end, next_failure, parent, reasons, restarting,
    shells, state_of, subscribe, until_gone,
};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(every_end_is_told_once_to_the_owner_and_to_each_subscriber),
        trial(a_killed_rank_is_told_with_its_signal_and_started_again),
        trial(what_a_rank_says_last_is_read_before_its_end_is_told),
        trial(a_suspended_rank_is_stalled_and_no_failure),
        trial(a_guard_that_is_killed_takes_its_ranks_with_it_and_is_replaced),
        trial(what_runs_when_its_host_is_closed_is_told_to_have_ended_with_it),
        trial(a_restart_that_is_promised_is_withdrawn_when_its_host_is_closed),
        trial(what_is_started_again_as_its_host_is_closed_is_told_at_once),
        trial(a_guard_that_is_killed_while_it_starts_ranks_leaves_none),
    ]
}

/// N1, N2, N4, H6, H7: clean ends are for subscribers only.
async fn every_end_is_told_once_to_the_owner_and_to_each_subscriber() -> Outcome {
    let site = Site::start().await?;
    let script = "sleep 0.1; echo last words >&2; exit $((RANK * 10))";
    let mut mesh = site.spawn(shells(script)).await?;
    let subscribers = [subscribe(&mesh).await?, subscribe(&mesh).await?];
    let told = failures_to_the_end(&mut mesh).await;
    let exit = |rank: usize| (rank, Reason::Exit { code: rank as i32 * 10 });
    // Nobody says in which order processes end.
    let mut ended = reasons(&told);
    ended.sort_unstable_by_key(|(rank, _)| *rank);
    assert_eq!(ended, [exit(1), exit(2), exit(3)]);
    let is_whole = |change: &Change| {
        let cause = change.status.cause();
        cause.is_some_and(|it| it.stderr == ["last words"] && it.alive >= Some(TENTH_OF_A_SECOND))
    };
    assert!(told.iter().flat_map(|failed| &failed.changes).all(is_whole), "{told:?}");
    for events in subscribers {
        let ends = ends_to_the_close(events).await;
        let mut ends: Vec<usize> =
            ends.iter().flat_map(|end| end.ranks.iter().map(|rank| rank.index())).collect();
        ends.sort_unstable();
        assert_eq!(ends, [0, 1, 2, 3]);
    }
    let state = mesh.controller().state().await?;
    assert_eq!(state.phase, MeshPhase::Failed);
    site.close(mesh.label().id()).await
}

/// ST2: also what was still in the pipe when it ended, because nobody took what came before.
async fn what_a_rank_says_last_is_read_before_its_end_is_told() -> Outcome {
    let site = Site::start().await?;
    let script = "for i in 1 2 3; do echo $i >&2; sleep 0.1; done; \
                  i=0; while [ $i -lt 60 ]; do i=$((i + 1)); echo last $i >&2; done; exit 3";
    let mut spec = shells(script);
    let (stderr, untaken) = tokio::sync::mpsc::channel(1);
    spec.output.stderr = Some(stderr);
    let mut mesh = site.spawn(spec).await?;
    let told = failures_to_the_end(&mut mesh).await;
    let expected: Vec<String> = (11..=60).map(|number| format!("last {number}")).collect();
    let mut n_told = 0;
    for (_, change) in told.iter().flat_map(Failures::each) {
        assert_eq!(change.status.cause().ok_or("a failure has a cause")?.stderr, expected);
        n_told += 1;
    }
    assert_eq!(n_told, 4);
    drop(untaken);
    site.close(mesh.label().id()).await
}

/// RS1: told once, marked as restarting; then it runs again.
async fn a_killed_rank_is_told_with_its_signal_and_started_again() -> Outcome {
    let site = Site::start().await?;
    let mut mesh = site.spawn(restarting(shells("sleep 1000"), 1)).await?;
    let seats = mesh.seats().await;
    assert_eq!(seats.len(), 4);
    kill(seats[2].pid, Signal::KILL)?;
    let failed = next_failure(&mut mesh).await?;
    assert_eq!(
        reasons(std::slice::from_ref(&failed)),
        [(2, Reason::Signal { signal: 9, core: false })]
    );
    assert!(failed.changes[0].restart_in.is_some());
    let again = until_seated(&mesh, 1).await;
    kill(again[2].pid, Signal::KILL)?;
    let failed = next_failure(&mut mesh).await?;
    assert_eq!(failed.changes[0].restart_in, None, "RS3: it has had its restart");
    assert!(failed.escalation.is_some());
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

/// H4: the kernel's word that it is suspended, and that it goes on.
async fn a_suspended_rank_is_stalled_and_no_failure() -> Outcome {
    let site = Site::start().await?;
    let mut mesh = site.spawn(shells("sleep 1000")).await?;
    let pid = mesh.seats().await[1].pid;
    kill(pid, Signal::STOP)?;
    until_status(&mesh, |status| matches!(status, Status::Stalled(Stall::Suspended { .. })))
        .await?;
    kill(pid, Signal::CONT)?;
    until_status(&mesh, |status| *status == Status::Running).await?;
    mesh.stop(Duration::from_secs(5)).await?;
    assert_eq!(failures_to_the_end(&mut mesh).await, []);
    site.close(mesh.label().id()).await
}

/// ST4: nobody can say how they ended, so they are ended for certain, and lost.
async fn a_guard_that_is_killed_takes_its_ranks_with_it_and_is_replaced() -> Outcome {
    let site = Site::start().await?;
    let mut mesh = site.spawn(restarting(shells("sleep 1000"), 4)).await?;
    let seats = mesh.seats().await;
    kill(parent(seats[0].pid)?, Signal::KILL)?;
    let mut lost = Vec::new();
    while lost.len() < 4 {
        lost.extend(reasons(&[next_failure(&mut mesh).await?]));
    }
    assert!(lost.iter().all(|(_, reason)| *reason == Reason::LostByAgent), "{lost:?}");
    let again = until_seated(&mesh, 4).await;
    assert!(again.iter().all(|seat| seat.incarnation.number() == 1), "{again:?}");
    assert!(seats.iter().all(|seat| matches!(state_of(seat.pid), None | Some('Z'))), "{seats:?}");
    mesh.stop(Duration::from_secs(5)).await?;
    assert_eq!(failures_to_the_end(&mut mesh).await, []);
    site.close(mesh.label().id()).await
}

/// Waits until all four ranks are seated, `n_restarted` of them in a second life.
async fn until_seated(mesh: &ProcMesh, n_restarted: usize) -> Vec<ProcSeat> {
    loop {
        let seats = mesh.seats().await;
        let restarted = seats.iter().filter(|seat| seat.incarnation.number() == 1).count();
        if seats.len() == 4 && restarted == n_restarted {
            return seats;
        }
        tokio::task::yield_now().await;
    }
}

/// K3: also what it had started and not told of, and what has left its group.
async fn a_guard_that_is_killed_while_it_starts_ranks_leaves_none() -> Outcome {
    let site = Site::start().await?;
    let mut spec = shells("setsid sleep 1000 & sleep 1000");
    spec.extent = "procs=200".parse()?;
    let mut mesh = site.start_only(spec).await?;
    let first = loop {
        match mesh.seats().await.first() {
            Some(seat) => break *seat,
            None => tokio::task::yield_now().await,
        }
    };
    kill(parent(first.pid)?, Signal::KILL)?;
    until_gone(mesh.label().id()).await;
    let lost: usize = failures_to_the_end(&mut mesh).await.iter().map(Failures::len).sum();
    assert_eq!(lost, 200);
    site.close(mesh.label().id()).await
}

pub(crate) async fn until_status(mesh: &ProcMesh, is_wanted: impl Fn(&Status) -> bool) -> Outcome {
    loop {
        let state = mesh.controller().state().await?;
        if state.ranks.iter().nth(1).is_some_and(|rank| is_wanted(&rank.status)) {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

const TENTH_OF_A_SECOND: Duration = Duration::from_millis(100);

pub(crate) fn kill(pid: u32, signal: Signal) -> Outcome {
    let pid = Pid::from_raw(pid.try_into()?).ok_or("0 is no process")?;
    Ok(kill_process(pid, signal)?)
}

/// N1, N2, ST2: at once, and with the reason, where nobody has stopped the mesh before; what it last said is read.
async fn what_runs_when_its_host_is_closed_is_told_to_have_ended_with_it() -> Outcome {
    // None of them begins again there, whatever the rules say (RS1).
    let site = Site::start().await?;
    let spec = restarting(shells("echo last words >&2; exec sleep 1000"), 10);
    let mut mesh = site.spawn(spec).await?;
    let events = subscribe(&mesh).await?;
    for ProcSeat { pid, .. } in mesh.seats().await {
        until_it_sleeps(pid).await?;
    }
    let (id, begun) = (mesh.label().id(), Instant::now());
    site.close(id).await?;
    let told = failures_to_the_end(&mut mesh).await;
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    let closed = |rank: usize| (rank, Reason::Closed);
    assert_eq!(reasons(&told), [closed(0), closed(1), closed(2), closed(3)]);
    let says = |change: &Change| {
        let has_said = change.status.cause().is_some_and(|it| it.stderr == ["last words"]);
        has_said && change.restart_in.is_none()
    };
    assert!(told.iter().flat_map(|failed| &failed.changes).all(says), "{told:?}");
    let ends = ends_to_the_close(events).await;
    assert_eq!(ends.iter().map(|end| end.ranks.len()).sum::<usize>(), 4);
    Ok(())
}

/// RS1, N1, N2: at once, and with the reason; and no life is told of that nobody could start.
async fn a_restart_that_is_promised_is_withdrawn_when_its_host_is_closed() -> Outcome {
    let site = Site::start().await?;
    let mut spec = restarting(shells("exec sleep 1000"), 10);
    let delay = Duration::from_secs(60);
    (spec.config.restart.backoff_min, spec.config.restart.backoff_max) = (delay, delay);
    let mut mesh = site.spawn(spec).await?;
    let events = subscribe(&mesh).await?;
    kill(mesh.seats().await[2].pid, Signal::KILL)?;
    let failed = next_failure(&mut mesh).await?;
    assert!(failed.changes[0].restart_in.is_some() && failed.withdrawn.is_empty(), "{failed}");

    // The controller lives on, on its thread.
    let (Site { control, output, hosts }, begun) = (site, Instant::now());
    assert!(hosts.close().await, "a guard did not end well");
    let told = failures_to_the_end(&mut mesh).await;
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    let mut ended = reasons(&told);
    ended.sort_unstable_by_key(|(rank, _)| *rank);
    assert_eq!(ended, [0, 1, 3].map(|rank| (rank, Reason::Closed)));
    let withdrawn = told.iter().flat_map(Failures::each_withdrawn);
    let withdrawn: Vec<_> = withdrawn
        .map(|(rank, it)| (rank.index(), it.incarnation.number(), it.why.clone()))
        .collect();
    assert_eq!(withdrawn, [(2, 0, Status::failed(Cause::new(Reason::Closed)))]);

    assert_eq!(ends_and_withdrawn(events).await, (4, 1));
    drop((control, output));
    Ok(())
}

/// Of how many ranks it is told that they end, and of how many that they are not started again after all.
async fn ends_and_withdrawn(mut events: MeshEvents) -> (usize, usize) {
    let (mut n_ends, mut n_withdrawn) = (0, 0);
    while let Some(event) = events.next().await {
        match event.news {
            News::Changed(changes) => {
                n_ends += changes.iter().map(|it| it.ranks.len()).sum::<usize>();
            }
            News::Withdrawn(withdrawn) => n_withdrawn += withdrawn.len(),
            _ => (),
        }
    }
    (n_ends, n_withdrawn)
}

/// RS1, N1, N9: wherever each is between two lives, nobody waits for the next one, or for silence.
async fn what_is_started_again_as_its_host_is_closed_is_told_at_once() -> Outcome {
    for _ in 0..8 {
        let site = Site::start().await?;
        let mut spec = restarting(shells("exit 3"), 1_000_000);
        let delay = Duration::from_millis(1);
        (spec.config.restart.backoff_min, spec.config.restart.backoff_max) = (delay, delay);
        let mut mesh = site.start_only(spec).await?;
        _ = next_failure(&mut mesh).await?;
        let (Site { control, output, hosts }, begun) = (site, Instant::now());
        assert!(hosts.close().await, "a guard did not end well");
        let told = failures_to_the_end(&mut mesh).await;
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        let mut open = [true; 4];
        for (rank, change) in told.iter().flat_map(Failures::each) {
            assert!(matches!(change.status, Status::Failed(_)), "{}", change.status);
            open[rank.index()] = change.restart_in.is_some();
        }
        for (rank, _) in told.iter().flat_map(Failures::each_withdrawn) {
            assert!(std::mem::replace(&mut open[rank.index()], false), "{told:?}");
        }
        assert_eq!(open, [false; 4], "each is told not to begin again");
        drop((control, output));
    }
    Ok(())
}

/// A lease that has run out would be told after six.
const AT_ONCE: Duration = Duration::from_secs(4);

/// Waits until a shell has become the program that it says it will, and so has said what comes before.
async fn until_it_sleeps(pid: u32) -> Outcome {
    let is_shell =
        || Ok::<_, std::io::Error>(read_to_string(format!("/proc/{pid}/comm"))?.trim() != "sleep");
    while is_shell()? {
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
