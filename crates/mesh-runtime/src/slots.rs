//! What a process has one of, for those who are built upon it.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::proc::Proc;

/// One value of a type for whoever asks for it.
#[derive(Default)]
pub(crate) struct Slots(Mutex<BTreeMap<TypeId, Slot>>);

type Slot = Arc<dyn Any + Send + Sync>;

impl Proc {
    /// Works on the one value of type `T` that this process has: made when it is first asked for, and kept as
    /// long as the process. It is locked meanwhile, so `work` must not block, nor ask for it again.
    pub fn with_slot<T: Send + Default + 'static, R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let new = || Arc::<Mutex<T>>::default() as Slot;
        let slot = {
            let mut slots = self.slots().0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(TypeId::of::<T>()).or_insert_with(new))
        };
        // It is of that type: it was made so.
        let slot = slot.downcast::<Mutex<T>>().unwrap_or_default();
        work(&mut slot.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
