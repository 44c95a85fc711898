//! Every end and every suspension is told, right and once.

use std::collections::BTreeMap;
use std::time::Duration;

use libtest_mimic::Trial;
use proc_mesh::guard::wire::{End, FromGuard, ToGuard};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::fixture::{
    Rig, TOLD_WITHIN, exists, key, killed_by, marked, marker, mesh, state_of, until,
};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(every_exit_code_is_told_right_and_once),
        trial(a_signal_that_ends_a_process_is_told),
        trial(a_suspended_process_is_told_and_so_is_that_it_goes_on),
        trial(the_group_of_an_ended_leader_is_gone),
        trial(a_signal_is_for_the_whole_group),
        trial(a_leader_that_left_its_group_is_signalled_too),
        trial(a_descendant_that_left_the_group_lives_until_the_guard_ends),
        trial(the_pidfd_is_of_the_process_and_tells_its_end),
        trial(a_closed_mesh_tells_its_ends_and_then_that_it_is_closed),
        trial(a_guard_reaps_orphans_that_it_did_not_start),
    ]
}

async fn every_exit_code_is_told_right_and_once() -> Outcome {
    let mut rig = Rig::start().await?;
    rig.command(0, &["sh", "-c", "exit $N"], None)?;
    for code in 0..256 {
        rig.start_rank(code, 0)?;
    }
    let mut ends = BTreeMap::new();
    while ends.len() < 256 {
        if let FromGuard::Ended { key, end, culled: false, .. } = rig.next().await? {
            assert_eq!(ends.insert(key.rank.index(), end), None, "told twice: {key:?}");
        }
    }
    assert_eq!(rig.during(Duration::from_millis(100)).await?, []);
    for (code, end) in ends {
        assert_eq!(end, End::Exited { code: i32::try_from(code)? });
    }
    rig.close().await
}

async fn a_signal_that_ends_a_process_is_told() -> Outcome {
    let mut rig = Rig::start().await?;
    for (rank, signal) in [9, 15, 11, 10].into_iter().enumerate() {
        rig.command(0, &["sleep", &marker()], None)?;
        rig.start_rank(rank, 0)?;
        rig.started().await?;
        rig.ask(ToGuard::Signal { key: key(rank), signal })?;
        let (ended, end, culled) = rig.ended().await?;
        assert_eq!((ended, culled), (key(rank), false));
        assert!(matches!(end, End::Signaled { signal: by, .. } if by == signal), "{end:?}");
        // Its process id may belong to anybody by now: nothing must happen.
        rig.ask(ToGuard::Signal { key: key(rank), signal: 9 })?;
    }
    rig.close().await
}

async fn a_suspended_process_is_told_and_so_is_that_it_goes_on() -> Outcome {
    let mut rig = Rig::start().await?;
    rig.command(0, &["sleep", &marker()], None)?;
    rig.start_rank(3, 0)?;
    let pid = rig.started().await?;
    for _ in 0..3 {
        rig.ask(ToGuard::Signal { key: key(3), signal: 19 })?;
        assert_eq!(rig.next().await?, FromGuard::Suspended { key: key(3), signal: 19 });
        assert_eq!(state_of(pid), Some('T'));
        rig.ask(ToGuard::Signal { key: key(3), signal: 18 })?;
        assert_eq!(rig.next().await?, FromGuard::Continued { key: key(3) });
    }
    rig.ask(ToGuard::Signal { key: key(3), signal: 19 })?;
    assert_eq!(rig.next().await?, FromGuard::Suspended { key: key(3), signal: 19 });
    rig.ask(ToGuard::Signal { key: key(3), signal: 9 })?;
    assert_eq!(rig.ended().await?, (key(3), killed_by(9), false), "killed while suspended");
    rig.close().await
}

/// GUARD-2.
async fn the_group_of_an_ended_leader_is_gone() -> Outcome {
    let mut rig = Rig::start().await?;
    let marker = marker();
    rig.script(0, &format!("sleep {marker} & sleep {marker} & kill -STOP $!; exit 3"))?;
    rig.started().await?;
    assert_eq!(rig.ended().await?, (key(0), End::Exited { code: 3 }, false));
    rig.until_marked(&marker, 0).await?;
    rig.close().await
}

/// C1: a leader that catches the signal to end in its own way finds its children asked, too.
async fn a_signal_is_for_the_whole_group() -> Outcome {
    let mut rig = Rig::start().await?;
    let marker = marker();
    rig.script(0, &format!("trap : TERM; sleep {marker} & wait; while :; do sleep 0.05; done"))?;
    let leader = rig.started().await?;
    rig.until_marked(&marker, 1).await?;
    rig.ask(ToGuard::Signal { key: key(0), signal: 15 })?;
    rig.until_marked(&marker, 0).await?;
    assert!(exists(leader));
    rig.close().await
}

