//! The whole mapping, against tables typed out here.
//!
//! # Where this differs from "stopping or unknown → Stopped"
//!
//! Systems of this kind often map a process that is being stopped, and one that nobody knows, to
//! Stopped, without looking further. This mapping does not, since that hides failures:
//!
//! | report | there | here | what is hidden there |
//! |---|---|---|---|
//! | a stop was asked for | Stopped | Stopping | the process still runs, and may refuse to end: it would be taken for gone, and left over |
//! | stopping, then an exit code that is not 0 | Stopped | Failed(exit) | a crash while it stopped: its code and last words, and with them the checkpoint that was not written (ST4, H3) |
//! | stopping, then a signal that we did not send | Stopped | Failed(signal) | a segmentation fault in a destructor; somebody else's `SIGKILL` (ST4) |
//! | stopping, then killed for memory | Stopped | Failed(oom) | the one end that will come again with the next run (ST4) |
//! | stopping, then its lease ran out | Stopped | Failed(orphaned) | that whoever had asked it to stop was gone (ST4) |
//! | its guard died, stopping or not | Stopped | Failed(lost) | that nobody was there to see how it ended (ST4, H4) |
//! | not known | Stopped | `NotExist`; Failed(lost) if it was known | a host that died, was started anew or was replaced: all its processes would count as cleanly stopped (ST4, H4) |
//!
//! Only exit evidence gives Stopped (H4): an exit with code 0, an end by the signal that we sent, or
//! by 128 + that signal, as a shell passes it on. Not to know is no evidence, and silence even less.
//! `NotExist` becomes Failed(lost by its agent) in the controller, which alone remembers that the rank
//! was there.

use super::*;

const NONE: SentSignals = SentSignals::NONE;
const TERM: SentSignals = SentSignals { term: true, kill: false };
const KILL: SentSignals = SentSignals { term: false, kill: true };
const BOTH: SentSignals = SentSignals { term: true, kill: true };
const ALIVE: Duration = Duration::from_secs(1);

fn ended(how: HowEnded, sent: SentSignals) -> Status {
    let end = ProcEnd { how, sent, alive: ALIVE, stderr: vec!["last".to_owned()] };
    ProcKind.status(&ProcReport::Ended(Arc::new(end)))
}

fn failed(reason: Reason) -> Status {
    Status::failed(Cause::new(reason).with_alive(ALIVE).with_stderr(vec!["last".to_owned()]))
}

fn not_started() -> HowEnded {
    HowEnded::NotStarted { program: "nope".to_owned(), problem: LaunchProblem::NotFound }
}

#[test]
fn a_living_process_is_what_is_said_of_it() {
    let meanings = [
        (ProcReport::Absent, Status::NotExist),
        (ProcReport::Starting, Status::Initializing),
        (ProcReport::Ready, Status::Running),
        (ProcReport::Suspended { signal: 20 }, Status::Stalled(Stall::Suspended { signal: 20 })),
        (ProcReport::Hanging(Stall::DumpingCore), Status::Stalled(Stall::DumpingCore)),
        (ProcReport::DumpingCore, Status::Stalled(Stall::DumpingCore)),
        (ProcReport::Stopping, Status::Stopping),
    ];
    for (report, status) in meanings {
        assert_eq!(ProcKind.status(&report), status, "{report:?}");
    }
}

/// ST4
#[test]
fn every_exit_code_means_what_the_table_says() {
    /// The codes that are Stopped, by what was sent. All others are failures.
    const STOPPED: [(SentSignals, &[i32]); 4] =
        [(NONE, &[0]), (TERM, &[0, 143]), (KILL, &[0, 137]), (BOTH, &[0, 137, 143])];
    for (sent, stopped) in STOPPED {
        // More than the system gives: what came over a wire may be anything.
        for code in (-300..=300).chain([i32::MIN, i32::MIN + 127, i32::MAX]) {
            let expected = if stopped.contains(&code) {
                Status::Stopped
            } else {
                failed(Reason::Exit { code })
            };
            assert_eq!(ended(HowEnded::Exited { code }, sent), expected, "{code}, {sent:?}");
        }
    }
}

/// ST4
#[test]
fn every_signal_means_what_the_table_says() {
    /// The signals that are Stopped, by what was sent. All others are failures.
    const STOPPED: [(SentSignals, &[i32]); 4] =
        [(NONE, &[]), (TERM, &[15]), (KILL, &[9]), (BOTH, &[9, 15])];
    for (sent, stopped) in STOPPED {
        for signal in (1..=64).chain([i32::MIN, -1, 0, i32::MAX]) {
            for core in [false, true] {
                let expected = if stopped.contains(&signal) {
                    Status::Stopped
                } else {
                    failed(Reason::Signal { signal, core })
                };
                let is = ended(HowEnded::Signaled { signal, core }, sent);
                assert_eq!(is, expected, "{signal}, {core}, {sent:?}");
            }
        }
    }
}

