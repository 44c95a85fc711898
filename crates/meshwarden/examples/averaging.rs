//! Four actors train one linear model, each on data of its own. After each round their parameters are
//! averaged. One panics in the middle and is started again with the parameters of that moment.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use std::time::Duration;

use meshwarden::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// `y = slope * x + offset`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Model {
    slope: f64,
    offset: f64,
}

/// Trains a model on the data of one rank.
struct Trainer {
    rank: usize,
    model: Model,
    data: Vec<(f64, f64)>,
}

impl Actor for Trainer {
    const NAME: &'static str = "trainer";
    type Params = (usize, Model);
    async fn start((rank, model): Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        // The ranks share the numbers from -1 to 1.
        let xs = (0..25).map(|n| -1.0 + 2.0 * (rank * 25 + n) as f64 / (N_RANKS * 25) as f64);
        let data = xs.map(|x| (x, TRUTH.slope * x + TRUTH.offset)).collect();
        Ok(Self { rank, model, data })
    }
    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Train>().takes::<Set>();
    }
}

/// Does some steps in this round, and is answered with the model.
#[derive(Clone, Serialize, Deserialize)]
struct Train(usize);
impl Message for Train {
    const NAME: &'static str = "averaging.Train";
    type Reply = Model;
}
impl Handler<Train> for Trainer {
    async fn handle(
        &mut self,
        Train(round): Train,
        _: &mut Context<Self>,
    ) -> Result<Model, Failure> {
        assert!((self.rank, round) != FAILS, "as such things happen");
        for _ in 0..10 {
            let Model { slope, offset } = self.model;
            let of_each = self.data.iter().map(|(x, y)| (x, slope * x + offset - y));
            let sums = of_each.fold((0.0, 0.0), |sums, (x, e)| (sums.0 + e * x, sums.1 + e));
            let rate = 0.6 / self.data.len() as f64;
            self.model = Model { slope: slope - rate * sums.0, offset: offset - rate * sums.1 };
        }
        Ok(self.model)
    }
}

/// Goes on from this model.
#[derive(Clone, Serialize, Deserialize)]
struct Set(Model);
impl Message for Set {
    const NAME: &'static str = "averaging.Set";
    type Reply = ();
}
impl Handler<Set> for Trainer {
    async fn handle(&mut self, Set(model): Set, _: &mut Context<Self>) -> Result<(), Failure> {
        self.model = model;
        Ok(())
    }
}

fn main() -> ExitCode {
    meshwarden::main(|it| _ = it.actor::<Trainer>(), run)
}

async fn run(root: Root) -> Result<ExitCode, ClientError> {
    let hosts = root.hosts(1).await?;
    let procs = root.procs(extent!(procs = N_RANKS)?).actors()?.spawn(&hosts).await?;
    let (set, current) = watch::channel(Model::default());
    // Asked again for a rank that is started again: it begins with the parameters of then.
    let params = move |point: Point<'_>| (point.rank().index(), *current.borrow());
    let spec = ActorSpec::per_rank("trainers", params).restart(RestartConfig::on_failure(3));
    let mut trainers = procs.spawn_as::<Trainer>(spec).await?;

    for round in 0..N_ROUNDS_MAX {
        let answers = trainers.call(&root, Train(round)).await;
        let models: Vec<&Model> = answers.iter().filter_map(|it| it.as_ref().ok()).collect();
        let mean = |of: fn(&Model) -> f64| {
            models.iter().map(|it| of(it)).sum::<f64>() / models.len().max(1) as f64
        };
        let average = Model { slope: mean(|it| it.slope), offset: mean(|it| it.offset) };
        let error = (average.slope - TRUTH.slope).abs() + (average.offset - TRUTH.offset).abs();
        if error < 1e-6 && models.len() == N_RANKS && round > FAILS.1 {
            println!("after {round} rounds all have found {average:?}");
            let Some(OwnerNews::Failed(failures)) = trainers.next().await else { break };
            println!("{failures}");
            return Ok(ExitCode::SUCCESS);
        }
        set.send_replace(average);
        // One that is started again meanwhile has it in the next round.
        _ = trainers.cast(&root, Set(average)).await.complete().is_ok();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("they have not found it, or nobody was told of the panic");
    Ok(ExitCode::FAILURE)
}

const TRUTH: Model = Model { slope: 2.0, offset: -1.0 };
const N_RANKS: usize = 4;
const N_ROUNDS_MAX: usize = 2_000;
/// Which rank panics, and in which round.
const FAILS: (usize, usize) = (1, 10);
