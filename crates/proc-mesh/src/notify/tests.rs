//! What programs say, and what becomes of it.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn spoken(ready: bool, watchdog: Option<Duration>) -> (Spoken, impl Fn(u64) -> Instant) {
    let start = Instant::now();
    let notify = Notify { ready_within: ready.then_some(SECOND), watchdog };
    (Spoken::new(notify, start), move |millis| start + Duration::from_millis(millis))
}

fn say(spoken: &mut Spoken, now: Instant, text: &str) -> News {
    spoken.on_message(now, Message::parse(text.as_bytes()))
}

fn stalled(what: Silence, millis: u64) -> News {
    let stall = Some(Some(Stall::silent(what, Duration::from_millis(millis))));
    News { stall, ..News::default() }
}

fn goes_on() -> News {
    News { stall: Some(None), ..News::default() }
}

#[test]
fn a_message_is_read_field_by_field_and_the_last_one_counts() {
    let text = b"READY=1\nSTATUS=one\nSTATUS=two=\x1b[1m\nERRNO=5\nERRNO=x\nEXIT_STATUS=SIGHUP\n\
        WATCHDOG_USEC=2000000\nWATCHDOG=1\nRELOADING=1\nX_MINE=7\nnothing\n=\n";
    let expected = Message {
        is_ready: true,
        feed: Some(Feed::Fed),
        watchdog: Some(SECOND * 2),
        status: Some("two=\\u{1b}[1m".to_owned()),
        errno: Some(5),
        exit_status: Some("SIGHUP".to_owned()),
        ..Message::default()
    };
    assert_eq!(Message::parse(text), expected);
    assert_eq!(Message::parse(b"READY=0\nSTOPPING=yes\nWATCHDOG=2"), Message::default());
}

#[test]
fn a_main_pid_and_descriptors_are_refused_with_the_reason() {
    let refused = Message::parse(b"MAINPID=1\nFDSTORE=1\nFDNAME=x").refused;
    let words: Vec<&str> = refused.iter().filter_map(|why| why.split(':').next()).collect();
    assert_eq!(words, ["MAINPID", "FDSTORE"]);
}

#[test]
fn a_program_is_ready_once() {
    let (mut program, at) = spoken(true, None);
    assert_eq!(say(&mut program, at(1), "STATUS=").status, Some(String::new()));
    assert!(say(&mut program, at(2), "READY=1").is_ready);
    assert_eq!(say(&mut program, at(3), "READY=1"), News::default());
}

/// The watchdog is not armed before the program is ready: its start has a deadline of its own.
#[test]
fn a_watchdog_that_is_not_fed_stalls_its_program_until_it_is() {
    let (mut program, at) = spoken(true, Some(SECOND));
    assert_eq!(program.next_deadline(), None);
    say(&mut program, at(5_000), "READY=1");
    assert_eq!(program.next_deadline(), Some(at(6_000)));
    assert_eq!(say(&mut program, at(5_900), "WATCHDOG=1"), News::default());
    assert_eq!(program.on_due(at(6_000), 0), News::default());
    assert_eq!(program.on_due(at(6_900), 0), stalled(Silence::Watchdog, 1_000));
    assert_eq!(program.on_due(at(8_000), 0), News::default(), "once");
    assert_eq!(say(&mut program, at(9_000), "WATCHDOG=1"), goes_on());
    assert_eq!(program.next_deadline(), Some(at(10_000)));
    assert_eq!(say(&mut program, at(9_100), "WATCHDOG_USEC=0"), News::default());
    assert_eq!(program.next_deadline(), None, "it need not be fed any more");
    say(&mut program, at(9_200), "WATCHDOG_USEC=500000");
    assert_eq!(program.on_due(at(9_700), 0), stalled(Silence::Watchdog, 500));
    let ends = News { status: Some(String::new()), is_stopping: true, ..goes_on() };
    assert_eq!(say(&mut program, at(9_800), "STOPPING=1"), ends);
    assert_eq!(program.next_deadline(), None);
}

/// H4
#[test]
fn a_program_that_was_suspended_has_all_the_time_again() {
    let (mut program, at) = spoken(false, Some(SECOND));
    assert_eq!(program.on_due(at(1_000), 1), News::default());
    assert_eq!(program.on_due(at(2_000), 2), News::default());
    assert_eq!(program.on_due(at(3_000), 2), stalled(Silence::Watchdog, 3_000));
}

