//! Timers and streams: their messages wait among all others, and all of it can be cancelled.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use std::pin::Pin;
use std::task::{self, Poll};
use std::{error::Error, time::Duration};

use futures_core::Stream;
use mesh_runtime::mesh_core::Message;
use mesh_runtime::{Actor, Attachment, Context, Failure, Handler, Proc, Stop};
use tokio::sync::mpsc;

struct Clock {
    ticks: Attachment,
    n_ticks: u32,
    diary: mpsc::Sender<String>,
}

impl Actor for Clock {
    const NAME: &'static str = "clock";
    type Params = (Lines, mpsc::Sender<String>);
    async fn start((lines, diary): Self::Params, cx: &mut Context<Self>) -> Result<Self, Failure> {
        cx.send_after(SOON, Event::Over("it is over before it began")).cancel();
        // The next line is asked for when there was room for the last one.
        cx.attach_stream(lines, Event::Line);
        let ticks = cx.send_every(SOON, || Event::Tick);
        Ok(Self { ticks, n_ticks: 0, diary })
    }
}

const SOON: Duration = Duration::from_millis(10);

enum Event {
    Tick,
    Line(String),
    Over(&'static str),
}
impl Message for Event {
    const NAME: &'static str = "timers.Event";
    type Reply = ();
}
impl Handler<Event> for Clock {
    async fn handle(&mut self, event: Event, cx: &mut Context<Self>) -> Result<(), Failure> {
        let entry = match event {
            // It was on its way when they were cancelled.
            Event::Tick if self.n_ticks == 3 => return Ok(()),
            Event::Tick => {
                self.n_ticks += 1;
                if self.n_ticks == 3 {
                    self.ticks.cancel();
                    cx.send_after(SOON, Event::Over("it is over"));
                }
                format!("tick {}", self.n_ticks)
            }
            Event::Line(line) => line,
            Event::Over(words) => {
                cx.stop(Stop::Now); // Whatever is attached ends with the actor.
                words.to_owned()
            }
        };
        Ok(self.diary.send(entry).await?)
    }
}

/// Any stream will do; this one ends when its senders are gone.
struct Lines(mpsc::Receiver<String>);

impl Stream for Lines {
    type Item = String;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<String>> {
        self.0.poll_recv(cx)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let proc = Proc::local()?;
    let (sender, lines) = mpsc::channel(8);
    let (diary, mut entries) = mpsc::channel(8);
    proc.spawn::<Clock>((Lines(lines), diary));
    sender.send("it rains".to_owned()).await?;
    sender.send("it snows".to_owned()).await?;

    let mut all = Vec::new();
    while let Some(entry) = entries.recv().await {
        println!("{entry}");
        all.push(entry);
    }
    assert_eq!(all.pop().as_deref(), Some("it is over"));
    all.sort();
    assert_eq!(all, ["it rains", "it snows", "tick 1", "tick 2", "tick 3"]);
    Ok(())
}
