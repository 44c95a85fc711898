//! squatter: somebody who sits at the port of a peer, or repeats what peers have said, learns nothing by it and
//! is nobody.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mesh_core::{Addr, DialError, Lane, Lost, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use transport_tcp::{Secret, TcpConfig};

use crate::support::{Ear, PATIENCE, config, listening, port, secret, send, transport, until};

/// How somebody answers who is not the one that was dialled.
#[derive(Clone, Copy)]
enum Manner {
    /// He says nothing.
    Silent,
    /// He says back what he hears.
    Echo,
    /// He says this, and goes on listening.
    Words(&'static [u8]),
    /// He hangs up.
    Rude,
}

/// Sits at `listener`, and writes down what he is told.
fn squat(listener: TcpListener, manner: Manner) -> Arc<Mutex<Vec<u8>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                if let Manner::Words(words) = manner {
                    stream.write_all(words).await?;
                }
                let mut buffer = [0; 4096];
                while let n @ 1.. = stream.read(&mut buffer).await? {
                    heard.lock().expect("nobody panics").extend_from_slice(&buffer[..n]);
                    match manner {
                        Manner::Echo => stream.write_all(&buffer[..n]).await?,
                        Manner::Rude => break,
                        Manner::Silent | Manner::Words(_) => (),
                    }
                }
                Ok::<(), std::io::Error>(())
            });
        }
    });
    told
}

/// What a stranger is told is one hello, of which nobody can make anything: no proof, and no secret.
fn is_one_hello(told: &[u8]) {
    let length = told.first_chunk().map(|length| usize::from(u16::from_le_bytes(*length)));
    assert_eq!(length.map(|length| length + 2), Some(told.len()), "one message: {told:?}");
    let secret = *secret().to_bytes();
    assert!(!told.windows(8).any(|part| secret.windows(8).any(|of| of == part)), "{told:?}");
}

/// Somebody has taken the port before the peer could.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sits_where_a_peer_should_be_is_told_a_hello_and_nothing_else() {
    let brief = TcpConfig { handshake: Duration::from_millis(500), ..config() };
    let other = |to: &Addr| DialError::OtherProgram(to.clone());
    let late = |to: &Addr| DialError::Deadline { to: to.clone(), within: brief.handshake };
    let eof = |to: &Addr| DialError::Os { to: to.clone(), kind: std::io::ErrorKind::UnexpectedEof };
    let tls = |to: &Addr| DialError::TlsThere(to.clone());
    type Expected<'a> = &'a dyn Fn(&Addr) -> DialError;
    let manners: [(Manner, Expected<'_>); 7] = [
        (Manner::Silent, &late),
        (Manner::Echo, &other),
        (Manner::Rude, &eof),
        (Manner::Words(b"HTTP/1.1 400 Bad Request\r\n\r\n"), &other),
        (Manner::Words(b"SSH-2.0-OpenSSH_9.9\r\n"), &other),
        (Manner::Words(&[0; 1024]), &other),
        (Manner::Words(b"\x15\x03\x03\x00\x02\x02\x46"), &tls),
    ];
    for (number, (manner, expected)) in manners.into_iter().enumerate() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at =
            Addr::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        let told = squat(listener, manner);
        let (here, there) = (Ear::new(1, 0), Ear::new(2, 0).peer().proc);
        let dialled = transport(brief.clone()).dial(&at, there, Lane::Control, here.clone()).await;
        assert_eq!(dialled.err(), Some(expected(&at)), "{number}");
        until("his hearing it", || !told.lock().unwrap().is_empty()).await;
        is_one_hello(&told.lock().unwrap());
        assert_eq!(here.heard().lost, [], "{number}: there was no session");
    }
}

/// He speaks as we do, and does not know the secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_runs_the_same_program_without_the_secret_is_told_no_more() {
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let fake = TcpConfig { secret: Secret::from_bytes([8; 32]), ..config() };
    let (_squatter, at) = listening(&there, Lane::Control, fake).await;
    let dialled = transport(config()).dial(&at, there.peer().proc, Lane::Control, here).await;
    assert_eq!(dialled.err(), Some(DialError::Unauthenticated(at)));
    assert_eq!(there.heard().back.len(), 0);
}

/// A peer has gone, and somebody else has got its port: the session is over at once, and what the peer has not
/// acknowledged comes back, and is not told to him.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gets_the_port_of_a_peer_that_has_gone_is_not_taken_for_it() {
    let (here, there) = (Ear::new(1, 0), Ear::new(2, 0));
    let (gone, at) = listening(&there, Lane::Data, config()).await;
    // The port changes hands without being closed for a moment.
    let place = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = place.local_addr().unwrap().port();
    let peer = there.peer().proc;
    let dialling = tokio::spawn({
        let (to, here) = (Addr::Tcp { host: "127.0.0.1".to_owned(), port: to }, here.clone());
        async move {
            let dialler = transport(config());
            let out = dialler.dial(&to, peer, Lane::Data, here).await;
            (dialler, out)
        }
    });
    let (mut near, _) = place.accept().await.unwrap();
    let mut far = TcpStream::connect(("127.0.0.1", port(&at))).await.unwrap();
    let passing =
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
    let (_dialler, out) = dialling.await.unwrap();
    let out = out.unwrap();
    send(&*out, 0, 64).await;
    until("arriving", || there.heard().numbers == [0]).await;
    passing.abort();
    _ = passing.await.is_ok();
    drop(gone);
    // Nobody takes the next connection yet: it lives, and this waits for it.
    send(&*out, 1, 64).await;
    let told = squat(place, Manner::Words(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    until("being told", || !here.heard().lost.is_empty()).await;
    let heard = here.heard();
    assert_eq!(heard.lost, [(there.peer(), Lost::Gone)]);
    // What had arrived may not have been acknowledged yet.
    assert!([&[1][..], &[0, 1]].contains(&&heard.came_back[..]), "{:?}", heard.came_back);
    is_one_hello(&told.lock().unwrap());
}

/// What was said in a whole session is recorded, and said again: to the same listener it proves nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_recorded_cannot_be_played_again() {
    let there = Ear::new(2, 0);
    let (_listener, at) = listening(&there, Lane::Data, config()).await;
    let record = crate::proxy::Record::new(port(&at)).await;
    let (dialler, here) = (transport(config()), Ear::new(1, 0));
    let peer = there.peer().proc;
    let out = dialler.dial(&record.at, peer, Lane::Data, here.clone()).await.unwrap();
    send(&*out, 7, 64).await;
    until("arriving", || there.heard().numbers == [7]).await;
    for is_live in [true, false] {
        if !is_live {
            out.close();
            until("the end", || !there.heard().lost.is_empty()).await;
        }
        let mut stream = TcpStream::connect(("127.0.0.1", port(&at))).await.unwrap();
        _ = stream.write_all(&record.said()).await.is_ok();
        let (mut said, n_lost) = (Vec::new(), there.heard().lost.len());
        let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await;
        _ = end.expect("it is closed").is_ok();
        // It is challenged as anybody is, anew, and has no answer.
        let challenge = said.first_chunk().map(|length| usize::from(u16::from_le_bytes(*length)));
        assert_eq!(challenge.map(|length| length + 2), Some(said.len()), "{said:?}");
        assert!(!record.heard().starts_with(&said), "the same challenge");
        assert_eq!(there.heard().numbers, [7]);
        assert_eq!(there.heard().back.len(), 1);
        assert_eq!(there.heard().lost.len(), n_lost);
    }
}
