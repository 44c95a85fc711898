//! The program `meshwarden`: any command, supervised as a mesh.

#![forbid(unsafe_code)]

mod certs;
mod cli;
mod config;
mod console;
mod counted;
mod demo;
mod replay;
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    meshwarden::main(demo::register, async |root| Ok(cli::run(root).await?))
}
