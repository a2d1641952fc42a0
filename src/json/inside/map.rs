//! `{level=HIGH, reasons=Anomalous Location, New Device}`: maps and lists as Java writes
//! them, in which nothing is quoted.
//!
//! ```text
//! value = "{" [ member { ", " member } ] "}"      a map
//!       | "[" [ value { ", " value } ] "]"        a list
//!       | anything else                           a text
//! member = key "=" value
//! ```
//!
//! A `, ` parts two members only where a key and `=` follow; otherwise it belongs to
//! the value. What stands inside of brackets is in no way a part of what is outside.
//!
//! Where brackets are not closed in the order in which they were opened, some stand in
//! a text that is foreign to who wrote the map, and nobody can tell which. Such a map is
//! read flat: the brackets inside are letters. Or else one bracket, in a name that an
//! attacker chooses, would hide all other members from detection.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;
use serde_json::Value;

use super::{Inside, LONGEST_TEXT};
use crate::json::scalar::unescaped;
use crate::json::wanted::{Child, NodeId, Wanted};

/// Brackets may be nested so deep.
const DEPTH: u32 = 32;

/// What parts the maps of a list.
const BETWEEN_MAPS: &[u8] = b"}, {";

/// Notes the fields below a node that a text has, which is given as JSON spells it.
pub(super) fn read(raw: &[u8], wanted: &Wanted, node: NodeId, inside: &mut Inside) {
    let text = respelled(raw);
    let is_short = text.len() <= LONGEST_TEXT || unescaped(&text).len() <= LONGEST_TEXT;
    if !is_short {
        return;
    }
    let mut reading = Reading {
        text: &text,
        flat: !is_balanced(&text),
        wanted,
        inside,
    };
    if reading.flat {
        reading.maps(node);
    } else {
        reading.value(0..text.len(), node, true);
    }
}

/// The same text with no more escapes than JSON needs: none of what means something
/// here is escaped, and no escape holds any of it.
fn respelled(raw: &[u8]) -> Cow<'_, [u8]> {
    let has = |escape: &[u8]| memmem::find(raw, escape).is_some();
    if !has(b"\\u") && !has(b"\\/") {
        return Cow::Borrowed(raw);
    }
    let mut quoted = Value::from(unescaped(raw)).to_string().into_bytes();
    quoted.pop();
    quoted.drain(..1);
    Cow::Owned(quoted)
}

/// Whether the brackets of a text are closed in order, and not nested too deep.
fn is_balanced(text: &[u8]) -> bool {
    let (mut depth, mut around) = (0, 0_u64);
    for byte in text {
        match byte {
            b'{' | b'[' if depth == DEPTH => return false,
            b'{' | b'[' => {
                depth += 1;
                around = around << 1 | u64::from(*byte == b'{');
            }
            b'}' | b']' if depth == 0 || (around & 1 == 1) != (*byte == b'}') => return false,
            b'}' | b']' => {
                depth -= 1;
                around >>= 1;
            }
            _ => {}
        }
    }
    depth == 0
}

struct Reading<'r> {
    text: &'r [u8],
    /// Its brackets are not balanced, so that those inside are letters.
    flat: bool,
    wanted: &'r Wanted,
    inside: &'r mut Inside,
}

impl<'r> Reading<'r> {
    /// Notes a value. That of the `outermost` node is the text itself, so that nothing
    /// but what is below it is noted.
    fn value(&mut self, range: Range<usize>, node: NodeId, outermost: bool) {
        let text = self.text;
        let range = trimmed(text, range);
        match text.get(range.start).filter(|_| !self.flat) {
            Some(b'{') if encloses(text, &range) && self.is_map(within(text, &range)) => {
                if !outermost {
                    let (start, end) = self.push(b"{");
                    self.inside.notes.value(self.wanted, node, start, end);
                }
                self.members(within(text, &range), node);
            }
            Some(b'[') if encloses(text, &range) => {
                for item in self.parts(within(text, &range)) {
                    self.value(item, node, outermost);
                }
            }
            _ if outermost => {}
            _ => {
                let value = text.get(range).unwrap_or_default();
                let start = self.push(b"\"").0;
                self.push(value);
                let end = self.push(b"\"").1;
                self.inside.notes.text(self.wanted, node, start, end);
            }
        }
    }

    /// Notes the members of a map, or of the maps of a list, in which brackets are letters.
    fn maps(&mut self, node: NodeId) {
        let whole = trimmed(self.text, 0..self.text.len());
        let is_list = self.text.get(whole.start) == Some(&b'[');
        let in_list = whole.start + usize::from(is_list)..whole.end;
        let Some(range) = outermost_braces(self.text, in_list) else {
            return;
        };
        let range = within(self.text, &range);
        let bytes = self.text.get(range.clone()).filter(|_| is_list);
        let mut start = range.start;
        for at in memmem::find_iter(bytes.unwrap_or_default(), BETWEEN_MAPS) {
            let end = range.start + at;
            let next = end + BETWEEN_MAPS.len();
            let first = self.parts(next..range.end).next();
            if first.is_some_and(|first| self.key(&first).is_some()) {
                self.map(start..end, node);
                start = next;
            }
        }
        self.map(start..range.end, node);
    }

