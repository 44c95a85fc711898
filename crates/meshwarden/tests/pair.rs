//! pair: actors of two real processes, over TCP. The test binary re-executes itself as the other one.

use std::any::type_name_of_val;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use mesh_core::{Addr, Lane, Message, PeerId, PortRef, Transport};
use mesh_runtime::{
    Actor, CallError, Context, ControlThread, Failure, Handler, Handlers, Port, Proc, ProcConfig,
    ReplyTo,
};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Handle};
use tokio::time::{sleep, timeout};
use transport_tcp::{Secret, TcpConfig, TcpTransport};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(WORKER) {
        return worker();
    }
    let trials = vec![
        trial(an_actor_of_another_process_is_called),
        trial(messages_arrive_in_order_and_large_ones_whole),
        trial(a_call_pending_at_a_killed_process_ends_at_once),
        trial(a_call_pending_at_a_suspended_process_ends_with_its_deadline),
        trial(an_answer_that_came_in_time_counts_although_its_thread_was_blocked),
        trial(a_panic_there_is_told_here_with_its_place),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Counts, and answers.
struct Counter(u64);

impl Actor for Counter {
    const NAME: &'static str = "counter";
    type Params = ();

    async fn start(_: (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(0))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Next>().takes::<Total>().takes::<Echo>();
        handlers.takes::<Late>().takes::<Hang>().takes::<Crash>();
    }
}

/// Must come in order, from 0.
#[derive(Serialize, Deserialize)]
struct Next(u64);

#[derive(Serialize, Deserialize)]
struct Total;

#[derive(Serialize, Deserialize)]
struct Echo(Vec<u8>);

/// Is answered after [`LATE`].
#[derive(Serialize, Deserialize)]
struct Late;

/// Is never answered.
#[derive(Serialize, Deserialize)]
struct Hang;

#[derive(Serialize, Deserialize)]
struct Crash;

macro_rules! message {
    ($name:ident, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("pair.", stringify!($name));
            type Reply = $reply;
        }
    };
}

message!(Next, ());
message!(Total, u64);
message!(Echo, Vec<u8>);
message!(Late, ());
message!(Hang, ());
message!(Crash, ());

impl Handler<Next> for Counter {
    async fn handle(&mut self, Next(n): Next, _: &mut Context<Self>) -> Result<(), Failure> {
        if n != self.0 {
            return Err(Failure::new(format!("{n} comes in the place of {}", self.0)));
        }
        self.0 += 1;
        Ok(())
    }
}

impl Handler<Total> for Counter {
    async fn handle(&mut self, _: Total, _: &mut Context<Self>) -> Result<u64, Failure> {
        Ok(self.0)
    }
}

impl Handler<Echo> for Counter {
    async fn handle(&mut self, echo: Echo, _: &mut Context<Self>) -> Result<Vec<u8>, Failure> {
        Ok(echo.0)
    }
}

impl Handler<Late> for Counter {
    async fn handle(&mut self, _: Late, _: &mut Context<Self>) -> Result<(), Failure> {
        sleep(LATE).await;
        Ok(())
    }
}

impl Handler<Hang> for Counter {
    async fn handle(&mut self, _: Hang, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }

    async fn handle_call(
        &mut self,
        _: Hang,
        mut reply: ReplyTo<()>,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        cx.attach(async move {
            reply.abandoned().await;
            Ok(())
        });
        Ok(())
    }
}

impl Handler<Crash> for Counter {
    async fn handle(&mut self, _: Crash, _: &mut Context<Self>) -> Result<(), Failure> {
        panic!("as asked")
    }
}

/// What the other process says of itself.
#[derive(Serialize, Deserialize)]
struct Ready {
    at: Addr,
    peer: PeerId,
    counter: PortRef<Total>,
}

