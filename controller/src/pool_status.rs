//! `IPAddressPool.status`: how full each pool is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::api::{Api, ObjectMeta, Patch, PatchParams, TypeMeta};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource};
use metallb_crds::metallb::{IPAddressPool, IPAddressPoolStatus};
use metallb_domain::allocator::PoolCounters;
use metallb_kit::apply::within;
use metallb_kit::dirty::Dirty;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::MANAGER;

/// Pause after a round of writes, so that a burst of allocations makes few of them: each wakes everyone who watches
/// pools.
const PAUSE: Duration = Duration::from_millis(250);
/// Pause after a failed write.
const RETRY: Duration = Duration::from_secs(2);

/// The counters of all pools, shared between the worker and the writer.
#[derive(Clone)]
pub(crate) struct PoolUsage {
    counters: Arc<Mutex<BTreeMap<String, PoolCounters>>>,
    changed: Dirty<String>,
    pools: Store<IPAddressPool>,
    begun: CancellationToken,
}

impl PoolUsage {
    pub(crate) fn new(pools: Store<IPAddressPool>) -> Self {
        Self {
            counters: Arc::default(),
            changed: Dirty::new(),
            pools,
            begun: CancellationToken::new(),
        }
    }

    /// All Services have been looked at once: from now on the counters are true.
    pub(crate) fn begin(&self) {
        self.begun.cancel();
    }

    /// Takes the settled counters of a pool; `None` when the pool is not in force.
    pub(crate) fn set(&self, pool: &str, counters: Option<PoolCounters>) {
        let mut all = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        match counters {
            Some(counters) => all.insert(pool.to_owned(), counters),
            None => all.remove(pool),
        };
        drop(all);
        self.changed.mark(pool.to_owned());
    }

    /// What the status of a pool must be; zeros for one that is not in force.
    fn wanted(&self, pool: &str) -> IPAddressPoolStatus {
        let all = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = all.get(pool).copied().unwrap_or_default();
        IPAddressPoolStatus {
            assigned_ipv4: counters.assigned_v4,
            assigned_ipv6: counters.assigned_v6,
            available_ipv4: counters.available_v4(),
            available_ipv6: counters.available_v6(),
        }
    }

    fn stored(&self, pool: &str, namespace: &str) -> Option<Arc<IPAddressPool>> {
        self.pools.get(&ObjectRef::new(pool).within(namespace))
    }
}

/// The fields of a pool this program owns.
#[derive(Debug, Serialize)]
struct StatusOnly {
    #[serde(flatten)]
    types: TypeMeta,
    metadata: ObjectMeta,
    status: IPAddressPoolStatus,
}

/// Keeps the status of all pools true. `checks` names pools whose object changed.
pub(crate) async fn maintain(
    client: Client,
    namespace: &str,
    usage: PoolUsage,
    checks: Dirty<String>,
) -> anyhow::Result<()> {
    let api: Api<IPAddressPool> = Api::namespaced(client, namespace);
    usage.begun.cancelled().await;
    loop {
        let pools = tokio::select! {
            pools = usage.changed.take() => pools,
            pools = checks.take() => pools,
        };
        let mut pause = PAUSE;
        for pool in pools {
            if let Err(error) = update(&api, namespace, &usage, &pool).await {
                tracing::warn!(op = "poolStatus", pool, error = %error, "status not written, trying again");
                usage.changed.mark(pool);
                pause = RETRY;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Writes the status of one pool when it differs from what is stored.
async fn update(
    api: &Api<IPAddressPool>,
    namespace: &str,
    usage: &PoolUsage,
    pool: &str,
) -> Result<(), metallb_kit::Error> {
    let wanted = usage.wanted(pool);
    let Some(stored) = usage.stored(pool, namespace) else {
        return Ok(());
    };
    if stored.status.as_ref() == Some(&wanted) {
        return Ok(());
    }
    let desired = StatusOnly {
        types: TypeMeta {
            api_version: IPAddressPool::api_version(&()).into_owned(),
            kind: IPAddressPool::kind(&()).into_owned(),
        },
        metadata: ObjectMeta {
            name: Some(pool.to_owned()),
            ..ObjectMeta::default()
        },
        status: wanted,
    };
    let params = PatchParams::apply(MANAGER).force();
    let what = format!("apply status of IPAddressPool {namespace}/{pool}");
    match within(&what, api.patch_status(pool, &params, &Patch::Apply(&desired))).await {
        Err(error) if error.is_not_found() => Ok(()),
        result => result.map(|_| ()),
    }
}
