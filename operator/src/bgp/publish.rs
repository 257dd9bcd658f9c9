//! Writes FRRConfigurations: what shall be, compared with what is.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use kube::api::{Api, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt};
use metallb_crds::frrk8s::FRRConfiguration;
use metallb_kit::apply::{delete, within};
use metallb_kit::dirty::Dirty;
use metallb_kit::tasks::Tasks;
use metallb_kit::watch::{Change, watch};

use super::inputs::{Awaited, lock};
use super::metrics::Metrics;
use super::published::{Digest, MANAGER, Published, Wanted};
use super::writer::work_off;

/// Writes under way at the same time. More would only queue in the API server.
const IN_FLIGHT: usize = 32;

/// What shall be and what is, by object name.
#[derive(Default)]
struct Books {
    wanted: HashMap<String, Arc<Wanted>>,
    live: HashMap<String, Arc<Published>>,
    /// What was written last: its version and what it was meant to be.
    written: HashMap<String, (String, Digest)>,
    /// Objects that the API server refuses, and why.
    refused: BTreeMap<String, String>,
}

/// A handle to the writer of FRRConfigurations.
#[derive(Clone)]
pub(super) struct Publisher {
    books: Arc<Mutex<Books>>,
    dirty: Dirty<String>,
    api: Api<FRRConfiguration>,
    metrics: Metrics,
    on_refusal: Arc<dyn Fn() + Send + Sync>,
}

/// What to do about one object.
enum Action {
    Nothing,
    Apply(Arc<Wanted>),
    Delete,
}

impl Publisher {
    /// Watches the FRRConfigurations of `namespace`. `on_refusal` is called when the answer of
    /// [`Publisher::refused`] changes.
    pub(super) fn follow(
        tasks: &Tasks,
        client: &Client,
        namespace: &str,
        awaited: &Awaited,
        metrics: Metrics,
        on_refusal: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let publisher = Self {
            books: Arc::default(),
            dirty: Dirty::new(),
            api: Api::namespaced(client.clone(), namespace),
            metrics,
            on_refusal: Arc::new(on_refusal),
        };
        let (books, dirty) = (Arc::clone(&publisher.books), publisher.dirty.clone());
        let mut synced = awaited.expect();
        let api = Api::<Published>::namespaced(client.clone(), namespace);
        watch(
            tasks,
            "bgp-watch-frrconfigurations",
            api,
            watcher::Config::default(),
            move |change| match change {
                Change::Applied(object) => {
                    let name = object.name_any();
                    lock(&books).live.insert(name.clone(), object);
                    dirty.mark(name);
                }
                Change::Deleted(object) => {
                    let name = object.name_any();
                    lock(&books).live.remove(&name);
                    dirty.mark(name);
                }
                Change::Synced => synced(),
            },
        );
        publisher
    }

    /// Sets what the object shall be; with `None` there shall be none. O(1).
    pub(super) fn want(&self, name: &str, wanted: Option<Wanted>) {
        let mut books = lock(&self.books);
        match wanted {
            Some(wanted) if books.wanted.get(name).is_some_and(|known| known.same_as(&wanted)) => return,
            Some(wanted) => {
                books.wanted.insert(name.to_owned(), Arc::new(wanted));
            }
            None => {
                books.wanted.remove(name);
                books.written.remove(name);
            }
        }
        drop(books);
        self.dirty.mark(name.to_owned());
    }

    /// Objects that the API server refuses, and why.
    pub(super) fn refused(&self) -> BTreeMap<String, String> {
        lock(&self.books).refused.clone()
    }

    /// Writes for ever. Must not be called before the first plan is complete: what is not wanted is deleted.
    pub(super) async fn run(&self) {
        let write = |name: String| async move { self.write(&name).await };
        work_off("FRRConfiguration", &self.dirty, IN_FLIGHT, write, |count| {
            self.metrics.pending(count);
        })
        .await;
    }

