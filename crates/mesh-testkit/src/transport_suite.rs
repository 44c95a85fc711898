//! What every implementation of [`Transport`] must keep, checked from outside.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{
    ActorId, Addr, Body, CallId, Credit, DialError, Envelope, Head, Identity, Inbound, Incarnation,
    Lane, ListenError, Lost, Outbound, PeerId, PortId, ProcId, Returned, Transport, WhyReturned,
};
use tokio::time::{Instant, sleep, timeout};

/// How the suite is to use a transport.
#[derive(Clone, Debug)]
pub struct TransportSuite {
    /// Where to listen; a fresh address for each call.
    pub address: fn() -> Addr,
    /// How long anything may take.
    pub patience: Duration,
}

/// What an implementation broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportBreach {
    /// It does not listen where it was asked to.
    #[error("cannot listen")]
    Listen(#[from] ListenError),
    /// It cannot reach who listens.
    #[error("cannot dial")]
    Dial(#[from] DialError),
    /// Something did not happen in time.
    #[error("{0} did not happen in time")]
    TooLate(&'static str),
    /// Envelopes arrived lost, repeated, or out of order.
    #[error("envelope {found:?} arrived where {expected} was expected")]
    OutOfOrder {
        /// The number that was to come next.
        expected: u64,
        /// What came.
        found: Option<u64>,
    },
    /// A session took without end what its receiver had no room for.
    #[error("{0} envelopes were taken that the receiver had no room for")]
    Unbounded(usize),
    /// An answer waited for room.
    #[error("an answer waited for room")]
    AnswerWaited,
    /// A stranger was taken for the peer that was asked for.
    #[error("a stranger was taken for the peer")]
    Stranger,
    /// A lost peer was told so many times.
    #[error("a lost peer was told {0} times")]
    ToldTimes(usize),
    /// An envelope was taken that can go nowhere.
    #[error("a session that had ended took an envelope")]
    TakenAfterEnd,
    /// A session whose end was told is open.
    #[error("a session whose end was told is open")]
    OpenAfterEnd,
    /// Something of a lost peer has arrived after that was told.
    #[error("{0} envelopes arrived after the end of their session was told")]
    ArrivedAfterEnd(usize),
    /// What was acknowledged on one session was overtaken by another.
    #[error(
        "envelope {found:?} arrived where {expected} was expected, although all was acknowledged"
    )]
    Overtaken {
        /// The number that was to come next.
        expected: u64,
        /// What came.
        found: Option<u64>,
    },
    /// An envelope was taken, and neither arrived nor came back.
    #[error("envelope {0} was taken, and neither arrived nor came back")]
    Vanished(u64),
}

/// Checks the contract of [`Transport`] with fresh pairs of processes. `make` makes a transport that can
/// reach every other one that it has made.
///
/// Call it from a test of the implementation, on a tokio runtime whose clock runs.
///
/// # Errors
///
/// The first [`TransportBreach`] that is found.
pub async fn transport_suite<T: Transport>(
    make: impl Fn() -> T,
    suite: &TransportSuite,
) -> Result<(), TransportBreach> {
    for lane in [Lane::Data, Lane::Control, Lane::Liveness] {
        in_order_both_ways(&make, suite, lane).await?;
    }
    bounded(&make, suite).await?;
    nothing_overtakes(&make, suite).await?;
    acknowledged_at_the_end(&make, suite).await?;
    strangers(&make, suite).await?;
    nothing_vanishes(&make, suite).await?;
    lost_once(&make, suite).await
}

/// Two processes with a session between them.
struct Pair<T> {
    here: Arc<Ear>,
    there: Arc<Ear>,
    dialler: T,
    _listener: T,
    out: Arc<dyn Outbound>,
}

/// Hears what arrives, and keeps it.
struct Ear {
    identity: Identity,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    numbers: Vec<u64>,
    /// Credits that are kept: nobody has taken what they stand for.
    credits: Option<Vec<Credit>>,
    back: BTreeMap<PeerId, Arc<dyn Outbound>>,
    lost: Vec<(PeerId, Lost)>,
    came_back: Vec<u64>,
    /// How many envelopes have arrived after the end was told.
    n_late: usize,
}

