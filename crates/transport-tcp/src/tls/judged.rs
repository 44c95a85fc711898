//! A certificate is judged again while its connection lasts: [`Judged`].

use std::time::Duration;

use mesh_core::Distrust;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error};
use tokio::sync::watch;
use tokio::time::sleep;

use super::Sides;
use super::fault::of_rustls;

/// The certificate of the other side of a connection, which was good when that was made.
pub(crate) struct Judged {
    /// What it was shown as: by whoever is at this host, or by whoever has dialled.
    host: Option<ServerName<'static>>,
    /// The certificate, and those between it and the authority.
    chain: Vec<CertificateDer<'static>>,
    sides: watch::Receiver<Sides>,
}

impl Judged {
    pub(super) const fn new(
        host: Option<ServerName<'static>>,
        chain: Vec<CertificateDer<'static>>,
        sides: watch::Receiver<Sides>,
    ) -> Self {
        Self { host, chain, sides }
    }

    /// Waits until it is not trusted any more, and says why: it has expired, or what it is held against was
    /// renewed and has taken it back, or has none of its authorities any more.
    pub(crate) async fn ends(mut self) -> Distrust {
        loop {
            let now = UnixTime::now();
            let sides = self.sides.borrow_and_update().clone();
            sides.overdue.look(now.as_secs());
            if let Err(why) = self.judge(&sides, now) {
                return of_rustls(&why);
            }
            let left = self.expires(&sides).map_or(LOOK, |at| {
                // Once it has begun, the second is over to which it is good.
                Duration::from_secs((at.as_secs() + 1).saturating_sub(now.as_secs()))
            });
            tokio::select! {
                () = sleep(left.min(LOOK)) => (),
                Ok(()) = self.sides.changed() => (),
            }
        }
    }

    fn judge(&self, sides: &Sides, now: UnixTime) -> Result<(), Error> {
        let [first, between @ ..] = &self.chain[..] else {
            return Err(Error::NoCertificatesPresented);
        };
        match &self.host {
            Some(host) => {
                sides.servers.verify_server_cert(first, between, host, &[], now).map(drop)
            }
            None => sides.clients.verify_client_cert(first, between, now).map(drop),
        }
    }

    /// When it expires, as whoever judges says of a day on which nothing is good any more.
    fn expires(&self, sides: &Sides) -> Option<UnixTime> {
        match self.judge(sides, UnixTime::since_unix_epoch(NEVER)) {
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext {
                not_after, ..
            })) => Some(not_after),
            _ => None,
        }
    }
}

/// How often it is looked again in any case: the clock of the machine may be set, and what is between a
/// certificate and its authority expires too.
const LOOK: Duration = Duration::from_secs(60);

/// After everything that a certificate can say.
const NEVER: Duration = Duration::from_secs(1 << 40);