    async fn write(&self, name: &str) -> Result<(), metallb_kit::Error> {
        let (action, news) = lock(&self.books).next(name);
        if news {
            (self.on_refusal)();
        }
        let (verb, result) = match action {
            Action::Nothing => return Ok(()),
            Action::Apply(wanted) => ("apply", self.apply(name, &wanted).await),
            Action::Delete => ("delete", delete(&self.api, name).await),
        };
        self.metrics.wrote(
            verb,
            result.as_ref().map_or_else(metallb_kit::Error::kind, |()| "ok"),
        );
        self.note_refusal(name, result.as_ref().err());
        result
    }

    async fn apply(&self, name: &str, wanted: &Wanted) -> Result<(), metallb_kit::Error> {
        let params = PatchParams::apply(MANAGER).force();
        let what = format!("apply FRRConfiguration {name}");
        let patch = Patch::Apply(wanted.body());
        // Only the metadata comes back: the rest is known, and long.
        let stored = within(&what, self.api.patch_metadata(name, &params, &patch)).await?;
        let version = stored.metadata.resource_version.unwrap_or_default();
        lock(&self.books)
            .written
            .insert(name.to_owned(), (version, wanted.digest().clone()));
        Ok(())
    }

    fn note_refusal(&self, name: &str, error: Option<&metallb_kit::Error>) {
        let message = error
            .and_then(metallb_kit::Error::status)
            .map(|status| status.message.as_str());
        let changed = lock(&self.books).refuse(name, message);
        if changed {
            (self.on_refusal)();
        }
    }
}

impl Books {
    /// What to do about an object, and whether that changes what is known of refusals: one that needs no write any
    /// more, because it is as it shall be or shall not be at all, is not refused any more either.
    fn next(&mut self, name: &str) -> (Action, bool) {
        let action = self.action(name);
        let news = matches!(action, Action::Nothing) && self.refuse(name, None);
        (action, news)
    }

    fn action(&self, name: &str) -> Action {
        let live = self.live.get(name);
        match (self.wanted.get(name), live) {
            (Some(wanted), Some(live)) if wanted.is_met_by(live) => Action::Nothing,
            (Some(wanted), Some(live)) if wanted.metadata_is_met_by(live) => {
                // Should the API server store something else than it was given, writing again would not help.
                let version = live.meta().resource_version.as_ref();
                match self.written.get(name) {
                    Some((written, digest)) if Some(written) == version && digest == wanted.digest() => {
                        Action::Nothing
                    }
                    _ => Action::Apply(Arc::clone(wanted)),
                }
            }
            (Some(wanted), _) => Action::Apply(Arc::clone(wanted)),
            (None, Some(live)) if live.is_ours() => Action::Delete,
            (None, _) => Action::Nothing,
        }
    }

    /// Notes why the API server refuses an object, or (with `None`) that nothing is wrong with it. True when that is
    /// news.
    fn refuse(&mut self, name: &str, message: Option<&str>) -> bool {
        let before = match message {
            Some(message) => self.refused.insert(name.to_owned(), message.to_owned()),
            None => self.refused.remove(name),
        };
        before.as_deref() != message
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Node;
    use metallb_crds::frrk8s::BGPConfig;
    use metallb_domain::bgp::NodePlan;

    use super::super::published::SharedBgp;
    use super::*;

    #[test]
    fn a_refusal_is_forgotten_with_the_node_it_was_about() {
        let plan = NodePlan {
            node: "edge-a".into(),
            hostname: "edge-a".into(),
            bgp: Arc::new(BGPConfig::default()),
        };
        let shared = Arc::new(SharedBgp::new(&plan.bgp).unwrap());
        let wanted = Arc::new(Wanted::new(&plan, shared, "lb-system", &Node::default()));
        let name = "metallb-edge-a";
        let mut books = Books::default();
        books.wanted.insert(name.to_owned(), wanted);
        assert!(matches!(books.next(name), (Action::Apply(_), false)));
        assert!(books.refuse(name, Some("quota exceeded")));
        assert!(
            matches!(books.next(name), (Action::Apply(_), false)),
            "it is refused still"
        );
        books.wanted.remove(name);
        assert!(matches!(books.next(name), (Action::Nothing, true)));
        assert!(books.refused.is_empty());
        assert!(matches!(books.next(name), (Action::Nothing, false)));
    }
}
