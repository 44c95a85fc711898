//! What is played: so many calls, so many messages, the end of the other process.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::resident::resident;
use crate::{Failed, Player};

/// Does what standard input says, until it ends, or what it says can only be done once.
///
/// - `call N`: the nanoseconds of each of N calls.
/// - `cast BYTES MILLIS BATCH`: how many messages were handled, and in how many nanoseconds. So many are sent
///   in each batch, until the time is over.
/// - `kill`: nanoseconds from `SIGKILL` of the other process until that is known.
/// - `hoard BYTES`: the other process is suspended, and so much is sent to it: by how many bytes this process
///   grows, and how many of them it has taken.
pub async fn play<P: Player + Send>(mut player: P) -> Result<(), Failed> {
    say("ready")?;
    while let Some(line) = next_line().await? {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let found = match &words[..] {
            ["call", n] => calls(&mut player, n.parse()?).await?,
            ["cast", bytes, millis, batch] => {
                let within = Duration::from_millis(millis.parse()?);
                casts(&mut player, (bytes.parse()?, batch.parse()?), within).await?
            }
            ["kill"] => kill(&mut player).await?,
            ["hoard", bytes] => hoard(&mut player, bytes.parse()?).await?,
            _ => return Err(format!("what is {line:?}?").into()),
        };
        say(&found.iter().map(u64::to_string).collect::<Vec<_>>().join(" "))?;
    }
    Ok(())
}

/// Writes a line at once.
#[expect(clippy::print_stdout, reason = "it is read by another process")]
pub fn say(line: &str) -> io::Result<()> {
    println!("{line}");
    io::stdout().flush()
}

/// The next line, while the runtime goes on.
async fn next_line() -> Result<Option<String>, Failed> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|n| (n > 0).then_some(line))
    });
    Ok(read.await??)
}

async fn calls<P: Player + Send>(player: &mut P, n: usize) -> Result<Vec<u64>, Failed> {
    let mut nanos = Vec::with_capacity(n);
    for _ in 0..n {
        let started = Instant::now();
        player.call().await?;
        nanos.push(nanos_of(started.elapsed()));
    }
    Ok(nanos)
}

async fn casts<P: Player + Send>(
    player: &mut P,
    (bytes, batch): (usize, usize),
    within: Duration,
) -> Result<Vec<u64>, Failed> {
    let before = player.handled().await?;
    let (started, mut n_sent) = (Instant::now(), 0);
    while started.elapsed() < within {
        player.cast(bytes, batch).await?;
        n_sent += batch as u64;
    }
    let n_handled = player.handled().await? - before;
    let nanos = nanos_of(started.elapsed());
    if n_handled < n_sent {
        complain(&format!("{} of {n_sent} messages are gone without a word", n_sent - n_handled));
    }
    Ok(vec![n_handled, nanos])
}

async fn kill<P: Player + Send>(player: &mut P) -> Result<Vec<u64>, Failed> {
    player.call().await?;
    sleep(Duration::from_millis(5)).await;
    let killed = Instant::now();
    player.other().kill()?;
    timeout(PATIENCE, player.lost()).await??;
    Ok(vec![nanos_of(killed.elapsed())])
}

async fn hoard<P: Player + Send>(player: &mut P, bytes: usize) -> Result<Vec<u64>, Failed> {
    player.call().await?;
    player.other().suspend()?;
    let found = stuff(player, bytes).await;
    // Suspended it would not see that we end, and stay.
    player.other().kill()?;
    found
}

/// How much memory it takes to send so many bytes to one that reads nothing, and how many were taken.
async fn stuff<P: Player + Send>(player: &mut P, bytes: usize) -> Result<Vec<u64>, Failed> {
    let (before, mut peak, mut n_sent) = (resident()?, 0, 0);
    while n_sent < bytes {
        // Who waits for room waits for ever: nobody reads.
        match timeout(STUCK, player.cast(HOARDED, 1)).await {
            Ok(sent) => sent?,
            Err(_) => break,
        }
        n_sent += HOARDED;
        if n_sent % (16 << 20) == 0 {
            peak = peak.max(resident()?);
            tokio::task::yield_now().await;
        }
    }
    sleep(STUCK).await;
    peak = peak.max(resident()?);
    Ok(vec![peak.saturating_sub(before), n_sent as u64])
}

#[expect(clippy::print_stderr, reason = "people are to see it")]
fn complain(what: &str) {
    eprintln!("{}: {what}", std::env::args().next().unwrap_or_default());
}

fn nanos_of(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// Longer than anybody takes who notices at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who has waited for so long waits for ever.
const STUCK: Duration = Duration::from_secs(1);

/// The size of what is sent to a process that reads nothing.
const HOARDED: usize = 64 * 1024;
