//! `on_wake`: a waker that does something, so that a test stands at the very moment at which somebody is woken.

use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

/// Does it once.
struct OnWake<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send + 'static> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        let work = self.0.lock().expect("nobody panics with it").take();
        work.into_iter().for_each(|work| work());
    }
}

/// A waker that does `work` when it is woken first.
pub(crate) fn on_wake(work: impl FnOnce() + Send + 'static) -> Waker {
    Waker::from(Arc::new(OnWake(Mutex::new(Some(work)))))
}
