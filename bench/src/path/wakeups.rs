//! How often a process was woken: a count, where a time would be that of the caches of the machine.

use std::fs;
use std::io;

/// How often the threads of a process have waited for something that came, since each of them began.
///
/// # Errors
///
/// - Any of the file system: `/proc` is that of Linux, and has nothing of a process that has ended.
pub(crate) fn of(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(FIELD));
        let count = line.and_then(|count| count.trim().parse::<u64>().ok());
        sum += count.ok_or(io::ErrorKind::InvalidData)?;
    }
    Ok(sum)
}

const FIELD: &str = "voluntary_ctxt_switches:";
