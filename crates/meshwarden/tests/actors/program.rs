//! A program of its own that owns actors: something is done to it as a whole, and it says what it is told.

use std::io::{self, Write};
use std::time::Duration;

use meshwarden::prelude::*;
use meshwarden::supervise::MeshEvents;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::sleep;

use crate::support::{all, tens};
use crate::tool::{Now, Tool, now};

/// The first argument of a copy of this program that is one; the second is its lease in milliseconds.
pub(crate) const ARGUMENT: &str = "be-a-program";

/// How many processes it has.
pub(crate) const PROCS: usize = 3;

/// Calls its actors until its standard input ends, or its mesh has ended.
pub(crate) async fn be_a_program(root: &Root, lease: Duration) -> Result<ExitCode, ClientError> {
    let times =
        Times { timeout: lease.mul_f64(1.01) + Duration::from_secs(2), ..Times::from_lease(lease) };
    let hosts = root.hosts(1).await?;
    let procs = root.procs(format!("procs={PROCS}").parse()?).times(times).actors()?;
    let procs = procs.spawn(&hosts).await?;
    let mut tools = procs.spawn_as(tens("tools")).await?;
    tokio::spawn(tell("actor", tools.subscribe(Interest::All).await?));
    tokio::spawn(tell("process", procs.subscribe(Interest::All).await?));
    let pids: Vec<String> = procs.seats().await.iter().map(|seat| seat.pid.to_string()).collect();
    say(&format!("up {}", pids.join(" ")))?;
    call_until_the_end(root, &mut tools).await?;
    // What subscribers have is said before the end.
    sleep(Duration::from_millis(200)).await;
    say("finished")?;
    drop((tools, procs));
    hosts.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Calls all again and again, and says what the owner is told.
async fn call_until_the_end(root: &Root, tools: &mut ActorMesh<Tool>) -> Result<(), ClientError> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let all_tools = tools.mesh_ref().clone();
    loop {
        tokio::select! {
            news = tools.next() => match news {
                Some(OwnerNews::Failed(failures)) => {
                    for (rank, change) in failures.each() {
                        say(&format!("owner {rank} {}", change.status))?;
                    }
                }
                Some(OwnerNews::Finished(_)) | None => return Ok(()),
            },
            _ = lines.next_line() => return Ok(()),
            answers = call(root, &all_tools) => if let Ok(clocks) = all(&answers) {
                let clocks: Vec<String> = clocks.iter().map(u64::to_string).collect();
                say(&format!("answered {} {}", now(), clocks.join(" ")))?;
            },
        }
    }
}

async fn call(root: &Root, tools: &ActorMeshRef<Tool>) -> ValueMesh<Result<u64, RankError>> {
    sleep(Duration::from_millis(50)).await;
    tools.call(root, Now).await
}

/// Says what a subscriber is told.
async fn tell(of: &str, mut events: MeshEvents) {
    while let Some(event) = events.next().await {
        let News::Changed(changes) = event.news else { continue };
        for change in changes.iter() {
            for rank in change.ranks.iter() {
                // Whoever listens has gone with the test.
                _ = say(&format!("{of} {rank} {}", change.status)).is_ok();
            }
        }
    }
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}