/// The other process: reads the secret, listens, says where, and lives until its input closes.
fn worker() -> ExitCode {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let (mut stdin, mut secret) = (std::io::stdin(), [0; Secret::LEN]);
    let (Ok(()), Ok(runtime)) = (stdin.read_exact(&mut secret), runtime) else {
        return ExitCode::FAILURE;
    };
    let served = runtime.block_on(async {
        let proc = Proc::start(ProcConfig::local(), Handle::current());
        let transport = TcpTransport::new(config(Secret::from_bytes(secret)))?;
        let at = transport.listen(&any_port(), Lane::Data, proc.inbound(0)).await?;
        let counter = proc.spawn::<Counter>(()).port();
        let ready = serde_json::to_string(&Ready { at, peer: proc.peer(), counter })?;
        writeln!(std::io::stdout(), "{ready}")?;
        // Ends with the one who started it.
        tokio::task::spawn_blocking(move || stdin.read_to_end(&mut Vec::new())).await??;
        Ok::<(), Box<dyn Error>>(())
    });
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Two processes with a session between them.
struct Pair {
    here: Proc,
    worker: Child,
    counter: PortRef<Total>,
    _transport: TcpTransport,
}

impl Pair {
    async fn new(call_within: Duration) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Self::with(ProcConfig { call_within, ..ProcConfig::local() }).await
    }

    async fn with(config: ProcConfig) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let secret = Secret::generate()?;
        let mut worker = Command::new(std::env::current_exe()?)
            .arg(WORKER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        // By the pipe, never by an argument or a variable.
        let mut stdin = worker.stdin.take().ok_or("it was piped")?;
        stdin.write_all(&secret.to_bytes()[..])?;
        worker.stdin = Some(stdin);
        let mut line = String::new();
        BufReader::new(worker.stdout.as_mut().ok_or("it was piped")?).read_line(&mut line)?;
        let Ready { at, peer, counter } = serde_json::from_str(&line)?;
        let here = Proc::start(config, Handle::current());
        let transport = TcpTransport::new(self::config(secret))?;
        let session = transport.dial(&at, peer.proc, Lane::Data, here.inbound(0)).await?;
        here.connect(Lane::Data, session);
        Ok(Self { here, worker, counter, _transport: transport })
    }

    fn port<M: Message>(&self) -> PortRef<M> {
        PortRef::of(self.counter.actor())
    }

    fn signal(&self, signal: Signal) -> Outcome {
        let pid = Pid::from_child(&self.worker);
        Ok(kill_process(pid, signal)?)
    }

    /// Suspends the worker, and returns when it is: a thread of it may go on for a moment.
    fn suspend(&self) -> Outcome {
        self.signal(Signal::STOP)?;
        let pid = Pid::from_child(&self.worker);
        let stopped = waitpid(Some(pid), WaitOptions::UNTRACED)?;
        let is_stopped = stopped.is_some_and(|(_, status)| status.stopped());
        if is_stopped { Ok(()) } else { Err("it has not stopped, but ended".into()) }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.worker.kill().is_ok();
        _ = self.worker.wait().is_ok();
    }
}

async fn an_actor_of_another_process_is_called() -> Outcome {
    let pair = Pair::new(CALL).await?;
    assert_eq!(pair.counter.call(&pair.here, Total).await?, 0);
    pair.port().cast(&pair.here, Next(0)).await;
    assert_eq!(pair.counter.call(&pair.here, Total).await?, 1);
    Ok(())
}

/// R2, R3
async fn messages_arrive_in_order_and_large_ones_whole() -> Outcome {
    const N: u64 = 20_000;
    let pair = Pair::new(CALL).await?;
    let next = pair.port();
    for number in 0..N {
        next.cast(&pair.here, Next(number)).await;
    }
    assert_eq!(pair.counter.call(&pair.here, Total).await?, N);
    let large: Vec<u8> = (0..8 << 20).map(|n: u32| (n % 251) as u8).collect();
    let echoed = pair.port().call(&pair.here, Echo(large.clone())).await?;
    assert!(echoed == large, "8 MiB there and back");
    // One that is larger than a frame comes back, and disturbs nothing.
    let too_large = pair.port().call(&pair.here, Echo(vec![0; 17 << 20])).await;
    assert!(matches!(too_large, Err(CallError::Undelivered { .. })), "{too_large:?}");
    assert_eq!(pair.counter.call(&pair.here, Total).await?, N);
    Ok(())
}