/// K2, C1: what is left in the group that it led is not taken for it.
async fn a_leader_that_left_its_group_is_signalled_too() -> Outcome {
    let mut rig = Rig::start().await?;
    let (ours, other) = (marker(), marker());
    let script = format!(
        r#"
import os, signal
def sleep(marker, own):
    pid = os.fork()
    if pid == 0:
        if own: os.setpgid(0, 0)
        os.execvp("sleep", ["sleep", marker])
    if own:
        try: os.setpgid(pid, pid)
        except PermissionError: pass  # it has done so itself, and is its program by now
    return pid
sleep("{ours}", False)
os.setpgid(0, sleep("{other}", True))
signal.pause()
"#
    );
    rig.command(0, &["python3", "-c", &script], None)?;
    rig.start_rank(0, 0)?;
    let FromGuard::Started { pid, .. } = rig.next().await? else {
        // There is no Python here.
        return rig.close().await;
    };
    let has_left = || group_of(pid).is_some_and(|group| group != pid);
    until("it has left", TOLD_WITHIN, has_left).await?;
    rig.until_marked(&ours, 1).await?;
    rig.ask(ToGuard::Signal { key: key(0), signal: 9 })?;
    assert_eq!(rig.ended().await?, (key(0), killed_by(9), false));
    rig.close().await
}

/// The group of a process.
fn group_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.split_ascii_whitespace().nth(2)?.parse().ok()
}

/// GUARD-2: this is the limit of a process group.
async fn a_descendant_that_left_the_group_lives_until_the_guard_ends() -> Outcome {
    let mut rig = Rig::start().await?;
    let marker = marker();
    rig.script(0, &format!("setsid sleep {marker} & wait"))?;
    rig.started().await?;
    rig.until_marked(&marker, 1).await?;
    rig.ask(ToGuard::Signal { key: key(0), signal: 9 })?;
    assert_eq!(rig.ended().await?, (key(0), killed_by(9), false));
    assert_eq!(marked(&marker).len(), 1);
    rig.close().await?;
    assert_eq!(marked(&marker), []);
    Ok(())
}

async fn the_pidfd_is_of_the_process_and_tells_its_end() -> Outcome {
    let mut rig = Rig::start().await?;
    rig.command(0, &["sleep", &marker()], None)?;
    rig.start_rank(0, 0)?;
    rig.started().await?;
    let pidfd = rig.pidfds.pop().ok_or("no pidfd came")?;
    let has_ended = || {
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|n_ready| n_ready == 1)
    };
    assert!(!has_ended());
    rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::TERM)?;
    assert_eq!(rig.ended().await?, (key(0), killed_by(15), false));
    assert!(has_ended());
    rig.close().await
}

async fn a_closed_mesh_tells_its_ends_and_then_that_it_is_closed() -> Outcome {
    let mut rig = Rig::start().await?;
    rig.command(0, &["sleep", &marker()], None)?;
    for rank in 0..3 {
        rig.start_rank(rank, 0)?;
        rig.started().await?;
    }
    rig.ask(ToGuard::Close { mesh: mesh() })?;
    let mut ended = Vec::new();
    for _ in 0..3 {
        ended.push(rig.ended().await?);
    }
    ended.sort_by_key(|(key, ..)| *key);
    assert_eq!(ended, [0, 1, 2].map(|rank| (key(rank), killed_by(9), false)));
    assert_eq!(rig.next().await?, FromGuard::Closed { mesh: mesh() });
    rig.start_rank(9, 0)?;
    rig.ask(ToGuard::Close { mesh: mesh() })?;
    assert_eq!(rig.next().await?, FromGuard::Closed { mesh: mesh() }, "and nothing was started");
    rig.close().await
}

async fn a_guard_reaps_orphans_that_it_did_not_start() -> Outcome {
    let mut rig = Rig::start().await?;
    let guard = rig.link.pid().ok_or("it is running")?;
    rig.script(0, "for i in 1 2 3 4 5; do (setsid true &); done; read -r _; exec sleep 600")?;
    let leader = rig.started().await?;
    let children = format!("/proc/{guard}/task/{guard}/children");
    let are_reaped = || {
        std::fs::read_to_string(&children).is_ok_and(|list| list.trim() == leader.to_string())
            && std::fs::read_to_string(format!("/proc/{leader}/comm"))
                .is_ok_and(|name| name.trim() == "sleep")
    };
    let deadline = std::time::Instant::now() + TOLD_WITHIN;
    while !are_reaped() {
        assert!(std::time::Instant::now() < deadline, "zombies are left");
        rig.during(Duration::from_millis(2)).await?;
    }
    rig.close().await?;
    assert!(!exists(leader));
    Ok(())
}
