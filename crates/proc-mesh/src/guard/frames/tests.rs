//! Frames over a real socket pair: partial writes, descriptors, garbage.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use mesh_core::{Epoch, Incarnation, MeshId};
use mesh_shape::Rank;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::{prop_assert, proptest};

use super::*;
use crate::guard::wire::{FromGuard, ProcKey, ToGuard};

fn start(n: u64, env_bytes: usize) -> ToGuard {
    let mesh = MeshId::from_random(1);
    let key = ProcKey { mesh, rank: Rank::new(0), incarnation: Incarnation::new(n) };
    let env = vec![(b"A".to_vec(), vec![b'x'; env_bytes])];
    ToGuard::Start { key, epoch: Epoch::FIRST, echoed: None, command: 0, cpu: None, env }
}

/// Three descriptors that can be told apart: the reading ends of pipes with this text in them.
fn three_fds(n: u64) -> Vec<OwnedFd> {
    let pipe_with_text = |which| {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        write!(writer, "{n}.{which}").expect("a pipe takes some bytes");
        OwnedFd::from(reader)
    };
    (0..3).map(pipe_with_text).collect()
}

fn texts(fds: Vec<OwnedFd>) -> Vec<String> {
    let read = |fd| {
        let mut text = String::new();
        File::from(fd).read_to_string(&mut text).expect("its writer is closed");
        text
    };
    fds.into_iter().map(read).collect()
}

/// Sends all and receives all, in turns, on one thread.
fn pump(outbox: &mut Outbox, inbox: &mut Inbox, (ours, theirs): &(UnixStream, UnixStream)) {
    loop {
        let flushed = outbox.flush(ours).expect("a live socket");
        let mut filled = Filled::Some;
        while filled == Filled::Some {
            filled = inbox.fill(theirs).expect("a live socket");
        }
        if flushed == Flushed::All {
            break;
        }
    }
}

#[test]
fn descriptors_arrive_in_order_with_their_messages_whatever_the_sizes() {
    let pair = UnixStream::pair().unwrap();
    let (mut outbox, mut inbox) = (Outbox::default(), Inbox::default());
    let mut expected = Vec::new();
    for (n, env_bytes) in [0, 10, 70_000, 1, 2_000_000, 0, 300_000].into_iter().enumerate() {
        let n = n as u64;
        outbox.push(&start(n, env_bytes), three_fds(n)).unwrap();
        outbox.push(&ToGuard::Pause, Vec::new()).unwrap();
        expected.push((start(n, env_bytes), [0, 1, 2].map(|which| format!("{n}.{which}")).into()));
        expected.push((ToGuard::Pause, Vec::new()));
    }
    pump(&mut outbox, &mut inbox, &pair);
    let mut received = Vec::new();
    while let Some((message, fds)) = inbox.take::<ToGuard>().unwrap() {
        received.push((message, texts(fds)));
    }
    assert!(received == expected, "{} of {} messages", received.len(), expected.len());
    assert!(inbox.batches.is_empty());
}

#[test]
fn a_sender_keeps_no_copy_of_what_it_has_sent() {
    let pair = UnixStream::pair().unwrap();
    let (mut outbox, mut inbox) = (Outbox::default(), Inbox::default());
    let (mut reader, writer) = std::io::pipe().unwrap();
    let writers = vec![writer.try_clone().unwrap().into(), writer.try_clone().unwrap().into()];
    let fds = writers.into_iter().chain([writer.into()]).collect();
    outbox.push(&start(0, 1 << 20), fds).unwrap();
    assert_eq!(outbox.flush(&pair.0), Ok(Flushed::Full), "only the first bytes fit");
    pump(&mut outbox, &mut inbox, &pair);
    assert_eq!(inbox.batches.len(), 1, "however often a part of it was sent");
    drop(inbox.take::<ToGuard>().unwrap().expect("it has come").1);
    assert_eq!(reader.read(&mut [0]).unwrap(), 0, "all writers are closed");
}

/// A receiver without room for descriptors loses those and nothing else.
#[test]
fn a_short_batch_is_told_and_the_next_message_has_its_own() {
    let mut inbox = Inbox::default();
    let mut outbox = Outbox::default();
    let pair = UnixStream::pair().unwrap();
    for n in 0..2 {
        outbox.push(&start(n, 0), three_fds(n)).unwrap();
    }
    pump(&mut outbox, &mut inbox, &pair);
    inbox.batches[0].truncate(1);
    let received: Vec<_> = std::iter::from_fn(|| inbox.take::<ToGuard>().unwrap())
        .map(|(message, fds)| (message, texts(fds)))
        .collect();
    let all = |n| [0, 1, 2].map(|which| format!("{n}.{which}")).to_vec();
    assert_eq!(received, [(start(0, 0), vec!["0.0".to_owned()]), (start(1, 0), all(1))]);
}

#[test]
fn a_message_that_is_too_long_is_refused_and_nothing_is_sent() {
    let mut outbox = Outbox::default();
    let refused = outbox.push(&start(0, FRAME_BYTES_MAX), three_fds(0));
    assert!(refused.is_err_and(|TooLong(bytes)| bytes > FRAME_BYTES_MAX));
    assert!(outbox.is_empty());
}

#[test]
fn a_long_length_is_refused_before_its_bytes_come() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut inbox = Inbox::default();
    ours.write_all(&u32::MAX.to_le_bytes()).unwrap();
    assert_eq!(inbox.fill(&theirs), Ok(Filled::Some));
    assert_eq!(inbox.take::<ToGuard>().map(|_| ()), Err(BadFrame));
}

#[test]
fn a_closed_socket_is_told_after_what_it_had_sent() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (mut outbox, mut inbox) = (Outbox::default(), Inbox::default());
    outbox.push(&ToGuard::Resume, Vec::new()).unwrap();
    assert_eq!(outbox.flush(&ours), Ok(Flushed::All));
    // Not by dropping it: another test may be between fork and exec, with a copy of it.
    ours.shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(inbox.fill(&theirs), Ok(Filled::Some));
    assert_eq!(inbox.fill(&theirs), Ok(Filled::Closed));
    assert!(
        inbox.take::<ToGuard>().unwrap().is_some_and(|(message, _)| message == ToGuard::Resume)
    );
}

proptest! {
    /// GUARD-6. Random bytes, in random pieces, are messages or are refused.
    #[test]
    fn no_bytes_make_an_inbox_panic(pieces in vec(vec(any::<u8>(), 0..40), 0..20), length in 0_u8..60) {
        let mut inbox = Inbox::default();
        inbox.append(&u32::from(length).to_le_bytes());
        for piece in pieces {
            inbox.append(&piece);
            let has_frame = inbox.has_frame();
            match inbox.take::<FromGuard>() {
                Ok(Some(_)) => prop_assert!(has_frame),
                Ok(None) => prop_assert!(!has_frame),
                Err(BadFrame) => break,
            }
        }
    }
}
