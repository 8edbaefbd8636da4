//! Filters: which publications of a channel a subscriber wants, by their tags.
//!
//! A filter is a tree of comparisons. Whoever has a [`Filter`] has one that was
//! checked and is of bounded size, so that a subscription can keep it and every
//! publication can be held against it. Centrifuge client protocol, tags filter.

mod decimal;
pub(crate) mod node;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use crate::MAX_DEPTH;
use node::Node;

/// A checked filter: at most [`MAX_NODES`] nodes, [`MAX_DEPTH`] levels,
/// [`MAX_VALUES`] values in lists, and [`MAX_TEXT`] bytes of keys and values.
///
/// A command in JSON cannot carry all of these levels: each takes two of those
/// that a line may have, which leaves 16 to 17.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    root: Node,
    extent: Extent,
}

/// The most nodes of a filter.
pub const MAX_NODES: usize = 256;

/// The most values of all lists of a filter together.
pub const MAX_VALUES: usize = 1024;

/// The most bytes of all keys and values of a filter together.
pub const MAX_TEXT: usize = 16 * 1024;

/// A filter that breaks the rules: it is answered with "bad request" (107).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFilter;

/// What a tag must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Compares with a value that is not empty. An absent tag is not equal,
    /// and nothing else.
    Is(Comparison, Box<str>),
    /// Is one of the values, of which there is at least one.
    In(Box<[Box<str>]>),
    /// Is none of the values, of which there is at least one. An absent tag
    /// counts as the empty text.
    NotIn(Box<[Box<str>]>),
    /// Is there.
    Exists,
    /// Is not there.
    NotExists,
}

/// How a tag compares with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same text.
    Equal,
    /// Another text.
    NotEqual,
    /// Starts with it.
    StartsWith,
    /// Ends with it.
    EndsWith,
    /// Contains it.
    Contains,
    /// Both are decimal numbers, and the tag's is less. This and the ones below
    /// are exact, and take digits with an optional sign and decimal point.
    Less,
    /// Less or equal, as numbers.
    LessOrEqual,
    /// Greater, as numbers.
    Greater,
    /// Greater or equal, as numbers.
    GreaterOrEqual,
}

impl Filter {
    /// Matches where the tag `key` is as `condition` says.
    ///
    /// # Errors
    ///
    /// [`BadFilter`] if a value or list is empty that must not be, or the
    /// filter gets too large.
    pub fn tag(key: &str, condition: Condition) -> Result<Filter, BadFilter> {
        let condition = condition.checked()?;
        let values = condition.values();
        let value = condition.value();
        let extent = Extent {
            depth: 1,
            nodes: 1,
            values: values.len(),
            text: key.len() + value.len() + values.iter().map(|value| value.len()).sum::<usize>(),
        };
        let root = Node::Tag(key.into(), condition);
        Ok(Filter { root, extent: extent.checked()? })
    }

    /// Matches where all of `filters` match.
    ///
    /// # Errors
    ///
    /// [`BadFilter`] if there are none, or the filter gets too large.
    pub fn all(filters: Vec<Filter>) -> Result<Filter, BadFilter> {
        let (extent, nodes) = join(filters)?;
        Ok(Filter { root: Node::All(nodes), extent })
    }

    /// Matches where at least one of `filters` matches.
    ///
    /// # Errors
    ///
    /// [`BadFilter`] if there are none, or the filter gets too large.
    pub fn any(filters: Vec<Filter>) -> Result<Filter, BadFilter> {
        let (extent, nodes) = join(filters)?;
        Ok(Filter { root: Node::Any(nodes), extent })
    }

    /// Matches where this one does not.
    ///
    /// # Errors
    ///
    /// [`BadFilter`] if the filter gets too large.
    pub fn negated(self) -> Result<Filter, BadFilter> {
        let extent = Extent::above([self.extent])?;
        Ok(Filter { root: Node::Not(Box::new(self.root)), extent })
    }

    /// Whether a publication with these tags is wanted.
    #[must_use]
    pub fn matches(&self, tags: &BTreeMap<String, String>) -> bool {
        self.root.matches(tags)
    }

    /// Roughly how many bytes of memory it takes, with what an allocator takes for the
    /// texts: 32 bytes at least.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // Of a comparison there are a key and a value.
        const NODE: usize = size_of::<Node>() + 64;
        const VALUE: usize = size_of::<Box<str>>() + 32;
        size_of::<Filter>()
            + self.extent.nodes * NODE
            + self.extent.values * VALUE
            + self.extent.text
    }

    /// The topmost node, for writing.
    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// How many nodes there are.
    pub(crate) fn nodes(&self) -> usize {
        self.extent.nodes
    }
}

