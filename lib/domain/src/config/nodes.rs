//! Which nodes a list of selectors matches, without trying every node where a label value narrows it down.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::selector::{Labels, Selector};

/// Nodes by label.
pub(super) struct Nodes<'a> {
    all: &'a BTreeMap<String, Labels>,
    by_label: HashMap<(&'a str, &'a str), Vec<&'a str>>,
}

impl<'a> Nodes<'a> {
    /// O(nodes × labels).
    pub(super) fn new(all: &'a BTreeMap<String, Labels>) -> Self {
        let mut by_label: HashMap<_, Vec<_>> = HashMap::new();
        for (node, labels) in all {
            for (key, value) in labels {
                by_label
                    .entry((key.as_str(), value.as_str()))
                    .or_default()
                    .push(node.as_str());
            }
        }
        Self { all, by_label }
    }

    /// True when no node is known, so that nothing can be said about where things meet.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Names of the nodes that one of `selectors` matches; of all nodes when there is no selector. O(matching nodes ×
    /// log nodes) for selectors that require a label value, O(nodes) for others.
    pub(super) fn matching(&self, selectors: &[Selector]) -> BTreeSet<&'a str> {
        if selectors.is_empty() {
            return self.all.keys().map(String::as_str).collect();
        }
        selectors
            .iter()
            .flat_map(|selector| self.matching_one(selector))
            .collect()
    }

    fn matching_one(&self, selector: &Selector) -> Vec<&'a str> {
        let candidates: Vec<&'a str> = match selector.required_values() {
            Some((key, values)) => values
                .iter()
                .filter_map(|value| self.by_label.get(&(key, value.as_str())))
                .flatten()
                .copied()
                .collect(),
            None => self.all.keys().map(String::as_str).collect(),
        };
        let matches = |node: &&str| self.all.get(*node).is_some_and(|labels| selector.matches(labels));
        candidates.into_iter().filter(matches).collect()
    }
}
