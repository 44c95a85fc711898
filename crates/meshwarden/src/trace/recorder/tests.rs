//! What the recorder writes, loses and counts.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use controller::{Config, Spec};
use mesh_core::{
    AgentId, Epoch, Generation, Incarnation, MeshId, MeshLabel, MeshRequest, SubscriberId, Update,
};
use mesh_shape::{Extent, Overlay, Rank, RankSet, Region};

use super::*;
use crate::trace::{Reader, TraceError};

type Report = u8;

/// A file that fails after so many bytes, and lets nobody write while it is shut.
#[derive(Clone, Debug)]
struct Disk(Arc<(Mutex<Written>, Condvar)>);

#[derive(Debug)]
struct Written {
    bytes: Vec<u8>,
    size: usize,
    is_shut: bool,
    /// Somebody wants to write while it is shut.
    is_awaited: bool,
}

impl Disk {
    fn new(size: usize, is_shut: bool) -> Self {
        let written = Written { bytes: Vec::new(), size, is_shut, is_awaited: false };
        Self(Arc::new((Mutex::new(written), Condvar::new())))
    }

    fn open(&self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).is_shut = false;
        self.0.1.notify_all();
    }

    /// Waits until somebody stands before it and it is shut.
    fn until_awaited(&self) {
        let written = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let within = Duration::from_secs(30);
        let (_written, timed_out) = self
            .0
            .1
            .wait_timeout_while(written, within, |it| !it.is_awaited)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!timed_out.timed_out(), "nobody wanted to write within {within:?}");
    }

    fn text(&self) -> String {
        let written = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(written.bytes.clone()).expect("it is JSON")
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.is_awaited = written.is_shut;
        self.0.1.notify_all();
        let mut written =
            self.0.1.wait_while(written, |it| it.is_shut).unwrap_or_else(PoisonError::into_inner);
        let n_bytes = bytes.len().min(written.size - written.bytes.len());
        if n_bytes == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        written.bytes.extend_from_slice(&bytes[..n_bytes]);
        Ok(n_bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn spec() -> Spec {
    Spec {
        mesh: MeshLabel::new(MeshId::from_random(1), "m", "plain"),
        region: Region::all(Extent::new([("a", 2)]).expect("it is a shape")).into(),
        epoch: Epoch::FIRST,
        agents: [RankSet::from(0..2)].into(),
        config: Config::local(),
        seed: u64::MAX,
    }
}

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_nanos(nanos))
}

/// A report about so many ranks, each of which says something else.
fn reported(n_ranks: usize) -> Event<Report> {
    let update = |rank: usize| Update {
        incarnation: Incarnation::FIRST,
        generation: Generation::FIRST,
        age: Duration::ZERO,
        report: (rank % 2) as u8,
    };
    let reports: Overlay<_> = (0..n_ranks).map(|rank| (Rank::new(rank), update(rank))).collect();
    Event::Answered(Answer::Reported { agent: AgentId::new(0), life: Incarnation::FIRST, reports })
}

/// What is in the trace: the steps that can be read, and what is wrong then.
fn read(text: &str) -> (usize, Option<TraceError>) {
    let mut reader = Reader::<_, Report>::open(text.as_bytes()).expect("it has a first line");
    let n_steps = reader.by_ref().map_while(Result::ok).count();
    let mut again = Reader::<_, Report>::open(text.as_bytes()).expect("it has a first line");
    (n_steps, again.find_map(Result::err))
}

/// The format, as it stands in the docs.
#[tokio::test]
async fn a_trace_is_a_header_a_line_for_each_step_and_an_end() {
    let disk = Disk::new(usize::MAX, false);
    let (mut recorder, recording) = Recorder::<Report>::start(disk.clone()).unwrap();
    recorder.begin(&spec());
    recorder.record(at(20_417), &Event::Opened, &[Effect::Finish]);
    // The end of time: one nanosecond less, since a moment is kept as a number that is not zero.
    recorder.record(at(u64::MAX), &reported(1), &[]);
    let ask = Event::Asked {
        ask: controller::AskId::new(3),
        request: MeshRequest::Stop { grace: Duration::from_millis(10), reason: None },
    };
    recorder.record(at(7), &ask, &[]);
    drop(recorder);
    let recorded = recording.finish().await;
    assert!(matches!(recorded, Recorded { steps: 3, lost: 0, error: None }), "{recorded:?}");
    let text = disk.text();
    let (header, rest) = text.split_once('\n').unwrap();
    let begins = r#"{"format":"meshwarden-trace","version":2,"kind":"plain","spec":{"mesh":{"id":"#;
    assert!(header.starts_with(begins), "{header}");
    assert_eq!(
        rest,
        r#"{"step":{"t":20417,"effects":1,"event":"Opened"}}
{"step":{"t":18446744073709551614,"effects":0,"event":{"Answered":{"Reported":{"agent":0,"life":0,"reports":[[0,1,{"incarnation":0,"generation":0,"age":{"secs":0,"nanos":0},"report":0}]]}}}}}
{"step":{"t":7,"effects":0,"event":{"Asked":{"ask":3,"request":{"Stop":{"grace":{"secs":0,"nanos":10000000},"reason":null}}}}}}
{"end":{"steps":3,"lost":0}}
"#
    );
    assert_eq!(read(&text), (3, None));
    let reader = Reader::<_, Report>::open(text.as_bytes()).unwrap();
    assert_eq!((reader.kind(), reader.spec()), ("plain", &spec()));
}

