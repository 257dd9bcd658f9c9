//! One replica works, the others wait: leader election by a Lease, in the protocol of client-go.

use anyhow::bail;
use futures::future::BoxFuture;
use k8s_controller::LeaderElection;
use kube::Client;
use tokio_util::sync::CancellationToken;

/// Waits for the Lease, then runs `work` while holding it.
///
/// Ends with `Ok` on `shutdown` (the Lease is released, so that the next replica need not wait for it to expire) and
/// with an error when the Lease is lost or `work` fails. A process whose Lease is lost must end: tasks that `work`
/// started would otherwise go on beside the new leader. `identity` must be unique among the replicas (the pod's name).
///
/// `work` is a whole program and comes boxed, because it would not fit on the stack.
pub async fn lead(
    client: Client,
    namespace: &str,
    lease: &str,
    identity: &str,
    shutdown: CancellationToken,
    work: BoxFuture<'_, anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let election = LeaderElection::new(client, namespace, lease, identity);
    tokio::select! {
        ended = election.with_lease(work) => match ended {
            Some(result) => result,
            None => bail!("lease {namespace}/{lease} lost"),
        },
        () = shutdown.cancelled() => {
            election.release().await;
            Ok(())
        }
    }
}
