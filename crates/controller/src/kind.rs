//! What a controller must know of the kind of resource it supervises.

use mesh_core::Status;

/// The kind of mesh a controller supervises: hosts, processes, actors, or yours.
///
/// Pure: no `async`, no context argument, no way to reach the network.
///
/// # Contract
///
/// - `status`, `bar` and `is_interrupted` are total and depend on the report alone, so that a run of equal
///   reports of any length costs as much as one (H8).
/// - It gives `Suspect`, `Unreachable` or `Timeout` only for a rank that lives in another which is so
///   ([`Status::within`]): of a rank's own silence the controller alone speaks.
///
/// # Examples
///
/// ```
/// use controller::Controlled;
/// use mesh_core::Status;
///
/// struct Lamps;
///
/// impl Controlled for Lamps {
///     type Report = bool;
///     const KIND: &'static str = "lamp";
///
///     fn status(&self, report: &bool) -> Status {
///         if *report { Status::Running } else { Status::Stopped }
///     }
/// }
/// ```
pub trait Controlled {
    /// What an agent says about one rank.
    type Report: Clone + PartialEq;

    /// The `mesh_kind` label of every metric and log line: `host`, `proc`, `actor`, or yours.
    const KIND: &'static str;

    /// What the report means.
    fn status(&self, report: &Self::Report) -> Status;

    /// Why no other life can begin where the one that is reported is or was: how one that had begun there would have ended.
    /// `None` if one can. What is said last of a life counts.
    ///
    /// Where none can none does, whatever the rules say, and no restart is spent on it that another rank may need (RS3). Its
    /// end is told as one for good; or, where it was told before with a promise, the promise is withdrawn, for this reason
    /// ([`Withdrawal`](mesh_core::Withdrawal)). And where ranks start together its failure escalates, and so does the failure
    /// of any that would start together with it, see [`Strategy`](mesh_core::Strategy).
    fn bar(&self, report: &Self::Report) -> Option<Status> {
        _ = report;
        None
    }

    /// Whether the life that is reported has ended well, but not of itself and not as anybody has asked it to: with what it
    /// lived in, which begins again. Then so does it, as after a failure, whatever it is told to have been (RS1): its rules
    /// would otherwise lose with the restart of a process what had not failed there. It costs no restart: that of its place
    /// was counted (RS3).
    fn is_interrupted(&self, report: &Self::Report) -> bool {
        _ = report;
        false
    }
}
