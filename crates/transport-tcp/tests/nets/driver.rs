//! The peers as the test has them: two processes, each in its namespace, that do what they are told.

use std::collections::VecDeque;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::cable::{Cable, End, Family};
use crate::cards::Cards;
use crate::peer::ARGUMENT;
use crate::{Fault, Outcome};

/// Times of the peers. The rest derives from the lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) lease: Duration,
    /// How long a session lives without a connection, if not for the lease.
    pub(crate) no_contact: Option<Duration>,
}

/// Who a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) proc: u32,
    pub(crate) life: u32,
}

/// Two peers with a cable between them. The one here dials, and the one there listens.
pub(crate) struct Two {
    pub(crate) here: Peer,
    pub(crate) there: Peer,
    times: Times,
    // Dropped after those who use them.
    cards: Option<Cards>,
    pub(crate) cable: Cable,
}

/// A process in a namespace. It ends when it is dropped.
pub(crate) struct Peer {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<(Instant, String)>,
    /// What it has told without being asked, and nobody has looked at.
    told: VecDeque<Told>,
}

/// What a peer tells without being asked.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) when: Instant,
    pub(crate) what: String,
}

/// What a peer has heard on a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// How many envelopes, each once and in order.
    pub(crate) n: u64,
    /// How long one was on its way at most.
    pub(crate) delay: Duration,
}

impl Two {
    pub(crate) fn plain(family: Family, times: Times) -> Result<Self, Fault> {
        Self::new(Cable::new(family)?, times, None)
    }

    /// With TLS between them.
    pub(crate) fn secured(family: Family, times: Times) -> Result<Self, Fault> {
        let cards = Cards::new([End::Here, End::There].map(|end| family.address(end)))?;
        Self::new(Cable::new(family)?, times, Some(cards))
    }

    fn new(cable: Cable, times: Times, cards: Option<Cards>) -> Result<Self, Fault> {
        let start = |end, who| Peer::start((&cable, end), who, times, cards.as_ref());
        let (here, there) = (start(End::Here, HERE)?, start(End::There, THERE)?);
        Ok(Self { here, there, times, cards, cable })
    }

    /// There is a session on this lane.
    pub(crate) fn meet(&mut self, lane: &str) -> Outcome {
        self.there.ask(&format!("listen {lane}"))?;
        self.here.ask(&format!("dial {lane} {}", THERE.proc))?;
        let joined = self.there.told(PATIENCE)?.what;
        crate::ensure(joined == format!("joined {lane}"), || joined)
    }

    /// Another process where the one there was, which was ended by `kill -9`. It listens.
    pub(crate) fn replace(&mut self, who: Who, lane: &str) -> Outcome {
        self.there.kill();
        let end = (&self.cable, End::There);
        self.there = Peer::start(end, who, self.times, self.cards.as_ref())?;
        self.there.ask(&format!("listen {lane}")).map(drop)
    }
}

impl Peer {
    fn start(
        (cable, end): (&Cable, End),
        who: Who,
        times: Times,
        cards: Option<&Cards>,
    ) -> Result<Self, Fault> {
        let mut child = Command::new("ip")
            .args(["netns", "exec", cable.name(end)])
            .arg(env::current_exe()?)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().ok_or("it has a stdin")?;
        let stdout = child.stdout.take().ok_or("it has a stdout")?;
        let (line, lines) = channel();
        thread::spawn(move || {
            for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                if line.send((Instant::now(), text)).is_err() {
                    return;
                }
            }
        });
        let mut peer = Self { child, stdin, lines, told: VecDeque::new() };
        let (lease, no_contact) = (times.lease, times.no_contact.unwrap_or(times.lease));
        let hosts = cable.addresses(end);
        let cards = cards.map_or_else(|| "-".to_owned(), |cards| cards.dir(end));
        let times = format!("{} {}", lease.as_millis(), no_contact.as_millis());
        let be = format!("be {} {} {times} {} {} {cards}", who.proc, who.life, hosts.0, hosts.1);
        peer.ask(&be)?;
        Ok(peer)
    }

    /// Tells the peer to do something, and returns what it answers.
    pub(crate) fn ask(&mut self, what: &str) -> Result<String, Fault> {
        match self.try_ask(what)? {
            Ok(answer) => Ok(answer),
            Err(refused) => Err(format!("{what}: {refused}").into()),
        }
    }

    /// The same, where it may go wrong.
    pub(crate) fn try_ask(&mut self, what: &str) -> Result<Result<String, String>, Fault> {
        writeln!(self.stdin, "{what}")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (when, line) = self.line(deadline).map_err(|why| format!("{what}: {why}"))?;
            match line.split_at_checked(2) {
                Some(("= ", answer)) => return Ok(Ok(answer.to_owned())),
                Some(("? ", refused)) => return Ok(Err(refused.to_owned())),
                Some(("! ", word)) => self.told.push_back(Told { when, what: word.to_owned() }),
                _ => return Err(format!("{what}: it says {line:?}").into()),
            }
        }
    }

    /// What the peer tells next without being asked.
    pub(crate) fn told(&mut self, within: Duration) -> Result<Told, Fault> {
        if let Some(told) = self.told.pop_front() {
            return Ok(told);
        }
        let (when, line) = self.line(Instant::now() + within)?;
        let word = line.strip_prefix("! ").ok_or_else(|| format!("it says {line:?}"))?;
        Ok(Told { when, what: word.to_owned() })
    }

    /// Whether it tells nothing for so long.
    pub(crate) fn is_quiet(&mut self, lasting: Duration) -> Outcome {
        match self.told(lasting) {
            Ok(told) => Err(format!("it also tells {:?}", told.what).into()),
            Err(_) => Ok(()),
        }
    }

    /// What it has heard on a lane. Refused if something came twice, or out of order.
    pub(crate) fn heard(&mut self, lane: &str) -> Result<Heard, Fault> {
        let answer = self.ask(&format!("heard {lane}"))?;
        let (n, micros) = answer.split_once(' ').ok_or("two numbers")?;
        Ok(Heard { n: n.parse()?, delay: Duration::from_micros(micros.parse()?) })
    }

    /// Waits until so many envelopes have arrived on a lane, and no more.
    pub(crate) fn hears(&mut self, lane: &str, n: u64, within: Duration) -> Outcome {
        let deadline = Instant::now() + within;
        loop {
            let heard = self.heard(lane)?.n;
            if heard == n {
                return Ok(());
            }
            if heard > n || Instant::now() > deadline {
                return Err(format!("{heard} of {n} have arrived within {within:?}").into());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the process as nothing can prevent it.
    pub(crate) fn kill(&mut self) {
        // It may have ended.
        _ = self.child.kill().and_then(|()| self.child.wait()).is_ok();
    }

    fn line(&self, deadline: Instant) -> Result<(Instant, String), Fault> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.lines.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Timeout => "it says nothing in time".into(),
            RecvTimeoutError::Disconnected => "it has ended".into(),
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) const HERE: Who = Who { proc: 1, life: 0 };
pub(crate) const THERE: Who = Who { proc: 2, life: 0 };

/// How long anything may take before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
