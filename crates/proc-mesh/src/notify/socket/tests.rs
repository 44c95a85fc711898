//! Who may speak, and until when.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::time::Duration;

use mesh_core::{Incarnation, MeshId};
use mesh_shape::Rank;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A socket whose reader never has its turn.
fn notifier() -> (Notifier, tokio::runtime::Runtime, mpsc::Receiver<Note>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (sender, notes) = mpsc::channel(8);
    (Notifier::start(runtime.handle(), sender).unwrap(), runtime, notes)
}

fn key(rank: usize) -> ProcKey {
    let mesh = MeshId::from_random(1);
    ProcKey { mesh, rank: Rank::new(rank), incarnation: Incarnation::FIRST }
}

fn fed_within(time: Duration) -> Notify {
    Notify { ready_within: None, watchdog: Some(time) }
}

/// O3: the system gives a number again, perhaps before it is known here that its process has ended.
#[test]
fn a_number_that_is_given_again_is_of_the_last_one_only() {
    let (notifier, _runtime, _notes) = notifier();
    let _first = notifier.seat(1, (key(0), fed_within(SECOND)), Arc::default());
    let _again = notifier.seat(1, (key(1), fed_within(10 * SECOND)), Arc::default());
    let mut table = notifier.shared.table();
    table.on_due(Instant::now() + 2 * SECOND);
    assert_eq!((table.seated[&1].key, table.deadlines.len()), (key(1), 1));
}

/// O3: also of a process whose mesh is dropped while it runs.
#[test]
fn of_who_may_not_speak_any_more_nothing_is_kept() {
    let (notifier, _runtime, _notes) = notifier();
    let speaker = notifier.seat(1, (key(0), fed_within(SECOND)), Arc::default()).unwrap();
    drop(speaker);
    let table = notifier.shared.table();
    assert!(table.seated.is_empty() && table.deadlines.is_empty());
}

/// O3: a process that may open no more gets some of the descriptors, and as here it is told so.
#[test]
fn descriptors_are_closed_also_if_not_all_had_room() {
    let (_notifier, runtime, _notes) = notifier();
    let _entered = runtime.enter();
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    set_socket_passcred(&ours, true).unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let fds = [writer.as_fd(); 5];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(5))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    let text = [io::IoSlice::new(b"FDSTORE=1")];
    sendmsg(&theirs, &text, &mut control, SendFlags::empty()).unwrap();
    drop(writer);

    let mut space = nix::cmsg_space!(UnixCredentials, [RawFd; 2]);
    let told = receive(&ours, &mut [0; 64], &mut space);
    assert_eq!(told, Ok(Some((std::process::id().try_into().unwrap(), 9))));
    // Its end shows that nobody has it open.
    let mut fds = [rustix::event::PollFd::new(&reader, rustix::event::PollFlags::IN)];
    let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut fds, Some(&none)), Ok(1));
}
