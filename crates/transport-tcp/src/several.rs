//! A host of several addresses: one that does not answer leaves time for the next.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

/// Connects to the first that answers, one after the other. All but the last have an equal part of `within`, so
/// that as much is left for the last, and for what is said then.
pub(crate) async fn connect_to_any(all: &[SocketAddr], within: Duration) -> io::Result<TcpStream> {
    let Some((last, others)) = all.split_last() else {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    };
    let part = within / u32::try_from(all.len() + 1).unwrap_or(u32::MAX);
    let mut is_silent = false;
    for at in others {
        match timeout(part, TcpStream::connect(at)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(_)) => (),
            Err(_) => is_silent = true,
        }
    }
    match TcpStream::connect(last).await {
        // That nobody listens at the last says nothing of one that did not answer.
        Err(_) if is_silent => Err(io::ErrorKind::TimedOut.into()),
        connected => connected,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream as Blocking};
    use std::thread::sleep;

    use super::*;

    /// A listener that answers nobody any more, since as many wait as may; and those.
    fn silent() -> (TcpListener, Vec<Blocking>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let at = listener.local_addr().unwrap();
        let brief = Duration::from_millis(100);
        let waiting = (0..3).map_while(|_| Blocking::connect_timeout(&at, brief).ok()).collect();
        // The kernel has heard of the last one.
        sleep(brief);
        (listener, waiting)
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_leaves_time_for_the_next() {
        let (silent, _waiting) = silent();
        let there = TcpListener::bind("127.0.0.1:0").unwrap();
        let all = [silent.local_addr().unwrap(), there.local_addr().unwrap()];
        let within = Duration::from_secs(1);
        let connected = timeout(within, connect_to_any(&all, within)).await.unwrap().unwrap();
        assert_eq!(connected.peer_addr().unwrap(), all[1]);
    }

    #[tokio::test]
    async fn that_nobody_is_at_one_address_says_nothing_of_another() {
        let (silent, _waiting) = silent();
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (silent, within) = (silent.local_addr().unwrap(), Duration::from_millis(300));
        let kind = async |all: &[SocketAddr]| connect_to_any(all, within).await.unwrap_err().kind();
        assert_eq!(kind(&[silent, gone]).await, io::ErrorKind::TimedOut);
        assert_eq!(kind(&[gone, gone]).await, io::ErrorKind::ConnectionRefused);
        assert_eq!(kind(&[]).await, io::ErrorKind::AddrNotAvailable);
    }
}
