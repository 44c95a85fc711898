//! A peer: a process in a namespace that does what it is told, line by line.
//!
//! It answers each line with `= …`, or with `? …` if it went wrong, and tells what happens to it with `! …`.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{
    ActorId, Addr, Body, Credit, Envelope, Head, Identity, Inbound, Incarnation, Lane, Lost,
    Outbound, PeerId, PortId, ProcId, Transport,
};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::interval;
use transport_tcp::{Secret, TcpConfig, TcpTransport};

use crate::{Fault, cards};

/// With this as its first argument the test binary is a peer.
pub(crate) const ARGUMENT: &str = "--peer";

/// Does what the lines of its stdin say, until that ends.
pub(crate) fn run() -> ExitCode {
    let Ok(runtime) = Runtime::new() else { return ExitCode::FAILURE };
    let mut peer = None;
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        match runtime.block_on(obey(&mut peer, &words)) {
            Ok(answer) => say(&format!("= {answer}")),
            Err(why) => say(&format!("? {why}")),
        }
    }
    ExitCode::SUCCESS
}

async fn obey(peer: &mut Option<Peer>, words: &[&str]) -> Result<String, Fault> {
    if let ["be", rest @ ..] = words {
        *peer = Some(Peer::new(rest)?);
        return Ok(String::new());
    }
    let peer = peer.as_ref().ok_or("who is it?")?;
    let lane = lane_of(words.get(1).ok_or("on which lane?")?)?;
    let ear = peer.ears.get(&lane).ok_or("there is one for each lane")?;
    match words {
        ["listen", _] => {
            peer.transport.listen(&addr(&peer.ours, lane), lane, ear.clone()).await?;
        }
        ["dial", _, proc] => {
            let (to, proc) = (addr(&peer.theirs, lane), ProcId::from_random(proc.parse()?));
            ear.heard().out = Some(peer.transport.dial(&to, proc, lane, ear.clone()).await?);
        }
        ["send", _, n, size] => {
            let (n, size) = (n.parse()?, size.parse()?);
            let (sender, first) = (Arc::clone(ear), ear.promise(n));
            let before = ear.heard().sending.take();
            let sending = tokio::spawn(async move {
                // One who sends has an order; two would have none.
                if let Some(before) = before {
                    _ = before.await.is_ok();
                }
                for number in first..first + n {
                    sender.send(number, size).await;
                }
            });
            ear.heard().sending = Some(sending);
        }
        ["beat", _, millis] => {
            let (ear, every) = (Arc::clone(ear), Duration::from_millis(millis.parse()?));
            tokio::spawn(async move {
                let mut ticks = interval(every);
                loop {
                    ticks.tick().await;
                    let number = ear.promise(1);
                    ear.send(number, 64).await;
                }
            });
        }
        ["hold", _] => ear.heard().held = Some(Vec::new()),
        ["heard", _] => {
            let heard = ear.heard();
            if let Some(found) = heard.disorder {
                return Err(format!("{found} came where {} was to come", heard.n).into());
            }
            return Ok(format!("{} {}", heard.n, heard.delay.as_micros()));
        }
        _ => return Err(format!("what is {words:?}?").into()),
    }
    Ok(String::new())
}

struct Peer {
    transport: TcpTransport,
    ears: BTreeMap<Lane, Arc<Ear>>,
    ours: String,
    theirs: String,
}

impl Peer {
    fn new(words: &[&str]) -> Result<Self, Fault> {
        let [proc, life, lease, no_contact, ours, theirs, cards] = words else {
            return Err("seven words".into());
        };
        let millis = |text: &str| text.parse().map(Duration::from_millis);
        let proc = ProcId::from_random(proc.parse()?);
        let peer = PeerId { proc, life: Incarnation::new(life.parse()?) };
        let (ours, theirs) = ((*ours).to_owned(), (*theirs).to_owned());
        let mut config = TcpConfig {
            no_contact: millis(no_contact)?,
            handshake: Duration::from_secs(2),
            ..TcpConfig::for_lease(Secret::from_bytes([7; 32]), millis(lease)?)
        };
        if *cards == "-" {
            let at = |lane| [&ours, &theirs].map(|host| addr(host, lane));
            config.insecure = LANES.into_iter().flat_map(at).collect();
        } else {
            config.tls = Some(cards::tls(cards)?);
        }
        let ear = |lane| {
            let identity = Identity { peer, registry: 0 };
            (lane, Arc::new(Ear { identity, lane, heard: Mutex::default() }))
        };
        let ears = LANES.into_iter().map(ear).collect();
        Ok(Self { transport: TcpTransport::new(config)?, ears, ours, theirs })
    }
}

