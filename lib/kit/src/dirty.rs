//! A set of keys that must be looked at again.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Keys marked by watches and taken by the one loop that works on them.
///
/// Changes are coalesced by what is ready, not by a timer: the first mark is taken at once, and what is marked while
/// the loop works is taken together afterwards. Marks of one key never pile up, so memory is bounded by the number of
/// keys. Cloning gives another handle to the same set; one task takes.
#[derive(Debug)]
pub struct Dirty<T> {
    inner: Arc<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    marks: Mutex<Marks<T>>,
    wake: Notify,
}

#[derive(Debug)]
struct Marks<T> {
    order: Vec<T>,
    known: HashSet<T>,
}

impl<T> Clone for Dirty<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T: Eq + Hash + Clone> Default for Dirty<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Eq + Hash + Clone> Dirty<T> {
    /// An empty set.
    pub fn new() -> Self {
        let marks = Mutex::new(Marks {
            order: Vec::new(),
            known: HashSet::new(),
        });
        Self {
            inner: Arc::new(Inner {
                marks,
                wake: Notify::new(),
            }),
        }
    }

    /// Marks `key`. O(1).
    pub fn mark(&self, key: T) {
        let mut marks = self.lock();
        if marks.known.insert(key.clone()) {
            marks.order.push(key);
        }
        drop(marks);
        self.inner.wake.notify_one();
    }

    /// Waits until something is marked; returns every marked key once, in the order of first marking.
    pub async fn take(&self) -> Vec<T> {
        loop {
            let taken = {
                let mut marks = self.lock();
                marks.known.clear();
                std::mem::take(&mut marks.order)
            };
            if !taken.is_empty() {
                return taken;
            }
            self.inner.wake.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Marks<T>> {
        // Nothing that holds the lock can panic half-way through a change.
        self.inner.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Dirty;

    #[tokio::test]
    async fn keys_come_once_and_in_order() {
        let dirty = Dirty::new();
        for key in ["b", "a", "b"] {
            dirty.mark(key);
        }
        assert_eq!(dirty.take().await, ["b", "a"]);
        dirty.mark("b");
        assert_eq!(dirty.take().await, ["b"], "a taken key can be marked again");
    }

    #[tokio::test]
    async fn a_waiting_taker_is_woken() {
        let dirty = Dirty::new();
        let waiting = tokio::spawn({
            let dirty = dirty.clone();
            async move { dirty.take().await }
        });
        tokio::task::yield_now().await;
        dirty.mark(7);
        assert_eq!(waiting.await.unwrap(), [7]);
    }
}
