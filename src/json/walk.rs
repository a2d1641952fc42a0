//! One walk over the structure of a record: is it JSON, and where do the wanted fields stand?

use std::ops::Range;

use super::fields::Places;
use super::marks::Marks;
use super::wanted::{Child, NodeId, Wanted};

/// The record is not compact JSON, or is written in a way that needs more care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unusual;

type Result<T> = std::result::Result<T, Unusual>;

/// Arrays and objects nested deeper than this are left to the parser, which refuses them.
pub(super) const DEPTH: u32 = 127;

/// Finds the wanted fields of a record, which is to be one object in compact JSON.
///
/// Fails unless the whole text is such an object, checked to its last byte. A
/// wanted key that stands twice in one object, or is spelled with escapes, is
/// unusual too, unless the text is `canonical`: written by a serialiser that
/// spells each key in one way only.
pub(super) fn walk(
    text: &[u8],
    wanted: &Wanted,
    canonical: bool,
    places: &mut Places,
    marks: &mut Marks,
) -> Result<()> {
    places.clear();
    let marks = marks.of(text).ok_or(Unusual)?;
    let walk = Walk {
        text,
        marks,
        wanted,
        canonical,
    };
    if walk.place(0)? != 0 || walk.byte(0)? != b'{' {
        return Err(Unusual);
    }
    let close = walk.object(places, 0, NodeId::ROOT, 1)?;
    if walk.place(close)? + 1 == text.len() {
        Ok(())
    } else {
        Err(Unusual)
    }
}

/// What is walked over. What is found is handed along and is no part of this, so that
/// nothing here has to be read again after it was written to.
#[derive(Clone, Copy)]
struct Walk<'w> {
    text: &'w [u8],
    /// The places of brackets, colons and commas; one of them is meant by its position here.
    marks: &'w [u32],
    wanted: &'w Wanted,
    canonical: bool,
}

/// A key, and the beginning of its value.
struct Member {
    /// Whether it is one at all.
    is_key: bool,
    key: Range<usize>,
    first: u8,
    /// The byte of the mark behind the colon: behind the value, if that is a scalar.
    after: u8,
}

impl Member {
    /// Whether it is a string, and another member follows.
    #[inline(always)]
    fn is_text(&self) -> bool {
        self.is_key && self.first == b'"' && self.after == b','
    }
}

