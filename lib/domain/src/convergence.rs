//! What to do about one Service: keep its addresses, give it others, or take them away.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::allocator::Allocator;
use crate::ip_range::IpFamily;
use crate::service::{ClusterFamilies, Families, FamilyPolicy, ServiceRequest};

#[cfg(test)]
mod tests;

/// The decision about a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Leave status and annotation as they are.
    Unchanged,
    /// The status must hold these addresses, and the annotation this pool.
    Assigned {
        /// The addresses in order.
        addresses: Vec<IpAddr>,
        /// Name of the pool they are from.
        pool: String,
    },
    /// The status must hold no address, and the annotation must be absent.
    Cleared,
}

/// How serious a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Something happened as it should.
    Normal,
    /// The user has to do something.
    Warning,
}

/// Something to tell the owner of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How serious it is.
    pub severity: Severity,
    /// Reason of the Event.
    pub reason: &'static str,
    /// Text of the Event.
    pub note: String,
}

/// The outcome for one Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convergence {
    /// What status and annotation must be.
    pub verdict: Verdict,
    /// What to tell the owner.
    pub notices: Vec<Notice>,
    /// The Service is a load balancer and has not got what it needs.
    pub failed: bool,
}

/// Decides about one Service and registers the outcome in `allocator`.
///
/// What the Service holds is kept whenever it is still legal: the status says what that is or, when the status is
/// empty, the allocator does (its write may not have been seen yet). `left_out` are pools of which nothing is known
/// because their objects are broken; a Service with an address of one is left alone.
///
/// Afterwards call [`Allocator::next_woken`] until it has nothing more. Cost: that of [`Allocator::allocate`].
pub fn converge(
    allocator: &mut Allocator,
    request: &ServiceRequest,
    left_out: &BTreeSet<String>,
) -> Convergence {
    let mut convergence = Converging {
        allocator,
        request,
        notices: Vec::new(),
        failed: false,
        waits: false,
    };
    let verdict = convergence.decide(left_out);
    let Converging { notices, failed, .. } = convergence;
    Convergence {
        verdict,
        notices,
        failed,
    }
}

/// Registers what a Service holds according to its status, without giving it anything: for the start, when all
/// holders must be known before any address is handed out.
pub fn seed(allocator: &mut Allocator, request: &ServiceRequest) {
    if let Some(current) = request
        .current()
        .filter(|current| request.is_load_balancer && !current.is_empty())
    {
        // One that cannot keep its addresses is dealt with when it converges.
        let _ = allocator.assign(request, &current);
    }
}

struct Converging<'a> {
    allocator: &'a mut Allocator,
    request: &'a ServiceRequest,
    notices: Vec<Notice>,
    failed: bool,
    /// It has one address and waits for a second.
    waits: bool,
}

/// What becomes of the addresses a Service has.
enum Held {
    Keep(Vec<IpAddr>),
    Nothing,
    Stop,
}