#[tokio::test]
async fn steps_that_come_too_fast_are_lost_and_the_trace_says_where() {
    let disk = Disk::new(usize::MAX, true);
    let (mut recorder, recording) = Recorder::<Report>::with_limit(disk.clone(), 10).unwrap();
    recorder.begin(&spec());
    // Whoever writes has the header in hand, and takes no step away before the disk is opened.
    disk.until_awaited();
    for _ in 0..10 {
        recorder.record(at(1), &Event::Tick, &[]);
    }
    for _ in 0..5 {
        recorder.record(at(2), &Event::Tick, &[]);
    }
    recorder.record(at(3), &reported(1), &[]);
    disk.open();
    // It is written at last, and there is room again.
    while recorder.shared.waiting.load(Ordering::Relaxed) > 0 {
        thread::yield_now();
    }
    recorder.record(at(4), &Event::Tick, &[]);
    drop(recorder);
    let recorded = recording.finish().await;
    assert!(matches!(recorded, Recorded { steps: 11, lost: 6, error: None }), "{recorded:?}");
    let text = disk.text();
    let lines: Vec<_> = text.lines().skip(10).collect();
    assert_eq!(
        lines[1..],
        [
            r#"{"lost":6}"#,
            r#"{"step":{"t":4,"effects":0,"event":"Tick"}}"#,
            r#"{"end":{"steps":11,"lost":6}}"#
        ]
    );
    assert_eq!(read(&text), (10, Some(TraceError::Lost { steps: 10, lost: 6 })));
}

#[tokio::test]
async fn a_step_of_any_size_is_taken_while_nothing_waits_and_weighs_its_ranks() {
    let disk = Disk::new(usize::MAX, true);
    let (mut recorder, recording) = Recorder::<Report>::with_limit(disk.clone(), 10).unwrap();
    recorder.begin(&spec());
    recorder.record(at(1), &reported(1_000), &[]);
    recorder.record(at(2), &Event::Unsubscribed(SubscriberId::FIRST), &[]);
    disk.open();
    drop(recorder);
    let recorded = recording.finish().await;
    assert!(matches!(recorded, Recorded { steps: 1, lost: 1, error: None }), "{recorded:?}");
    assert_eq!(read(&disk.text()), (1, Some(TraceError::Lost { steps: 1, lost: 1 })));
}

#[tokio::test]
async fn a_disk_that_is_full_loses_the_rest_and_that_is_counted() {
    let disk = Disk::new(20_000, false);
    let (mut recorder, recording) = Recorder::<Report>::start(disk.clone()).unwrap();
    recorder.begin(&spec());
    for _ in 0..1_000 {
        recorder.record(at(1), &Event::Tick, &[]);
    }
    drop(recorder);
    let Recorded { steps, lost, error } = recording.finish().await;
    assert_eq!(error.map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
    assert_eq!(steps + lost, 1_000);
    let (n_read, wrong) = read(&disk.text());
    assert!(n_read as u64 >= steps && n_read < 1_000, "{n_read} of {steps}");
    assert_eq!(wrong, Some(TraceError::Truncated { steps: n_read as u64 }));
}

/// A loop that was never set up leaves what was there.
#[tokio::test]
async fn nothing_is_written_before_the_loop_begins() {
    let disk = Disk::new(usize::MAX, false);
    let (recorder, recording) = Recorder::<Report>::start(disk.clone()).unwrap();
    drop(recorder);
    let recorded = recording.finish().await;
    assert!(matches!(recorded, Recorded { steps: 0, lost: 0, error: None }), "{recorded:?}");
    assert_eq!(disk.text(), "");
}
