//! The foreman: an actor of the driver's process that counters ask whether they may answer.

use meshwarden::mesh_runtime::ReplyTo;
use meshwarden::prelude::{Actor, Context, Failure, Handler, Handlers, Rank};
use tokio::sync::mpsc;

use crate::demo::actors::counter::AtWork;

/// A counter that is known to be in mid-call, and whom to tell that it may go on.
pub(crate) type Asked = (Rank, ReplyTo<()>);

/// Hands the questions on to the driver, which answers them.
pub(crate) struct Foreman {
    driver: mpsc::Sender<Asked>,
}

impl Actor for Foreman {
    const NAME: &'static str = "foreman";
    type Params = mpsc::Sender<Asked>;

    async fn start(driver: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self { driver })
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<AtWork>();
    }
}

impl Handler<AtWork> for Foreman {
    async fn handle(&mut self, _: AtWork, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }

    async fn handle_call(
        &mut self,
        AtWork { rank }: AtWork,
        reply: ReplyTo<()>,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        // A driver that is gone needs no answers either.
        _ = self.driver.send((rank, reply)).await.is_ok();
        Ok(())
    }
}
