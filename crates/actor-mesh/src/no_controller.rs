//! `NoController`: why nobody says where the ranks of a mesh are.

use std::time::Duration;

/// Why nobody says where the ranks of a mesh are, as far as it is known in the process that asks.
///
/// It follows the mesh on, so what is sent later may well be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoController {
    /// The controller of the mesh has ended, or its owner has let go of it: there will be no word of it any more.
    #[error("the controller of the mesh has ended")]
    Ended,
    /// There is no session with the process of the controller, none is being opened from here, and none was lost so short
    /// a while ago that it may come again. Nothing was sent: open one
    /// ([`Network::dial`](mesh_runtime::Network::dial)), or send from a process that has one.
    #[error(
        "there is no session with the process of the controller of the mesh, which says where the ranks are: open one"
    )]
    NoSession,
    /// Nothing has been heard of the controller for three of the periods that it states, or, if it has stated none, for as
    /// long as a call may take (N10), and it had not said before where the ranks are. Nothing was sent.
    #[error(
        "nothing is heard of the controller of the mesh any more, and it has not said where the ranks are"
    )]
    Lost,
    /// The controller has not said where the ranks are before the deadline; its process may be busy, or suspended. Nothing
    /// was sent.
    #[error("the controller of the mesh has not said within {within:?} where the ranks are")]
    Silent {
        /// How long the call, or the cast, was given.
        within: Duration,
    },
}
