//! Label selectors, validated once and matched often.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

#[cfg(test)]
mod tests;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// Longest label value, and longest name part of a label key, in bytes.
const MAX_NAME: usize = 63;
/// Longest prefix part of a label key, in bytes (a DNS subdomain, RFC 1123).
const MAX_PREFIX: usize = 253;

/// A checked label selector: all its terms must hold. The one without terms matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Term {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Test {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

/// Why a label selector, or a list of them, is not acceptable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The operator of an expression is unknown.
    #[error("\"{0}\" is not a valid label selector operator: use In, NotIn, Exists or DoesNotExist")]
    Operator(String),
    /// `In` or `NotIn` without values.
    #[error("operator {operator} on key \"{key}\": values set cannot be empty: list at least one value")]
    NoValues {
        /// Label key.
        key: String,
        /// The operator as written.
        operator: String,
    },
    /// `Exists` or `DoesNotExist` with values.
    #[error("operator {operator} on key \"{key}\": values set must be empty: remove the values")]
    UnwantedValues {
        /// Label key.
        key: String,
        /// The operator as written.
        operator: String,
    },
    /// Not a qualified name.
    #[error(
        "invalid key \"{0}\": a label key is [prefix/]name with at most 63 letters, digits, '-', '_' or '.' in the name"
    )]
    Key(String),
    /// Not a label value.
    #[error("invalid value \"{0}\": a label value has at most 63 letters, digits, '-', '_' or '.'")]
    Value(String),
    /// One string twice in the values of one expression.
    #[error("duplicate match expression value \"{0}\": remove one of them")]
    DuplicateValue(String),
    /// Two equal expressions in one selector.
    #[error("duplicate match expressions on key \"{0}\": remove one of them")]
    DuplicateExpression(String),
    /// Two equal selectors in one list.
    #[error("duplicate definition of {0}: remove one of the two equal selectors")]
    DuplicateSelector(&'static str),
}

impl Selector {
    /// The selector that matches every object.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Checks operators, keys and values of a selector.
    pub fn parse(selector: &LabelSelector) -> Result<Self, SelectorError> {
        let mut terms = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            let values = BTreeSet::from([check_value(value)?]);
            terms.push(Term {
                key: check_key(key)?,
                test: Test::In(values),
            });
        }
        for expression in selector.match_expressions.iter().flatten() {
            terms.push(Term {
                test: parse_test(expression)?,
                key: check_key(&expression.key)?,
            });
        }
        Ok(Self { terms })
    }

    /// A label key and the values one of which an object must have; `None` when no term asks for that. Lets an index
    /// narrow down the candidates.
    pub fn required_values(&self) -> Option<(&str, &BTreeSet<String>)> {
        self.terms.iter().find_map(|term| match &term.test {
            Test::In(values) => Some((term.key.as_str(), values)),
            _ => None,
        })
    }

    /// True when an object with these labels is selected. `NotIn` and `DoesNotExist` also select objects without the
    /// key. O(terms × log labels).
    pub fn matches(&self, labels: &Labels) -> bool {
        self.terms.iter().all(|term| {
            let value = labels.get(&term.key);
            match &term.test {
                Test::In(values) => value.is_some_and(|value| values.contains(value)),
                Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Test::Exists => value.is_some(),
                Test::DoesNotExist => value.is_none(),
            }
        })
    }
}

/// True when one of `selectors` matches; an empty list selects nothing.
pub fn any_matches(selectors: &[Selector], labels: &Labels) -> bool {
    selectors.iter().any(|selector| selector.matches(labels))
}

/// True when one of `selectors` matches, or there are none: the meaning of an absent list in most fields.
pub fn all_or_any_matches(selectors: &[Selector], labels: &Labels) -> bool {
    selectors.is_empty() || any_matches(selectors, labels)
}

/// Checks every selector of a list, without looking for duplicates.
pub fn parse_list(selectors: &[LabelSelector]) -> Result<Vec<Selector>, SelectorError> {
    selectors.iter().map(Selector::parse).collect()
}

/// Refuses a list in which something is said twice: a value in one expression, an expression in one selector, or a
/// whole selector. `field` names the list in the message.
///
/// The order of values does not count, the order of expressions does; so two selectors with the same expressions in
/// another order are not duplicates.
pub fn check_duplicates(field: &'static str, selectors: &[LabelSelector]) -> Result<(), SelectorError> {
    let mut seen = BTreeSet::new();
    for selector in selectors {
        let mut expressions = Vec::new();
        for expression in selector.match_expressions.iter().flatten() {
            let canonical = canonical(expression)?;
            if expressions.contains(&canonical) {
                return Err(SelectorError::DuplicateExpression(expression.key.clone()));
            }
            expressions.push(canonical);
        }
        let labels: Vec<_> = selector.match_labels.iter().flatten().collect();
        if !seen.insert((labels, expressions)) {
            return Err(SelectorError::DuplicateSelector(field));
        }
    }
    Ok(())
}

/// An expression with its values as a set; refuses a value that is listed twice.
fn canonical(expression: &LabelSelectorRequirement) -> Result<(&str, &str, BTreeSet<&str>), SelectorError> {
    let mut values = BTreeSet::new();
    for value in expression.values.iter().flatten() {
        if !values.insert(value.as_str()) {
            return Err(SelectorError::DuplicateValue(value.clone()));
        }
    }
    Ok((&expression.key, &expression.operator, values))
}

fn parse_test(expression: &LabelSelectorRequirement) -> Result<Test, SelectorError> {
    let values = expression.values.iter().flatten();
    let operator = expression.operator.as_str();
    let test = match operator {
        "In" | "NotIn" => {
            let values: BTreeSet<String> =
                values.map(|value| check_value(value)).collect::<Result<_, _>>()?;
            if values.is_empty() {
                let (key, operator) = (expression.key.clone(), operator.to_owned());
                return Err(SelectorError::NoValues { key, operator });
            }
            if operator == "In" {
                Test::In(values)
            } else {
                Test::NotIn(values)
            }
        }
        "Exists" | "DoesNotExist" => {
            if values.count() > 0 {
                let (key, operator) = (expression.key.clone(), operator.to_owned());
                return Err(SelectorError::UnwantedValues { key, operator });
            }
            if operator == "Exists" {
                Test::Exists
            } else {
                Test::DoesNotExist
            }
        }
        _ => return Err(SelectorError::Operator(operator.to_owned())),
    };
    Ok(test)
}

fn check_key(key: &str) -> Result<String, SelectorError> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let sound = !name.is_empty() && is_label_text(name) && prefix.is_none_or(is_subdomain);
    if sound {
        Ok(key.to_owned())
    } else {
        Err(SelectorError::Key(key.to_owned()))
    }
}

fn check_value(value: &str) -> Result<String, SelectorError> {
    if is_label_text(value) {
        Ok(value.to_owned())
    } else {
        Err(SelectorError::Value(value.to_owned()))
    }
}

/// At most 63 bytes, alphanumeric at both ends, `-`, `_` and `.` also in between; empty is fine.
fn is_label_text(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= MAX_NAME
        && bytes.iter().all(|byte| inner(*byte))
        && ends.into_iter().flatten().all(u8::is_ascii_alphanumeric)
}

/// A lower-case DNS subdomain (RFC 1123 section 2.1).
fn is_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        bytes.iter().all(|byte| plain(byte) || *byte == b'-')
            && bytes.first().is_some_and(plain)
            && bytes.last().is_some_and(plain)
    };
    text.len() <= MAX_PREFIX && text.split('.').all(label)
}
