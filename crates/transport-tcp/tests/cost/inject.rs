//! A link between two sockets on which somebody can speak in the place of the one who has dialled.

use mesh_core::Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Passes bytes on, one connection, until it is told to say something else; then it says that, and no more.
pub(crate) struct Inject {
    pub(crate) at: Addr,
    words: UnboundedSender<Vec<u8>>,
}

impl Inject {
    pub(crate) async fn new(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (words, mut said) = unbounded_channel::<Vec<u8>>();
        tokio::spawn(async move {
            let (near, _) = listener.accept().await.expect("somebody dials");
            drop(listener);
            let far = TcpStream::connect(("127.0.0.1", to)).await.expect("it listens");
            let (mut near_read, mut near_write) = near.into_split();
            let (mut far_read, mut far_write) = far.into_split();
            tokio::select! {
                _ = tokio::io::copy(&mut near_read, &mut far_write) => return,
                _ = tokio::io::copy(&mut far_read, &mut near_write) => return,
                word = said.recv() => {
                    let word = word.expect("it is kept");
                    // The other end may have heard enough before it is all said.
                    _ = far_write.write_all(&word).await.is_ok();
                }
            }
            // What was said is to be heard before the connection ends.
            drop(far_write);
            _ = far_read.read_to_end(&mut Vec::new()).await.is_ok();
        });
        Self { at: Addr::Tcp { host: "127.0.0.1".to_owned(), port }, words }
    }

    pub(crate) fn say(&self, bytes: &[u8]) {
        self.words.send(bytes.to_vec()).expect("the connection lasts");
    }
}
