//! What is cut is put together as it was, and no part has more than it may.

use std::time::Duration;

use mesh_core::{Cause, Epoch, Escalation, EscalationReason, Failures, Incarnation};
use mesh_core::{MeshId, MeshLabel, Reason, Status};
use mesh_runtime::codec::encode;
use mesh_shape::{RankSet, Region, extent};
use proptest::prelude::*;

use super::*;

fn event(seq: u64, news: News) -> MeshEvent {
    let mesh = MeshLabel::new(MeshId::from_random(1), "street", "lamp");
    MeshEvent { mesh, reporter: Epoch::FIRST, seq, waited: Duration::ZERO, part: Part::WHOLE, news }
}

/// Ranks in so many runs, from `first`, with a cause of so many bytes.
fn change(first: usize, n_runs: usize, bytes: usize) -> Change {
    let mut ranks = RankSet::new();
    (0..n_runs).for_each(|run| ranks.insert_range(first + 2 * run..first + 2 * run + 1));
    let cause = Cause::new(Reason::error("x".repeat(bytes.min(Reason::WORDS_MAX))));
    let lines = vec!["x".repeat(80); bytes.saturating_sub(Reason::WORDS_MAX) / 80];
    let status =
        Status::failed(cause.with_alive(Duration::from_nanos(first as u64)).with_stderr(lines));
    let (incarnation, age) = (Incarnation::FIRST, Duration::ZERO);
    Change { ranks, incarnation, status, restart_in: None, age }
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let bytes = prop_oneof![0..1024_usize, Just(9 << 10)];
    let runs = prop_oneof![9 => 1..4_usize, 1 => 2000..9000_usize];
    let changes = prop::collection::vec((runs, bytes), 0..60);
    changes.prop_map(|all| {
        let mut first = 0;
        let next = |(n_runs, bytes)| {
            let change = change(first, n_runs, bytes);
            first += 2 * n_runs + 1;
            change
        };
        all.into_iter().map(next).collect()
    })
}

fn withdrawn() -> impl Strategy<Value = Vec<Withdrawal>> {
    let each = |change: Change| unlisted((List::Withdrawn, change));
    changes().prop_map(move |changes| changes.into_iter().map(each).collect())
}

fn news() -> impl Strategy<Value = News> {
    let snapshot = (changes(), changes(), changes()).prop_map(|(failed, stopped, alive)| {
        let (period, stop_reason) = (Duration::from_secs(1), Some("enough".into()));
        let (is_stopping, lagged) = (true, false);
        News::Snapshot(Snapshot {
            period,
            failed,
            stopped,
            alive,
            is_stopping,
            stop_reason,
            lagged,
        })
    });
    prop_oneof![
        snapshot,
        changes().prop_map(|changes| News::Changed(changes.into())),
        withdrawn().prop_map(|withdrawn| News::Withdrawn(withdrawn.into())),
        Just(News::Closed)
    ]
}

proptest! {
    /// N2, N5, H6: whatever an event tells is told once, in one piece and in order, and fits into messages.
    #[test]
    fn what_is_cut_is_put_together_as_it_was(all in prop::collection::vec(news(), 1..4)) {
        let all: Vec<_> = (0..).zip(all).map(|(seq, news)| event(seq, news)).collect();
        let (mut joining, mut read) = (Joining::new(), Vec::new());
        for part in all.iter().cloned().flat_map(in_parts) {
            let bytes = encode("event", &part).expect("it can be encoded").len();
            prop_assert!(bytes <= cutting::BYTES + 1024, "{bytes}");
            read.extend(joining.take(part, Timestamp::from_start(Duration::ZERO)));
        }
        prop_assert_eq!(read, all);
    }

    /// N2, N5: of an event of which any part is lost nothing is told, and what follows is told as it is.
    #[test]
    fn of_what_lacks_a_part_nothing_is_told(
        first in news(),
        second in news(),
        lost in any::<prop::sample::Index>(),
    ) {
        let mut parts: Vec<_> = in_parts(event(0, first)).collect();
        parts.remove(lost.index(parts.len()));
        let second = event(1, second);
        let (mut joining, mut read) = (Joining::new(), Vec::new());
        for part in parts.into_iter().chain(in_parts(second.clone())) {
            read.extend(joining.take(part, Timestamp::from_start(Duration::ZERO)));
        }
        prop_assert_eq!(read, [second]);
    }

    /// N1, RS3: an owner elsewhere is told of each failure once, and of an escalation when it knows them all.
    #[test]
    fn an_owner_is_told_of_each_failure_once(changes in changes(), withdrawn in withdrawn()) {
        let (mesh, ranks) = (MeshLabel::new(MeshId::from_random(1), "street", "lamp"), RankSet::new());
        let escalation = Escalation {
            reason: EscalationReason::Intensity,
            failed: ranks.clone(),
            starting: ranks,
            max_restarts: 1,
            period: None,
        };
        let failures = Failures {
            mesh,
            region: Region::all(extent!(lamps = 4).expect("it is small")).into(),
            reporter: Epoch::FIRST,
            changes,
            waited: Duration::ZERO,
            withdrawn,
            escalation: Some(escalation),
        };
        let parts: Vec<_> = failures_in_parts(failures.clone()).collect();
        let told = parts.iter().flat_map(|part| part.each().map(|(rank, it)| (rank, &it.status)));
        prop_assert!(told.eq(failures.each().map(|(rank, it)| (rank, &it.status))));
        let why = |(rank, it): (_, &Withdrawal)| (rank, it.why.clone());
        let told = parts.iter().flat_map(|part| part.each_withdrawn().map(why));
        prop_assert!(told.eq(failures.each_withdrawn().map(why)));
        for (i, part) in parts.iter().enumerate() {
            let bytes = encode("failures", part).expect("they can be encoded").len();
            prop_assert!(bytes <= cutting::BYTES + 1024, "{bytes}");
            prop_assert_eq!(part.escalation.is_some(), i + 1 == parts.len());
        }
    }
}

/// What is told of ages counts from the saying, however long the rest was on its way.
#[test]
fn an_event_is_as_old_as_its_first_part() {
    let changes: Vec<_> = (0..100).map(|rank| change(2 * rank, 1, 1024)).collect();
    let mut parts: Vec<_> = in_parts(event(0, News::Changed(changes.into()))).collect();
    assert!(parts.len() > 1, "it is cut");
    parts[0].hold(Duration::from_secs(2));
    let (mut joining, mut read) = (Joining::new(), None);
    for (second, part) in (10..).zip(parts.clone()) {
        assert_eq!(read, None, "it is not whole yet");
        read = joining.take(part, Timestamp::from_start(Duration::from_secs(second)));
    }
    let on_its_way = Duration::from_secs(2 + parts.len() as u64 - 1);
    assert_eq!(read.map(|event| event.waited), Some(on_its_way));
}