/// ST4
#[test]
fn every_other_end_means_what_the_table_says() {
    let program = || "nope".to_owned();
    let launch = Reason::Launch { program: program(), problem: LaunchProblem::NotFound };
    let not_ready = Reason::NotReady { within: ALIVE };
    let never_lived = Cause::new(launch).with_stderr(vec!["last".to_owned()]);
    for sent in [NONE, TERM, KILL, BOTH] {
        assert_eq!(ended(HowEnded::OutOfMemory, sent), failed(Reason::OutOfMemory), "{sent:?}");
        assert_eq!(ended(HowEnded::Culled, sent), failed(Reason::Orphaned), "{sent:?}");
        assert_eq!(ended(HowEnded::GuardLost, sent), failed(Reason::LostByAgent), "{sent:?}");
        assert_eq!(ended(HowEnded::Cancelled, sent), Status::Stopped, "{sent:?}");
        assert_eq!(ended(not_started(), sent), Status::failed(never_lived.clone()), "{sent:?}");
        let expected = if sent == NONE { failed(not_ready.clone()) } else { Status::Stopped };
        assert_eq!(ended(HowEnded::NotReady { within: ALIVE }, sent), expected, "{sent:?}");
    }
}

/// Only the kernel's counter makes a kill an out-of-memory kill: the signal alone does not.
#[test]
fn a_kill_that_nobody_counted_is_a_signal() {
    let killed = ended(HowEnded::Signaled { signal: 9, core: false }, NONE);
    assert_eq!(killed, failed(Reason::Signal { signal: 9, core: false }));
    assert_eq!(ended(HowEnded::OutOfMemory, NONE).cause_label(), Some("oom"));
}

/// RS1, ST2: how it ended stays, and nothing begins on a host that is closed; on any other one something can.
#[test]
fn who_has_ended_on_a_closed_host_does_not_begin_again() {
    let how = HowEnded::Exited { code: 7 };
    let end = Arc::new(ProcEnd { how, sent: NONE, alive: ALIVE, stderr: vec!["last".to_owned()] });
    let (ended, for_good) = (ProcReport::Ended(Arc::clone(&end)), ProcReport::EndedForGood(end));
    assert_eq!(ProcKind.status(&for_good), failed(Reason::Exit { code: 7 }));
    assert_eq!(ProcKind.bar(&for_good), Some(Status::failed(Cause::new(Reason::Closed))));
    assert_eq!((ProcKind.bar(&ended), ProcKind.bar(&ProcReport::Ready)), (None, None));
}

/// What the other mapping says: everything is clean that was asked to stop, or is not known.
fn stopping_or_unknown_is_stopped(report: &ProcReport) -> bool {
    match report {
        ProcReport::Absent | ProcReport::Stopping => true,
        ProcReport::Ended(end) | ProcReport::EndedForGood(end) => {
            end.sent.any() || end.how == HowEnded::GuardLost
        }
        ProcReport::Starting
        | ProcReport::Ready
        | ProcReport::Suspended { .. }
        | ProcReport::Hanging(_)
        | ProcReport::DumpingCore => false,
    }
}

/// ST4, H4: the note above, row by row.
#[test]
fn what_the_other_mapping_hides_is_seen() {
    let end = |how, sent| {
        ProcReport::Ended(Arc::new(ProcEnd { how, sent, alive: ALIVE, stderr: Vec::new() }))
    };
    let rows = [
        (ProcReport::Stopping, None),
        (end(HowEnded::Exited { code: 7 }, TERM), Some("exit")),
        (end(HowEnded::Exited { code: 137 }, TERM), Some("exit")),
        (end(HowEnded::Signaled { signal: 11, core: true }, TERM), Some("signal")),
        (end(HowEnded::Signaled { signal: 9, core: false }, TERM), Some("signal")),
        (end(HowEnded::OutOfMemory, TERM), Some("oom")),
        (end(HowEnded::Culled, TERM), Some("orphaned")),
        (end(HowEnded::GuardLost, NONE), Some("lost")),
        (ProcReport::Absent, None),
    ];
    for (report, label) in rows {
        assert!(stopping_or_unknown_is_stopped(&report), "{report:?}");
        let status = ProcKind.status(&report);
        assert_eq!(status.cause_label(), label, "{report:?}");
        assert_ne!(status, Status::Stopped, "{report:?}");
    }
}
