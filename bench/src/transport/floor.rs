//! What anybody needs for the same: a raw TCP connection of tokio, and frames that say how long they are.

use std::io;

use meshwarden_bench_player::{Failed, Other, Player, end_with_it, say};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::{TcpListener, TcpStream};

use super::seat::opposite;

/// The other end: counts, answers, and says how many it has counted.
pub(crate) async fn serve() -> Result<(), Failed> {
    end_with_it();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    say(&listener.local_addr()?.port().to_string())?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    match answer(stream).await {
        // Whoever plays has gone.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        other => Ok(other?),
    }
}

async fn answer(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::with_capacity(BUFFER, stream);
    let mut n = 0_u64;
    loop {
        let length = stream.read_u32_le().await? as usize;
        // Whoever gets a message has it to itself.
        let mut frame = vec![0; length];
        stream.read_exact(&mut frame).await?;
        match frame.first() {
            Some(&PING) => stream.write_all(&framed(&frame)).await?,
            Some(&HANDLED) => stream.write_all(&framed(&n.to_le_bytes())).await?,
            _ => n += 1,
        }
        std::hint::black_box(frame);
    }
}

struct Floor {
    stream: BufWriter<TcpStream>,
    other: Other,
    ping: Vec<u8>,
    is_batched: bool,
    /// The message that is sent.
    message: Vec<u8>,
}

/// Frames go out together, up to the size of a buffer.
pub(crate) async fn play() -> Result<(), Failed> {
    play_as(true).await
}

/// Each frame goes out by itself.
pub(crate) async fn play_unbatched() -> Result<(), Failed> {
    play_as(false).await
}

async fn play_as(is_batched: bool) -> Result<(), Failed> {
    let (other, port) = opposite(&["serve", "floor"], &[])?;
    let stream = TcpStream::connect(("127.0.0.1", port.parse()?)).await?;
    stream.set_nodelay(true)?;
    let ping = framed(&[PING; 64]);
    let stream = BufWriter::with_capacity(BUFFER, stream);
    let floor = Floor { stream, other, ping, is_batched, message: Vec::new() };
    meshwarden_bench_player::play(floor).await
}

impl Player for Floor {
    async fn call(&mut self) -> Result<(), Failed> {
        self.stream.write_all(&self.ping).await?;
        self.stream.flush().await?;
        let mut pong = [0; 68];
        self.stream.read_exact(&mut pong).await?;
        Ok(())
    }

    async fn cast(&mut self, bytes: usize, n: usize) -> Result<(), Failed> {
        if self.message.len() != bytes {
            self.message = vec![CAST; bytes];
        }
        let length = u32::try_from(bytes)?;
        for _ in 0..n {
            self.stream.write_u32_le(length).await?;
            self.stream.write_all(&self.message).await?;
            if !self.is_batched {
                self.stream.flush().await?;
            }
        }
        self.stream.flush().await?;
        Ok(())
    }

    async fn handled(&mut self) -> Result<u64, Failed> {
        self.stream.write_all(&framed(&[HANDLED])).await?;
        self.stream.flush().await?;
        let mut answer = [0; 12];
        self.stream.read_exact(&mut answer).await?;
        let [_, _, _, _, n @ ..] = answer;
        Ok(u64::from_le_bytes(n))
    }

    async fn lost(&mut self) -> Result<(), Failed> {
        match self.stream.read_u8().await {
            Ok(_) => Err("nothing was asked for".into()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn other(&mut self) -> &mut Other {
        &mut self.other
    }
}

/// A frame: its length, and what it says.
fn framed(said: &[u8]) -> Vec<u8> {
    let length = u32::try_from(said.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes()[..], said].concat()
}

/// The first byte of a frame: what it is.
const CAST: u8 = 0;
const PING: u8 = 1;
const HANDLED: u8 = 2;

/// How much is read and written at once.
const BUFFER: usize = 64 * 1024;
