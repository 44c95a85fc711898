//! (being written)
use anyhow::Result;
use clap::Args;
use meshwarden::{Root, proc_mesh::Registry};
use std::process::ExitCode;
/// Demo.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {}
pub(crate) fn register(_: &mut Registry) {}
pub(crate) async fn run(_: Root, _: DemoArgs) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
