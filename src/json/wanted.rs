//! The fields that somebody wants to read, as a tree of their paths.

use std::ops::Range;

use serde_json::Value;

use super::inside::Notation;

/// A field among those that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u32);

impl Slot {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The wanted fields: paths that begin alike share their beginning.
#[derive(Clone, Debug)]
pub struct Wanted {
    nodes: Vec<Node>,
    slots: u32,
    /// Whether every scalar of the record is wanted too.
    pub scalars: bool,
}

/// A node of the tree, by its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(u32);

impl NodeId {
    pub(super) const ROOT: Self = Self(0);

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A place that paths lead to, or through.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The field that ends here.
    pub(super) slot: Option<Slot>,
    /// How a text is written here in which paths go on.
    pub(super) inside: Option<Notation>,
    keys: Vec<Key>,
    /// For each byte the first of `keys` that begins with it, or [`NO_KEY`].
    first: Box<[u16; 256]>,
}

const NO_KEY: u16 = u16::MAX;

#[derive(Clone, Debug)]
struct Key {
    /// The key as JSON writes it, without its quotes.
    text: Box<[u8]>,
    /// Its first bytes, and which of a word they are.
    head: u64,
    mask: u64,
    node: NodeId,
    /// The next of the keys that begin with the same byte.
    next: u16,
}

/// What a key of an object is in the tree.
pub(super) enum Child {
    /// Nobody wants it.
    Unwanted,
    /// Paths lead there.
    Wanted(NodeId),
    /// It is written with escapes that JSON does not need, and may be a wanted one.
    Escaped,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            nodes: vec![Node::new()],
            slots: 0,
            scalars: false,
        }
    }
}

impl Wanted {
    /// Adds the field that a path of keys leads to.
    pub fn add<'k>(&mut self, path: impl IntoIterator<Item = &'k str>) -> Slot {
        let end = path
            .into_iter()
            .fold(NodeId::ROOT, |node, key| self.below(node, key));
        let new = Slot(self.slots);
        let Some(node) = self.nodes.get_mut(end.index()) else {
            return new;
        };
        let slot = *node.slot.get_or_insert(new);
        self.slots += u32::from(slot == new);
        slot
    }

    /// The field that a path of keys leads to, if it is wanted.
    #[must_use]
    pub fn find<'k>(&self, path: impl IntoIterator<Item = &'k str>) -> Option<Slot> {
        let mut path = path.into_iter();
        let end = path.try_fold(NodeId::ROOT, |node, key| self.known(node, key))?;
        self.node(end)?.slot
    }

    /// Lets the fields below a path, those that were added so far, be found inside of
    /// the texts that stand there too.
    pub fn read_inside<'k>(&mut self, path: impl IntoIterator<Item = &'k str>, notation: Notation) {
        let mut path = path.into_iter();
        let end = path.try_fold(NodeId::ROOT, |node, key| self.known(node, key));
        let node = end.and_then(|end| self.nodes.get_mut(end.index()));
        if let Some(node) = node.filter(|node| !node.is_leaf()) {
            node.inside = Some(notation);
        }
    }

    /// How many fields there are.
    pub(super) fn slots(&self) -> usize {
        self.slots as usize
    }

    /// How many nodes there are.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    #[inline]
    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.index())
    }

    /// The node that a key leads to, made if it is not there.
    fn below(&mut self, node: NodeId, key: &str) -> NodeId {
        if let Some(known) = self.known(node, key) {
            return known;
        }
        let new = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        let Some(parent) = self.nodes.get_mut(node.index()) else {
            return node;
        };
        parent.add(&spelled(key), new);
        self.nodes.push(Node::new());
        new
    }

    /// The node that a key leads to, if it is there.
    fn known(&self, node: NodeId, key: &str) -> Option<NodeId> {
        let text = spelled(key);
        let mut keys = self.node(node)?.keys.iter();
        let known = keys.find(|known| *known.text == *text)?;
        Some(known.node)
    }
}

/// A key as JSON writes it, without its quotes.
fn spelled(key: &str) -> Vec<u8> {
    let mut quoted = Value::from(key).to_string().into_bytes();
    quoted.pop();
    quoted.drain(..1);
    quoted
}

impl Node {
    fn new() -> Self {
        Self {
            slot: None,
            inside: None,
            keys: Vec::new(),
            first: Box::new([NO_KEY; 256]),
        }
    }

    /// Whether no path goes on from here.
    #[inline]
    pub(super) fn is_leaf(&self) -> bool {
        self.keys.is_empty()
    }

    fn add(&mut self, text: &[u8], node: NodeId) {
        // The empty key is found under the quote that ends it.
        let first = text.first().copied().unwrap_or(b'"');
        let at = u16::try_from(self.keys.len()).unwrap_or(NO_KEY);
        if let Some(slot) = self.first.get_mut(usize::from(first)) {
            let next = std::mem::replace(slot, at);
            self.keys.push(Key::new(text, node, next));
        }
    }

    /// What the key is that stands at a range of a record, between its quotes.
    #[inline(always)]
    pub(super) fn child(&self, record: &[u8], key: &Range<usize>) -> Child {
        let ahead = record.get(key.start..).and_then(<[u8]>::first_chunk);
        let head = match ahead {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => head(record.get(key.start..).unwrap_or_default()),
        };
        let mut at = self
            .first
            .get((head & 0xFF) as usize)
            .copied()
            .unwrap_or(NO_KEY);
        let mut is_escaped = head & 0xFF == u64::from(b'\\');
        while let Some(known) = self.keys.get(usize::from(at)) {
            match known.compare(record, key, head) {
                Same::Key => return Child::Wanted(known.node),
                // Another key may be the same, escapes and all.
                Same::Perhaps => is_escaped = true,
                Same::No => {}
            }
            at = known.next;
        }
        if is_escaped {
            Child::Escaped
        } else {
            Child::Unwanted
        }
    }
}

/// Whether a key of a record is a wanted one.
enum Same {
    Key,
    /// The first byte in which it differs begins an escape: it may be the same key,
    /// spelled in another way.
    Perhaps,
    No,
}

/// The first eight bytes of a text as a word, zeros behind a shorter one.
fn head(text: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(text) {
        *to = *from;
    }
    u64::from_le_bytes(bytes)
}

impl Key {
    fn new(text: &[u8], node: NodeId, next: u16) -> Self {
        let ones = [u8::MAX; 8];
        let mask = head(ones.get(..text.len()).unwrap_or(&ones));
        Self {
            text: text.into(),
            head: head(text),
            mask,
            node,
            next,
        }
    }

    /// Compares with the key at a range of a record, given the bytes from its first on.
    #[inline(always)]
    fn compare(&self, record: &[u8], key: &Range<usize>, head: u64) -> Same {
        let different = (head ^ self.head) & self.mask;
        if different != 0 {
            let first = head >> (different.trailing_zeros() & !7);
            let escape = first & 0xFF == u64::from(b'\\');
            return if escape { Same::Perhaps } else { Same::No };
        }
        if self.text.len() <= 8 && self.text.len() == key.len() {
            return Same::Key;
        }
        self.compare_all(record.get(key.clone()).unwrap_or_default())
    }

    /// The same for a key whose first bytes are those of this one.
    #[inline(never)]
    fn compare_all(&self, key: &[u8]) -> Same {
        if *self.text == *key {
            return Same::Key;
        }
        let alike = self
            .text
            .iter()
            .zip(key)
            .take_while(|(own, other)| own == other);
        match key.get(alike.count()) {
            Some(b'\\') => Same::Perhaps,
            _ => Same::No,
        }
    }
}
