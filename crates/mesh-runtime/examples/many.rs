//! Many at once: calls with one gathering, and one message for many that is encoded once.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use std::{error::Error, sync::Arc, time::Duration};

use mesh_runtime::mesh_core::{Message, PortRef};
use mesh_runtime::{
    Actor, Broadcast, CallError, Context, Failure, Handler, Handlers, LocalTransport, Network,
    Proc, multi_call,
};
use serde::{Deserialize, Serialize};

struct Shard(u64);

impl Actor for Shard {
    const NAME: &'static str = "shard";
    type Params = u64;
    async fn start(number: u64, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(number))
    }

    /// What it takes by address, also from other processes.
    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Multiply>();
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Multiply(u64);
impl Message for Multiply {
    const NAME: &'static str = "many.Multiply";
    type Reply = u64;
}
impl Handler<Multiply> for Shard {
    async fn handle(&mut self, by: Multiply, _: &mut Context<Self>) -> Result<u64, Failure> {
        self.0.checked_mul(by.0).ok_or_else(|| Failure::new("that is too much"))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let here = Proc::local()?;
    let shards: Vec<_> = (0..1000).map(|n| here.spawn::<Shard>(n)).collect();
    let calls = shards.iter().map(|shard| (shard, Multiply(2)));
    let products = multi_call(&here, calls).within(Duration::from_secs(5)).await;
    let sum: u64 = products.into_iter().sum::<Result<_, _>>()?;
    println!("{} actors have answered, in their order: {sum} in all", shards.len());
    assert_eq!(sum, 999_000);

    // A failure is the result of its own call only.
    let calls = shards.iter().map(|shard| (shard, Multiply(u64::MAX)));
    let products = multi_call(&here, calls).await;
    let n_good = products.iter().filter(|product| product.is_ok()).count();
    if let Err(failed) = &products[7] {
        println!("{n_good} have answered; one of the others: {failed}");
    }
    assert!(n_good == 2 && matches!(products[7], Err(CallError::Failed { .. })));

    // By address, some of them in another process: encoded once, and cloned where nothing is encoded.
    let there = Proc::local()?;
    let board = LocalTransport::encoding();
    let network = Network::new(there.clone(), Arc::new(board.another()), 0);
    let doors = network.listen(&"local://there".parse()?).await?;
    Network::new(here.clone(), Arc::new(board), 0).dial(there.peer(), &doors).await?;
    let procs = [&here, &there, &there];
    let ports: Vec<PortRef<_>> =
        (1..).zip(procs).map(|(n, proc)| proc.spawn::<Shard>(n).port()).collect();
    let triple = Broadcast::new(Multiply(3));
    let mut products = Vec::new();
    for port in ports {
        products.push(triple.call(&here, port).await?);
    }
    println!("one message for three: {products:?}");
    assert_eq!(products, [3, 6, 9]);
    Ok(())
}
