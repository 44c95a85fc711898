//! The result, as people read it.

use meshwarden::mesh_shape::Extent;

use crate::demo::job::Job;
use crate::demo::story::{Event, Listener, Moment};
use crate::demo::table::{grouped, table};

/// What was counted, what happened when, and which process counted what.
pub(crate) fn report(extent: &Extent, job: &Job, moments: &[Moment]) -> String {
    let mut text = String::new();
    for moment in moments {
        if let Event::Result { words, distinct, top, equal_to_serial } = &moment.event {
            let n_files: usize = job.shards().iter().map(|shard| shard.n_files).sum();
            text.push_str(&format!(
                "{} words, {} different ones, in {} files, counted by {} processes: {}\n\n",
                grouped(*words),
                grouped(*distinct as u64),
                grouped(n_files as u64),
                extent.size(),
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
    text.push_str(&table(&[">seconds", "what happened"], &timeline(job, moments)));
    text.push('\n');
    let head = [">rank", "point", "pid of each life", ">files", ">bytes", ">batches", ">words"];
    text.push_str(&table(&head, &ranks(extent, job, moments)));
    text
}

fn timeline(job: &Job, moments: &[Moment]) -> Vec<Vec<String>> {
    let n_spawned = moments.iter().filter(|it| matches!(it.event, Event::Spawned { .. })).count();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut is_spawned = false;
    for Moment { event, t } in moments {
        let what = match event {
            Event::Spawned { .. } if is_spawned => continue,
            Event::Spawned { .. } => {
                is_spawned = true;
                format!("spawned: {n_spawned} ranks run")
            }
            Event::Killed { rank, pid } => {
                let n_batches = job.shards().get(*rank).map_or(0, |shard| shard.batches.len());
                format!("killed: rank {rank}, pid {pid}, after 1 of its {n_batches} batches")
            }
            Event::Failure { to, rank, point, incarnation, cause, seconds, .. } => {
                let to = match to {
                    Listener::Owner => "owner",
                    Listener::Subscriber => "subscriber",
                };
                let millis = seconds * 1e3;
                format!(
                    "kill → {to} in {millis:.2} ms: rank {rank} ({point}), incarnation \
                     {incarnation}, failed: {cause}"
                )
            }
            Event::Restarted { rank, incarnation, pid } => {
                format!("restarted: rank {rank}, incarnation {incarnation}, pid {pid}")
            }
            Event::Result { .. } => "counted: every shard, that of the victim whole".to_owned(),
            Event::Stopped { left_over } => format!("stopped: {left_over} processes are left over"),
        };
        rows.push(vec![format!("{t:.4}"), what]);
    }
    rows
}

fn ranks(extent: &Extent, job: &Job, moments: &[Moment]) -> Vec<Vec<String>> {
    let pids = |of: usize| -> String {
        let pids = moments.iter().filter_map(|moment| match moment.event {
            Event::Spawned { rank, pid, .. } | Event::Restarted { rank, pid, .. } if rank == of => {
                Some(pid.to_string())
            }
            _ => None,
        });
        pids.collect::<Vec<_>>().join(", ")
    };
    let counted = extent.points().zip(job.shards()).zip(job.words());
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
                grouped(words),
            ]
        })
        .collect()
}
