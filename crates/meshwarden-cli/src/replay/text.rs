//! Events and effects as people read them, each in one line: pure.

use std::fmt::Display;
use std::ops::Range;
use std::time::Duration;

use meshwarden::controller::{
    Controlled, Effect, Event, RestartConfig, RestartPolicy, Spec, Strategy, Subscription,
};
use meshwarden::mesh_core::{
    Answer, Change, Failures, Incarnation, Interest, MeshPhase, MeshRequest, MeshState, News,
    OneLine, Order, Progress, Reply, Request, Snapshot, Update, Withdrawal,
};
use meshwarden::mesh_shape::{RankSet, Region};

use crate::counted::{RANKS, counted};

/// More parts than that are only counted, so that a line can be read.
const PARTS_MAX: usize = 16;

/// What is supervised.
pub(crate) fn spec(spec: &Spec) -> String {
    let Spec { mesh, region, epoch, agents, config, .. } = spec;
    let told = format!(
        "{mesh}: {}, {}, {}, epoch {epoch}, lease {}, {}",
        shape(region),
        counted(region.size(), RANKS),
        counted(agents.len(), ["agent", "agents"]),
        time(config.times.lease),
        restarts(&config.restart)
    );
    OneLine(&told).to_string()
}

/// What happened.
pub(crate) fn event<C: Controlled>(kind: &C, event: &Event<C::Report>) -> String {
    let told = match event {
        Event::Opened => "opened".to_owned(),
        Event::Adopted => "adopted".to_owned(),
        Event::Answered(answer) => answered(kind, answer),
        Event::Subscribed(subscription) => subscribed(subscription),
        Event::Unsubscribed(id) => format!("subscriber {id} has gone"),
        Event::Lagged(id) => format!("subscriber {id} lagged behind, and has room again"),
        Event::Asked { ask, request } => format!("question {}: {}", ask.number(), asked(request)),
        Event::Withdrawn(ask) => format!("question {} is withdrawn", ask.number()),
        Event::Abandoned => "the owner has gone".to_owned(),
        Event::Tick => "tick".to_owned(),
    };
    OneLine(&told).to_string()
}

/// What was to be done.
pub(crate) fn effect(effect: &Effect) -> String {
    let told = match effect {
        Effect::Ask(request) => order(request),
        Effect::Tell { to, event } => {
            format!("tell subscriber {to} #{}: {}", event.seq, news(&event.news))
        }
        Effect::Refuse { to, why } => format!("refuse subscriber {to}: {why}"),
        Effect::TellOwner(failures) => format!("tell owner: {}", failed(failures)),
        Effect::Answer { ask, reply } => {
            format!("answer question {}: {}", ask.number(), replied(reply))
        }
        Effect::Finish => "finish".to_owned(),
    };
    OneLine(&told).to_string()
}

fn answered<C: Controlled>(kind: &C, answer: &Answer<C::Report>) -> String {
    match answer {
        Answer::Reported { agent, life, reports } => {
            let reports = list(reports.runs(), |(run, update)| updated(kind, run, update));
            format!("agent {agent}{} reports {reports}", again(*life))
        }
        Answer::Heard { agent, life, beat } => {
            format!("agent {agent}{}: beat {beat}", again(*life))
        }
        Answer::QueryFailed { agent } => format!("agent {agent} could not be asked"),
        Answer::Lost { agent, life } => format!("agent {agent}{} is gone", again(*life)),
        Answer::Refused { agent, obeyed } => {
            format!("agent {agent} refuses: it obeys epoch {obeyed}")
        }
        Answer::Resist { agent, ranks, incarnation, why } => {
            format!("agent {agent}: killed and not ended are {ranks} (inc {incarnation}): {why}")
        }
    }
}

fn updated<C: Controlled>(kind: &C, run: Range<usize>, update: &Update<C::Report>) -> String {
    let Update { incarnation, generation, age, report } = update;
    let (ranks, status) = (RankSet::from(run), kind.status(report));
    let ago = if age.as_millis() == 0 { String::new() } else { format!(", {} ago", seconds(*age)) };
    format!("{ranks} {status} (inc {incarnation}, gen {generation}{ago})")
}

/// Which life of an agent, if it is not the first.
fn again(life: Incarnation) -> String {
    if life == Incarnation::FIRST { String::new() } else { format!(" (life {life})") }
}

fn subscribed(subscription: &Subscription) -> String {
    let Subscription { id, interest, region, again } = subscription;
    let what = match interest {
        Interest::Terminal => "ends",
        Interest::All => "every change",
    };
    let of = region.as_ref().map(|region| format!(" of {region}")).unwrap_or_default();
    let again = if *again { ", again" } else { "" };
    format!("subscriber {id} wants {what}{of}{again}")
}

fn asked(request: &MeshRequest) -> String {
    match request {
        MeshRequest::CreateOrUpdate { region, restart } => {
            format!("it is to be {}, {}", shape(region), restarts(restart))
        }
        MeshRequest::GetState => "its state".to_owned(),
        MeshRequest::Stop { grace, reason } => {
            let because = reason.as_ref().map(|reason| format!(", because: {reason}"));
            let because = because.unwrap_or_default();
            format!("stop, with a grace of {}{because}", time(*grace))
        }
        MeshRequest::Kill => "kill all".to_owned(),
        MeshRequest::WaitRankStatus { ranks, until, within } => {
            format!("wait until {ranks} {}, for {}", progress(*until), time(*within))
        }
        MeshRequest::GetSubscriberCount => "the number of subscribers".to_owned(),
    }
}

const fn progress(progress: Progress) -> &'static str {
    match progress {
        Progress::Initializing => "are being created",
        Progress::Running => "are created",
        Progress::Stopping => "are stopping",
        Progress::Ended => "have ended",
    }
}

