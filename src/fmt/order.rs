//! The order of the keys of each format, which is that of its page in `docs/`.

use std::cmp::Ordering;

use crate::document::{Key, Kind, Node};
use crate::fmt::FileKind;

/// Where the keys stand that an order does not name; without it, each stays behind the key that
/// it is written behind.
const OTHERS: &str = "*";

/// The order of the keys of a mapping whose order means nothing, and what is below them.
#[derive(Debug)]
pub(super) struct Order {
    /// The keys, first to last.
    keys: &'static [&'static str],
    /// The orders of mappings below, by key; `*` is any key.
    below: &'static [(&'static str, &'static Order)],
}

/// A mapping whose keys stay as they are written.
const AS_WRITTEN: &[&str] = &[];

static RULE: Order = Order {
    keys: &[
        "title",
        "id",
        "related",
        "name",
        "taxonomy",
        "status",
        "description",
        "license",
        "references",
        "author",
        "date",
        "modified",
        "level",
        "tags",
        "fields",
        "falsepositives",
        "logsource",
        "detection",
        "filter",
        "correlation",
        "accessors",
        "rulectl",
    ],
    below: &[
        ("logsource", &LOG_SOURCE),
        ("detection", &DETECTION),
        ("correlation", &CORRELATION),
        ("rulectl", &BLOCK),
    ],
};

static LOG_SOURCE: Order = Order {
    keys: &["category", "product", "service", "definition"],
    below: &[],
};

static DETECTION: Order = Order {
    keys: &[OTHERS, "timeframe", "condition"],
    below: &[],
};

static CORRELATION: Order = Order {
    keys: &[
        "type",
        "rules",
        "group-by",
        "timespan",
        "aliases",
        "condition",
        "generate",
    ],
    below: &[],
};

/// The block `rulectl` of a rule.
static BLOCK: Order = Order {
    keys: &[
        "finding_type",
        "behaviour",
        "summary",
        "user",
        "risk",
        "floor",
        "suppress",
        "group-by",
        "metadata",
        "script",
        "tests",
    ],
    below: &[],
};

static SUITE: Order = Order {
    keys: &["suite", "cases", "questions"],
    below: &[],
};

static TOOLS: Order = Order {
    keys: &["commands"],
    below: &[("commands", &TEMPLATES)],
};

static TEMPLATES: Order = Order {
    keys: AS_WRITTEN,
    below: &[(OTHERS, &TEMPLATE)],
};

static TEMPLATE: Order = Order {
    keys: &[
        "step",
        "system",
        "get",
        "post",
        "put",
        "delete",
        "query",
        "body",
        "description",
        "notes",
        "scope",
    ],
    below: &[],
};

static ROUTING: Order = Order {
    keys: &[
        "agents",
        "route",
        "promotion",
        "slots",
        "plan",
        "ask",
        "audit",
        "gate",
    ],
    below: &[
        ("ask", &ASK),
        ("agents", &AGENTS),
        ("route", &CONTEXTS),
        ("promotion", &PROMOTION),
        ("slots", &SLOTS),
        ("plan", &PLAN),
    ],
};

static ASK: Order = Order {
    keys: &[
        "calls",
        "pages",
        "rows",
        "bytes",
        "max_execution_ms",
        "shown",
        "unaccounted",
    ],
    below: &[],
};

static AGENTS: Order = Order {
    keys: AS_WRITTEN,
    below: &[(OTHERS, &AGENT)],
};

static AGENT: Order = Order {
    keys: &[
        "description",
        "input",
        "output",
        "phase",
        "critical",
        "runs",
    ],
    below: &[],
};

static CONTEXTS: Order = Order {
    keys: AS_WRITTEN,
    below: &[(OTHERS, &CONTEXT)],
};

static CONTEXT: Order = Order {
    keys: &["phase", "allow", "require", "order", "require_when"],
    below: &[],
};

