//! What anybody needs for the same: a task of tokio that reads a channel of tokio, and no library.

use std::future::Future;

use meshwarden_bench_player::Failed;
use meshwarden_bench_player::actors::{Actors, panic_now, since_panic, started};
use tokio::sync::{mpsc, oneshot};

/// What an adder takes.
pub(crate) enum Word {
    Add(u64),
    Ask(u64, oneshot::Sender<u64>),
    Hold(oneshot::Receiver<()>),
}

/// Where words come out.
trait Words: Send + 'static {
    fn next(&mut self) -> impl Future<Output = Option<Word>> + Send;
}

impl Words for mpsc::Receiver<Word> {
    async fn next(&mut self) -> Option<Word> {
        self.recv().await
    }
}

impl Words for mpsc::UnboundedReceiver<Word> {
    async fn next(&mut self) -> Option<Word> {
        self.recv().await
    }
}

async fn add_up(mut words: impl Words) {
    started();
    let mut sum = 0;
    while let Some(word) = words.next().await {
        match word {
            Word::Add(number) => sum += number,
            Word::Ask(number, answer) => {
                sum += number;
                _ = answer.send(sum).is_ok();
            }
            Word::Hold(gate) => _ = gate.await.is_ok(),
        }
    }
}

/// Channels with room for so many.
#[derive(Clone)]
pub(crate) struct Bounded(pub(crate) usize);

impl Actors for Bounded {
    type Adder = mpsc::Sender<Word>;

    async fn spawn(&self, _: usize) -> Result<Self::Adder, Failed> {
        let (adder, words) = mpsc::channel(self.0);
        drop(tokio::spawn(add_up(words)));
        Ok(adder)
    }

    async fn add(to: &Self::Adder, number: u64) -> Result<(), Failed> {
        Ok(to.send(Word::Add(number)).await?)
    }

    async fn ask(to: &Self::Adder, number: u64) -> Result<u64, Failed> {
        let (answer, answered) = oneshot::channel();
        to.send(Word::Ask(number, answer)).await?;
        Ok(answered.await?)
    }

    async fn ask_all(all: &[Self::Adder], number: u64) -> Result<u64, Failed> {
        let mut answers = Vec::with_capacity(all.len());
        for to in all {
            let (answer, answered) = oneshot::channel();
            to.send(Word::Ask(number, answer)).await?;
            answers.push(answered);
        }
        added_up(answers).await
    }

    async fn hold(to: &Self::Adder, gate: oneshot::Receiver<()>) -> Result<(), Failed> {
        Ok(to.send(Word::Hold(gate)).await?)
    }

    async fn panics(&self, n: usize) -> Result<Vec<u64>, Failed> {
        panics(n).await
    }
}

/// Channels without a bound.
#[derive(Clone)]
pub(crate) struct Unbounded;

impl Actors for Unbounded {
    type Adder = mpsc::UnboundedSender<Word>;

    async fn spawn(&self, _: usize) -> Result<Self::Adder, Failed> {
        let (adder, words) = mpsc::unbounded_channel();
        drop(tokio::spawn(add_up(words)));
        Ok(adder)
    }

    async fn add(to: &Self::Adder, number: u64) -> Result<(), Failed> {
        Ok(to.send(Word::Add(number))?)
    }

    async fn ask(to: &Self::Adder, number: u64) -> Result<u64, Failed> {
        let (answer, answered) = oneshot::channel();
        to.send(Word::Ask(number, answer))?;
        Ok(answered.await?)
    }

    async fn ask_all(all: &[Self::Adder], number: u64) -> Result<u64, Failed> {
        let mut answers = Vec::with_capacity(all.len());
        for to in all {
            let (answer, answered) = oneshot::channel();
            to.send(Word::Ask(number, answer))?;
            answers.push(answered);
        }
        added_up(answers).await
    }

    async fn hold(to: &Self::Adder, gate: oneshot::Receiver<()>) -> Result<(), Failed> {
        Ok(to.send(Word::Hold(gate))?)
    }

    async fn panics(&self, n: usize) -> Result<Vec<u64>, Failed> {
        panics(n).await
    }
}

async fn added_up(answers: Vec<oneshot::Receiver<u64>>) -> Result<u64, Failed> {
    let mut sum = 0;
    for answer in answers {
        sum += answer.await?;
    }
    Ok(sum)
}

/// A parent that waits for the end of its child.
async fn panics(n: usize) -> Result<Vec<u64>, Failed> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (have, mut breed) = mpsc::unbounded_channel::<()>();
    drop(tokio::spawn(async move {
        while breed.recv().await.is_some() {
            let (panic, told_to) = oneshot::channel::<()>();
            let child = tokio::spawn(async move {
                if told_to.await.is_ok() {
                    panic_now()
                }
            });
            _ = panic.send(()).is_ok();
            if child.await.is_err() {
                _ = tell.send(since_panic()).is_ok();
            }
        }
    }));
    let mut nanos = Vec::new();
    for _ in 0..n {
        have.send(())?;
        nanos.push(told.recv().await.ok_or("the parent lives")?);
    }
    Ok(nanos)
}
