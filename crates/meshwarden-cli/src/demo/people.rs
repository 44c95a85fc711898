//! The result, as people read it.

use meshwarden::mesh_shape::Extent;

use crate::counted::{self, RANKS, counted};
use crate::demo::shard::Shard;
use crate::demo::stage::Outcome;
use crate::demo::story::{Event, Moment};
use crate::demo::table::{grouped, table};

/// What was counted, what happened when, and which process counted what.
pub(crate) fn report(
    (extent, shards): (&Extent, &[Shard]),
    outcome: &Outcome,
    moments: &[Moment],
) -> String {
    let mut text = String::new();
    for moment in moments {
        if let Event::Result { words, distinct, top, equal_to_serial } = &moment.event {
            let n_files: usize = shards.iter().map(|shard| shard.n_files).sum();
            text.push_str(&format!(
                "{} words, {} different ones, in {} files, {}: {}\n\n",
                grouped(*words),
                grouped(*distinct as u64),
                grouped(n_files as u64),
                outcome.heading,
                if *equal_to_serial {
                    "the same as one thread counts"
                } else {
                    "NOT what one thread counts"
                }
            ));
            let rows = top.iter().map(|(word, n)| vec![word.clone(), grouped(*n)]);
            text.push_str(&table(&["word", ">times"], &rows.collect::<Vec<_>>()));
        }
    }
    text.push('\n');
    text.push_str(&table(&[">seconds", "what happened"], &timeline(shards, moments)));
    text.push('\n');
    let head = [">rank", "point", "pid of each life", ">files", ">bytes", ">batches", ">words"];
    text.push_str(&table(&head, &ranks((extent, shards), &outcome.words, moments)));
    text
}

fn timeline(shards: &[Shard], moments: &[Moment]) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut fault = "";
    for Moment { event, t } in moments {
        let what = match event {
            // One line is enough for each mesh.
            Event::Spawned { rank, .. } if *rank > 0 => continue,
            Event::Spawned { mesh_kind, mesh, .. } => {
                let is_of_mesh = |it: &&Moment| matches!(&it.event, Event::Spawned { mesh: of, .. } if of == mesh);
                let n_ranks = moments.iter().filter(is_of_mesh).count();
                let run = if n_ranks == 1 { "runs" } else { "run" };
                format!("spawned: {} of the {mesh_kind} mesh {run}", counted(n_ranks, RANKS))
            }
            Event::Killed { rank, pid } => {
                fault = "kill";
                let n_batches = shards.get(*rank).map_or(0, |shard| shard.batches.len());
                format!("killed: rank {rank}, pid {pid}, after 1 of its {n_batches} batches")
            }
            Event::Panicked { rank, pid } => {
                fault = "panic";
                format!("panics: the actor of rank {rank}, on pid {pid}")
            }
            Event::Answer { rank, point, error, seconds, .. } => {
                let millis = seconds * 1e3;
                format!("{fault} → answer in {millis:.2} ms: rank {rank} ({point}): {error}")
            }
            Event::Failure { to, mesh_kind, rank, point, incarnation, cause, seconds, .. } => {
                let (to, millis) = (to.name(), seconds * 1e3);
                format!(
                    "{fault} → {to} in {millis:.2} ms: {mesh_kind} rank {rank} ({point}), incarnation \
                     {incarnation}, failed: {cause}"
                )
            }
            Event::Restarted { mesh_kind, rank, incarnation, pid } => {
                format!("restarted: {mesh_kind} rank {rank}, incarnation {incarnation}, pid {pid}")
            }
            Event::Recounted { rank, by, n_ranks } => {
                let ranks = counted(*n_ranks, RANKS);
                format!("counted again: the shard of rank {rank}, by the {ranks} of {by}")
            }
            Event::Result { .. } => "counted: every shard, that of the victim whole".to_owned(),
            Event::Stopped { left_over } => format!("stopped: {}", counted::left_over(*left_over)),
        };
        rows.push(vec![format!("{t:.4}"), what]);
    }
    rows
}

/// The kind of the mesh whose processes are shown.
const PROC: &str = "proc";

fn ranks(
    (extent, shards): (&Extent, &[Shard]),
    words: &[u64],
    moments: &[Moment],
) -> Vec<Vec<String>> {
    let pids = |of: usize| -> String {
        let pids = moments.iter().filter_map(|moment| match moment.event {
            Event::Spawned { ref mesh_kind, rank, pid, .. }
            | Event::Restarted { ref mesh_kind, rank, pid, .. }
                if rank == of && mesh_kind == PROC =>
            {
                Some(pid.to_string())
            }
            _ => None,
        });
        pids.collect::<Vec<_>>().join(", ")
    };
    let counted = extent.points().zip(shards).zip(words);
    counted
        .enumerate()
        .map(|(rank, ((point, shard), words))| {
            let (files, batches) = (shard.n_files as u64, shard.batches.len() as u64);
            vec![
                rank.to_string(),
                point.to_string(),
                pids(rank),
                grouped(files),
                grouped(shard.bytes),
                grouped(batches),
                grouped(*words),
            ]
        })
        .collect()
}