impl Walk<'_> {
    /// The place of a mark.
    #[inline(always)]
    fn place(&self, mark: usize) -> Result<usize> {
        self.marks
            .get(mark)
            .map(|place| *place as usize)
            .ok_or(Unusual)
    }

    /// The byte at a place.
    #[inline(always)]
    fn byte(&self, place: usize) -> Result<u8> {
        self.text.get(place).copied().ok_or(Unusual)
    }

    /// The byte of a mark.
    #[inline(always)]
    fn mark(&self, mark: usize) -> Result<u8> {
        self.byte(self.place(mark)?)
    }

    /// What stands behind a mark if it is a member of an object.
    #[inline(always)]
    fn member(&self, before: usize) -> Result<Member> {
        let marks = self.marks.get(before..).and_then(<[u32]>::first_chunk);
        let [start, colon, after] = marks.ok_or(Unusual)?.map(|place| place as usize);
        Ok(Member {
            is_key: self.byte(start + 1)? == b'"' && self.byte(colon)? == b':',
            key: start + 2..colon - 1,
            first: self.byte(colon + 1)?,
            after: self.byte(after)?,
        })
    }

    /// Reads an object from the mark that opens it to the one that closes it, which it gives.
    fn object(&self, places: &mut Places, open: usize, node: NodeId, depth: u32) -> Result<usize> {
        let object = places.enter();
        let wanted = self.wanted.node(node).ok_or(Unusual)?;
        let mut before = open;
        loop {
            let member = match self.member(before) {
                Ok(member) if member.is_key => member,
                _ => return self.nothing(before, b'}'),
            };
            let after = match wanted.child(self.text, &member.key) {
                Child::Wanted(child) => {
                    let first = places.reach(self.wanted, child, object);
                    if !first && !self.canonical {
                        return Err(Unusual);
                    }
                    self.take(places, before + 1, child, depth)?
                }
                Child::Escaped if !self.canonical => return Err(Unusual),
                Child::Unwanted | Child::Escaped => {
                    if member.is_text() && !self.wanted.scalars {
                        before += 2;
                        continue;
                    }
                    self.pass(places, before + 1, depth)?
                }
            };
            match self.mark(after)? {
                b',' => before = after,
                b'}' => return Ok(after),
                _ => return Err(Unusual),
            }
        }
    }

    /// The same for a wanted array, whose elements stand for it.
    fn array(&self, places: &mut Places, open: usize, node: NodeId, depth: u32) -> Result<usize> {
        let mut before = open;
        loop {
            if self.byte(self.place(before)? + 1)? == b']' {
                return self.nothing(before, b']');
            }
            let after = self.take(places, before, node, depth)?;
            match self.mark(after)? {
                b',' => before = after,
                b']' => return Ok(after),
                _ => return Err(Unusual),
            }
        }
    }

    /// Reads the wanted value behind a mark and gives the mark behind the value.
    fn take(&self, places: &mut Places, before: usize, node: NodeId, depth: u32) -> Result<usize> {
        let wanted = self.wanted.node(node).ok_or(Unusual)?;
        let value = self.place(before)? + 1;
        let first = self.byte(value)?;
        if depth >= DEPTH && matches!(first, b'{' | b'[') {
            return Err(Unusual);
        }
        match first {
            b'[' => {
                let close = self.array(places, before + 1, node, depth + 1)?;
                self.behind(close)
            }
            b'{' => {
                places.found(wanted.slot, value, value + 1);
                if wanted.is_leaf() {
                    return self.pass(places, before, depth);
                }
                let close = self.object(places, before + 1, node, depth + 1)?;
                self.behind(close)
            }
            _ => {
                let after = self.scalar(places, before, value, first)?;
                let end = self.place(after)?;
                places.found(wanted.slot, value, end);
                if wanted.inside.is_some() {
                    self.look_inside(places, node, value..end);
                }
                Ok(after)
            }
        }
    }

    /// Finds what is wanted inside of a scalar, if it is a text.
    #[cold]
    #[inline(never)]
    fn look_inside(&self, places: &mut Places, node: NodeId, value: Range<usize>) {
        let notation = self.wanted.node(node).and_then(|wanted| wanted.inside);
        let value = self.text.get(value);
        if let (Some(notation), Some([b'"', raw @ .., b'"'])) = (notation, value) {
            places.look_inside(self.wanted, node, notation, raw);
        }
    }

    /// Checks the value behind a mark, which nobody wants, and gives the mark behind the value.
    #[inline(always)]
    fn pass(&self, places: &mut Places, before: usize, depth: u32) -> Result<usize> {
        let value = self.place(before)? + 1;
        let first = self.byte(value)?;
        if matches!(first, b'{' | b'[') {
            if depth >= DEPTH {
                return Err(Unusual);
            }
            let close = self.skip(places, before + 1, depth + 1)?;
            return self.behind(close);
        }
        self.scalar(places, before, value, first)
    }

    /// Checks what is inside an unwanted object or array, and gives the mark that closes it.
    #[inline(never)]
    fn skip(&self, places: &mut Places, open: usize, outside: u32) -> Result<usize> {
        let mut depth = outside;
        let mut is_object = self.mark(open)? == b'{';
        // For each bracket around the innermost one whether it is an object's.
        let mut around = 0_u128;
        let mut before = open;
        loop {
            let (value, first, empty) = if is_object {
                match self.member(before) {
                    Ok(member) if member.is_key => (before + 1, member.first, false),
                    _ => (before, 0, true),
                }
            } else {
                let first = self.byte(self.place(before)? + 1)?;
                (before, first, first == b']')
            };
            let mut after = if empty {
                self.nothing(before, if is_object { b'}' } else { b']' })?
            } else if matches!(first, b'{' | b'[') {
                depth += 1;
                if depth > DEPTH {
                    return Err(Unusual);
                }
                around = around << 1 | u128::from(is_object);
                is_object = first == b'{';
                before = value + 1;
                continue;
            } else {
                self.scalar(places, value, self.place(value)? + 1, first)?
            };
            loop {
                match (self.mark(after)?, is_object) {
                    (b',', _) => break,
                    (b'}', true) | (b']', false) if depth == outside => return Ok(after),
                    (b'}', true) | (b']', false) => after = self.behind(after)?,
                    _ => return Err(Unusual),
                }
                depth -= 1;
                is_object = around & 1 == 1;
                around >>= 1;
            }
            before = after;
        }
    }

    /// The mark behind the string, number, `true`, `false` or `null` that follows a mark.
    #[inline(always)]
    fn scalar(&self, places: &mut Places, before: usize, value: usize, first: u8) -> Result<usize> {
        if self.wanted.scalars {
            places.scalar(value, self.place(before + 1)?);
        }
        // A string ends before the next mark: `Marks` has seen to it.
        if first == b'"'
            || is_literal(
                self.text
                    .get(value..self.place(before + 1)?)
                    .unwrap_or_default(),
            )
        {
            return Ok(before + 1);
        }
        Err(Unusual)
    }

    /// The bracket that closes an object or array in which nothing stands.
    fn nothing(&self, open: usize, close: u8) -> Result<usize> {
        let (start, end) = (self.place(open)?, self.place(open + 1)?);
        let is_empty = end == start + 1 && self.byte(end)? == close && self.byte(start)? != b',';
        if is_empty { Ok(open + 1) } else { Err(Unusual) }
    }

    /// The mark behind a closing bracket: nothing stands between.
    #[inline(always)]
    fn behind(&self, close: usize) -> Result<usize> {
        let adjacent = self.place(close + 1)? == self.place(close)? + 1;
        if adjacent {
            Ok(close + 1)
        } else {
            Err(Unusual)
        }
    }
}

/// Whether a text is `null`, `true`, `false` or a number that the parser takes.
#[inline(always)]
pub(super) fn is_literal(text: &[u8]) -> bool {
    match text.first() {
        Some(b'n') => text == b"null",
        Some(b't') => text == b"true",
        Some(b'f') => text == b"false",
        _ => is_number(text),
    }
}

/// A number of RFC 8259 that a double can hold, if not exactly.
fn is_number(text: &[u8]) -> bool {
    /// The largest double has 309 digits before its point.
    const SURELY_FINITE: usize = 300;
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(unsigned);
    if whole == 0 || (whole > 1 && unsigned.starts_with(b"0")) {
        return false;
    }
    let mut rest = unsigned.get(whole..).unwrap_or_default();
    if let [b'.', fraction @ ..] = rest {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = fraction.get(length..).unwrap_or_default();
    }
    if rest.is_empty() && whole <= SURELY_FINITE {
        return true;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', exponent @ ..] => exponent,
            exponent => exponent,
        };
        if exponent.is_empty() || digits(exponent) < exponent.len() {
            return false;
        }
    } else if !rest.is_empty() {
        return false;
    }
    let number = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<f64>().ok());
    number.is_some_and(f64::is_finite)
}