#[test]
fn our_own_pause_is_no_hang_of_the_program() {
    let (mut program, at) = spoken(false, Some(SECOND));
    assert_eq!(program.on_due(at(60_000), 0), News::default());
    assert_eq!(program.next_deadline(), Some(at(61_000)));
}

#[test]
fn a_program_that_says_it_hangs_does_until_it_feeds_its_watchdog() {
    let (mut program, at) = spoken(false, Some(SECOND));
    let told = say(&mut program, at(10), "WATCHDOG=trigger");
    assert_eq!(told, stalled(Silence::Triggered, 0));
    assert_eq!(program.on_due(at(1_000), 0), News::default(), "that is known");
    assert_eq!(say(&mut program, at(1_200), "WATCHDOG=1"), goes_on());
}

#[test]
fn of_many_a_status_the_newest_is_told_ten_times_a_second() {
    let (mut program, at) = spoken(false, None);
    let mut told = Vec::new();
    for millis in 0..1_000 {
        told.extend(say(&mut program, at(millis), &format!("STATUS={millis}")).status);
    }
    assert_eq!(told.len(), 10);
    assert_eq!(program.next_deadline(), Some(at(1_000)));
    assert_eq!(program.on_due(at(1_000), 0).status, Some("999".to_owned()));
    assert_eq!(say(&mut program, at(2_000), "STATUS=999"), News::default(), "nothing new");
}

#[test]
fn that_a_program_ends_is_told_at_once_and_once() {
    let (mut program, at) = spoken(false, None);
    say(&mut program, at(0), "STATUS=one");
    assert_eq!(say(&mut program, at(1), "STATUS=two"), News::default(), "too soon");
    let ends = News { status: Some("two".to_owned()), is_stopping: true, ..News::default() };
    assert_eq!(say(&mut program, at(2), "STOPPING=1"), ends);
    assert_eq!(say(&mut program, at(3), "STOPPING=1"), News::default());
    let later = say(&mut program, at(500), "STATUS=three");
    assert_eq!((later.status.as_deref(), later.is_stopping), (Some("three"), true));
}

#[test]
fn the_last_words_of_a_program_are_one_line() {
    let (mut program, at) = spoken(false, None);
    assert_eq!(program.last_words(), None);
    say(&mut program, at(0), "STATUS=reading shard 3\nERRNO=5");
    say(&mut program, at(1), "EXIT_STATUS=7\nSTOPPING=1");
    let words = "STATUS=reading shard 3, ERRNO=5, EXIT_STATUS=7, STOPPING=1";
    assert_eq!(program.last_words().as_deref(), Some(words));
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "READY=1",
        "WATCHDOG=1",
        "WATCHDOG=trigger",
        "WATCHDOG_USEC=300000",
        "WATCHDOG_USEC=0",
        "STATUS=busy",
        "STOPPING=1",
        "ERRNO=2",
        "MAINPID=1",
    ]);
    prop_oneof![
        known.prop_map(|line| line.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(any::<u8>(), 0..600).prop_map(|mut tail| {
            tail.splice(0..0, *b"STATUS=");
            tail
        }),
    ]
}

proptest! {
    /// Whatever it is sent: texts have a bound and nothing in them that a terminal would obey, it is ready
    /// once at most, and what is told of its hangs alternates.
    #[test]
    fn any_bytes_are_a_message_and_leave_a_program_in_order(
        steps in prop::collection::vec((0..400_u64, prop::collection::vec(line(), 0..4)), 0..60)
    ) {
        let (mut program, at) = spoken(true, Some(SECOND));
        let (mut now, mut n_ready, mut stall) = (0, 0, None);
        for (step, lines) in steps {
            now += step;
            let message = Message::parse(&lines.join(&b'\n'));
            for text in [&message.status, &message.exit_status].into_iter().flatten() {
                prop_assert!(text.len() <= TEXT_BYTES_MAX);
                prop_assert!(!text.chars().any(|c| c.is_control() && c != '\t'));
            }
            for news in [program.on_message(at(now), message), program.on_due(at(now), 0)] {
                n_ready += u32::from(news.is_ready);
                if let Some(newer) = news.stall {
                    prop_assert_ne!(&newer, &stall);
                    stall = newer;
                }
            }
            prop_assert!(program.next_deadline().is_none_or(|due| due > at(now)));
        }
        prop_assert!(n_ready <= 1);
        prop_assert!(program.last_words().is_none_or(|words| words.len() <= 3 * TEXT_BYTES_MAX));
    }
}