impl Ear {
    fn new(number: u128) -> Arc<Self> {
        let peer = PeerId { proc: ProcId::from_random(number), life: Incarnation::FIRST };
        Arc::new(Self { identity: Identity { peer, registry: 0 }, heard: Mutex::default() })
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn actor(&self) -> ActorId {
        let PeerId { proc, life } = self.identity.peer;
        ActorId { proc, life, index: 1 }
    }
}

impl Inbound for Ear {
    fn identity(&self) -> Identity {
        self.identity
    }

    fn joined(&self, _: Lane, back: Arc<dyn Outbound>) {
        self.heard().back.insert(back.peer(), back);
    }

    fn deliver(&self, _: PeerId, mut envelope: Envelope, credit: Credit) {
        let mut heard = self.heard();
        heard.n_late += usize::from(!heard.lost.is_empty());
        heard.numbers.extend(number(&mut envelope));
        if let Some(credits) = &mut heard.credits {
            credits.push(credit);
        }
    }

    fn lost(&self, peer: PeerId, _: Lane, why: Lost, back: Vec<Envelope>) {
        let mut heard = self.heard();
        heard.lost.push((peer, why));
        heard.came_back.extend(back.into_iter().filter_map(|mut envelope| number(&mut envelope)));
    }
}

/// The number that an envelope of this suite carries.
fn number(envelope: &mut Envelope) -> Option<u64> {
    let body = envelope.body.bytes().ok()?;
    Some(u64::from_le_bytes(*body.first_chunk()?))
}

/// An envelope with this number, of so many bytes.
fn cast(to: ActorId, number: u64, size: usize) -> Envelope {
    let mut body = number.to_le_bytes().to_vec();
    body.resize(size.max(8), 0x5a);
    let head = Head::Cast { to, port: PortId::named("suite"), from: None };
    Envelope { head, body: Body::Bytes(Bytes::from(body)) }
}

async fn pair<T: Transport>(
    make: &impl Fn() -> T,
    suite: &TransportSuite,
    lane: Lane,
) -> Result<Pair<T>, TransportBreach> {
    let (here, there) = (Ear::new(1), Ear::new(2));
    let (dialler, listener) = (make(), make());
    let at = listener.listen(&(suite.address)(), lane, there.clone()).await?;
    let out = dialler.dial(&at, there.identity.peer.proc, lane, here.clone()).await?;
    Ok(Pair { here, there, dialler, _listener: listener, out })
}

/// Sends, or says that it took too long.
async fn send(
    out: &dyn Outbound,
    envelope: Envelope,
    patience: Duration,
) -> Result<(), TransportBreach> {
    let mut envelope = Some(envelope);
    let sent = timeout(patience, poll_fn(|cx| out.poll_send(cx, &mut envelope))).await;
    match sent {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(TransportBreach::TooLate("sending")),
    }
}

async fn until(
    patience: Duration,
    what: &'static str,
    mut is_so: impl FnMut() -> bool,
) -> Result<(), TransportBreach> {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > patience {
            return Err(TransportBreach::TooLate(what));
        }
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Envelopes of every size arrive once, in order, both ways at the same time.
async fn in_order_both_ways<T: Transport>(
    make: &impl Fn() -> T,
    suite: &TransportSuite,
    lane: Lane,
) -> Result<(), TransportBreach> {
    const N: u64 = 500;
    let pair = pair(make, suite, lane).await?;
    let joined = || pair.there.heard().back.get(&pair.here.identity.peer).cloned();
    until(suite.patience, "joining", || joined().is_some()).await?;
    let Some(back) = joined() else { return Err(TransportBreach::TooLate("joining")) };
    let size = |number| if number % 50 == 0 { 100_000 } else { 64 + (number as usize % 7) * 100 };
    let (here, there) = (pair.here.actor(), pair.there.actor());
    let there_and_back = async {
        for number in 0..N {
            send(&*pair.out, cast(there, number, size(number)), suite.patience).await?;
        }
        Ok::<(), TransportBreach>(())
    };
    let here_and_back = async {
        for number in 0..N {
            send(&*back, cast(here, number, size(number)), suite.patience).await?;
        }
        Ok::<(), TransportBreach>(())
    };
    let (one, other) = tokio::join!(there_and_back, here_and_back);
    one.and(other)?;
    for ear in [&pair.here, &pair.there] {
        until(suite.patience, "arriving", || ear.heard().numbers.len() as u64 >= N).await?;
        in_order(&ear.heard().numbers)?;
    }
    Ok(())
}

fn in_order(numbers: &[u64]) -> Result<(), TransportBreach> {
    match (0..).zip(numbers).find(|(expected, found)| expected != *found) {
        None => Ok(()),
        Some((expected, found)) => {
            Err(TransportBreach::OutOfOrder { expected, found: Some(*found) })
        }
    }
}

/// What nobody takes makes senders wait; answers never do; what is taken lets them go on.
async fn bounded<T: Transport>(
    make: &impl Fn() -> T,
    suite: &TransportSuite,
) -> Result<(), TransportBreach> {
    const SIZE: usize = 10_000;
    const LIMIT: usize = 100_000;
    let pair = pair(make, suite, Lane::Data).await?;
    pair.there.heard().credits = Some(Vec::new());
    let to = pair.there.actor();
    let mut n_sent = 0;
    loop {
        let mut envelope = Some(cast(to, n_sent, SIZE));
        let sent = poll_fn(|cx| pair.out.poll_send(cx, &mut envelope));
        // A window that is full stays so: nobody takes anything.
        match timeout(Duration::from_millis(300), sent).await {
            Ok(Ok(())) if n_sent as usize >= LIMIT => {
                return Err(TransportBreach::Unbounded(n_sent as usize));
            }
            Ok(Ok(())) => n_sent += 1,
            Ok(Err(_)) => return Err(TransportBreach::TooLate("sending")),
            Err(_) => break,
        }
    }
    let (peer, call) = (pair.there.identity.peer, CallId::new(1));
    let body = cast(to, n_sent, 8).body;
    let answer = Envelope { head: Head::Answer { to: peer, call }, body };
    send(&*pair.out, answer, suite.patience).await.or(Err(TransportBreach::AnswerWaited))?;
    let arrived = || pair.there.heard().numbers.len() as u64;
    until(suite.patience, "the answer", || arrived() > n_sent).await?;

    drop(pair.there.heard().credits.take());
    for number in n_sent + 1..n_sent + 100 {
        send(&*pair.out, cast(to, number, SIZE), suite.patience).await?;
    }
    until(suite.patience, "the rest", || arrived() == n_sent + 100).await?;
    in_order(&pair.there.heard().numbers)
}

/// Whoever goes over to another session when all that he has sent is acknowledged loses no order.
async fn nothing_overtakes<T: Transport>(
    make: &impl Fn() -> T,
    suite: &TransportSuite,
) -> Result<(), TransportBreach> {
    const N: u64 = 60;
    const TOGETHER: u64 = 20;
    let (here, there) = (Ear::new(1), Ear::new(2));
    let (dialler, listener) = (make(), make());
    let (mut sessions, proc) = (Vec::new(), there.identity.peer.proc);
    for lane in [Lane::Control, Lane::Data] {
        let at = listener.listen(&(suite.address)(), lane, there.clone()).await?;
        sessions.push(dialler.dial(&at, proc, lane, here.clone()).await?);
    }
    for (session, turn) in sessions.iter().cycle().zip(0..N) {
        for number in turn * TOGETHER..(turn + 1) * TOGETHER {
            // Not all alike: what is large takes longer.
            let size = if number % TOGETHER == 7 { 50_000 } else { 64 };
            send(&**session, cast(there.actor(), number, size), suite.patience).await?;
        }
        acknowledged(&**session, suite.patience).await?;
    }
    let is_there = || there.heard().numbers.len() as u64 >= N * TOGETHER;
    until(suite.patience, "arriving", is_there).await?;
    in_order(&there.heard().numbers).map_err(|breach| match breach {
        TransportBreach::OutOfOrder { expected, found } => {
            TransportBreach::Overtaken { expected, found }
        }
        other => other,
    })
}

/// Waits until all that was sent on a session is acknowledged, or it has ended.
async fn acknowledged(out: &dyn Outbound, patience: Duration) -> Result<(), TransportBreach> {
    let n_taken = out.n_taken();
    let acknowledged = poll_fn(|cx| out.poll_acknowledged(cx, n_taken));
    timeout(patience, acknowledged).await.or(Err(TransportBreach::TooLate("acknowledging")))
}

/// Whoever waits for acknowledgements does so no longer than the session lasts.
async fn acknowledged_at_the_end<T: Transport>(
    make: &impl Fn() -> T,
    suite: &TransportSuite,
) -> Result<(), TransportBreach> {
    let pair = pair(make, suite, Lane::Data).await?;
    send(&*pair.out, cast(pair.there.actor(), 0, 64), suite.patience).await?;
    // More than was sent: of that no acknowledgement can come.
    let more = pair.out.n_taken() + 1;
    let acknowledged = poll_fn(|cx| pair.out.poll_acknowledged(cx, more));
    let end = async {
        until(suite.patience, "arriving", || pair.there.heard().numbers == [0]).await?;
        pair.out.close();
        Ok(())
    };
    let (acknowledged, ended) = tokio::join!(timeout(suite.patience, acknowledged), end);
    acknowledged.or(Err(TransportBreach::TooLate("ending the wait for acknowledgements")))?;
    ended
}

/// Whoever else is there is no peer; where nobody is, there is no session.
async fn strangers<T: Transport>(
    make: &impl Fn() -> T,
    suite: &TransportSuite,
) -> Result<(), TransportBreach> {
    let (here, there) = (Ear::new(1), Ear::new(2));
    let (dialler, listener) = (make(), make());
    let at = listener.listen(&(suite.address)(), Lane::Data, there.clone()).await?;
    let dialled = dialler.dial(&at, ProcId::from_random(3), Lane::Data, here.clone()).await;
    if !matches!(dialled, Err(DialError::Stranger { .. })) {
        return Err(TransportBreach::Stranger);
    }
    let there_again = listener.listen(&at, Lane::Data, there.clone()).await;
    if there_again.is_ok() {
        return Err(TransportBreach::TooLate("refusing an address that is in use"));
    }
    match dialler.dial(&(suite.address)(), there.identity.peer.proc, Lane::Data, here).await {
        Ok(_) => Err(TransportBreach::Stranger),
        Err(_) => Ok(()),
    }
}

/// A session is closed while much is on its way: each envelope arrives in its turn, or comes back, or both,
/// and nothing arrives once the end is told.
async fn nothing_vanishes<T: Transport>(
    make: &impl Fn() -> T,
    suite: &TransportSuite,
) -> Result<(), TransportBreach> {
    const N: u64 = 300;
    let pair = pair(make, suite, Lane::Data).await?;
    for number in 0..N {
        send(&*pair.out, cast(pair.there.actor(), number, 1_000), suite.patience).await?;
    }
    pair.out.close();
    for ear in [&pair.here, &pair.there] {
        until(suite.patience, "being told", || !ear.heard().lost.is_empty()).await?;
    }
    if pair.out.is_open() {
        return Err(TransportBreach::OpenAfterEnd);
    }
    // What could come late would have come by now.
    sleep(Duration::from_millis(50)).await;
    let (came_back, there) = (pair.here.heard().came_back.clone(), pair.there.heard());
    in_order(&there.numbers)?;
    if there.n_late > 0 {
        return Err(TransportBreach::ArrivedAfterEnd(there.n_late));
    }
    let is_known = |number: &u64| there.numbers.contains(number) || came_back.contains(number);
    match (0..N).find(|number| !is_known(number)) {
        Some(number) => Err(TransportBreach::Vanished(number)),
        None => Ok(()),
    }
}

/// A transport that is dropped ends its sessions: the peer is told once, and so are we.
async fn lost_once<T: Transport>(
    make: &impl Fn() -> T,
    suite: &TransportSuite,
) -> Result<(), TransportBreach> {
    let pair = pair(make, suite, Lane::Control).await?;
    send(&*pair.out, cast(pair.there.actor(), 0, 64), suite.patience).await?;
    until(suite.patience, "arriving", || pair.there.heard().numbers == [0]).await?;
    drop(pair.dialler);
    for ear in [&pair.here, &pair.there] {
        until(suite.patience, "being told", || !ear.heard().lost.is_empty()).await?;
    }
    // What could come a second time would have come by now.
    sleep(Duration::from_millis(50)).await;
    for ear in [&pair.here, &pair.there] {
        let n = ear.heard().lost.len();
        if n != 1 {
            return Err(TransportBreach::ToldTimes(n));
        }
    }
    let mut envelope = Some(cast(pair.there.actor(), 1, 64));
    let sent = poll_fn(|cx| pair.out.poll_send(cx, &mut envelope)).await;
    match sent {
        Err(returned) if is_ended(&returned) => Ok(()),
        _ => Err(TransportBreach::TakenAfterEnd),
    }
}

fn is_ended(returned: &Returned) -> bool {
    matches!(returned.why, WhyReturned::Ended(_))
}
