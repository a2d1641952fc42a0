//! What an attacker may write and where: payloads, the fields of an event that they reach, and a
//! log to write it into.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::diag::{FileId, Problems};
use crate::document::{Node, codes as shape, parse_yaml};

/// The codes of problems in a folder of payloads.
pub mod codes {
    /// A folder of payloads that cannot be read, or lacks a part.
    pub const ARSENAL: &str = "RL0605";
}

/// Everything that is thrown at a policy.
#[derive(Clone, Debug, Default)]
pub struct Arsenal {
    /// What is written.
    pub payloads: Vec<Payload>,
    /// Where.
    pub fields: Vec<Field>,
    /// The events that it is written into.
    pub events: Vec<Value>,
}

/// A text that wants to be taken for an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Its name, which no other payload has.
    pub id: String,
    /// The kind of trick that it is.
    pub family: String,
    /// The text.
    pub text: String,
}

/// A field of an event whose value somebody outside chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its dotted path; in a list it is that of each element.
    pub path: String,
    /// How an attacker gets to it.
    pub why: String,
}

/// The log of a folder of payloads.
const LOG: &str = "events.ndjson";
/// A larger file is none of ours.
const MAX_FILE: u64 = 4 << 20;
/// The longest payload: Okta keeps no text that is longer.
const MAX_TEXT: u64 = 256 << 10;

/// Reads `*.yml` and `events.ndjson` of a folder; reports everything that is wrong in them.
pub fn load_arsenal(folder: &Path, problems: &mut Problems) -> Arsenal {
    let mut arsenal = Arsenal::default();
    match lists(folder) {
        Ok(paths) => {
            for path in paths {
                load_list(&path, &mut arsenal, problems);
            }
        }
        Err(error) => unreadable(folder, &crate::visible::reason(&error), problems),
    }
    load_log(&folder.join(LOG), &mut arsenal, problems);
    if problems.counts().0 == 0 {
        report_lacks(folder, &arsenal, problems);
    }
    arsenal
}

