//! Dotted paths through a record.

use rulectl::json::{Reader, Wanted};
use serde_json::Value;

use super::plain;

/// The first line has paths between `|`, what follows is a record: its fields are those of a
/// plain walk through its tree, as it stands and as the serialiser writes it.
pub fn path(bytes: &[u8]) {
    let Some((paths, record)) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.split_once('\n'))
    else {
        return;
    };
    let mut wanted = Wanted::default();
    let paths: Vec<_> = paths
        .split('|')
        .take(16)
        .map(|path| (path, wanted.add(path.split('.'))))
        .collect();
    wanted.scalars = true;
    let mut reader = Reader::new(wanted);
    let tree = plain::parse(record.as_bytes());
    if let Some(fields) = reader.read(record.as_bytes()) {
        let tree = tree.as_ref();
        let tree = tree.unwrap_or_else(|| panic!("read and not JSON: {record}"));
        assert!(tree.is_object(), "read and no object: {record}");
        for (path, slot) in &paths {
            plain::same_field(path, *slot, &fields, tree);
        }
    }
    let Some(tree @ Value::Object(_)) = tree else {
        return;
    };
    let text = tree.to_string();
    let fields = reader.read_canonical(text.as_bytes());
    let fields = fields.unwrap_or_else(|| panic!("canonical and not read: {text}"));
    for (path, slot) in &paths {
        plain::same_field(path, *slot, &fields, &tree);
    }
    let mut expected = Vec::new();
    plain::scalars(&tree, &mut expected);
    let found: Vec<String> = fields.scalars().map(plain::read).collect();
    assert_eq!(found, expected, "scalars of {text}");
}
