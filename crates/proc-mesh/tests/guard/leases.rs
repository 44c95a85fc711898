//! K1 and K2 with real processes: culled when nobody renews, and only then.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use mesh_core::{BeatSeq, Epoch, MeshId};
use proc_mesh::guard::wire::{Confines, End, FromGuard, ProcKey, ToGuard};
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{NOW, Rig, key, killed_by, life, marker, mesh, state_of, until};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(a_mesh_that_nobody_renews_is_culled_and_said_so),
        trial(a_mesh_that_is_renewed_lives),
        trial(a_renewal_that_waits_behind_starts_keeps_a_mesh_alive),
        trial(an_echo_of_an_old_beat_does_not_keep_a_mesh_alive),
        trial(a_controller_that_was_replaced_cannot_renew),
        trial(one_mesh_is_culled_and_the_other_lives),
        trial(a_pause_suspends_the_processes_and_the_lease),
        trial(a_process_started_during_a_pause_is_suspended_too),
        trial(what_was_suspended_before_a_pause_stays_so_after_it),
        trial(a_start_after_the_cull_that_echoes_nothing_is_told_culled),
        trial(a_start_that_echoes_an_old_beat_lives_no_longer_than_that_allows),
        trial(a_mesh_that_was_told_late_is_armed_as_of_when_it_began),
        trial(a_restart_after_the_cull_lives_as_long_as_it_is_renewed),
        trial(a_restart_after_the_cull_in_a_pause_is_not_culled_by_it),
        trial(what_ended_while_the_guard_was_suspended_was_not_culled),
        trial(an_end_before_the_cull_is_no_cull),
    ]
}

const TERM: Duration = Duration::from_millis(300);

/// The term of a lease that is to be kept, also by a machine that is busy with something else.
const KEPT_TERM: Duration = Duration::from_secs(1);

/// K2.
async fn a_mesh_that_nobody_renews_is_culled_and_said_so() -> Outcome {
    let mut rig = Rig::with_term(TERM).await?;
    rig.renews = false;
    let (marker, opened_at) = (marker(), Instant::now());
    rig.script(0, &format!("sleep {marker} & sleep {marker}; exit 0"))?;
    rig.started().await?;
    assert_eq!(rig.ended().await?, (key(0), killed_by(9), true));
    let lived = opened_at.elapsed();
    assert!(lived <= TERM + Duration::from_secs(1), "K2: {lived:?}");
    rig.until_marked(&marker, 0).await?;
    assert_eq!(rig.during(TERM * 2).await?, [], "it is culled once");
    rig.close().await
}

/// K1.
async fn a_mesh_that_is_renewed_lives() -> Outcome {
    let mut rig = Rig::with_term(KEPT_TERM).await?;
    rig.command(0, &["sleep", &marker()], None)?;
    rig.start_rank(0, 0)?;
    rig.started().await?;
    assert_eq!(rig.during(KEPT_TERM * 2).await?, []);
    rig.renews = false;
    assert_eq!(rig.ended().await?, (key(0), killed_by(9), true));
    rig.close().await
}

/// K1: what it echoes was heard in time, however long the guard takes for what came before it.
async fn a_renewal_that_waits_behind_starts_keeps_a_mesh_alive() -> Outcome {
    let term = Duration::from_secs(2);
    let mut rig = Rig::with_term(term).await?;
    rig.renews = false;
    let opened_at = Instant::now();
    rig.command(0, &["sleep", &marker()], None)?;
    while opened_at.elapsed() < term * 3 / 5 {
        rig.during(Duration::from_millis(5)).await?;
    }
    let echoed = rig.heard.take().ok_or("a beat was heard")?;
    rig.signal_guard(Signal::STOP)?;
    // More than the guard performs at once.
    let n_starts = 40;
    for rank in 0..n_starts {
        rig.start_rank(rank, 0)?;
    }
    rig.ask(ToGuard::Renew { mesh: mesh(), epoch: Epoch::FIRST, echoed })?;
    rig.link.flush().await;
    // The lease of the start has ended by now, and that of the echo has not.
    tokio::time::sleep_until((opened_at + term + Duration::from_millis(50)).into()).await;
    rig.renews = true;
    rig.signal_guard(Signal::CONT)?;
    for _ in 0..n_starts {
        rig.started().await?;
    }
    rig.close().await
}

/// K1: renewals come all the time, but they say that the controller hears nothing new.
async fn an_echo_of_an_old_beat_does_not_keep_a_mesh_alive() -> Outcome {
    let mut rig = Rig::with_term(TERM).await?;
    rig.renews = false;
    rig.command(0, &["sleep", &marker()], None)?;
    rig.start_rank(0, 0)?;
    let opened_at = Instant::now();
    rig.started().await?;
    let deadline = opened_at + TERM + Duration::from_secs(1);
    let mut told = Vec::new();
    while told.is_empty() && Instant::now() < deadline {
        let echoed = BeatSeq::FIRST;
        rig.ask(ToGuard::Renew { mesh: mesh(), epoch: Epoch::FIRST, echoed })?;
        told = rig.during(Duration::from_millis(5)).await?;
    }
    assert!(matches!(told[..], [FromGuard::Ended { culled: true, .. }]), "{told:?}");
    rig.close().await
}

