//! The end of a mesh of processes.

use anyhow::Result;
use meshwarden::prelude::{ProcMesh, ProcNews};
use tokio::sync::mpsc;

use crate::demo::log::Log;
use crate::demo::patience::{GRACE, patiently};
use crate::demo::subscriber::Heard;

/// Stops the ranks, and hears what the owner and the subscribers still are told.
///
/// # Errors
///
/// If they do not end.
pub(crate) async fn stop_and_hear_out(
    procs: &mut ProcMesh,
    heard: &mut mpsc::Receiver<Heard>,
    log: &mut Log,
) -> Result<()> {
    patiently("the processes to stop", procs.stop(GRACE)).await??;
    while let Some(news) = patiently("the last news of the processes", procs.next()).await? {
        match news {
            ProcNews::Failed(failures) => log.owner_told(&failures),
            ProcNews::Worker(_) | ProcNews::Unkillable(_) => (),
            ProcNews::Finished(_) => break,
        }
    }
    while let Some(heard) = patiently("the last that is heard", heard.recv()).await? {
        log.subscriber_told(&heard, procs.extent());
    }
    Ok(())
}
