//! Working off marked keys with a bounded number of writes under way.

use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use metallb_kit::backoff::Backoff;
use metallb_kit::dirty::Dirty;

/// Writes every key that is marked, for ever, at most `limit` at a time.
///
/// Each key has at most one write under way; when it is marked meanwhile it is written again afterwards, so only its
/// newest state counts. A key that cannot be written is tried again later and does not hold up others. `waiting` hears
/// how many keys are waiting or being written.
pub(super) async fn work_off<K, W>(
    name: &'static str,
    dirty: &Dirty<K>,
    limit: usize,
    write: impl Fn(K) -> W,
    waiting: impl Fn(usize),
) where
    K: Clone + Eq + Hash + Debug + Send,
    W: Future<Output = Result<(), metallb_kit::Error>> + Send,
{
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(60));
    let mut queue = Queue::<K>::default();
    let mut writes = FuturesUnordered::new();
    let mut pauses: FuturesUnordered<BoxFuture<'_, K>> = FuturesUnordered::new();
    loop {
        while writes.len() < limit
            && let Some(key) = queue.next()
        {
            let written = write(key.clone());
            writes.push(async move { (key, written.await) });
        }
        waiting(queue.waiting.len() + writes.len());
        tokio::select! {
            keys = dirty.take() => queue.extend(keys),
            Some((key, result)) = writes.next() => {
                queue.done(&key);
                match result {
                    Ok(()) => backoff.succeeded(&key),
                    Err(error) => {
                        let wait = backoff.failed(&key);
                        let error = format!("{:#}", anyhow::Error::from(error));
                        tracing::warn!(writer = name, object = ?key, error, again_in = ?wait, "object not written");
                        pauses.push(Box::pin(async move {
                            tokio::time::sleep(wait).await;
                            key
                        }));
                    }
                }
            }
            Some(key) = pauses.next() => dirty.mark(key),
        }
    }
}

/// Keys to work on, in the order in which they were marked, each at most once at a time.
struct Queue<K> {
    waiting: VecDeque<K>,
    known: HashSet<K>,
    busy: HashSet<K>,
    /// Marked while busy.
    again: HashSet<K>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            known: HashSet::new(),
            busy: HashSet::new(),
            again: HashSet::new(),
        }
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    fn extend(&mut self, keys: impl IntoIterator<Item = K>) {
        for key in keys {
            if self.busy.contains(&key) {
                self.again.insert(key);
            } else if self.known.insert(key.clone()) {
                self.waiting.push_back(key);
            }
        }
    }

    fn next(&mut self) -> Option<K> {
        let key = self.waiting.pop_front()?;
        self.known.remove(&key);
        self.busy.insert(key.clone());
        Some(key)
    }

    fn done(&mut self, key: &K) {
        self.busy.remove(key);
        if let Some(key) = self.again.take(key) {
            self.extend([key]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn a_key_is_worked_on_once_at_a_time_and_again_when_marked_meanwhile() {
        let mut queue = Queue::default();
        queue.extend(["a", "b", "a"]);
        assert_eq!(queue.next(), Some("a"));
        queue.extend(["a"]);
        assert_eq!(queue.next(), Some("b"));
        assert_eq!(queue.next(), None, "a is busy");
        queue.done(&"a");
        queue.done(&"b");
        assert_eq!(queue.next(), Some("a"));
        assert_eq!(queue.next(), None);
    }
}
