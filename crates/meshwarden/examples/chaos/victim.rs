//! The worker: obeys the orders of the driver, and idles until then.

use std::hint::black_box;
use std::process::{Command, ExitCode, Stdio};

use meshwarden::prelude::Worker;

/// The name that the worker is registered under.
pub(crate) const VICTIM: &str = "victim";

/// What it may be told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// To end with this code.
    Exit(u8),
    /// To take memory until there is none left.
    Eat,
    /// To start what leaves its process group, and to say so.
    Litter,
}

impl Order {
    /// As a message.
    pub(crate) fn encode(self) -> Vec<u8> {
        match self {
            Self::Exit(code) => format!("exit {code}").into_bytes(),
            Self::Eat => b"eat".to_vec(),
            Self::Litter => b"litter".to_vec(),
        }
    }

    fn decode(message: Vec<u8>) -> Option<Self> {
        let text = String::from_utf8(message).ok()?;
        match text.as_str() {
            "eat" => Some(Self::Eat),
            "litter" => Some(Self::Litter),
            text => Some(Self::Exit(text.strip_prefix("exit ")?.parse().ok()?)),
        }
    }
}

/// The `main` of the worker. It works in a directory of its own, named after its rank: two that write
/// cores at once would spoil each other's.
pub(crate) async fn victim(mut worker: Worker) -> ExitCode {
    if std::env::set_current_dir(worker.rank().to_string()).is_err() {
        return ExitCode::FAILURE;
    }
    while let Some(order) = worker.recv().await.and_then(Order::decode) {
        match order {
            Order::Exit(code) => return ExitCode::from(code),
            Order::Eat => eat(),
            Order::Litter => {
                if !litter() || worker.send(b"littered".to_vec()).await.is_err() {
                    break;
                }
            }
        }
    }
    ExitCode::FAILURE
}

/// Leaves processes behind; says whether it could.
fn litter() -> bool {
    let mut sh = Command::new("sh");
    sh.args(["-c", LITTER]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    sh.status().is_ok_and(|status| status.success())
}

/// Takes memory, and uses it.
fn eat() -> ! {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(vec![1; MEAL]);
        black_box(&hoard);
    }
}

/// Bytes that are taken at once.
const MEAL: usize = 1 << 20;
/// Two processes: one stays in the process group, one leaves it and its session.
const LITTER: &str = "sleep 1000 & setsid sleep 1000 &";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_arrives_as_it_was_given() {
        for order in [Order::Exit(0), Order::Exit(255), Order::Eat, Order::Litter] {
            assert_eq!(Order::decode(order.encode()), Some(order));
        }
        assert_eq!(Order::decode(b"exit 256".to_vec()), None);
    }
}