impl Converging<'_> {
    fn decide(&mut self, left_out: &BTreeSet<String>) -> Verdict {
        let request = self.request;
        if !request.is_load_balancer {
            self.allocator.release(&request.key);
            return Verdict::Cleared;
        }
        if self.is_of_unknown_pool(left_out) {
            return self.stop();
        }
        if self.allocator.has_no_pools() || request.families == ClusterFamilies::Unassigned {
            return self.clear();
        }
        if request.policy == FamilyPolicy::RequireDualStack && self.has_one_cluster_ip() {
            self.warn("not enough clusterips", format!(
                "RequireDualStack needs two clusterIPs, the Service has one ({:?}): use a dual-stack cluster or another ipFamilyPolicy",
                request.families
            ));
            return self.clear();
        }
        let held = match self.held() {
            Held::Keep(addresses) => addresses,
            Held::Nothing => {
                self.allocator.take_back(&request.key);
                Vec::new()
            }
            Held::Stop => return self.stop(),
        };
        match held.as_slice() {
            [] => self.allocate(),
            [only] => self.complete(*only),
            _ => self.assigned(),
        }
    }

    /// The addresses the Service can keep.
    fn held(&mut self) -> Held {
        let request = self.request;
        let current = match request.current() {
            Some(none) if none.is_empty() => self
                .allocator
                .get(&request.key)
                .map(|held| held.addresses.clone())
                .unwrap_or_default(),
            Some(current) => current,
            None => Vec::new(),
        };
        if current.is_empty() && request.ingress.is_empty() {
            return Held::Nothing;
        }
        let held = Families::of(&current);
        if held.is_none() {
            self.warn(
                "nolbIPsIPFamily",
                format!("cannot tell the IP family of {}", request.ingress.join(",")),
            );
        }
        let wanted = match &request.families {
            ClusterFamilies::Known(families) => *families,
            ClusterFamilies::Unassigned => return Held::Nothing,
            ClusterFamilies::Unknown(text) => {
                self.warn(
                    "noclusterIPsIPFamily",
                    format!("cannot tell the IP family of clusterIPs {text}"),
                );
                return Held::Stop;
            }
        };
        match held {
            Some(held) if fits(held, wanted, request.policy) => self.keep(current),
            _ => Held::Nothing,
        }
    }

    /// Keeps `current` when it is legal and what the user asks for.
    fn keep(&mut self, current: Vec<IpAddr>) -> Held {
        let request = self.request;
        let pool = match self.allocator.assign(request, &current) {
            Ok(allocation) => allocation.pool.clone(),
            Err(error) => {
                let note = format!("current address of {} cannot be kept: {error}", request.key);
                self.notice(Severity::Normal, "ClearAssignment", note);
                return Held::Nothing;
            }
        };
        if request.pool.as_ref().is_some_and(|wanted| *wanted != pool) {
            return Held::Nothing;
        }
        match &request.addresses {
            Err(error) => {
                self.warn("LoadBalancerFailed", error.to_string());
                Held::Stop
            }
            Ok(requested) if !requested.is_empty() && !same_set(requested, &current) => Held::Nothing,
            Ok(_) => Held::Keep(current),
        }
    }

    /// Adds an address of the other family where the Service would like one.
    fn complete(&mut self, held: IpAddr) -> Verdict {
        let request = self.request;
        let wants_two = request.families == ClusterFamilies::Known(Families::Dual)
            && request.policy == FamilyPolicy::PreferDualStack;
        if wants_two {
            let missing = IpFamily::of(held).other();
            match self.allocator.add_family(request, held, missing) {
                Ok(allocation) => {
                    let note = format!("assigned additional IP {}", list(&allocation.addresses[1..]));
                    self.notice(Severity::Normal, "IPAllocated", note);
                }
                Err(error) => {
                    self.notice(
                        Severity::Normal,
                        "AdditionalAssignFailed",
                        format!("no {missing} address: {error}"),
                    );
                    self.allocator.wait_for_second(request, missing);
                    self.waits = true;
                }
            }
        }
        self.assigned()
    }

    fn allocate(&mut self) -> Verdict {
        let request = self.request;
        let failed = match (&request.families, &request.addresses) {
            (ClusterFamilies::Known(families), Ok(requested)) => {
                match self.allocator.allocate(request, requested, *families) {
                    Ok(allocation) => {
                        let note = format!("assigned IP {}", list(&allocation.addresses));
                        self.notice(Severity::Normal, "IPAllocated", note);
                        return self.after_allocation(*families);
                    }
                    Err(error) => {
                        self.allocator.wait(request, *families);
                        error.to_string()
                    }
                }
            }
            // Only an edit of the Service helps here.
            (families, requested) => {
                self.allocator.stop_waiting(&request.key);
                match requested {
                    Err(error) => error.to_string(),
                    Ok(_) => format!("cannot tell the IP family of its clusterIPs ({families:?})"),
                }
            }
        };
        self.warn(
            "AllocationFailed",
            format!("failed to allocate IP for {}: {failed}", request.key),
        );
        self.failed = true;
        Verdict::Cleared
    }

    /// A Service that got one address and would like two waits for the second.
    fn after_allocation(&mut self, families: Families) -> Verdict {
        let held = self
            .allocator
            .get(&self.request.key)
            .map(|held| held.addresses.clone())
            .unwrap_or_default();
        if let ([only], Families::Dual) = (held.as_slice(), families) {
            self.allocator
                .wait_for_second(self.request, IpFamily::of(*only).other());
            self.waits = true;
        }
        self.assigned()
    }

    fn assigned(&mut self) -> Verdict {
        if !self.waits {
            self.allocator.stop_waiting(&self.request.key);
        }
        match self.allocator.get(&self.request.key) {
            Some(held) => Verdict::Assigned {
                addresses: held.addresses.clone(),
                pool: held.pool.clone(),
            },
            None => {
                self.warn(
                    "InternalError",
                    "the address of the Service is not registered".to_owned(),
                );
                self.clear()
            }
        }
    }

    fn is_of_unknown_pool(&self, left_out: &BTreeSet<String>) -> bool {
        let from_left_out = self
            .request
            .allocated_from
            .as_ref()
            .is_some_and(|pool| left_out.contains(pool));
        let current = self.request.current().unwrap_or_default();
        from_left_out && !current.is_empty() && !self.allocator.contains(&current)
    }

    fn has_one_cluster_ip(&self) -> bool {
        match &self.request.families {
            ClusterFamilies::Known(families) => *families != Families::Dual,
            ClusterFamilies::Unknown(text) => !text.contains(','),
            ClusterFamilies::Unassigned => true,
        }
    }

    fn clear(&mut self) -> Verdict {
        self.allocator.take_back(&self.request.key);
        self.allocator.wait_for_pools(self.request);
        self.failed = true;
        Verdict::Cleared
    }

    fn stop(&mut self) -> Verdict {
        self.allocator.wait_for_pools(self.request);
        self.failed = true;
        Verdict::Unchanged
    }

    fn warn(&mut self, reason: &'static str, note: String) {
        self.notice(Severity::Warning, reason, note);
    }

    fn notice(&mut self, severity: Severity, reason: &'static str, note: String) {
        self.notices.push(Notice {
            severity,
            reason,
            note,
        });
    }
}

/// Whether addresses of the families `held` can serve a Service of the families `wanted`. Half of a dual-stack
/// Service will do under PreferDualStack.
fn fits(held: Families, wanted: Families, policy: FamilyPolicy) -> bool {
    held == wanted
        || (matches!(held, Families::Single(_))
            && wanted == Families::Dual
            && policy == FamilyPolicy::PreferDualStack)
}

fn same_set(one: &[IpAddr], other: &[IpAddr]) -> bool {
    let set = |list: &[IpAddr]| list.iter().copied().collect::<BTreeSet<_>>();
    set(one) == set(other)
}

fn list(addresses: &[IpAddr]) -> String {
    addresses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}
