//! The worker: counts the words of what it is handed, one batch at a time.

use std::process::ExitCode;

use anyhow::{Context, Result};
use meshwarden::prelude::Worker;
use serde::{Deserialize, Serialize};

use crate::cli::complain;
use crate::demo::shard::{Batch, Unread};
use crate::demo::tally::Tally;

/// The name it is registered under.
pub(crate) const ENTRY: &str = "word-counter";

/// What a worker answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reply {
    /// The number of the batch.
    pub(crate) batch: usize,
    pub(crate) counted: Result<Tally, Unread>,
}

/// The `main` of the worker: counts until no more can come.
pub(crate) async fn count(mut worker: Worker) -> ExitCode {
    while let Some(message) = worker.recv().await {
        let reply = decode(&message)
            .map(|(number, batch)| answer(number, &batch))
            .and_then(|reply| postcard::to_stdvec(&reply).context("cannot be encoded"));
        match reply {
            Ok(reply) => {
                if worker.send(reply).await.is_err() {
                    break; // nobody is left to count for
                }
            }
            Err(error) => {
                complain(format_args!("a batch was not understood: {error:#}"));
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// The message that hands a worker a batch.
///
/// # Errors
///
/// None that is known: a batch is plain data.
pub(crate) fn encode(number: usize, batch: &Batch) -> Result<Vec<u8>> {
    postcard::to_stdvec(&(number, batch)).context("a batch cannot be encoded")
}

fn decode(message: &[u8]) -> Result<(usize, Batch)> {
    postcard::from_bytes(message).context("it is no batch")
}

fn answer(batch: usize, content: &Batch) -> Reply {
    Reply { batch, counted: content.count() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::source::Source;

    #[test]
    fn a_batch_arrives_as_it_was_sent() {
        let batch = Batch { pieces: Source::fake("/a/b", "one\ntwo\n").pieces().collect() };
        assert_eq!(decode(&encode(7, &batch).unwrap()).unwrap(), (7, batch));
        assert!(decode(&[200]).is_err());
    }
}
