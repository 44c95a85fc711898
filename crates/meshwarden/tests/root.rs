//! root: how a program of actors ends. The test binary re-executes itself as that program.

use std::error::Error;
use std::process::{Command, ExitCode, Output};

use libtest_mimic::{Arguments, Failed, Trial};
use mesh_core::Message;
use mesh_runtime::{Actor, ActorRef, Context, Failure, Handler};

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(FAILS) => return program(true),
        Some(SUCCEEDS) => return program(false),
        _ => (),
    }
    let trials = vec![
        Trial::test("a_failure_that_nobody_handles_is_printed_once_and_ends_the_program", || {
            unhandled().map_err(Failed::from)
        }),
        Trial::test("a_program_that_ends_ends_its_actors", || handled().map_err(Failed::from)),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// E2: root cause first, once, exit code 1; the client is dropped, though it would wait for ever.
fn unhandled() -> Outcome {
    let Output { status, stdout, stderr } = run(FAILS)?;
    let report = "actor leaf failed: error: no space left\n  \
                  so actor branch failed: the failure of its child leaf was not handled\n  \
                  so actor trunk failed: the failure of its child branch was not handled\n";
    assert_eq!(String::from_utf8(stderr)?, report);
    assert_eq!(
        (status.code(), String::from_utf8(stdout)?),
        (Some(1), "trunk stops\nclient dropped\n".to_owned())
    );
    Ok(())
}

/// C2
fn handled() -> Outcome {
    let Output { status, stdout, stderr } = run(SUCCEEDS)?;
    assert_eq!(String::from_utf8(stderr)?, "");
    let said = String::from_utf8(stdout)?;
    assert_eq!((status.code(), &*said), (Some(7), "client dropped\nleaf stops\ntrunk stops\n"));
    Ok(())
}

fn run(role: &str) -> std::io::Result<Output> {
    Command::new(std::env::current_exe()?).arg(role).output()
}

/// The program: a trunk with a branch with a leaf, which fails or does not.
fn program(fails: bool) -> ExitCode {
    meshwarden::main(
        |_| (),
        async move |root| {
            let _dropped = Dropped;
            let trunk = root.actors().spawn_named::<Node>("trunk", ());
            if !fails {
                trunk.call(root.actors(), Grow("leaf")).await?;
                return Ok(ExitCode::from(7));
            }
            let branch = trunk.call(root.actors(), Grow("branch")).await?;
            let leaf = branch.call(root.actors(), Grow("leaf")).await?;
            // It is told of its own failure; the program is not kept from waiting for ever.
            _ = leaf.call(root.actors(), Fall).await.is_err();
            std::future::pending().await
        },
    )
}

/// Says that the client was dropped.
struct Dropped;

impl Drop for Dropped {
    fn drop(&mut self) {
        say("client dropped");
    }
}

#[expect(clippy::print_stdout, reason = "what it says is what the test looks at")]
fn say(what: &str) {
    println!("{what}");
}

struct Node(String);

impl Actor for Node {
    const NAME: &'static str = "node";
    type Params = ();

    async fn start(_: (), cx: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(cx.me().name().to_string()))
    }

    async fn stop(&mut self, _: &mut Context<Self>) -> Result<(), Failure> {
        if !matches!(&*self.0, "branch") {
            say(&format!("{} stops", self.0));
        }
        Ok(())
    }
}

struct Grow(&'static str);

impl Message for Grow {
    const NAME: &'static str = "root.Grow";
    type Reply = ActorRef<Node>;
}

impl Handler<Grow> for Node {
    async fn handle(
        &mut self,
        Grow(name): Grow,
        cx: &mut Context<Self>,
    ) -> Result<ActorRef<Self>, Failure> {
        Ok(cx.spawn_named(name, ()))
    }
}

struct Fall;

impl Message for Fall {
    const NAME: &'static str = "root.Fall";
    type Reply = ();
}

impl Handler<Fall> for Node {
    async fn handle(&mut self, _: Fall, _: &mut Context<Self>) -> Result<(), Failure> {
        // What is said in cleaning up is not what the test looks at.
        self.0 = "branch".to_owned();
        Err(Failure::new("no space left"))
    }
}

const FAILS: &str = "be-a-program-that-fails";
const SUCCEEDS: &str = "be-a-program-that-succeeds";
