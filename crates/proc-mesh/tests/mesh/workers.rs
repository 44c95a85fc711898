//! Workers: this program again, talking with the owner of its mesh.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use mesh_shape::Rank;
use proc_mesh::{ProcNews, Registry, Worker, WorkerNews};

use crate::fixture::{Site, workers};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(workers_answer_with_who_they_are),
        trial(what_a_worker_says_last_arrives_before_the_end),
        trial(a_large_message_survives_both_ways),
        trial(a_message_to_a_rank_without_worker_comes_back),
    ]
}

pub(crate) fn register(registry: &mut Registry) {
    registry.worker("echo", echo);
    registry.worker("last-words", last_words);
    registry.worker("large", large);
}

/// What workers of some meshes do instead of becoming one.
pub(crate) fn misbehave() -> Option<ExitCode> {
    let mesh = env::var("MESHWARDEN_MESH").ok()?;
    let rank = env::var("MESHWARDEN_RANK").ok()?;
    match (mesh.as_str(), rank.as_str()) {
        ("rank-2-exits-3", "2") => {
            io::stderr().write_all(b"I would rather not\n").ok()?;
            Some(ExitCode::from(3))
        }
        ("every-100th-exits-3", rank) if rank.ends_with("42") => {
            writeln!(io::stderr(), "not I, {rank}").ok()?;
            Some(ExitCode::from(3))
        }
        ("rank-1-sleeps", "1") => {
            thread::park_timeout(Duration::from_secs(1_000));
            Some(ExitCode::SUCCESS)
        }
        _ => None,
    }
}

async fn echo(mut worker: Worker) -> ExitCode {
    while let Some(message) = worker.recv().await {
        let mut answer = format!("{}:", worker.point()).into_bytes();
        answer.extend(message);
        if worker.send(answer).await.is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// As rank 1 it has a core that takes long to write, and says when.
async fn large(mut worker: Worker) -> ExitCode {
    let is_large = worker.rank() == Rank::new(1);
    let memory = vec![1_u8; if is_large { 512 << 20 } else { 1 }];
    if is_large && worker.send(Vec::new()).await.is_err() {
        return ExitCode::FAILURE;
    }
    _ = worker.recv().await;
    ExitCode::from(memory[memory.len() / 2])
}

async fn last_words(worker: Worker) -> ExitCode {
    for number in 0..100 {
        if worker.send(vec![number; 10_000]).await.is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn workers_answer_with_who_they_are() -> Outcome {
    let site = Site::start().await?;
    let mut mesh = site.spawn(workers("echo")).await?;
    for rank in 0..4 {
        mesh.send(Rank::new(rank), b"hello".to_vec()).await?;
    }
    let mut answers = Vec::new();
    while answers.len() < 4 {
        match mesh.next().await.ok_or("the mesh has ended")? {
            ProcNews::Worker(WorkerNews::Message { message, .. }) => {
                answers.push(String::from_utf8(message)?);
            }
            ProcNews::Worker(WorkerNews::Ready { .. } | WorkerNews::Status { .. }) => (),
            news @ (ProcNews::Failed(_) | ProcNews::Unkillable(_) | ProcNews::Finished(_)) => {
                return Err(format!("{news:?}").into());
            }
        }
    }
    answers.sort_unstable();
    let expected = ["procs=0:hello", "procs=1:hello", "procs=2:hello", "procs=3:hello"];
    assert_eq!(answers, expected);
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

async fn what_a_worker_says_last_arrives_before_the_end() -> Outcome {
    let site = Site::start().await?;
    let mut mesh = site.spawn(workers("last-words")).await?;
    let mut heard = [0_u8; 4];
    while let Some(news) = mesh.next().await {
        match news {
            ProcNews::Worker(WorkerNews::Message { rank, message, .. }) => {
                assert_eq!(message[0], heard[rank.index()], "in order");
                heard[rank.index()] += 1;
            }
            ProcNews::Failed(failures) => return Err(failures.to_string().into()),
            ProcNews::Unkillable(left) => return Err(left.to_string().into()),
            ProcNews::Worker(WorkerNews::Ready { .. } | WorkerNews::Status { .. })
            | ProcNews::Finished(_) => (),
        }
    }
    assert_eq!(heard, [100; 4]);
    site.close(mesh.label().id()).await
}

async fn a_large_message_survives_both_ways() -> Outcome {
    let site = Site::start().await?;
    let mut mesh = site.spawn(workers("echo")).await?;
    let sent: Vec<u8> = (0..8_000_000_u32).map(|number| (number % 251) as u8).collect();
    mesh.send(Rank::new(3), sent.clone()).await?;
    let answer = loop {
        if let ProcNews::Worker(WorkerNews::Message { message, .. }) =
            mesh.next().await.ok_or("the mesh has ended")?
        {
            break message;
        }
    };
    assert_eq!(answer.strip_prefix(b"procs=3:"), Some(&sent[..]));
    let id = mesh.label().id();
    drop(mesh);
    site.close(id).await
}

async fn a_message_to_a_rank_without_worker_comes_back() -> Outcome {
    let site = Site::start().await?;
    let mesh = site.spawn(workers("echo")).await?;
    mesh.stop(Duration::from_secs(10)).await?;
    let refused = mesh.send(Rank::new(0), b"hello".to_vec()).await;
    assert_eq!(refused.map_err(|refused| refused.message), Err(b"hello".to_vec()));
    site.close(mesh.label().id()).await
}
