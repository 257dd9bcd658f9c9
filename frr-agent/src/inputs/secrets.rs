//! Watches on single Secrets, as long as an FRRConfiguration names them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{StreamExt, pin_mut};
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use metallb_crds::frrk8s::Password;
use metallb_frr::merge::Secret;
use metallb_kit::dirty::Dirty;
use metallb_kit::tasks::Tasks;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

type Stored = k8s_openapi::api::core::v1::Secret;

/// The Secrets that are named at present.
#[derive(Debug)]
pub struct SecretWatches {
    named: watch::Sender<BTreeSet<String>>,
    known: Known,
}

/// What has been seen so far; `None` for a Secret that does not exist.
#[derive(Clone, Debug, Default)]
struct Known(Arc<Mutex<BTreeMap<String, Option<Secret>>>>);

impl Known {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Option<Secret>>> {
        // Nothing that holds the lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SecretWatches {
    /// Watches nothing yet. `changed` is marked when a named Secret was seen for the first time or changed.
    pub fn start(tasks: &Tasks, api: Api<Stored>, changed: Dirty<()>) -> Self {
        let (named, receiver) = watch::channel(BTreeSet::new());
        let known = Known::default();
        let follower = Follower {
            api,
            known: known.clone(),
            changed,
            watches: JoinSet::new(),
            by_name: HashMap::new(),
        };
        tasks.spawn("Secrets", follower.run(receiver, tasks.shutdown()));
        Self { named, known }
    }

    /// Says which Secrets are named from now on, and returns those of them that exist; `None` as long as one has not
    /// been looked up yet.
    pub fn get(&self, names: BTreeSet<String>) -> Option<BTreeMap<String, Secret>> {
        let mut found = BTreeMap::new();
        let mut complete = true;
        {
            let known = self.known.lock();
            for name in &names {
                match known.get(name) {
                    Some(Some(secret)) => {
                        found.insert(name.clone(), secret.clone());
                    }
                    Some(None) => {}
                    None => complete = false,
                }
            }
        }
        self.named.send_if_modified(|present| {
            let differs = *present != names;
            *present = names;
            differs
        });
        complete.then_some(found)
    }
}

struct Follower {
    api: Api<Stored>,
    known: Known,
    changed: Dirty<()>,
    watches: JoinSet<()>,
    by_name: HashMap<String, AbortHandle>,
}

impl Follower {
    async fn run(
        mut self,
        mut named: watch::Receiver<BTreeSet<String>>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                change = named.changed() => {
                    if change.is_err() {
                        shutdown.cancelled().await;
                        return Ok(());
                    }
                    let names = named.borrow_and_update().clone();
                    self.watch_only(&names);
                }
                Some(ended) = self.watches.join_next(), if !self.watches.is_empty() => match ended {
                    Err(error) if error.is_cancelled() => {}
                    _ => anyhow::bail!("the watch of a Secret ended"),
                },
            }
        }
    }

    fn watch_only(&mut self, names: &BTreeSet<String>) {
        let gone: Vec<_> = self
            .by_name
            .keys()
            .filter(|name| !names.contains(*name))
            .cloned()
            .collect();
        for name in gone {
            if let Some(watch) = self.by_name.remove(&name) {
                watch.abort();
            }
            self.known.lock().remove(&name);
        }
        for name in names {
            if !self.by_name.contains_key(name) {
                let follow = follow(
                    self.api.clone(),
                    name.clone(),
                    self.known.clone(),
                    self.changed.clone(),
                );
                self.by_name.insert(name.clone(), self.watches.spawn(follow));
            }
        }
    }
}

async fn follow(api: Api<Stored>, name: String, known: Known, changed: Dirty<()>) {
    let states = watch_object(api, &name).default_backoff();
    pin_mut!(states);
    while let Some(state) = states.next().await {
        match state {
            Ok(secret) => {
                let secret = secret.map(read);
                let before = known.lock().insert(name.clone(), secret.clone());
                let is_same = match (before, secret) {
                    (Some(Some(before)), Some(secret)) => {
                        before.type_ == secret.type_ && before.password == secret.password
                    }
                    (Some(None), None) => true,
                    _ => false,
                };
                if !is_same {
                    changed.mark(());
                }
            }
            Err(error) => tracing::warn!(secret = name, error = %error, "watch interrupted, resuming"),
        }
    }
}

fn read(secret: Stored) -> Secret {
    let password = secret.data.and_then(|mut data| data.remove("password"));
    Secret {
        type_: secret.type_.unwrap_or_default(),
        password: password
            .and_then(|bytes| String::from_utf8(bytes.0).ok())
            .map(Password),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn only_the_password_of_a_secret_is_kept() {
        let data = [("password", "s3cr3t"), ("username", "x")]
            .map(|(key, value)| (key.to_owned(), ByteString(value.into())));
        let stored = Stored {
            type_: Some("kubernetes.io/basic-auth".to_owned()),
            data: Some(BTreeMap::from(data)),
            ..Stored::default()
        };
        let secret = read(stored);
        assert_eq!(secret.type_, "kubernetes.io/basic-auth");
        assert_eq!(secret.password, Some(Password("s3cr3t".to_owned())));
        assert!(!format!("{secret:?}").contains("s3cr3t"));
    }
}
