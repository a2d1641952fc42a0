//! JSON texts that escape half of a surrogate pair (`"\ud800"`): the grammar of RFC 8259
//! allows it and no Unicode text can hold it.

/// The text with each such escape replaced by that of U+FFFD; `None` where there is none.
#[must_use]
pub fn repaired(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut changed = false;
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let first = unit(escape);
        let second = escape.get(6..).and_then(unit);
        let (length, lone) = match (first, second) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, false),
            (Some(0xd800..=0xdfff), _) => (6, true),
            (Some(_), _) => (6, false),
            // A backslash and what it escapes, which may be any character.
            (None, _) => (escape.chars().take(2).map(char::len_utf8).sum(), false),
        };
        let (taken, left) = escape.split_at(length);
        out.push_str(if lone { "\\ufffd" } else { taken });
        changed |= lone;
        rest = left;
    }
    out.push_str(rest);
    changed.then_some(out)
}

/// The UTF-16 unit that a text begins with, escaped as `\uXXXX`.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}
