//! A process of another user at a Unix socket.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use mesh_core::{Addr, Lane, Transport};

use crate::counts::refused;
use crate::runtime;
use crate::support::{Ear, config, transport, until};

/// Nobody.
const OTHER: u32 = 65_534;

const PATH: &str = "MESHWARDEN_TEST_KNOCK_AT";

/// Whether this process is the other user's.
pub(crate) fn is_other() -> bool {
    std::env::var_os(PATH).is_some()
}

/// What it does: it connects, and hears whether anything is said.
pub(crate) fn knock() -> ExitCode {
    let path = std::env::var_os(PATH).unwrap_or_default();
    let connected = UnixStream::connect(path);
    let is_closed =
        connected.and_then(|mut stream| std::io::copy(&mut stream, &mut std::io::sink()));
    ExitCode::from(if is_closed.is_ok_and(|n| n == 0) { 0 } else { 1 })
}

pub(crate) fn another_user_is_counted() {
    let path = std::env::temp_dir().join(format!("mesh-foreign-{}.sock", std::process::id()));
    runtime().block_on(async {
        let (there, listener) = (Ear::new(2, 0), transport(config()));
        let at = Addr::Unix { path: path.clone() };
        listener.listen(&at, Lane::Data, there.clone()).await.expect("the path is free");
        // As if somebody had opened it to all.
        let all = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(&path, all).expect("it is ours");
        // The program itself may stand where nobody else can read it.
        let program = std::env::temp_dir().join(format!("mesh-knock-{}", std::process::id()));
        let ours = std::env::current_exe().expect("it is known");
        std::fs::copy(ours, &program).expect("there is room");
        let knocked = Command::new(&program).env(PATH, &path).uid(OTHER).gid(OTHER).status();
        std::fs::remove_file(&program).expect("it is ours");
        assert!(knocked.expect("it can be run").success(), "it is closed, and nothing is said");
        until("being counted", || refused("foreign") == 1).await;
        assert_eq!(there.heard().back.len(), 0);
        // Our own get in.
        let dialler = transport(config());
        let dialled = dialler.dial(&at, there.peer().proc, Lane::Data, Ear::new(1, 0)).await;
        assert!(dialled.is_ok(), "{:?}", dialled.err());
    });
}