fn restarts(restart: &RestartConfig) -> String {
    let policy = match restart.policy {
        RestartPolicy::Temporary => return "no restarts".to_owned(),
        RestartPolicy::Transient => "after failures",
        RestartPolicy::Permanent => "after every end",
    };
    let strategy = match restart.strategy {
        Strategy::OneForOne => "one for one",
        Strategy::OneForAll => "one for all",
        Strategy::RestForOne => "rest for one",
    };
    let within = restart.period.map(|period| format!(" within {}", time(period)));
    let (max, within) = (restart.max_restarts, within.unwrap_or_default());
    format!("at most {max} restarts{within}, {policy}, {strategy}")
}

fn order(request: &Request) -> String {
    let agent = request.agent;
    match &request.order {
        Order::Start { ranks, incarnation, .. } => {
            format!("ask agent {agent} to start {ranks} (incarnation {incarnation})")
        }
        Order::Stop { ranks, incarnation } => {
            format!("ask agent {agent} to stop {ranks} (incarnation {incarnation})")
        }
        Order::Kill { ranks, incarnation } => {
            format!("ask agent {agent} to kill {ranks} (incarnation {incarnation})")
        }
        Order::Poll => format!("poll agent {agent}"),
        Order::Renew { echoed } => {
            let (life, beat) = (again(echoed.life), echoed.beat);
            format!("renew the lease of agent {agent}{life}: beat {beat}")
        }
    }
}

fn news(news: &News) -> String {
    match news {
        News::Snapshot(snapshot) => snapshot_text(snapshot),
        News::Changed(changes) => list(changes.iter(), changed),
        News::Heartbeat { period } => format!("heartbeat, every {}", time(*period)),
        News::Trouble(trouble) => trouble.to_string(),
        News::Escalated(escalation) => format!("needed {escalation}"),
        News::Recalled { ranks, restart_in } => {
            format!("{ranks} had ended, start again in {}", time(*restart_in))
        }
        News::Withdrawn(withdrawn) => list(withdrawn.iter(), Withdrawal::to_string),
        News::Stopping { reason: None } => "stopping".to_owned(),
        News::Stopping { reason: Some(reason) } => format!("stopping: {reason}"),
        News::Closed => "closed".to_owned(),
    }
}

fn snapshot_text(snapshot: &Snapshot) -> String {
    let Snapshot { failed, stopped, alive, is_stopping, lagged, .. } = snapshot;
    let name = match (lagged, is_stopping) {
        (false, false) => "snapshot",
        (false, true) => "snapshot while stopping",
        (true, false) => "snapshot after lost messages",
        (true, true) => "snapshot after lost messages, while stopping",
    };
    format!("{name}: {}", list(failed.iter().chain(stopped).chain(alive), changed))
}

fn changed(change: &Change) -> String {
    let Change { ranks, incarnation, status, .. } = change;
    format!("{ranks} {status} (inc {incarnation}){}", again_in(change))
}

fn again_in(change: &Change) -> String {
    let delay = change.restart_in.map(|delay| format!(", again in {}", seconds(delay)));
    delay.unwrap_or_default()
}

fn failed(failures: &Failures) -> String {
    let named = failures.changes.iter().map(|change| {
        let Change { ranks, incarnation, status, .. } = change;
        let who = match ranks.first() {
            Some(rank) if ranks.len() == 1 => format!("rank {rank} ({})", failures.point(rank)),
            _ => ranks.in_words(),
        };
        format!("{who}, incarnation {incarnation}, {status}{}", again_in(change))
    });
    let needed = failures.escalation.iter().map(|escalation| format!("it needed {escalation}"));
    let withdrawn = failures.withdrawn.iter().map(Withdrawal::to_string);
    list(named.chain(withdrawn).chain(needed), |part| part)
}

fn replied(reply: &Reply) -> String {
    match reply {
        Reply::State(state) => state_text(state),
        Reply::Updated { is_changed: true } => "changed".to_owned(),
        Reply::Updated { is_changed: false } => "as it was".to_owned(),
        Reply::Waited { missing, state } if missing.is_empty() => {
            format!("reached; {}", state_text(state))
        }
        Reply::Waited { missing, state } => format!("not {missing}; {}", state_text(state)),
        Reply::Taken => "taken".to_owned(),
        Reply::Subscribers(n_subscribers) => format!("{n_subscribers} subscribers"),
        Reply::Refused(why) => format!("refused: {why}"),
    }
}

fn state_text(state: &MeshState) -> String {
    let phase = match state.phase {
        MeshPhase::Initializing => "initializing",
        MeshPhase::Running => "running",
        MeshPhase::Stopping => "stopping",
        MeshPhase::Stopped => "stopped",
        MeshPhase::Failed => "failed",
    };
    let ranks = list(state.ranks.runs(), |(run, rank)| {
        format!("{} {} (inc {})", RankSet::from(run), rank.status, rank.incarnation)
    });
    format!("{phase}: {ranks}")
}

/// The texts of the first items, and how many more there are.
fn list<T>(mut items: impl Iterator<Item = T>, text: impl Fn(T) -> String) -> String {
    let mut parts: Vec<String> = items.by_ref().take(PARTS_MAX).map(text).collect();
    let n_more = items.count();
    if n_more > 0 {
        parts.push(format!("and {n_more} more"));
    }
    if parts.is_empty() { "nothing".to_owned() } else { parts.join("; ") }
}

/// The dims, and what is taken of each where that is not all.
fn shape(region: &Region) -> String {
    let base = region.base();
    if *region == Region::all(base.clone()) { base.to_string() } else { region.to_string() }
}

fn time(time: Duration) -> impl Display {
    humantime::format_duration(time)
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests;
