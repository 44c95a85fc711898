//! What anybody needs for the same: raw sockets between plain children.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::ops::Range;
use std::process::{Child, Command, ExitCode, Stdio};

use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::wakeups;

/// The first word of the command line of the other side.
pub(crate) const ARGUMENT: &str = "floor";

/// A message, all of whose bytes are the same.
const BYTES: usize = 64;

/// The first byte of a message that is answered, and of one that is not.
const PING: u8 = 1;
const CAST: u8 = 0;

/// The other side: answers pings over one connection until that ends.
pub(crate) fn serve() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(echo())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn echo() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    let (mut stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let mut message = [0; BYTES];
    while stream.read_exact(&mut message).await.is_ok() {
        if message[0] == PING {
            stream.write_all(&message).await?;
        }
    }
    Ok(())
}

/// A connection to each of some processes.
pub(crate) struct Floor {
    streams: Vec<TcpStream>,
    children: Vec<Child>,
}

impl Floor {
    pub(crate) async fn start(n_procs: usize) -> io::Result<Self> {
        let mut floor = Self { streams: Vec::new(), children: Vec::new() };
        for _ in 0..n_procs {
            let mut command = Command::new(env::current_exe()?);
            let mut child = command.arg(ARGUMENT).stdout(Stdio::piped()).spawn()?;
            let stdout = child.stdout.take();
            floor.children.push(child);
            let mut line = String::new();
            BufReader::new(stdout.ok_or(io::ErrorKind::BrokenPipe)?).read_line(&mut line)?;
            let port: u16 = line.trim().parse().map_err(io::Error::other)?;
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            floor.streams.push(stream);
        }
        Ok(floor)
    }

    /// One ping-pong with the first.
    pub(crate) async fn ping_one(&mut self) -> io::Result<()> {
        match self.streams.first_mut() {
            Some(stream) => ping(stream).await,
            None => Ok(()),
        }
    }

    /// One ping-pong with each, all at once.
    pub(crate) async fn ping_all(&mut self) -> io::Result<()> {
        try_join_all(self.streams.iter_mut().map(ping)).await?;
        Ok(())
    }

    /// One ping-pong with some of them, all at once.
    pub(crate) async fn ping_some(&mut self, which: Range<usize>) -> io::Result<()> {
        let some = self.streams.get_mut(which).unwrap_or_default();
        try_join_all(some.iter_mut().map(ping)).await?;
        Ok(())
    }

    /// How often all of its children have been woken.
    pub(crate) fn n_woken(&self) -> io::Result<u64> {
        self.children.iter().map(|child| wakeups::of(child.id())).sum()
    }

    /// So many messages to each, and then a ping-pong.
    pub(crate) async fn cast_all(&mut self, n: usize) -> io::Result<()> {
        for _ in 0..n {
            for stream in &mut self.streams {
                stream.write_all(&[CAST; BYTES]).await?;
            }
        }
        self.ping_all().await
    }
}

/// They end when their connections do.
impl Drop for Floor {
    fn drop(&mut self) {
        self.streams.clear();
        for child in &mut self.children {
            _ = child.wait().is_ok();
        }
    }
}

async fn ping(stream: &mut TcpStream) -> io::Result<()> {
    let mut answer = [0; BYTES];
    stream.write_all(&[PING; BYTES]).await?;
    stream.read_exact(&mut answer).await?;
    Ok(())
}

/// Plain children.
pub(crate) fn spawn(words: &[&str], n: usize) -> io::Result<Vec<Child>> {
    let [program, args @ ..] = words else { return Ok(Vec::new()) };
    (0..n).map(|_| Command::new(program).args(args).stdin(Stdio::null()).spawn()).collect()
}

/// Waits for the ends of children.
pub(crate) fn wait(children: Vec<Child>) -> io::Result<()> {
    children.into_iter().try_for_each(|mut child| child.wait().map(|_| ()))
}
