//! Much that means nothing, said by somebody who does not stop.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// What there would be: 1 GiB.
const ALL: usize = 1 << 30;

/// What is said at once.
const PIECE: usize = 1 << 20;

/// Says 1 GiB of what `piece` says, and returns how much of it was taken before the connection was closed.
pub(crate) async fn flood(port: u16, mut piece: impl FnMut(&mut [u8])) -> usize {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let (mut buffer, mut taken) = (vec![0; PIECE], 0);
    let all = async {
        while taken < ALL {
            piece(&mut buffer);
            match stream.write(&buffer).await {
                Ok(n) => taken += n,
                Err(_) => break,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all)
        .await
        .expect("it is taken, or it is refused");
    taken
}

/// Fails unless a flood of zeros, and of anything, is over before it has well begun: what was taken is what
/// sockets hold.
pub(crate) async fn is_dammed(port: u16) {
    const MOST: usize = 32 << 20;
    let taken = flood(port, |_| ()).await;
    assert!(taken < MOST, "{taken} zeros were taken");
    let taken = flood(port, |piece| getrandom::fill(piece).expect("there are random bytes")).await;
    assert!(taken < MOST, "{taken} random bytes were taken");
}