    /// Notes the members of what may be a map.
    fn map(&mut self, range: Range<usize>, node: NodeId) {
        if self.is_map(range.clone()) {
            self.members(range, node);
        }
    }

    /// Whether what stands inside of braces is a map: nothing but members.
    fn is_map(&self, range: Range<usize>) -> bool {
        let first = self.parts(range).next();
        first.is_none_or(|first| self.key(&first).is_some())
    }

    /// Notes the members that stand in a range, the first of which has a key.
    fn members(&mut self, range: Range<usize>, node: NodeId) {
        let Some(node) = self.wanted.node(node).filter(|node| !node.is_leaf()) else {
            return;
        };
        let object = self.inside.notes.enter();
        let mut open: Option<(Range<usize>, usize)> = None;
        let mut end = range.start;
        for part in self.parts(range) {
            let part_end = part.end;
            if let Some(key) = self.key(&part) {
                let value = key.end + 1;
                if let Some((key, value)) = open.replace((key, value)) {
                    self.member(node.child(self.text, &key), value..end, object);
                }
            }
            end = part_end;
        }
        if let Some((key, value)) = open {
            self.member(node.child(self.text, &key), value..end, object);
        }
    }

    fn member(&mut self, child: Child, value: Range<usize>, object: u64) {
        if let Child::Wanted(child) = child {
            // A key that stands twice has both values, as if they were elements of a list.
            self.inside.notes.reach(self.wanted, child, object);
            self.value(value, child, false);
        }
    }

    /// The parts of a range between `, ` outside of brackets; none of an empty one.
    fn parts(&self, range: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<'r> {
        let (text, flat) = (self.text, self.flat);
        let mut rest = (!range.is_empty()).then_some(range);
        std::iter::from_fn(move || {
            let range = rest.take()?;
            let bytes = text.get(range.clone())?;
            let mut depth = 0_u32;
            let mut comma = |(at, byte): (usize, &u8)| {
                depth = if flat { 0 } else { deeper(depth, *byte) };
                let is_comma = *byte == b',' && bytes.get(at + 1) == Some(&b' ');
                (is_comma && depth == 0).then_some(at)
            };
            let Some(length) = bytes.iter().enumerate().find_map(&mut comma) else {
                return Some(range);
            };
            let end = range.start + length;
            rest = Some(end + 2..range.end);
            Some(range.start..end)
        })
    }

    /// The key that a part begins with, if it has one.
    fn key(&self, part: &Range<usize>) -> Option<Range<usize>> {
        let bytes = self.text.get(part.clone())?;
        let length = bytes.iter().position(|byte| *byte == b'=')?;
        let key = bytes.get(..length)?;
        let is_bracket = |byte: &u8| matches!(byte, b'{' | b'}' | b'[' | b']');
        let is_key = key.first()? != &b' ' && key.last()? != &b' ' && !key.iter().any(is_bracket);
        is_key.then_some(part.start..part.start + length)
    }

    /// Appends to the values; gives the place.
    fn push(&mut self, bytes: &[u8]) -> (usize, usize) {
        let start = self.inside.values.len();
        self.inside.values.extend_from_slice(bytes);
        (start, start + bytes.len())
    }
}

/// What is inside the brackets of a range, from what is no blank on.
fn within(text: &[u8], range: &Range<usize>) -> Range<usize> {
    let end = range.end.saturating_sub(1);
    let bytes = text.get(range.start + 1..end).unwrap_or_default();
    let blanks = bytes.iter().take_while(|byte| **byte == b' ').count();
    range.start + 1 + blanks..end
}

/// A range without the blanks at its ends.
fn trimmed(text: &[u8], range: Range<usize>) -> Range<usize> {
    let bytes = text.get(range.clone()).unwrap_or_default();
    let is_solid = |byte: &u8| *byte != b' ';
    let Some(first) = bytes.iter().position(is_solid) else {
        return range.end..range.end;
    };
    let last = bytes.iter().rposition(is_solid).unwrap_or(first);
    range.start + first..range.start + last + 1
}

/// From the brace that a range begins with to the last one that closes.
fn outermost_braces(text: &[u8], range: Range<usize>) -> Option<Range<usize>> {
    let range = trimmed(text, range);
    let bytes = text.get(range.clone())?;
    let last = bytes.iter().rposition(|byte| *byte == b'}')?;
    (bytes.first() == Some(&b'{')).then_some(range.start..range.start + last + 1)
}

/// Whether the bracket that opens at the beginning of a range closes at its end.
fn encloses(text: &[u8], range: &Range<usize>) -> bool {
    let bytes = text.get(range.clone()).unwrap_or_default();
    let mut depth = 0_u32;
    let closed = bytes.iter().position(|byte| {
        depth = deeper(depth, *byte);
        depth == 0
    });
    closed.is_some_and(|at| at + 1 == bytes.len())
}

/// How deep in brackets the text is behind a byte; brackets are balanced.
fn deeper(depth: u32, byte: u8) -> u32 {
    match byte {
        b'{' | b'[' => depth + 1,
        b'}' | b']' => depth.saturating_sub(1),
        _ => depth,
    }
}
