//! A watch that keeps a local copy of one kind of object and tells what changed.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use futures::{StreamExt, pin_mut};
use kube::api::Api;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as start};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::tasks::Tasks;

/// One change of the local copy. Deliveries are level, not edge: they say what to look at again, and after a broken
/// connection the same object may be reported again unchanged.
#[derive(Clone, Debug)]
pub enum Change<K> {
    /// The object was added or changed; this is its present state.
    Applied(Arc<K>),
    /// The object is gone; this is the last state seen.
    Deleted(Arc<K>),
    /// The copy is complete: after the first list, and after every list that followed a broken watch.
    Synced,
}

/// Starts a supervised watch named `name` and returns the local copy. `on_change` runs after the copy has been
/// updated; it must only mark what to do and never block.
///
/// `managedFields` are dropped from the copy. A watch that fails is resumed with back-off for ever; until the first
/// list succeeds there is no [`Change::Synced`]. Cost: O(1) per change, O(n) per list.
pub fn watch<K>(
    tasks: &Tasks,
    name: &'static str,
    api: Api<K>,
    config: watcher::Config,
    on_change: impl FnMut(Change<K>) + Send + 'static,
) -> Store<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Default + Eq + Hash + Clone + Debug + Send + Sync + Unpin,
{
    watch_pruned(tasks, name, api, config, |_| (), on_change)
}

/// Like [`watch`], for a program that needs only a part of large objects: `prune` removes the rest before an object is
/// stored and reported. It must leave name, namespace and uid alone.
pub fn watch_pruned<K>(
    tasks: &Tasks,
    name: &'static str,
    api: Api<K>,
    config: watcher::Config,
    prune: fn(&mut K),
    on_change: impl FnMut(Change<K>) + Send + 'static,
) -> Store<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Default + Eq + Hash + Clone + Debug + Send + Sync + Unpin,
{
    let (store, writer) = reflector::store();
    let shutdown = tasks.shutdown();
    let follower = Follower {
        name,
        store: store.clone(),
        writer,
        relisted: None,
        prune,
        on_change,
    };
    tasks.spawn(name, async move {
        tokio::select! {
            () = follower.run(api, config) => anyhow::bail!("the stream of changes ended"),
            () = shutdown.cancelled() => Ok(()),
        }
    });
    store
}

struct Follower<K, F>
where
    K: Resource + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    name: &'static str,
    store: Store<K>,
    writer: reflector::store::Writer<K>,
    /// Keys seen in the list that is under way.
    relisted: Option<HashSet<ObjectRef<K>>>,
    prune: fn(&mut K),
    on_change: F,
}

impl<K, F> Follower<K, F>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Default + Eq + Hash + Clone + Debug + Send + Sync + Unpin,
    F: FnMut(Change<K>) + Send + 'static,
{
    async fn run(mut self, api: Api<K>, config: watcher::Config) {
        let prune = self.prune;
        let events = start(api, config).default_backoff().modify(move |object| {
            object.managed_fields_mut().clear();
            prune(object);
        });
        pin_mut!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.take(event),
                Err(error) => {
                    tracing::warn!(watch = self.name, error = %error, "watch interrupted, resuming");
                }
            }
        }
    }

    fn take(&mut self, event: Event<K>) {
        let before = matches!(event, Event::InitDone).then(|| self.store.state());
        self.writer.apply_watcher_event(&event);
        match event {
            Event::Init => self.relisted = Some(HashSet::new()),
            Event::InitApply(object) => {
                if let Some(seen) = &mut self.relisted {
                    seen.insert(ObjectRef::from(&object));
                }
            }
            Event::InitDone => self.finish_list(before.unwrap_or_default()),
            Event::Apply(object) => {
                let applied = self
                    .store
                    .get(&ObjectRef::from(&object))
                    .unwrap_or_else(|| Arc::new(object));
                (self.on_change)(Change::Applied(applied));
            }
            Event::Delete(object) => (self.on_change)(Change::Deleted(Arc::new(object))),
        }
    }

    fn finish_list(&mut self, before: Vec<Arc<K>>) {
        let seen = self.relisted.take().unwrap_or_default();
        for object in before {
            if !seen.contains(&ObjectRef::from(&*object)) {
                (self.on_change)(Change::Deleted(object));
            }
        }
        for object in self.store.state() {
            (self.on_change)(Change::Applied(object));
        }
        (self.on_change)(Change::Synced);
    }
}
