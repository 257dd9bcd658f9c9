//! How a set of objects of one kind becomes a set of checked values: bad ones fall back to their last good version.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use super::{Config, Effect, Objects, Problem};

/// Collects the problems while one kind after the other is settled.
pub(super) struct Settling<'a> {
    pub(super) objects: &'a Objects,
    pub(super) previous: &'a Config,
    problems: Vec<Problem>,
}

/// One object that was read, before it is compared with others of its kind.
struct Candidate<T> {
    name: String,
    created: Option<Timestamp>,
    /// The object as it stands now, or what is wrong with it.
    parsed: Result<Arc<T>, String>,
}

impl<'a> Settling<'a> {
    pub(super) fn new(objects: &'a Objects, previous: &'a Config) -> Self {
        Self {
            objects,
            previous,
            problems: Vec::new(),
        }
    }

    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems
            .sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        self.problems
    }

    pub(super) fn report(&mut self, kind: &'static str, name: &str, message: String, effect: Effect) {
        self.problems.push(Problem {
            kind,
            name: name.to_owned(),
            message,
            effect,
        });
    }

    /// Settles one kind. `parse` checks an object alone; `accept` checks it against those accepted before and, when it
    /// fits, takes note of it.
    ///
    /// Order of acceptance: what is in force already (unchanged objects, and last good versions of objects that are
    /// bad in themselves), then the changed and new ones, older before younger, then by name. So whoever makes a
    /// contradiction by a change is the one refused.
    pub(super) fn settle<K, T: PartialEq>(
        &mut self,
        kind: &'static str,
        objects: &[Arc<K>],
        previous: &BTreeMap<String, Arc<T>>,
        metadata: impl Fn(&K) -> &ObjectMeta,
        parse: impl Fn(&str, &K) -> Result<T, String>,
        mut accept: impl FnMut(&T) -> Result<(), String>,
    ) -> BTreeMap<String, Arc<T>> {
        let mut candidates: Vec<Candidate<T>> = objects
            .iter()
            .map(|object| {
                let metadata = metadata(object);
                let name = metadata.name.clone().unwrap_or_default();
                let parsed = parse(&name, object).map(Arc::new);
                Candidate {
                    created: metadata.creation_timestamp.as_ref().map(|time| time.0),
                    parsed,
                    name,
                }
            })
            .collect();
        let in_force = |candidate: &Candidate<T>| match (&candidate.parsed, previous.get(&candidate.name)) {
            (Ok(now), Some(before)) => now == before,
            (Err(_), Some(_)) => true,
            (_, None) => false,
        };
        candidates.sort_by_cached_key(|candidate| {
            (!in_force(candidate), candidate.created, candidate.name.clone())
        });

        let mut settled = BTreeMap::new();
        for candidate in candidates {
            let before = previous.get(&candidate.name);
            let refused = match candidate.parsed {
                Ok(now) => match accept(&now) {
                    Ok(()) => {
                        settled.insert(candidate.name, now);
                        continue;
                    }
                    Err(message) => message,
                },
                Err(message) => message,
            };
            let last_good = before.filter(|before| accept(before).is_ok()).cloned();
            let effect = if last_good.is_some() {
                Effect::LastGood
            } else {
                Effect::LeftOut
            };
            self.report(kind, &candidate.name, refused, effect);
            settled.extend(last_good.map(|last_good| (candidate.name, last_good)));
        }
        settled
    }
}