/// R1
async fn a_call_pending_at_a_killed_process_ends_at_once() -> Outcome {
    let pair = Pair::new(CALL).await?;
    let port = pair.port();
    let begun = Instant::now();
    let kill = async {
        sleep(Duration::from_millis(200)).await;
        pair.signal(Signal::KILL)
    };
    let (answer, killed) = tokio::join!(port.call(&pair.here, Hang), kill);
    killed?;
    assert_eq!(answer, Err(CallError::PeerLost { actor: port.actor().to_string() }));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let again = port.call(&pair.here, Hang).await;
    assert!(matches!(again, Err(CallError::Undelivered { .. })), "{again:?}");
    Ok(())
}

/// A peer that is only suspended is not lost: the call ends with its deadline, and the next one is
/// answered when the peer goes on.
async fn a_call_pending_at_a_suspended_process_ends_with_its_deadline() -> Outcome {
    let pair = Pair::new(Duration::from_secs(1)).await?;
    pair.suspend()?;
    let begun = Instant::now();
    let answer = pair.counter.call(&pair.here, Total).await;
    assert!(matches!(answer, Err(CallError::Deadline { .. })), "{answer:?}");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    pair.signal(Signal::CONT)?;
    let until = Instant::now() + TEST_WITHIN;
    while pair.counter.call(&pair.here, Total).await.is_err() {
        assert!(Instant::now() < until, "it goes on, and does not answer");
    }
    Ok(())
}

/// The deadline of a call is seen to by another thread; but whoever blocks its own finds the answer that lies in the
/// socket.
async fn an_answer_that_came_in_time_counts_although_its_thread_was_blocked() -> Outcome {
    let control = ControlThread::start("pair-control")?;
    let config = ProcConfig {
        control: Some(control.handle().clone()),
        call_within: 10 * LATE,
        ..ProcConfig::local()
    };
    let blocks = move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let pair = Pair::with(config).await?;
            let port = pair.port();
            let call = port.call(&pair.here, Late);
            tokio::pin!(call);
            let is_early = timeout(LATE / 2, &mut call).await.is_ok();
            assert!(!is_early, "it is answered later");
            std::thread::sleep(12 * LATE);
            Ok(call.await?)
        })
    };
    tokio::task::spawn_blocking(blocks).await?
}

/// E1, R1
async fn a_panic_there_is_told_here_with_its_place() -> Outcome {
    let pair = Pair::new(CALL).await?;
    let answer = pair.port().call(&pair.here, Crash).await;
    let Err(CallError::Failed { cause, .. }) = answer else {
        return Err(format!("it panicked there: {answer:?}").into());
    };
    let words = cause.to_string();
    assert!(words.contains("pair.rs:") && words.ends_with("as asked"), "{words}");
    Ok(())
}

fn config(secret: Secret) -> TcpConfig {
    TcpConfig::for_lease(secret, Duration::from_secs(4))
}

fn any_port() -> Addr {
    Addr::Tcp { host: "127.0.0.1".to_owned(), port: 0 }
}

/// A test named after its function, on a runtime of its own, with a deadline.
fn trial<T, F>(test: T) -> Trial
where
    T: Fn() -> F + Send + 'static,
    F: Future<Output = Outcome>,
{
    let path = type_name_of_val(&test);
    let name = path.rsplit("::").next().unwrap_or(path);
    Trial::test(name, move || {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let outcome = runtime.block_on(async { timeout(TEST_WITHIN, test()).await });
        outcome.map_err(Failed::from)?.map_err(Failed::from)
    })
}

/// The argument that makes the binary the other process.
const WORKER: &str = "be-the-other-process";

/// How long a call waits that is to be answered.
const CALL: Duration = Duration::from_secs(30);

/// How late an answer is that is late.
const LATE: Duration = Duration::from_millis(300);

/// No test takes longer, on a busy machine either.
const TEST_WITHIN: Duration = Duration::from_secs(60);