impl fmt::Display for BadFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a valid filter")
    }
}

impl std::error::Error for BadFilter {}

fn join(filters: Vec<Filter>) -> Result<(Extent, Box<[Node]>), BadFilter> {
    if filters.is_empty() {
        return Err(BadFilter);
    }
    let extent = Extent::above(filters.iter().map(|filter| filter.extent))?;
    Ok((extent, filters.into_iter().map(|filter| filter.root).collect()))
}

/// How large a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    depth: usize,
    nodes: usize,
    values: usize,
    text: usize,
}

impl Extent {
    /// Of a node above `children`.
    fn above(children: impl IntoIterator<Item = Extent>) -> Result<Extent, BadFilter> {
        let node = Extent { depth: 1, nodes: 1, values: 0, text: 0 };
        let add = |all: Extent, child: Extent| Extent {
            depth: all.depth.max(child.depth + 1),
            nodes: all.nodes + child.nodes,
            values: all.values + child.values,
            text: all.text + child.text,
        };
        children.into_iter().fold(node, add).checked()
    }

    fn checked(self) -> Result<Extent, BadFilter> {
        let fits = self.depth <= MAX_DEPTH
            && self.nodes <= MAX_NODES
            && self.values <= MAX_VALUES
            && self.text <= MAX_TEXT;
        if fits { Ok(self) } else { Err(BadFilter) }
    }
}

impl Node {
    fn matches(&self, tags: &BTreeMap<String, String>) -> bool {
        match self {
            Node::All(nodes) => nodes.iter().all(|node| node.matches(tags)),
            Node::Any(nodes) => nodes.iter().any(|node| node.matches(tags)),
            Node::Not(node) => !node.matches(tags),
            Node::Tag(key, condition) => condition.holds(tags.get(&**key).map(String::as_str)),
        }
    }
}

impl Condition {
    /// The condition with its list in order, so that it can be searched.
    fn checked(self) -> Result<Condition, BadFilter> {
        let ordered = |values: Box<[Box<str>]>| {
            let mut values = values.into_vec();
            values.sort_unstable();
            values.dedup();
            if values.is_empty() { Err(BadFilter) } else { Ok(values.into_boxed_slice()) }
        };
        match self {
            Condition::Is(_, value) if value.is_empty() => Err(BadFilter),
            Condition::In(values) => ordered(values).map(Condition::In),
            Condition::NotIn(values) => ordered(values).map(Condition::NotIn),
            Condition::Is(..) | Condition::Exists | Condition::NotExists => Ok(self),
        }
    }

    fn holds(&self, tag: Option<&str>) -> bool {
        match self {
            Condition::Is(Comparison::NotEqual, value) => tag != Some(value),
            Condition::Is(comparison, value) => tag.is_some_and(|tag| comparison.holds(tag, value)),
            Condition::In(values) => tag.is_some_and(|tag| contains(values, tag)),
            Condition::NotIn(values) => !contains(values, tag.unwrap_or_default()),
            Condition::Exists => tag.is_some(),
            Condition::NotExists => tag.is_none(),
        }
    }

    fn value(&self) -> &str {
        match self {
            Condition::Is(_, value) => value,
            _ => "",
        }
    }

    fn values(&self) -> &[Box<str>] {
        match self {
            Condition::In(values) | Condition::NotIn(values) => values,
            _ => &[],
        }
    }
}

impl Comparison {
    fn holds(self, tag: &str, value: &str) -> bool {
        let number = |holds: fn(Ordering) -> bool| decimal::compare(tag, value).is_some_and(holds);
        match self {
            Comparison::Equal => tag == value,
            Comparison::NotEqual => tag != value,
            Comparison::StartsWith => tag.starts_with(value),
            Comparison::EndsWith => tag.ends_with(value),
            Comparison::Contains => tag.contains(value),
            Comparison::Less => number(Ordering::is_lt),
            Comparison::LessOrEqual => number(Ordering::is_le),
            Comparison::Greater => number(Ordering::is_gt),
            Comparison::GreaterOrEqual => number(Ordering::is_ge),
        }
    }
}

fn contains(ordered: &[Box<str>], tag: &str) -> bool {
    ordered.binary_search_by(|value| (**value).cmp(tag)).is_ok()
}