static PROMOTION: Order = Order {
    keys: &["threshold", "severities"],
    below: &[],
};

static SLOTS: Order = Order {
    keys: AS_WRITTEN,
    below: &[(OTHERS, &SLOT)],
};

static SLOT: Order = Order {
    keys: &["prompt", "may", "formula", "default"],
    below: &[],
};

static PLAN: Order = Order {
    keys: &["steps", "approval", "mandatory", "default", "goal", "step"],
    below: &[("step", &STEPS)],
};

static STEPS: Order = Order {
    keys: AS_WRITTEN,
    below: &[(OTHERS, &STEP)],
};

static STEP: Order = Order {
    keys: &["description", "rationale", "after"],
    below: &[],
};

/// The order of the keys at the top of a document; `None` where every key stays.
pub(super) fn of(kind: FileKind, document: &Node) -> Option<&'static Order> {
    match kind {
        FileKind::Tools => Some(&TOOLS),
        FileKind::Routing => Some(&ROUTING),
        FileKind::Suite => Some(&SUITE),
        FileKind::Yaml => is_rule(document).then_some(&RULE),
        FileKind::Toml => None,
    }
}

/// Whether a document is one of Sigma's, or of this program's own beside those.
fn is_rule(document: &Node) -> bool {
    const MARKS: [&str; 4] = ["detection", "correlation", "filter", "accessors"];
    let Kind::Map(entries) = &document.kind else {
        return false;
    };
    let has = |name: &str| entries.iter().any(|(key, _)| key.text == name);
    has("title") && MARKS.into_iter().any(has)
}

impl Order {
    /// The order of the mapping that a key has as its value.
    pub(super) fn below(&self, key: &str) -> Option<&'static Self> {
        let named = self.below.iter().find(|(name, _)| *name == key);
        let any = || self.below.iter().find(|(name, _)| *name == OTHERS);
        named.or_else(any).map(|(_, order)| *order)
    }

    /// The places of keys, given as they are written: the lower stands first, and of two that
    /// are equal the one written first.
    pub(super) fn places<'k>(&self, keys: impl IntoIterator<Item = &'k str>) -> Vec<usize> {
        let others = self.keys.iter().position(|name| *name == OTHERS);
        let mut behind = 0;
        let place = |key| {
            let known = self.keys.iter().position(|name| *name == key);
            behind = known.map_or(behind, |at| at + 1);
            known.or(others).map_or(behind, |at| at + 1)
        };
        keys.into_iter().map(place).collect()
    }
}

/// Whether two trees hold the same, the order of keys included where it may mean something.
pub(super) fn same(one: &Node, other: &Node, order: Option<&Order>) -> bool {
    match (&one.kind, &other.kind) {
        (Kind::Map(one), Kind::Map(other)) => same_entries(one, other, order),
        (Kind::List(one), Kind::List(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| same(one, other, None))
        }
        (one, other) => one == other,
    }
}

fn same_entries(one: &[(Key, Node)], other: &[(Key, Node)], order: Option<&Order>) -> bool {
    let below = |key: &Key| order.and_then(|order| order.below(&key.text));
    let (one, other) = (sorted(one, order), sorted(other, order));
    let is_same = |((key, one), (name, other)): (&&(Key, Node), &&(Key, Node))| {
        key.text == name.text && same(one, other, below(key))
    };
    one.len() == other.len() && one.iter().zip(&other).all(is_same)
}

/// Entries by name, where their order means nothing.
fn sorted<'n>(entries: &'n [(Key, Node)], order: Option<&Order>) -> Vec<&'n (Key, Node)> {
    let is_free = order.is_some_and(|order| !order.keys.is_empty());
    let by_name = |(one, _): &&(Key, Node), (other, _): &&(Key, Node)| match is_free {
        true => one.text.cmp(&other.text),
        false => Ordering::Equal,
    };
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by(by_name);
    entries
}
