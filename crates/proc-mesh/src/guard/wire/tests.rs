//! The bytes of each kind of message, and that no bytes make the decoder panic.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::{prop_assert, proptest};

use super::*;

fn mesh() -> MeshId {
    MeshId::from_random(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10)
}

fn key() -> ProcKey {
    ProcKey { mesh: mesh(), rank: Rank::new(300), incarnation: Incarnation::new(2) }
}

/// The bytes of [`mesh`]: its length, then 16 bytes of which two carry the kind of id.
const MESH: &str = "100102030405064708890a0b0c0d0e0f10";

/// One of each kind, with its bytes; `~` stands for [`MESH`].
fn to_guard() -> Vec<(ToGuard, &'static str)> {
    let (mesh, key, epoch) = (mesh(), key(), Epoch::new(7));
    let (term, beat_every) = (Duration::from_secs(10), Duration::from_millis(500));
    let (echoed, env) = (Some(BeatSeq::new(128)), || vec![(b"A".to_vec(), b"b".to_vec())]);
    let (program, args) = (b"ls".to_vec(), vec![b"-l".to_vec(), b"\xff".to_vec()]);
    let (dir, inherit) = (Some(b"/".to_vec()), Some(vec![b"A".to_vec()]));
    let plain = ToGuard::Command {
        mesh,
        id: 5,
        program: program.clone(),
        args: Vec::new(),
        dir: None,
        inherit,
        confines: Confines {
            umask: Some(mesh_core::Umask::from_bits(0o27)),
            rlimits: vec!["nofile=1024:".parse().unwrap()],
        },
        cgroup: Some(CgroupOrder { is_required: true, memory_max: Some(128), pids_max: None }),
    };
    let confines = Confines::default();
    vec![
        (
            ToGuard::Open { mesh, epoch, term, beat_every, since: Duration::new(3, 1) },
            "00~070a0000 80cab5ee01 0301",
        ),
        (
            ToGuard::Command {
                mesh,
                id: 5,
                program,
                args,
                dir,
                inherit: None,
                confines,
                cgroup: None,
            },
            "01~05 026c73 02 022d6c 01ff 01012f 00 00 00 00",
        ),
        (plain, "01~05 026c73 00 00 01 01 0141 01 17 01 09 01 00 80 08 00 01 01 01 8001 00"),
        (
            ToGuard::Start { key, epoch, echoed, command: 5, cpu: Some(3), env: env() },
            "02~ac0202 07 018001 05 0103 01 0141 0162",
        ),
        (
            ToGuard::Start { key, epoch, echoed: None, command: 5, cpu: None, env: env() },
            "02~ac0202 07 00 05 00 01 0141 0162",
        ),
        (ToGuard::Signal { key, signal: 15 }, "03~ac0202 1e"),
        (ToGuard::Renew { mesh, epoch, echoed: BeatSeq::new(128) }, "04~07 8001"),
        (ToGuard::Pause, "05"),
        (ToGuard::Resume, "06"),
        (ToGuard::Close { mesh }, "07~"),
    ]
}

/// One of each kind, with its bytes; `~` stands for [`MESH`].
fn from_guard() -> Vec<(FromGuard, &'static str)> {
    let (mesh, key) = (mesh(), key());
    let problem = LaunchProblem::Os { errno: 8, message: "no".to_owned() };
    let (evidence, alive) = (Duration::from_secs(1), Duration::from_nanos(2));
    let end = End::Exited { code: 255 };
    let killed = End::Signaled { signal: 9, core: true };
    vec![
        (FromGuard::Hello { version: 1, pid: 300 }, "0001ac02"),
        (FromGuard::Started { key, pid: 300 }, "01~ac0202 ac02"),
        (FromGuard::NotStarted { key, problem: LaunchProblem::NotFound }, "02~ac0202 00"),
        (FromGuard::NotStarted { key, problem }, "02~ac0202 03 10 026e6f"),
        (FromGuard::Suspended { key, signal: 19 }, "03~ac0202 26"),
        (FromGuard::Continued { key }, "04~ac0202"),
        (
            FromGuard::Ended { key, end, evidence, alive, culled: false, oom: false },
            "05~ac0202 00fe03 0100 0002 00 00",
        ),
        (
            FromGuard::Ended { key, end: killed, evidence, alive, culled: true, oom: true },
            "05~ac0202 011201 0100 0002 01 01",
        ),
        (FromGuard::Beat { seq: BeatSeq::new(128) }, "068001"),
        (FromGuard::Closed { mesh }, "07~"),
        (FromGuard::DumpingCore { key }, "08~ac0202"),
    ]
}

fn check_golden<M: Message + Debug + PartialEq>(messages: Vec<(M, &'static str)>) {
    for (message, golden) in messages {
        let bytes = postcard::to_allocvec(&message).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden.replace('~', MESH).replace(' ', ""), "{message:?}");
        assert_eq!(postcard::take_from_bytes::<M>(&bytes).unwrap(), (message, &[][..]));
        for n_kept in 0..bytes.len() {
            let cut = postcard::take_from_bytes::<M>(&bytes[..n_kept]);
            assert!(cut.is_err(), "the first {n_kept} bytes are no message: {cut:?}");
        }
    }
}

#[test]
fn the_bytes_of_each_message_to_the_guard_are_as_agreed() {
    check_golden(to_guard());
}

#[test]
fn the_bytes_of_each_message_from_the_guard_are_as_agreed() {
    check_golden(from_guard());
}

proptest! {
    /// GUARD-6. Also what differs from a message by some bytes only.
    #[test]
    fn no_bytes_make_the_decoder_panic(
        kind in 0_u8..9,
        random in vec(any::<u8>(), 0..200),
        which in any::<proptest::sample::Index>(),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let bytes = [&[kind], &random[..]].concat();
        let _either = postcard::take_from_bytes::<ToGuard>(&bytes);
        let _either = postcard::take_from_bytes::<FromGuard>(&bytes);
        let mut almost = postcard::to_allocvec(&which.get(&to_guard()).0).unwrap();
        let at = at.index(almost.len());
        almost[at] = byte;
        if let Ok((message, rest)) = postcard::take_from_bytes::<ToGuard>(&almost) {
            prop_assert!(rest.len() < almost.len(), "{message:?} of nothing");
        }
    }
}
