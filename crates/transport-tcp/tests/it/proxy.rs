//! A link between two sockets that can be cut at any byte.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mesh_core::Addr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Passes bytes on, and breaks each connection after so many of them.
pub(crate) struct Proxy {
    pub(crate) at: Addr,
    pub(crate) n_connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// A way to `to`. `after` says after how many bytes, each way, the connection of that number breaks.
    pub(crate) async fn new(
        to: u16,
        after: impl Fn(usize) -> usize + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let n_connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&n_connections);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let limit = after(number);
                tokio::spawn(async move {
                    let to = SocketAddr::from(([127, 0, 0, 1], to));
                    if let Ok(far) = TcpStream::connect(to).await {
                        pass(near, far, limit).await;
                    }
                });
            }
        });
        let at = Addr::Tcp { host: "127.0.0.1".to_owned(), port };
        Self { at, n_connections, task }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes bytes both ways until one side is done, or so many have passed one way.
async fn pass(near: TcpStream, far: TcpStream, limit: usize) {
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let there = async {
        let mut left = limit;
        let mut buffer = vec![0; 4096];
        while left > 0 {
            let room = left.min(buffer.len());
            let Ok(n @ 1..) = near_read.read(&mut buffer[..room]).await else { return };
            if far_write.write_all(&buffer[..n]).await.is_err() {
                return;
            }
            left -= n;
        }
    };
    let back = async {
        let mut left = limit;
        let mut buffer = vec![0; 4096];
        while left > 0 {
            let room = left.min(buffer.len());
            let Ok(n @ 1..) = far_read.read(&mut buffer[..room]).await else { return };
            if near_write.write_all(&buffer[..n]).await.is_err() {
                return;
            }
            left -= n;
        }
    };
    tokio::select! {
        () = there => (),
        () = back => (),
    }
}

/// A way to somewhere, by which each connection is passed on as it is said.
pub(crate) struct Way {
    pub(crate) at: Addr,
    pub(crate) n_connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Way {
    async fn new<F>(to: u16, pass: impl Fn(TcpStream, TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let n_connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&n_connections);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                tokio::spawn(pass(near, far));
            }
        });
        Self { at: Addr::Tcp { host: "127.0.0.1".to_owned(), port }, n_connections, task }
    }

    /// Breaks each connection after so long.
    pub(crate) async fn fleeting(to: u16, life: Duration) -> Self {
        Self::new(to, move |near, far| async move {
            _ = tokio::time::timeout(life, pass(near, far, usize::MAX)).await.is_ok();
        })
        .await
    }

    /// Passes so many bytes on every 10 ms, one way; the way back is free.
    pub(crate) async fn narrow(to: u16, bytes: usize) -> Self {
        Self::new(to, move |near, far| async move {
            let (near_read, near_write) = near.into_split();
            let (far_read, far_write) = far.into_split();
            tokio::join!(
                trickle(near_read, far_write, bytes),
                leak(far_read, near_write, Arc::default())
            );
        })
        .await
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes bytes on until it is told to swallow them: then the kernels go on acknowledging, and nothing
/// arrives.
pub(crate) struct Hole {
    pub(crate) at: Addr,
    swallows: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Hole {
    pub(crate) async fn new(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let swallows = Arc::new(AtomicBool::new(false));
        let is_hole = Arc::clone(&swallows);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(leak(near_read, far_write, Arc::clone(&is_hole)));
                tokio::spawn(leak(far_read, near_write, Arc::clone(&is_hole)));
            }
        });
        Self { at: Addr::Tcp { host: "127.0.0.1".to_owned(), port }, swallows, task }
    }

    pub(crate) fn swallow(&self) {
        self.swallows.store(true, Ordering::SeqCst);
    }
}

impl Drop for Hole {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes bytes one way, or swallows them, with the word that there are no more.
async fn leak(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_hole: Arc<AtomicBool>) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        if !is_hole.load(Ordering::SeqCst) && to.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
    if is_hole.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
}

/// Passes so many bytes on every 10 ms.
async fn trickle(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, bytes: usize) {
    let mut buffer = vec![0; bytes];
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        ticks.tick().await;
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

/// Connects at once, and passes nothing on before it is opened.
pub(crate) struct Gate {
    pub(crate) at: Addr,
    is_connected: Arc<AtomicBool>,
    open: Arc<tokio::sync::Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Gate {
    pub(crate) async fn new(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (is_connected, open) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let task = tokio::spawn({
            let (is_connected, open) =
                (Arc::clone(&is_connected), Arc::<tokio::sync::Notify>::clone(&open));
            async move {
                let Ok((near, _)) = listener.accept().await else { return };
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { return };
                is_connected.store(true, Ordering::SeqCst);
                open.notified().await;
                pass(near, far, usize::MAX).await;
            }
        });
        Self { at: Addr::Tcp { host: "127.0.0.1".to_owned(), port }, is_connected, open, task }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::SeqCst)
    }

    pub(crate) fn open(&self) {
        self.open.notify_one();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes bytes on, one connection, and keeps them.
pub(crate) struct Record {
    pub(crate) at: Addr,
    said: Arc<Mutex<Vec<u8>>>,
    heard: Arc<Mutex<Vec<u8>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Record {
    pub(crate) async fn new(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (said, heard) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<Mutex<Vec<u8>>>::default());
        let (kept_said, kept_heard) = (Arc::clone(&said), Arc::clone(&heard));
        let task = tokio::spawn(async move {
            let Ok((near, _)) = listener.accept().await else { return };
            let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { return };
            let (near_read, near_write) = near.into_split();
            let (far_read, far_write) = far.into_split();
            tokio::join!(
                keep(near_read, far_write, &kept_said),
                keep(far_read, near_write, &kept_heard)
            );
        });
        Self { at: Addr::Tcp { host: "127.0.0.1".to_owned(), port }, said, heard, task }
    }

    /// What the one who dialled has said.
    pub(crate) fn said(&self) -> Vec<u8> {
        self.said.lock().expect("nobody panics").clone()
    }

    /// What it was told.
    pub(crate) fn heard(&self) -> Vec<u8> {
        self.heard.lock().expect("nobody panics").clone()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, kept: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        kept.lock().expect("nobody panics").extend_from_slice(&buffer[..n]);
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
