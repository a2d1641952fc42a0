//! JSON inside a text, with the white space that it may have.

use memchr::memchr2;

use super::Notes;
use crate::json::walk::{DEPTH, is_literal};
use crate::json::wanted::{Child, NodeId, Wanted};

/// Why a text is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is not JSON.
    Broken,
    /// A wanted key stands twice in one object, or is spelled with escapes.
    Unusual,
}

type Result<T> = std::result::Result<T, Trouble>;

/// Notes the fields below a node that the JSON has which stands in `values` from `start`
/// to the end; notes nothing where it is not read to its last byte. In `canonical` JSON,
/// as a serialiser writes it, each key is spelled in one way only.
pub(super) fn walk(
    values: &[u8],
    start: usize,
    wanted: &Wanted,
    node: NodeId,
    canonical: bool,
    notes: &mut Notes,
) -> Result<()> {
    let (found, nested) = (notes.found.len(), notes.nested.len());
    let mut walk = Walk {
        values,
        at: start,
        wanted,
        canonical,
        notes,
    };
    let read = walk.whole(node);
    if read.is_err() {
        notes.found.truncate(found);
        notes.nested.truncate(nested);
    }
    read
}

struct Walk<'w> {
    values: &'w [u8],
    at: usize,
    wanted: &'w Wanted,
    canonical: bool,
    notes: &'w mut Notes,
}

impl Walk<'_> {
    fn whole(&mut self, node: NodeId) -> Result<()> {
        self.blanks();
        self.value(Some(node), true, 0)?;
        self.blanks();
        if self.at == self.values.len() {
            Ok(())
        } else {
            Err(Trouble::Broken)
        }
    }

    /// Reads a value. The value of the `outermost` node is the text itself, so that
    /// nothing but what is below it is noted.
    fn value(&mut self, node: Option<NodeId>, outermost: bool, depth: u32) -> Result<()> {
        let start = self.at;
        let noted = node.filter(|_| !outermost);
        match self.peek()? {
            _ if depth > DEPTH => Err(Trouble::Broken),
            b'{' => {
                if let Some(node) = noted {
                    self.notes.value(self.wanted, node, start, start + 1);
                }
                self.object(node, depth + 1)
            }
            b'[' => self.array(node, outermost, depth + 1),
            b'"' => {
                self.string()?;
                if let Some(node) = noted {
                    self.notes.text(self.wanted, node, start, self.at);
                }
                Ok(())
            }
            _ => {
                self.literal()?;
                if let Some(node) = noted {
                    self.notes.value(self.wanted, node, start, self.at);
                }
                Ok(())
            }
        }
    }

    fn object(&mut self, node: Option<NodeId>, depth: u32) -> Result<()> {
        if depth > DEPTH {
            return Err(Trouble::Broken);
        }
        let object = self.notes.enter();
        self.at += 1;
        self.blanks();
        if self.next_is(b'}') {
            return Ok(());
        }
        loop {
            self.blanks();
            let child = self.key(node, object)?;
            self.blanks();
            if !self.next_is(b':') {
                return Err(Trouble::Broken);
            }
            self.blanks();
            self.value(child, false, depth)?;
            self.blanks();
            if self.next_is(b'}') {
                return Ok(());
            }
            if !self.next_is(b',') {
                return Err(Trouble::Broken);
            }
        }
    }

    /// Reads a key and gives the wanted node that it leads to.
    fn key(&mut self, node: Option<NodeId>, object: u64) -> Result<Option<NodeId>> {
        let start = self.at + 1;
        if self.peek()? != b'"' {
            return Err(Trouble::Broken);
        }
        self.string()?;
        let Some(node) = node.and_then(|node| self.wanted.node(node)) else {
            return Ok(None);
        };
        match node.child(self.values, &(start..self.at - 1)) {
            Child::Wanted(child) => {
                let first = self.notes.reach(self.wanted, child, object);
                if first || self.canonical {
                    Ok(Some(child))
                } else {
                    Err(Trouble::Unusual)
                }
            }
            Child::Escaped if !self.canonical => Err(Trouble::Unusual),
            Child::Unwanted | Child::Escaped => Ok(None),
        }
    }

    /// Elements of a wanted array stand for it.
    fn array(&mut self, node: Option<NodeId>, outermost: bool, depth: u32) -> Result<()> {
        self.at += 1;
        self.blanks();
        if depth > DEPTH {
            return Err(Trouble::Broken);
        }
        if self.next_is(b']') {
            return Ok(());
        }
        loop {
            self.blanks();
            self.value(node, outermost, depth)?;
            self.blanks();
            if self.next_is(b']') {
                return Ok(());
            }
            if !self.next_is(b',') {
                return Err(Trouble::Broken);
            }
        }
    }

    /// Passes a string from one quote to the other.
    fn string(&mut self) -> Result<()> {
        let start = self.at + 1;
        self.at = start;
        loop {
            let rest = self.values.get(self.at..).unwrap_or_default();
            self.at += memchr2(b'"', b'\\', rest).ok_or(Trouble::Broken)?;
            if self.peek()? == b'"' {
                break;
            }
            self.at += self.escape()?;
        }
        let text = self.values.get(start..self.at).unwrap_or_default();
        self.at += 1;
        if text.iter().any(|byte| *byte < b' ') {
            return Err(Trouble::Broken);
        }
        Ok(())
    }

    /// How long the escape is that begins here.
    fn escape(&self) -> Result<usize> {
        let rest = self.values.get(self.at + 1..).unwrap_or_default();
        match rest {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => Ok(2),
            [b'u', digits @ ..] => {
                let digits = digits.first_chunk::<4>().ok_or(Trouble::Broken)?;
                if digits.iter().all(u8::is_ascii_hexdigit) {
                    Ok(6)
                } else {
                    Err(Trouble::Broken)
                }
            }
            _ => Err(Trouble::Broken),
        }
    }

    /// Passes a number, `true`, `false` or `null`.
    fn literal(&mut self) -> Result<()> {
        let rest = self.values.get(self.at..).unwrap_or_default();
        let is_end = |byte: &u8| matches!(byte, b',' | b']' | b'}') || is_blank(*byte);
        let length = rest.iter().position(is_end).unwrap_or(rest.len());
        self.at += length;
        if is_literal(rest.get(..length).unwrap_or_default()) {
            Ok(())
        } else {
            Err(Trouble::Broken)
        }
    }

    fn blanks(&mut self) {
        let rest = self.values.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| is_blank(**byte)).count();
    }

    fn peek(&self) -> Result<u8> {
        self.values.get(self.at).copied().ok_or(Trouble::Broken)
    }

    /// Whether this byte stands here; it is passed if so.
    fn next_is(&mut self, byte: u8) -> bool {
        let is = self.values.get(self.at) == Some(&byte);
        self.at += usize::from(is);
        is
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
