//! What a run ran on.

use std::fmt;
use std::fs;
use std::thread::available_parallelism;

/// What a run ran on, as it was before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    n_cores: usize,
    kernel: String,
    load: String,
}

impl Machine {
    /// Looks now.
    pub(crate) fn look() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let release = read("/proc/sys/kernel/osrelease");
        // What a builder of kernels has put behind the number says nothing.
        let number = release.split('-').next().unwrap_or_default().trim().to_owned();
        let load = read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned();
        Self { n_cores: available_parallelism().map_or(0, usize::from), kernel: number, load }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n_cores, kernel, load } = self;
        write!(f, "{n_cores} cores, Linux {kernel}; load average before: {load}")
    }
}
