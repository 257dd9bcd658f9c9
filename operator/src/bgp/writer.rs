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
/// newest state counts. A key that cannot be written is tried again later and does not hold up others; when it is
/// marked before that, it is tried at once, and still comes back only once. `waiting` hears how many keys are waiting
/// or being written.
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
    // Without it every failure would start a series of attempts of its own, none of which ever ends.
    let mut paused = HashSet::new();
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
                        if paused.insert(key.clone()) {
                            pauses.push(Box::pin(async move {
                                tokio::time::sleep(wait).await;
                                key
                            }));
                        }
                    }
                }
            }
            Some(key) = pauses.next() => {
                paused.remove(&key);
                dirty.mark(key);
            }
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
    use std::cell::Cell;
    use std::time::Duration;

    use metallb_kit::dirty::Dirty;
    use tokio::time::sleep;

    use super::{Queue, work_off};

    #[tokio::test(start_paused = true)]
    async fn a_refused_key_that_is_marked_again_and_again_has_one_series_of_attempts() {
        let (dirty, attempts) = (Dirty::new(), Cell::new(0));
        let refuse = |_: u8| {
            attempts.set(attempts.get() + 1);
            async { Err(metallb_kit::Error::Config("refused".to_owned())) }
        };
        let mark = async {
            for _ in 0..100 {
                dirty.mark(1);
                sleep(Duration::from_secs(1)).await;
            }
            // Now it has been waited for as long as is waited at most.
            sleep(Duration::from_secs(3600)).await;
            attempts.set(0);
            sleep(Duration::from_secs(3600)).await;
        };
        tokio::select! {
            () = work_off("test", &dirty, 4, refuse, |_| ()) => {}
            () = mark => {}
        }
        let attempts = attempts.get();
        assert!((60..=90).contains(&attempts), "{attempts} attempts in an hour");
    }

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
