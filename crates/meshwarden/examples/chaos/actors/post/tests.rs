//! Tests of the judge of what is cast: one that cannot fail is worthless.

use meshwarden::mesh_core::{ActorId, Incarnation, ProcId};

use super::*;

const RANK: Rank = Rank::new(1);

fn actor(index: u64) -> ActorId {
    ActorId { proc: ProcId::from_random(7), life: Incarnation::FIRST, index }
}

fn sent(number: u64, answers: impl IntoIterator<Item = Answer>) -> Sent {
    let answers: BTreeMap<Rank, Answer> = answers.into_iter().map(|it| (RANK, it)).collect();
    Sent { number, is_call: false, round: 0, answers, took: Duration::ZERO }
}

/// Two ranks: the first gets everything once, the second notes this.
fn judge(hit: Option<Hit>, sent: Vec<Sent>, notes: &[Note], returned: &[u64]) -> Judged {
    let mut post = Post::new(2);
    post.rounds = vec![hit.into_iter().map(|hit| (RANK, hit)).collect()];
    let back = |n: &u64| Returned { number: Some(*n), to: actor(2), why: String::new() };
    post.returned = returned.iter().map(back).collect();
    let all = |sent: &Sent| {
        Some(if sent.is_call { Note::Called(sent.number) } else { Note::Cast(sent.number) })
    };
    let first = sent.iter().map(all).collect();
    post.sent = sent;
    let born = [Note::Born(actor(2).to_string())];
    post.judge(&[first, born.iter().chain(notes).cloned().map(Some).collect()])
}

fn wrong(judged: &Judged) -> [usize; 4] {
    let Judged { lost, duplicate, disordered, unanswered, .. } = judged;
    assert_eq!(
        judged.is_clean(),
        [lost, duplicate, disordered, unanswered].iter().all(|it| it.is_empty())
    );
    [lost.len(), duplicate.len(), disordered.len(), unanswered.len()]
}

fn casts(hit: Option<Hit>, notes: &[u64], returned: &[u64]) -> [usize; 4] {
    let notes: Vec<Note> = notes.iter().map(|n| Note::Cast(*n)).collect();
    wrong(&judge(hit, vec![sent(1, []), sent(2, [])], &notes, returned))
}

/// R2
#[test]
fn who_nothing_is_done_to_gets_each_number_once_and_in_order() {
    for hit in [None, Some(Hit::Held)] {
        assert_eq!(casts(hit, &[1, 2], &[]), [0; 4]);
        assert_eq!(casts(hit, &[1], &[]), [1, 0, 0, 0]);
        assert_eq!(casts(hit, &[1], &[2]), [1, 0, 0, 0], "it lives");
        assert_eq!(casts(hit, &[2, 1], &[]), [0, 0, 1, 0]);
        assert_eq!(casts(hit, &[1, 2, 2], &[]), [0, 1, 1, 0]);
    }
}

/// R3
#[test]
fn of_an_actor_that_ends_each_number_arrives_or_comes_back_or_is_not_sent() {
    let hit = Some(Hit::Actor);
    assert_eq!(casts(hit, &[1], &[2]), [0; 4]);
    assert_eq!(casts(hit, &[1], &[]), [1, 0, 0, 0]);
    assert_eq!(casts(hit, &[1, 2], &[2]), [0, 1, 0, 0]);
    assert_eq!(casts(hit, &[1], &[2, 2]), [0, 1, 0, 0]);
    let unsent = [sent(1, [Answer::Unsent("it has ended".to_owned())])];
    assert_eq!(wrong(&judge(hit, unsent.to_vec(), &[], &[])), [0; 4]);
    assert_eq!(wrong(&judge(hit, unsent.to_vec(), &[Note::Cast(1)], &[])), [0, 1, 0, 0]);
    assert_eq!(wrong(&judge(None, unsent.to_vec(), &[], &[])), [1, 0, 0, 0], "it lives");
}

#[test]
fn what_was_on_its_way_to_a_killed_process_may_go_down_with_it_but_not_arrive_twice() {
    let hit = Some(Hit::Process);
    let judged = judge(hit, vec![sent(1, []), sent(2, [])], &[Note::Cast(1)], &[1]);
    assert_eq!((wrong(&judged), judged.went_down, judged.unsure), ([0; 4], 1, 1));
    assert_eq!(casts(hit, &[1, 1], &[2]), [0, 1, 1, 0]);
}

/// R1
#[test]
fn a_call_is_answered_with_its_value_or_with_the_end_of_its_rank() {
    let call = |hit, answer, notes: &[Note]| {
        let mut sent = sent(1, [answer]);
        sent.is_call = true;
        sent.answers.insert(Rank::new(0), Answer::Value(1));
        wrong(&judge(hit, vec![sent], notes, &[]))
    };
    let called = [Note::Called(1)];
    let end = || Answer::Failure("it has ended".to_owned());
    assert_eq!(call(None, Answer::Value(1), &called), [0; 4]);
    assert_eq!(call(None, Answer::Value(2), &called), [0, 0, 0, 1]);
    assert_eq!(call(None, Answer::Value(1), &[]), [0, 0, 0, 1], "who else has answered");
    assert_eq!(call(None, end(), &called), [0, 0, 0, 1], "it lives");
    for hit in [Hit::Actor, Hit::Process] {
        assert_eq!(call(Some(hit), end(), &[]), [0; 4]);
        assert_eq!(call(Some(hit), Answer::None("too late".to_owned()), &[]), [0, 0, 0, 1]);
        let twice = [called[0].clone(), called[0].clone()];
        assert_eq!(call(Some(hit), end(), &twice), [0, 1, 0, 0]);
    }
}

#[test]
fn what_comes_back_from_nobody_is_not_passed_over() {
    let mut post = Post::new(1);
    post.returned.push(Returned { number: Some(1), to: actor(4), why: String::new() });
    assert_eq!(wrong(&post.judge(&[Vec::new()])), [1, 0, 0, 0]);
}
