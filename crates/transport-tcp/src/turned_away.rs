//! Why somebody who has connected is turned away: [`TurnedAway`].

use std::io;

use crate::meet::NotMet;
use crate::metrics;

/// Why somebody who has connected does not become a peer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnedAway {
    #[error(transparent)]
    NotMet(#[from] NotMet),
    #[error("its address has too many in their handshake")]
    Crowd,
    #[error("it is a process of another user")]
    Foreign,
    #[error("it could not be taken: {0}")]
    NotTaken(io::Error),
    #[error("the handshake took too long")]
    TooSlow,
    #[error("it wants another lane than that of this address")]
    OtherLane,
    #[error("it resumes a session that is over")]
    Forgotten,
    #[error("a later life of it has been here")]
    Outdated,
    #[error("it has received what was never sent")]
    Protocol,
}

impl TurnedAway {
    /// The value of the `reason` label.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::NotMet(NotMet::Broken(_)) => "broken",
            Self::NotMet(NotMet::Refused(refused)) => metrics::reason(*refused),
            Self::NotMet(NotMet::Untrusted(why)) => metrics::distrusted(why),
            Self::NotMet(NotMet::TooMuch) => "too_much",
            Self::Crowd => "crowd",
            Self::Foreign => "foreign",
            Self::NotTaken(_) => "accept",
            Self::TooSlow => "deadline",
            Self::OtherLane => "lane",
            Self::Forgotten => "forgotten",
            Self::Outdated => "outdated",
            Self::Protocol => "violation",
        }
    }
}

impl From<io::Error> for TurnedAway {
    fn from(error: io::Error) -> Self {
        Self::NotMet(error.into())
    }
}