/// The files with payloads and fields, in the order of their names.
fn lists(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let kind = path.extension().and_then(|kind| kind.to_str());
        if matches!(kind, Some("yml" | "yaml")) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn report_lacks(folder: &Path, arsenal: &Arsenal, problems: &mut Problems) {
    let parts = [
        ("payloads", arsenal.payloads.is_empty()),
        ("fields", arsenal.fields.is_empty()),
        ("events", arsenal.events.is_empty()),
    ];
    for (part, _) in parts.iter().filter(|(_, lacks)| *lacks) {
        let file = problems.add_file(&folder.display().to_string(), "");
        problems
            .file_error(codes::ARSENAL, file, format!("the folder has no {part}"))
            .help("write `payloads` and `fields` in files `*.yml`, and events in `events.ndjson`");
    }
}

fn unreadable(path: &Path, reason: &str, problems: &mut Problems) {
    let name = path.display().to_string();
    let file = problems.add_file(&name, "");
    problems
        .file_error(
            codes::ARSENAL,
            file,
            format!("`{name}` cannot be read: {reason}"),
        )
        .help("name a folder with payloads, fields and events with `--payloads`");
}

/// The text of a file of ordinary size.
fn text(path: &Path, problems: &mut Problems) -> Option<(FileId, String)> {
    let text = match fs::metadata(path) {
        Ok(found) if !found.is_file() => Err("it is not a regular file".to_owned()),
        Ok(found) if found.len() > MAX_FILE => Err("it is larger than 4 MiB".to_owned()),
        Ok(_) => fs::read_to_string(path).map_err(|error| crate::visible::reason(&error)),
        Err(error) => Err(crate::visible::reason(&error)),
    };
    match text {
        Ok(text) => Some((problems.add_file(&path.display().to_string(), &text), text)),
        Err(reason) => {
            unreadable(path, &reason, problems);
            None
        }
    }
}

fn load_list(path: &Path, arsenal: &mut Arsenal, problems: &mut Problems) {
    let Some((file, text)) = text(path, problems) else {
        return;
    };
    let Some(root) = parse_yaml(file, &text, problems) else {
        return;
    };
    let Some(mut table) = root.table(problems) else {
        return;
    };
    let mut listed = |key| table.get(key).and_then(|node| node.list(problems));
    let (payloads, fields) = (listed("payloads"), listed("fields"));
    table.finish(problems);
    for node in payloads.unwrap_or_default() {
        if let Some(payload) = decode_payload(node, &arsenal.payloads, problems) {
            arsenal.payloads.push(payload);
        }
    }
    for node in fields.unwrap_or_default() {
        arsenal.fields.extend(decode_field(node, problems));
    }
}

fn decode_payload(node: &Node, others: &[Payload], problems: &mut Problems) -> Option<Payload> {
    let mut table = node.table(problems)?;
    let id_node = table.require("id", problems);
    let id = id_node.and_then(|node| node.text(problems));
    let family = table
        .require("family", problems)
        .and_then(|node| node.text(problems));
    let text = table.require("text", problems);
    let text = text.and_then(|node| Some((node.text(problems)?, node)));
    let times = match table.get("repeat") {
        Some(node) => node.count(problems),
        None => Some(1),
    };
    table.finish(problems);
    let (id, family, (text, at)) = (id?, family?, text?);
    if others.iter().any(|other| other.id == id) {
        let place = id_node.map_or(node.span, |node| node.span);
        problems
            .error(
                shape::BAD_VALUE,
                place,
                format!("another payload is called `{id}`"),
            )
            .help("an escape names its payload: give each a name of its own");
    }
    let size = times?.saturating_mul(text.len() as u64);
    if size > MAX_TEXT {
        problems
            .error(
                shape::BAD_VALUE,
                at.span,
                format!("this payload has {size} bytes"),
            )
            .help(format!("expected at most {MAX_TEXT}"));
        return None;
    }
    Some(Payload {
        id: id.to_owned(),
        family: family.to_owned(),
        text: text.repeat(usize::try_from(times?).ok()?),
    })
}

fn decode_field(node: &Node, problems: &mut Problems) -> Option<Field> {
    let mut table = node.table(problems)?;
    let path = table.require("path", problems);
    let path = path.and_then(|node| node.text(problems));
    let why = table.require("why", problems);
    let why = why.and_then(|node| node.text(problems));
    table.finish(problems);
    Some(Field {
        path: path?.to_owned(),
        why: why?.to_owned(),
    })
}

fn load_log(path: &Path, arsenal: &mut Arsenal, problems: &mut Problems) {
    let Some((file, text)) = text(path, problems) else {
        return;
    };
    for (at, line) in text.lines().enumerate() {
        match serde_json::from_str::<Value>(line) {
            Ok(event) if event.is_object() => arsenal.events.push(event),
            _ => {
                let message = format!("line {} is not an event", at + 1);
                problems
                    .file_error(codes::ARSENAL, file, message)
                    .help("expected one JSON object a line");
            }
        }
    }
}

/// Writes a text into a field of an event: at its path, through lists into each element. What lies
/// on the way and is no object or list stays as it is.
pub(super) fn plant(event: &mut Value, path: &str, text: &str) {
    match event {
        Value::Array(items) => {
            for item in items {
                plant(item, path, text);
            }
        }
        Value::Object(map) => match path.split_once('.') {
            None => {
                map.insert(path.to_owned(), text.into());
            }
            Some((step, rest)) => {
                let inner = map.entry(step).or_insert(Value::Null);
                if inner.is_null() {
                    *inner = Value::Object(serde_json::Map::new());
                }
                plant(inner, rest, text);
            }
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_payload_stands_wherever_its_path_leads() {
        let mut event =
            json!({"target": [{"id": 1}, {"displayName": "x"}], "client": null, "a": 7});
        for path in ["target.displayName", "client.device", "a.b"] {
            plant(&mut event, path, "!");
        }
        let expected = json!({
            "target": [{"id": 1, "displayName": "!"}, {"displayName": "!"}],
            "client": {"device": "!"},
            "a": 7,
        });
        assert_eq!(event, expected);
    }
}