/// K3.
async fn a_controller_that_was_replaced_cannot_renew() -> Outcome {
    let mut rig = Rig::with_term(TERM).await?;
    rig.command(0, &["sleep", &marker()], None)?;
    rig.start_rank(0, 0)?;
    rig.started().await?;
    let epoch = Epoch::FIRST.next();
    rig.ask(ToGuard::Renew { mesh: mesh(), epoch, echoed: BeatSeq::FIRST })?;
    // The rig goes on to renew as the first controller.
    assert_eq!(rig.ended().await?, (key(0), killed_by(9), true));
    rig.close().await
}

async fn one_mesh_is_culled_and_the_other_lives() -> Outcome {
    let mut rig = Rig::with_term(KEPT_TERM).await?;
    let (other, term) = (MeshId::from_random(8), TERM);
    let beat_every = TERM / 20;
    let epoch = Epoch::FIRST;
    rig.ask(ToGuard::Open { mesh: other, epoch, term, beat_every, since: NOW })?;
    rig.command(0, &["sleep", &marker()], None)?;
    rig.start_rank(0, 0)?;
    rig.started().await?;
    let theirs = ProcKey { mesh: other, ..key(0) };
    let (program, args) = (b"sleep".to_vec(), vec![marker().into_bytes()]);
    let confines = Confines::default();
    rig.ask(ToGuard::Command {
        mesh: other,
        id: 0,
        program,
        args,
        dir: None,
        inherit: None,
        confines,
        cgroup: None,
    })?;
    rig.start_life(theirs, 0)?;
    rig.started().await?;
    assert_eq!(rig.ended().await?, (theirs, killed_by(9), true));
    assert_eq!(rig.during(KEPT_TERM * 2).await?, []);
    rig.close().await
}

/// K2: the owner was suspended, and its ranks with it; no time passes for them.
async fn a_pause_suspends_the_processes_and_the_lease() -> Outcome {
    let mut rig = Rig::with_term(KEPT_TERM).await?;
    rig.command(0, &["sleep", &marker()], None)?;
    rig.start_rank(0, 0)?;
    let pid = rig.started().await?;
    rig.ask(ToGuard::Pause)?;
    assert_eq!(rig.next().await?, FromGuard::Suspended { key: key(0), signal: 19 });
    assert_eq!(state_of(pid), Some('T'));
    rig.renews = false;
    assert_eq!(rig.during(KEPT_TERM * 2).await?, [], "longer than the term");
    rig.renews = true;
    rig.ask(ToGuard::Resume)?;
    assert_eq!(rig.next().await?, FromGuard::Continued { key: key(0) });
    assert_eq!(rig.during(KEPT_TERM * 2).await?, [], "and it is renewed again");
    rig.close().await
}

async fn a_process_started_during_a_pause_is_suspended_too() -> Outcome {
    let mut rig = Rig::start().await?;
    rig.command(0, &["sleep", &marker()], None)?;
    rig.ask(ToGuard::Pause)?;
    rig.start_rank(1, 0)?;
    let pid = rig.started().await?;
    assert_eq!(rig.next().await?, FromGuard::Suspended { key: key(1), signal: 19 });
    assert_eq!(state_of(pid), Some('T'));
    rig.ask(ToGuard::Resume)?;
    assert_eq!(rig.next().await?, FromGuard::Continued { key: key(1) });
    rig.close().await
}

async fn what_was_suspended_before_a_pause_stays_so_after_it() -> Outcome {
    let mut rig = Rig::start().await?;
    rig.command(0, &["sleep", &marker()], None)?;
    rig.start_rank(0, 0)?;
    let pid = rig.started().await?;
    rig.ask(ToGuard::Signal { key: key(0), signal: 19 })?;
    assert_eq!(rig.next().await?, FromGuard::Suspended { key: key(0), signal: 19 });
    rig.ask(ToGuard::Pause)?;
    rig.ask(ToGuard::Resume)?;
    rig.script(1, "exit 0")?;
    rig.started().await?;
    assert_eq!(rig.ended().await?, (key(1), End::Exited { code: 0 }, false));
    assert_eq!(state_of(pid), Some('T'));
    rig.close().await
}

/// K2: what was on its way at the cull, and echoes nothing, does not come alive after it.
async fn a_start_after_the_cull_that_echoes_nothing_is_told_culled() -> Outcome {
    let mut rig = Rig::with_term(TERM).await?;
    rig.renews = false;
    rig.script(0, "exec sleep 600")?;
    rig.started().await?;
    assert!(rig.ended().await?.2);
    rig.heard = None;
    rig.script(1, "exit 0")?;
    assert_eq!(rig.ended().await?, (key(1), killed_by(9), true));
    rig.close().await
}

