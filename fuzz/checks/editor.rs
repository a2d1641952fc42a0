//! What an editor does with a text that is being written: layout, and the questions of `rulectl lsp`.

use std::fs;
use std::io::BufReader;

use rulectl::fmt::{FileKind, formatted};
use rulectl::lsp::serve;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::policy::GOOD;

/// The files of a policy, which the first byte of an input chooses from.
const FILES: [&str; 5] = [
    "rules/sign_in.yml",
    "routing.toml",
    "tools.yaml",
    "prompts/risk.md",
    "fixtures/x.test.yml",
];

/// What is asked about a place.
const ASKED: [&str; 4] = ["completion", "hover", "definition", "codeAction"];

/// A choice, and the text behind it.
fn chosen(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    Some((usize::from(*first) % FILES.len(), rest))
}

/// A text is laid out or refused; laid out it has the same lines but for blanks, and is laid out
/// the same way again.
pub fn layout(bytes: &[u8]) {
    let Some((chosen, rest)) = chosen(bytes) else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    let kind = FileKind::of(FILES[chosen]).unwrap_or(FileKind::Toml);
    let Ok(laid_out) = formatted("x", text, kind) else {
        return;
    };
    assert_eq!(lines(text), lines(&laid_out), "every line stays");
    let again = formatted("x", &laid_out, kind).expect("what was laid out can be read");
    assert_eq!(again, laid_out, "it is laid out");
}

/// The lines that are not blank, in the order of their texts.
fn lines(text: &str) -> Vec<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.split(['\n', '\r']).map(str::trim_end);
    let mut lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines
}

/// Each question about any place of any text has one answer, and what is offered to be changed
/// lies in the text.
pub fn editor(bytes: &[u8]) {
    let Some((chosen, rest)) = chosen(bytes) else {
        return;
    };
    let [line, character, rest @ ..] = rest else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    FOLDER.with(|folder| ask(folder, FILES[chosen], (*line, *character), &text));
}

fn ask(folder: &TempDir, path: &str, (line, character): (u8, u8), text: &str) {
    let uri = |path: &str| format!("file://{}/{path}", folder.path().display());
    let document = json!({"uri": uri(path)});
    let at = json!({"line": line, "character": character});
    let mut asked = vec![
        json!({"id": 0, "method": "initialize", "params": {"rootUri": uri(""), "capabilities": {}}}),
        json!({"method": "initialized", "params": {}}),
        json!({"method": "textDocument/didOpen", "params": {"textDocument": {
            "uri": uri(path), "languageId": "yaml", "version": 1, "text": text,
        }}}),
    ];
    for (id, method) in ASKED.iter().enumerate() {
        asked.push(
            json!({"id": id + 1, "method": format!("textDocument/{method}"), "params": {
                "textDocument": document, "position": at, "range": {"start": at, "end": at},
                "context": {"diagnostics": []},
            }}),
        );
    }
    asked.push(
        json!({"id": 8, "method": "textDocument/formatting", "params": {
            "textDocument": document, "options": {"tabSize": 2, "insertSpaces": true},
        }}),
    );
    asked.push(json!({"id": 9, "method": "shutdown"}));
    asked.push(json!({"method": "exit"}));
    let mut input = Vec::new();
    for message in &mut asked {
        message["jsonrpc"] = "2.0".into();
        let body = message.to_string();
        input.extend(format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes());
    }
    let mut output = Vec::new();
    let today = || "2026-06-01".parse().expect("a day");
    serve(&mut BufReader::new(input.as_slice()), &mut output, today)
        .expect("memory can be written");
    let lines = text.split(['\n', '\r']).count() as u64;
    let mut answered = Vec::new();
    for message in messages(&output) {
        answered.extend(message.get("id").and_then(Value::as_u64));
        assert_eq!(message.pointer("/error/code"), None, "{message}");
        within(&message["result"], lines);
    }
    assert_eq!(answered, [0, 1, 2, 3, 4, 8, 9]);
}

/// The ranges of an answer lie in a text of so many lines; those in other files are passed over.
fn within(answer: &Value, lines: u64) {
    match answer {
        Value::Object(entries) if !entries.contains_key("uri") => {
            if let Some(line) = answer.pointer("/range/end/line").and_then(Value::as_u64) {
                assert!(line <= lines, "{answer}");
            }
            entries.values().for_each(|value| within(value, lines));
        }
        Value::Array(items) => items.iter().for_each(|item| within(item, lines)),
        _ => {}
    }
}

/// The messages of a stream.
fn messages(mut stream: &[u8]) -> Vec<Value> {
    let mut all = Vec::new();
    while let Some(end) = stream.windows(4).position(|four| four == b"\r\n\r\n") {
        let header = std::str::from_utf8(&stream[..end]).expect("a header");
        let length = header.strip_prefix("Content-Length: ").expect("a length");
        let (body, rest) = stream[end + 4..].split_at(length.parse().expect("a number"));
        all.push(serde_json::from_slice(body).expect("JSON"));
        stream = rest;
    }
    all
}

thread_local! {
    static FOLDER: TempDir = {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in GOOD {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
            fs::write(path, text).expect("written");
        }
        folder
    };
}
