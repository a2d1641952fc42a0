//! Texts that hold values.

use rulectl::json::{Notation, Reader, Wanted};
use serde_json::json;

use super::plain;

/// A longer text is not looked into.
const LONGEST_TEXT: usize = 64 << 10;

/// The first line is a path, what follows a text. JSON in it has the fields that its tree has;
/// as a map it has the same however it is spelled and, where its brackets close, in whatever it
/// is wrapped, and no value that does not stand in it.
pub fn inside(bytes: &[u8]) {
    let Some((path, text)) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.split_once('\n'))
    else {
        return;
    };
    let record = json!({ "t": text }).to_string();
    for notation in [Notation::Json, Notation::Map] {
        let found = read(path, &record, Some(notation));
        let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
        let escaped = format!("{{\"t\":\"{}\"}}", units.collect::<String>());
        assert_eq!(
            read(path, &escaped, Some(notation)),
            found,
            "{path} of {text}"
        );
    }
    as_json(path, text, &record);
    as_map(path, text, &record);
}

fn as_json(path: &str, text: &str, record: &str) {
    let tree = plain::parse(text.as_bytes()).filter(|tree| {
        let holds = tree.is_object() || tree.is_array();
        holds && text.len() <= LONGEST_TEXT && plain::depth(tree) < 127
    });
    let found = read(path, record, Some(Notation::Json));
    match tree {
        Some(tree) => {
            let opened = json!({ "t": tree }).to_string();
            assert_eq!(found, read(path, &opened, None), "{path} of {text}");
        }
        None if text.len() > LONGEST_TEXT => assert_eq!(found, None),
        // What is nested deepest is left to the tests of the project.
        None => assert!(found.is_none() || text.len() > 200, "{path} of {text}"),
    }
}

fn as_map(path: &str, text: &str, record: &str) {
    let found = read(path, record, Some(Notation::Map));
    for value in found.iter().flatten() {
        let value = value.strip_prefix("text ");
        assert!(
            value.is_none_or(|value| text.contains(value)),
            "{value:?} does not stand in {text}"
        );
    }
    let trimmed = text.trim_matches(' ');
    let wrapped = json!({ "t": format!("[x, {text}, y]") }).to_string();
    if found.is_some() && trimmed.starts_with(['{', '[']) && text.len() + 8 < LONGEST_TEXT {
        let again = read(path, &wrapped, Some(Notation::Map));
        let is_flat = !is_balanced(text) || text.matches(['{', '[']).count() >= 32;
        assert!(again == found || is_flat, "{path} of {text}, wrapped");
    }
}

/// Whether each bracket closes the last that is open; a text in which one does not is read flat.
fn is_balanced(text: &str) -> bool {
    let mut open = Vec::new();
    let closes = |open: Option<char>, close| {
        open.is_some_and(|open| matches!((open, close), ('{', '}') | ('[', ']') | ('(', ')')))
    };
    let all = text.chars().all(|letter| match letter {
        '{' | '[' | '(' => {
            open.push(letter);
            true
        }
        '}' | ']' | ')' => closes(open.pop(), letter),
        _ => true,
    });
    all && open.is_empty()
}

/// The values at a path below `t`; `None` where the key is not there.
fn read(path: &str, record: &str, notation: Option<Notation>) -> Option<Vec<String>> {
    let mut wanted = Wanted::default();
    let slot = wanted.add(["t"].into_iter().chain(path.split('.')));
    if let Some(notation) = notation {
        wanted.read_inside(["t"], notation);
    }
    let mut reader = Reader::new(wanted);
    let fields = reader.read_canonical(record.as_bytes());
    let fields = fields.unwrap_or_else(|| panic!("not read: {record}"));
    let values = fields.values(slot).map(plain::read).collect();
    fields.exists(slot).then_some(values)
}
