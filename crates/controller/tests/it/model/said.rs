//! said: what agents of the model say of a rank, and the kind of mesh that understands it.

use std::fmt;

use controller::{Controlled, Controller};
use mesh_core::{Cause, Reason, Status};

/// A report: what the rank is, and whether another life can begin where it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Said {
    pub(super) status: Status,
    pub(super) is_barred: bool,
}

/// Ranks that live in something, which can be gone.
#[derive(Clone, Debug)]
pub(super) struct Guests;

pub(super) type Mesh = Controller<Guests>;

pub(super) type Event = controller::Event<Said>;

impl Controlled for Guests {
    type Report = Said;
    const KIND: &'static str = "guest";

    fn status(&self, report: &Said) -> Status {
        report.status.clone()
    }

    fn bar(&self, report: &Said) -> Option<Status> {
        report.is_barred.then(|| Status::failed(Cause::new(Reason::Inherited)))
    }
}

impl From<Status> for Said {
    /// Of a rank whose place is there.
    fn from(status: Status) -> Self {
        Self { status, is_barred: false }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.status, if self.is_barred { ", for good" } else { "" })
    }
}
