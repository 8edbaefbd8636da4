//! The nodes of a filter, and the message that each of them is on the wire.

use std::borrow::Cow;
use std::slice;

use super::{BadFilter, Comparison, Condition, Filter, MAX_NODES, MAX_VALUES};

/// A checked node of a [`Filter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// All of these, at least one.
    All(Box<[Node]>),
    /// Any of these, at least one.
    Any(Box<[Node]>),
    /// Not this.
    Not(Box<Node>),
    /// A tag by its key.
    Tag(Box<str>, Condition),
}

/// `FilterNode` for writing.
pub(crate) struct Parts<'a> {
    pub(crate) op: &'static str,
    pub(crate) key: &'a str,
    pub(crate) cmp: &'static str,
    pub(crate) val: &'a str,
    pub(crate) vals: &'a [Box<str>],
    pub(crate) nodes: &'a [Node],
}

impl Node {
    /// The node as a message.
    pub(crate) fn parts(&self) -> Parts<'_> {
        let inner = |op, nodes| Parts { op, key: "", cmp: "", val: "", vals: &[], nodes };
        match self {
            Node::All(nodes) => inner(AND, nodes),
            Node::Any(nodes) => inner(OR, nodes),
            Node::Not(node) => inner(NOT, slice::from_ref(node)),
            Node::Tag(key, condition) => Parts {
                op: "",
                key,
                cmp: condition.cmp(),
                val: condition.value(),
                vals: condition.values(),
                nodes: &[],
            },
        }
    }
}

/// `FilterNode` while it is being read. What is known to break the rules is not
/// stored further; members that a node of its kind has no use for do not count.
#[derive(Default)]
pub(crate) struct NodeDraft<'a> {
    pub(crate) op: Cow<'a, str>,
    pub(crate) key: Cow<'a, str>,
    pub(crate) cmp: Cow<'a, str>,
    pub(crate) val: Cow<'a, str>,
    pub(crate) vals: Values<'a>,
    pub(crate) nodes: Nodes,
}

/// The values of a list; once too many, none.
#[derive(Default)]
pub(crate) struct Values<'a> {
    values: Vec<Cow<'a, str>>,
    bad: bool,
}

/// The nodes below one; once too many or one of them bad, none.
#[derive(Default)]
pub(crate) struct Nodes {
    filters: Vec<Filter>,
    nodes: usize,
    bad: bool,
}

impl<'a> Values<'a> {
    /// Adds a value.
    pub(crate) fn add(&mut self, value: Cow<'a, str>) {
        self.bad |= self.values.len() == MAX_VALUES;
        if self.bad {
            self.values = Vec::new();
        } else {
            self.values.push(value);
        }
    }

    fn is_empty(&self) -> bool {
        self.values.is_empty() && !self.bad
    }

    fn finish(self) -> Result<Box<[Box<str>]>, BadFilter> {
        if self.bad { Err(BadFilter) } else { Ok(self.values.into_iter().map(Box::from).collect()) }
    }
}

impl Nodes {
    /// Adds a node with all below it.
    pub(crate) fn add(&mut self, filter: Result<Filter, BadFilter>) {
        self.nodes += filter.as_ref().map_or(0, Filter::nodes);
        match filter {
            Ok(filter) if !self.bad && self.nodes < MAX_NODES => self.filters.push(filter),
            _ => {
                self.bad = true;
                self.filters = Vec::new();
            }
        }
    }

    fn finish(self) -> Result<Vec<Filter>, BadFilter> {
        if self.bad { Err(BadFilter) } else { Ok(self.filters) }
    }
}

impl NodeDraft<'_> {
    /// The filter of this node and what is below, if the rules for filters hold.
    pub(crate) fn finish(self) -> Result<Filter, BadFilter> {
        let NodeDraft { op, key, cmp, val, vals, nodes } = self;
        match &*op {
            "" => Filter::tag(&key, condition(&cmp, &val, vals)?),
            AND => Filter::all(nodes.finish()?),
            OR => Filter::any(nodes.finish()?),
            NOT => match <[Filter; 1]>::try_from(nodes.finish()?) {
                Ok([filter]) => Filter::negated(filter),
                Err(_) => Err(BadFilter),
            },
            _ => Err(BadFilter),
        }
    }
}

fn condition(cmp: &str, val: &str, vals: Values<'_>) -> Result<Condition, BadFilter> {
    match (cmp, val, vals.is_empty()) {
        (EXISTS, "", true) => Ok(Condition::Exists),
        (NOT_EXISTS, "", true) => Ok(Condition::NotExists),
        (IN, "", _) => vals.finish().map(Condition::In),
        (NOT_IN, "", _) => vals.finish().map(Condition::NotIn),
        (_, _, true) => {
            let comparison = COMPARISONS.iter().find(|(_, name)| *name == cmp);
            let (comparison, _) = comparison.ok_or(BadFilter)?;
            Ok(Condition::Is(*comparison, val.into()))
        }
        (_, _, false) => Err(BadFilter),
    }
}

impl Condition {
    fn cmp(&self) -> &'static str {
        match self {
            Condition::Is(comparison, _) => comparison.cmp(),
            Condition::In(_) => IN,
            Condition::NotIn(_) => NOT_IN,
            Condition::Exists => EXISTS,
            Condition::NotExists => NOT_EXISTS,
        }
    }
}

impl Comparison {
    fn cmp(self) -> &'static str {
        COMPARISONS.iter().find(|(it, _)| *it == self).map_or("", |(_, name)| name)
    }
}

const AND: &str = "and";
const OR: &str = "or";
const NOT: &str = "not";

const EXISTS: &str = "ex";
const NOT_EXISTS: &str = "nex";
const IN: &str = "in";
const NOT_IN: &str = "nin";
const COMPARISONS: [(Comparison, &str); 9] = [
    (Comparison::Equal, "eq"),
    (Comparison::NotEqual, "neq"),
    (Comparison::StartsWith, "sw"),
    (Comparison::EndsWith, "ew"),
    (Comparison::Contains, "ct"),
    (Comparison::Less, "lt"),
    (Comparison::LessOrEqual, "lte"),
    (Comparison::Greater, "gt"),
    (Comparison::GreaterOrEqual, "gte"),
];
