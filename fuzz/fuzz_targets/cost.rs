//! What hearing something may cost: a length that is only stated buys no memory.

/// Runs `check` on `bytes`, and fails if it ever holds more memory than they can be worth.
pub(crate) fn bounded(bytes: &[u8], check: impl FnOnce(&[u8])) {
    let peak = allocation_counter::measure(|| check(bytes)).bytes_max;
    let most = (FREE + FOR_EACH * bytes.len()) as u64;
    assert!(peak <= most, "{} bytes bought {peak} of memory, and {most} at most", bytes.len());
}

/// What is there before anything is said: sessions, buffers, and the messages that they make up.
const FREE: usize = 256 * 1024;

/// What each byte may cost: it is copied some times, and makes up to one message of 900 bytes.
const FOR_EACH: usize = 1_024;
