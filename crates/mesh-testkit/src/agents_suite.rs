//! What every implementation of [`Agents`] must keep, checked from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_core::{
    AgentId, Agents, Answer, Answers, Epoch, Generation, Incarnation, MeshId, Order, Progress,
    Request, Status, Undelivered,
};
use mesh_shape::{Rank, RankSet};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, timeout_at};

/// How the suite is to talk to the agents.
#[derive(Clone, Debug)]
pub struct AgentsSuite<R> {
    /// The ranks of each agent. Each must run until it is stopped.
    pub ranks: Vec<RankSet>,
    /// What a report means, as the kind of mesh says it.
    pub status: fn(&R) -> Status,
    /// How long starting or stopping may take.
    pub patience: Duration,
}

/// What an implementation broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// It spoke of a rank that is not its own.
    #[error("agent {agent} spoke of rank {rank}, which is not its own")]
    ForeignRank {
        /// Who spoke.
        agent: AgentId,
        /// The rank of another.
        rank: Rank,
    },
    /// It spoke of a life that was never asked for: the same order twice must begin nothing new.
    #[error("rank {rank} was reported in incarnation {incarnation}, which nobody started")]
    UnknownLife {
        /// The rank.
        rank: Rank,
        /// Its life.
        incarnation: Incarnation,
    },
    /// A report did not have a higher generation than the one before it, and says something else.
    #[error("rank {rank} changed, but its generation went from {from} to {to}")]
    GenerationDidNotRise {
        /// The rank.
        rank: Rank,
        /// The generation of the report before.
        from: Generation,
        /// The generation of this report.
        to: Generation,
    },
    /// A rank that had ended was reported as something else.
    #[error("rank {rank} was reported as {status} after its end")]
    AfterTheEnd {
        /// The rank.
        rank: Rank,
        /// What it was reported as.
        status: Status,
    },
    /// A rank did not get where it was asked to, in time.
    #[error("rank {rank} did not reach {progress:?}")]
    TooLate {
        /// The rank.
        rank: Rank,
        /// Where it was asked to get.
        progress: Progress,
    },
}

/// Answers that may wait to be judged; an agent that is told that there is no room says it again.
const ANSWERS: usize = 4096;

/// Starts every rank twice, polls twice, stops every rank twice, and judges all that is answered.
///
/// Call it from a test of the implementation, on a tokio runtime.
///
/// # Errors
///
/// The first [`Breach`] of the contract of [`Agents`].
pub async fn agents_suite<A: Agents>(
    mut agents: A,
    suite: AgentsSuite<A::Report>,
) -> Result<(), Breach>
where
    A::Report: Send + 'static,
{
    let (sender, mut heard) = mpsc::channel(ANSWERS);
    let answers = Answers::new(move |answer| {
        sender.try_send(answer).map_err(|refused| match refused {
            TrySendError::Full(answer) => Undelivered::Full(answer),
            TrySendError::Closed(answer) => Undelivered::Closed(answer),
        })
    });
    let mut judge = Judge { suite, known: BTreeMap::new() };
    let incarnation = Incarnation::FIRST;
    let start = |ranks| Order::Start { ranks, incarnation, echoed: None };
    let stop = |ranks| Order::Stop { ranks, incarnation };
    judge.ask_twice(&mut agents, &answers, start);
    judge.wait(&mut heard, Progress::Running).await?;
    judge.ask_twice(&mut agents, &answers, |_| Order::Poll);
    judge.ask_twice(&mut agents, &answers, start);
    judge.ask_twice(&mut agents, &answers, stop);
    judge.wait(&mut heard, Progress::Ended).await?;
    judge.ask_twice(&mut agents, &answers, start);
    judge.ask_twice(&mut agents, &answers, |_| Order::Poll);
    judge.listen(&mut heard).await
}

/// What was said so far of each rank.
struct Judge<R> {
    suite: AgentsSuite<R>,
    known: BTreeMap<Rank, (Generation, Status)>,
}

impl<R> Judge<R> {
    fn ask_twice<A: Agents<Report = R>>(
        &self,
        agents: &mut A,
        answers: &Answers<R>,
        order: impl Fn(RankSet) -> Order,
    ) {
        for (index, ranks) in self.suite.ranks.iter().enumerate() {
            let (agent, epoch) = (AgentId::new(index), Epoch::FIRST);
            for _ in 0..2 {
                agents.perform(
                    Request {
                        mesh: MeshId::from_random(1),
                        agent,
                        epoch,
                        order: order(ranks.clone()),
                    },
                    answers,
                );
            }
        }
    }

    /// Judges what comes until every rank is as far as that.
    async fn wait(
        &mut self,
        heard: &mut mpsc::Receiver<Answer<R>>,
        progress: Progress,
    ) -> Result<(), Breach> {
        let deadline = Instant::now() + self.suite.patience;
        while let Some(rank) = self.first_before(progress) {
            match timeout_at(deadline, heard.recv()).await {
                Ok(Some(answer)) => self.judge(answer)?,
                Ok(None) | Err(_) => return Err(Breach::TooLate { rank, progress }),
            }
        }
        Ok(())
    }

    /// Judges what still comes.
    async fn listen(&mut self, heard: &mut mpsc::Receiver<Answer<R>>) -> Result<(), Breach> {
        let deadline = Instant::now() + self.suite.patience;
        while let Ok(Some(answer)) = timeout_at(deadline, heard.recv()).await {
            self.judge(answer)?;
        }
        Ok(())
    }

    fn first_before(&self, progress: Progress) -> Option<Rank> {
        let mut ranks = self.suite.ranks.iter().flat_map(RankSet::iter);
        ranks.find(|rank| {
            !self.known.get(rank).is_some_and(|(_, status)| status.has_reached(progress))
        })
    }

    fn judge(&mut self, answer: Answer<R>) -> Result<(), Breach> {
        let Answer::Reported { agent, reports, .. } = answer else { return Ok(()) };
        for (rank, update) in reports.iter() {
            let own = self.suite.ranks.get(agent.index());
            if !own.is_some_and(|own| own.contains(rank)) {
                return Err(Breach::ForeignRank { agent, rank });
            }
            let incarnation = update.incarnation;
            if incarnation != Incarnation::FIRST {
                return Err(Breach::UnknownLife { rank, incarnation });
            }
            let status = (self.suite.status)(&update.report);
            if let Some((from, known)) = self.known.get(&rank)
                && *known != status
            {
                let (from, to) = (*from, update.generation);
                if known.is_terminal() {
                    return Err(Breach::AfterTheEnd { rank, status });
                }
                if to <= from {
                    return Err(Breach::GenerationDidNotRise { rank, from, to });
                }
            }
            self.known.insert(rank, (update.generation, status));
        }
        Ok(())
    }
}
