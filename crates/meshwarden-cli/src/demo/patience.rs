//! Waiting, but not for ever.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::timeout;

/// Waits for something that must happen.
///
/// # Errors
///
/// If it has not happened after [`PATIENCE`].
pub(crate) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    let waited = timeout(PATIENCE, future).await;
    waited.or_else(|_| bail!("waited {} s in vain for {what}", PATIENCE.as_secs()))
}

/// How long anything may take until it happens.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long ranks have to end when they are asked to.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// Restarts before a failure is for good. At most two are needed.
pub(crate) const RESTARTS: u32 = 3;
