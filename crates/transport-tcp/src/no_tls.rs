//! What [`Tls`] is in a build without the feature `tls`: something that there is none of.

use std::convert::Infallible;

use mesh_core::Distrust;

use crate::handshake::Binding;
use crate::meet::NotMet;

/// Nobody can have one without the feature `tls`.
#[derive(Clone, Debug)]
pub struct Tls(Infallible);

/// Of nobody a certificate is judged.
#[derive(Debug)]
pub(crate) enum Judged {}

impl Judged {
    #[expect(clippy::unused_async, reason = "with the feature, it waits")]
    pub(crate) async fn ends(self) -> Distrust {
        match self {}
    }
}

impl Tls {
    pub(crate) const fn is_everywhere(&self) -> bool {
        match self.0 {}
    }

    pub(crate) const fn refusal(_: &std::io::Error) -> Option<Distrust> {
        None
    }

    #[expect(clippy::unused_async, reason = "with the feature, it waits")]
    pub(crate) async fn connect<S>(&self, _: &str, _: S) -> Result<(S, Binding, Judged), Distrust> {
        match self.0 {}
    }

    #[expect(clippy::unused_async, reason = "with the feature, it waits")]
    pub(crate) async fn accept<S>(&self, _: S) -> Result<(S, Binding, Judged), NotMet> {
        match self.0 {}
    }
}
