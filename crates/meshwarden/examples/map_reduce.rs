//! Actors on eight processes count words. One process is killed while it counts; the others count its
//! shard again, and the sum is what one thread counts.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use meshwarden::prelude::*;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

type Words = BTreeMap<String, usize>;

struct Mapper;

impl Actor for Mapper {
    const NAME: &'static str = "mapper";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Count>();
    }
}

/// Counts the words of a shard.
#[derive(Clone, Serialize, Deserialize)]
struct Count(String);

impl Message for Count {
    const NAME: &'static str = "map_reduce.Count";
    type Reply = Words;
}

impl Handler<Count> for Mapper {
    async fn handle(&mut self, shard: Count, _: &mut Context<Self>) -> Result<Words, Failure> {
        // As if there were more to count: it can be killed meanwhile.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(count(&shard.0))
    }
}

fn count(text: &str) -> Words {
    let mut words = Words::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *words.entry(word.to_lowercase()).or_default() += 1;
    }
    words
}

fn main() -> ExitCode {
    meshwarden::main(|it| _ = it.actor::<Mapper>(), run)
}

async fn run(root: Root) -> Result<ExitCode, ClientError> {
    let hosts = root.hosts(1).await?;
    let procs = root.procs(extent!(procs = 8)?).actors()?.spawn(&hosts).await?;
    let mappers = procs.spawn::<Mapper>("mappers", ()).await?;

    let mut shards: VecDeque<String> = TEXT.lines().map(str::to_owned).collect();
    let mut idle: VecDeque<isize> = (0..8).collect();
    let mut running = JoinSet::new();
    let (mut words, mut n_done, mut n_redone) = (Words::new(), 0, 0);
    loop {
        while let (Some(rank), Some(shard)) = (idle.front(), shards.front()) {
            let (rank, shard) = (*rank, shard.clone());
            let call = mappers.slice("procs", rank)?.call(&root, Count(shard.clone()));
            running.spawn(async move { (rank, shard, call.await) });
            _ = (idle.pop_front(), shards.pop_front());
        }
        let Some(answered) = running.join_next().await else { break };
        let (rank, shard, answer) = answered?;
        match answer.iter().next() {
            Some(Ok(counted)) => {
                counted.iter().for_each(|(word, n)| *words.entry(word.clone()).or_default() += n);
                idle.push_back(rank);
                n_done += 1;
                if n_done == KILLED_AFTER {
                    kill(&procs, VICTIM).await?;
                }
            }
            // Nothing more is given to it, and somebody else gets the shard.
            Some(Err(error)) => {
                println!("a shard of rank {rank} is counted again: {error}");
                shards.push_back(shard);
                n_redone += 1;
            }
            None => return Err("a slice of one rank has one answer".into()),
        }
    }
    println!("{} words, {n_redone} shards were counted again", words.values().sum::<usize>());
    let is_right = words == count(TEXT) && n_redone == 1;
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Kills the process of a rank, as anybody could.
async fn kill(procs: &ProcMesh, rank: usize) -> Result<(), ClientError> {
    let seats = procs.seats().await;
    let seat = seats.iter().find(|seat| seat.rank.index() == rank).ok_or("it has a process")?;
    let pid = Pid::from_raw(i32::try_from(seat.pid)?).ok_or("it has a pid")?;
    Ok(kill_process(pid, Signal::KILL)?)
}

const VICTIM: usize = 5;
/// How many shards have been counted when one is killed.
const KILLED_AFTER: usize = 20;
/// What is counted: each line is a shard.
const TEXT: &str = include_str!("map_reduce.rs");