/// A namespace has its ports to itself.
fn addr(host: &str, lane: Lane) -> Addr {
    let port = match lane {
        Lane::Control => 7_001,
        Lane::Liveness => 7_002,
        Lane::Data => 7_003,
    };
    Addr::Tcp { host: host.to_owned(), port }
}

fn lane_of(text: &str) -> Result<Lane, Fault> {
    let lane = LANES.into_iter().find(|lane| lane.label() == text);
    Ok(lane.ok_or_else(|| format!("{text} is no lane"))?)
}

const LANES: [Lane; 3] = [Lane::Control, Lane::Liveness, Lane::Data];

/// Hears what arrives on a lane, and tells what happens to its session.
struct Ear {
    identity: Identity,
    lane: Lane,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// How many envelopes were sent, or are to be.
    promised: u64,
    /// How many have arrived.
    n: u64,
    /// How long one was on its way at most.
    delay: Duration,
    /// What sends by now.
    sending: Option<JoinHandle<()>>,
    /// The number that came out of order, or twice.
    disorder: Option<u64>,
    /// The way to the peer.
    out: Option<Arc<dyn Outbound>>,
    /// What was given by the peer and is kept from it, if anything is.
    held: Option<Vec<Credit>>,
}

impl Ear {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, what: &str) {
        let (what, rest) = what.split_once(' ').unwrap_or((what, ""));
        say(format!("! {what} {} {rest}", self.lane.label()).trim_end());
    }

    /// The number of the first of `n` that are to be sent.
    fn promise(&self, n: u64) -> u64 {
        let mut heard = self.heard();
        heard.promised += n;
        heard.promised - n
    }

    async fn send(&self, number: u64, size: usize) {
        let Some(out) = self.heard().out.clone() else { return self.tell("nowhere") };
        let PeerId { proc, life } = out.peer();
        let to = ActorId { proc, life, index: 1 };
        let head = Head::Cast { to, port: PortId::named("nets"), from: None };
        let mut body = [number.to_le_bytes(), now().to_le_bytes()].concat();
        body.resize(size.max(16), 0x5a);
        let mut envelope = Some(Envelope { head, body: Body::Bytes(Bytes::from(body)) });
        if poll_fn(|cx| out.poll_send(cx, &mut envelope)).await.is_err() {
            self.tell(&format!("refused {number}"));
        }
    }
}

impl Inbound for Ear {
    fn identity(&self) -> Identity {
        self.identity
    }

    fn joined(&self, _: Lane, back: Arc<dyn Outbound>) {
        self.heard().out = Some(back);
        self.tell("joined");
    }

    fn deliver(&self, _: PeerId, mut envelope: Envelope, credit: Credit) {
        let (number, sent) = numbers(&mut envelope);
        let mut heard = self.heard();
        if number == heard.n {
            heard.n += 1;
        } else {
            heard.disorder.get_or_insert(number);
        }
        heard.delay = heard.delay.max(Duration::from_nanos(now().saturating_sub(sent)));
        if let Some(held) = &mut heard.held {
            held.push(credit);
        }
    }

    fn lost(&self, _: PeerId, _: Lane, why: Lost, back: Vec<Envelope>) {
        let mut back = back.into_iter().map(|mut envelope| numbers(&mut envelope).0);
        let first = back.next();
        let last =
            back.try_fold(first.unwrap_or(0), |last, next| (next == last + 1).then_some(next));
        let back = match (first, last) {
            (None, _) => "nothing".to_owned(),
            (Some(first), Some(last)) => format!("{first}..={last}"),
            (Some(_), None) => "disorder".to_owned(),
        };
        let why = match why {
            Lost::NoContact(_) => "no_contact".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        };
        self.tell(&format!("lost {why} back {back}"));
    }
}

/// The number of an envelope, and when it was sent.
fn numbers(envelope: &mut Envelope) -> (u64, u64) {
    let body = envelope.body.bytes().unwrap_or_default();
    let at = |from: usize| {
        let bytes = body.get(from..from + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(u64::MAX, u64::from_le_bytes)
    };
    (at(0), at(8))
}

/// Nanoseconds of a clock that all processes of a machine share, and that never steps.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    seconds * 1_000_000_000 + nanos
}

fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    // Nobody may listen any more.
    _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_ok();
}
