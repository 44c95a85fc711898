//! Actors on four processes of their own, called together: one answer for each.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]
use meshwarden::prelude::*;

struct Greeter;
impl Actor for Greeter {
    const NAME: &'static str = "greeter";
    type Params = ();
    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }
    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Greet>();
    }
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Greet(String);
impl Message for Greet {
    const NAME: &'static str = "hello.Greet";
    type Reply = String;
}
impl Handler<Greet> for Greeter {
    async fn handle(&mut self, to: Greet, _: &mut Context<Self>) -> Result<String, Failure> {
        Ok(format!("Hello, {}, from process {}", to.0, std::process::id()))
    }
}

fn main() -> ExitCode {
    meshwarden::main(|it| _ = it.actor::<Greeter>(), greet)
}

async fn greet(root: Root) -> Result<ExitCode, ClientError> {
    let hosts = root.hosts(1).await?;
    let procs = root.procs(extent!(procs = 4)?).actors()?.spawn(&hosts).await?;
    let greeters = procs.spawn::<Greeter>("greeters", ()).await?;
    let replies = greeters.call(&root, Greet("world".to_owned())).await;
    replies.iter().for_each(|reply| println!("{reply:?}"));
    Ok(if replies.iter().all(Result::is_ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
