//! What can be sent to a mesh of actors: to all, to each its own, to one of them; and what comes back: one
//! answer for each, as it comes, or merged into one on its way up a tree of sixteen processes.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use meshwarden::prelude::*;
use serde::{Deserialize, Serialize};

/// Keeps numbers.
struct Shelf(Vec<u64>);

impl Actor for Shelf {
    const NAME: &'static str = "shelf";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(Vec::new()))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Put>().takes::<Look>();
    }
}

/// Keeps these, too.
#[derive(Clone, Serialize, Deserialize)]
struct Put(Vec<u64>);

impl Message for Put {
    const NAME: &'static str = "verbs.Put";
    type Reply = ();
}

impl Handler<Put> for Shelf {
    async fn handle(&mut self, Put(more): Put, _: &mut Context<Self>) -> Result<(), Failure> {
        self.0.extend(more);
        Ok(())
    }
}

/// Says what is kept.
#[derive(Clone, Serialize, Deserialize)]
struct Look;

impl Message for Look {
    const NAME: &'static str = "verbs.Look";
    type Reply = Stock;
}

/// What is kept somewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Stock {
    number: u64,
    sum: u64,
    largest: u64,
}

impl Handler<Look> for Shelf {
    async fn handle(&mut self, _: Look, _: &mut Context<Self>) -> Result<Stock, Failure> {
        let (number, sum) = (self.0.len() as u64, self.0.iter().sum());
        Ok(Stock { number, sum, largest: self.0.iter().copied().max().unwrap_or(0) })
    }
}

/// Adds up what is kept.
struct Together;

impl Reducer<Stock> for Together {
    const NAME: &'static str = "verbs.Together";

    fn merge(one: Stock, other: Stock) -> Stock {
        Stock {
            number: one.number + other.number,
            sum: one.sum + other.sum,
            largest: one.largest.max(other.largest),
        }
    }
}

fn main() -> ExitCode {
    meshwarden::main(|it| _ = it.actor::<Shelf>().reducer(Together), run)
}

async fn run(root: Root) -> Result<ExitCode, ClientError> {
    let hosts = root.hosts(1).await?;
    let procs = root.procs(extent!(procs = 16)?).actors()?.spawn(&hosts).await?;
    // No process sends to more than four others.
    let spec = ActorSpec::new("shelves", &()).fan_out(FanOut::new(4)?);
    let shelves = procs.spawn_as::<Shelf>(spec).await?;

    // To each its own: the numbers below 1,600 whose remainder is its rank.
    let share = |point: Point<'_>| (0..100).map(|n| 16 * n + point.rank().index() as u64).collect();
    let not_sent = shelves.scatter(&root, |point| Put(share(point))).await;
    // To one: the same key finds the same shelf.
    let one = shelves.choose(Choice::by_key("ada"));
    let rank = one.cast(&root, Put(vec![4000])).await?;
    let (again, stock) = one.call(&root, Look).await?;
    // From each, as it comes.
    let mut n_answers = 0;
    let mut answers = shelves.call_stream(&root, Look);
    while let Some((rank, answer)) = answers.next().await {
        println!("shelf {rank} has {} numbers", answer?.number);
        n_answers += 1;
    }
    // From all, merged.
    let all = shelves.reduce(&root, Look, Together).await.complete()?.ok_or("there are shelves")?;
    println!("together {} numbers, the largest is {}", all.number, all.largest);

    let together = Stock { number: 1601, sum: 1_279_200 + 4000, largest: 4000 };
    let is_right = not_sent.is_empty() && rank == again && stock.largest == 4000;
    let is_right = is_right && n_answers == 16 && all == together;
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
