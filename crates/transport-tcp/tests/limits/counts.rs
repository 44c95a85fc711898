//! What was counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

static SNAPSHOTTER: OnceLock<Snapshotter> = OnceLock::new();
static COUNTED: Mutex<BTreeMap<(String, String), u64>> = Mutex::new(BTreeMap::new());

pub(crate) fn install() {
    let recorder = DebuggingRecorder::new();
    _ = SNAPSHOTTER.set(recorder.snapshotter()).is_ok();
    recorder.install().expect("there is no other");
}

/// How many connections were refused for this reason.
pub(crate) fn refused(reason: &str) -> u64 {
    counted("meshwarden_handshakes_refused_total", reason)
}

/// How many frames were.
pub(crate) fn frames_refused(reason: &str) -> u64 {
    counted("meshwarden_frames_refused_total", reason)
}

fn counted(name: &str, reason: &str) -> u64 {
    let mut counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    // Each snapshot has what was counted since the last one.
    for (key, _, _, value) in SNAPSHOTTER.get().expect("it is installed").snapshot().into_vec() {
        let (key, DebugValue::Counter(n)) = (key.key(), value) else { continue };
        let label = key.labels().find(|label| label.key() == "reason");
        let label = label.map(|label| label.value().to_owned()).unwrap_or_default();
        *counted.entry((key.name().to_owned(), label)).or_default() += n;
    }
    counted.get(&(name.to_owned(), reason.to_owned())).copied().unwrap_or_default()
}
