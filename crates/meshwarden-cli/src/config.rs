//! Every setting: where it can come from, in which order, and what it is now.
//!
//! A flag beats an environment variable, that beats the file, that beats the preset. Times that are
//! set nowhere are derived from the lease.

mod args;
mod file;
mod notify;
mod print;
mod settings;
mod surroundings;

pub(crate) use args::{ConfigArgs, SettingArgs};
pub(crate) use print::run;
pub(crate) use settings::{OnFailure, RestartStrategy, Settings, resolve};