/// K1: an order to start arms no lease where it arrives. The beat that it echoes was new when it was
/// sent; when it arrives, the lease that is counted from that beat is over.
async fn a_start_that_echoes_an_old_beat_lives_no_longer_than_that_allows() -> Outcome {
    let mut rig = Rig::with_term(TERM).await?;
    rig.renews = false;
    rig.script(0, "exec sleep 600")?;
    rig.started().await?;
    assert!(rig.ended().await?.2);
    let sent_with = rig.heard;
    assert_eq!(rig.during(TERM * 2).await?, [], "it is on its way");
    rig.heard = sent_with;
    rig.start_life(life(0, 1), 0)?;
    assert_eq!(rig.ended().await?, (life(0, 1), killed_by(9), true));
    rig.close().await
}

/// K1: nor does the message that opens a mesh: its controller counts from before that.
async fn a_mesh_that_was_told_late_is_armed_as_of_when_it_began() -> Outcome {
    let mut rig = Rig::start().await?;
    let (other, epoch, term) = (MeshId::from_random(8), Epoch::FIRST, TERM);
    let (beat_every, since) = (TERM / 20, Duration::ZERO);
    rig.ask(ToGuard::Open { mesh: other, epoch, term, beat_every, since })?;
    rig.heard = None;
    let theirs = ProcKey { mesh: other, ..key(0) };
    rig.start_life(theirs, 0)?;
    assert_eq!(rig.ended().await?, (theirs, killed_by(9), true), "its lease is long over");
    rig.close().await
}

/// K1, K2: a restart that echoes a new beat has a lease like the first.
async fn a_restart_after_the_cull_lives_as_long_as_it_is_renewed() -> Outcome {
    let mut rig = Rig::with_term(KEPT_TERM).await?;
    rig.renews = false;
    rig.script(0, "exec sleep 600")?;
    rig.started().await?;
    assert_eq!(rig.ended().await?, (key(0), killed_by(9), true));
    rig.renews = true;
    rig.start_life(life(0, 1), 0)?;
    rig.started().await?;
    assert_eq!(rig.during(KEPT_TERM * 2).await?, []);
    rig.renews = false;
    assert_eq!(rig.ended().await?, (life(0, 1), killed_by(9), true));
    rig.close().await
}

/// K2: a lease that is armed during a pause stands still like all others.
async fn a_restart_after_the_cull_in_a_pause_is_not_culled_by_it() -> Outcome {
    let mut rig = Rig::with_term(TERM).await?;
    rig.renews = false;
    rig.script(0, "exec sleep 600")?;
    rig.started().await?;
    assert!(rig.ended().await?.2);
    rig.ask(ToGuard::Pause)?;
    rig.start_life(life(0, 1), 0)?;
    rig.started().await?;
    assert_eq!(rig.next().await?, FromGuard::Suspended { key: life(0, 1), signal: 19 });
    assert_eq!(rig.during(TERM * 3).await?, [], "longer than the term");
    rig.ask(ToGuard::Resume)?;
    assert_eq!(rig.next().await?, FromGuard::Continued { key: life(0, 1) });
    assert_eq!(rig.ended().await?, (life(0, 1), killed_by(9), true));
    rig.close().await
}

/// K2: the cull is due when the guard goes on, but one of the two had ended before.
async fn what_ended_while_the_guard_was_suspended_was_not_culled() -> Outcome {
    let mut rig = Rig::with_term(KEPT_TERM).await?;
    rig.command(0, &["sleep", &marker()], None)?;
    rig.start_rank(0, 0)?;
    rig.start_rank(1, 0)?;
    let pid = rig.started().await?;
    rig.started().await?;
    rig.signal_guard(Signal::STOP)?;
    let pid = Pid::from_raw(pid.try_into()?).ok_or("it is running")?;
    kill_process(pid, Signal::KILL)?;
    assert_eq!(rig.during(KEPT_TERM * 2).await?, []);
    rig.signal_guard(Signal::CONT)?;
    assert_eq!(rig.ended().await?, (key(0), killed_by(9), false));
    assert_eq!(rig.ended().await?, (key(1), killed_by(9), true));
    rig.close().await
}

async fn an_end_before_the_cull_is_no_cull() -> Outcome {
    let mut rig = Rig::with_term(TERM).await?;
    rig.renews = false;
    rig.script(0, "exit 5")?;
    rig.started().await?;
    let guard = rig.link.pid().ok_or("it is running")?;
    assert_eq!(rig.ended().await?, (key(0), End::Exited { code: 5 }, false));
    assert_eq!(rig.during(TERM * 2).await?, []);
    rig.close().await?;
    until("the guard is reaped", TERM, || state_of(guard).is_none()).await
}
