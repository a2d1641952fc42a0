//! An editor that talks to the program over its streams.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{lay_over, root, shipped_folder};

/// An editor, and the program that it started.
struct Editor {
    program: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// The number of the last request.
    asked: u64,
    /// What was said without being asked for.
    notices: Vec<Value>,
}

impl Editor {
    /// Starts the program, which has not been talked to.
    fn started() -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_rulectl"))
            .args(["lsp", "--stdio"])
            .current_dir(root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let input = program.stdin.take();
        let output = BufReader::new(program.stdout.take().expect("a stream"));
        Self {
            program,
            input,
            output,
            asked: 0,
            notices: Vec::new(),
        }
    }

    /// An editor that works in a folder and counts columns in bytes.
    fn working_in(folder: &Path) -> Self {
        let mut editor = Self::started();
        let params = json!({
            "rootUri": uri(folder),
            "capabilities": {"general": {"positionEncodings": ["utf-16", "utf-8"]}},
        });
        let begun = editor.ask("initialize", params);
        assert_eq!(begun["capabilities"]["positionEncoding"], "utf-8");
        editor.tell("initialized", json!({}));
        editor
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        self.send_raw(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    }

    fn send_raw(&mut self, text: &str) {
        let input = self.input.as_mut().expect("it is open");
        input.write_all(text.as_bytes()).expect("it is read");
        input.flush().expect("it is read");
    }

    fn next(&mut self) -> Option<Value> {
        let mut header = String::new();
        self.output.read_line(&mut header).expect("text");
        let length = header.trim().strip_prefix("Content-Length: ")?;
        let mut body = vec![0; length.parse::<usize>().expect("a number")];
        self.output.read_line(&mut header).expect("an empty line");
        self.output.read_exact(&mut body).expect("a body");
        Some(serde_json::from_slice(&body).expect("JSON"))
    }

    /// The whole answer to a request.
    fn answer(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        loop {
            let message = self.next().expect("an answer");
            if message["id"] == id {
                return message;
            }
            self.notices.push(message);
        }
    }

    /// The result of a request.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    fn open(&mut self, path: &Path, text: &str) {
        let document = json!({"uri": uri(path), "languageId": "yaml", "version": 1, "text": text});
        self.tell("textDocument/didOpen", json!({"textDocument": document}));
    }

    fn change(&mut self, path: &Path, changes: Value) {
        let document = json!({"uri": uri(path), "version": 2});
        let params = json!({"textDocument": document, "contentChanges": changes});
        self.tell("textDocument/didChange", params);
    }

    /// What was last said of a file, after everything sent so far was taken in.
    fn problems(&mut self, path: &Path) -> Vec<Value> {
        let nobody = self.answer("rulectl/nothing", Value::Null);
        assert_eq!(nobody["error"]["code"], -32601, "{nobody}");
        let uri = uri(path);
        let mut of_file = self.notices.iter().rev();
        let last = of_file.find(|said| said["params"]["uri"] == uri.as_str());
        let said = last.map(|said| said["params"]["diagnostics"].clone());
        serde_json::from_value(said.unwrap_or_else(|| json!([]))).expect("a list")
    }

    /// Ends it as it should be; its exit code.
    fn end(mut self) -> Option<i32> {
        assert_eq!(self.ask("shutdown", Value::Null), Value::Null);
        self.tell("exit", Value::Null);
        self.left()
    }

    /// Its exit code, when nothing more is said to it.
    fn left(mut self) -> Option<i32> {
        self.input = None;
        self.program.wait().expect("it ends").code()
    }
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a text")
}

/// The position of the first place of a text, in bytes.
fn position(text: &str, place: &str, further: usize) -> Value {
    let at = text.find(place).expect("it stands there") + further;
    let line = text[..at].matches('\n').count();
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    json!({"line": line, "character": at - start})
}

fn codes(problems: &[Value]) -> Vec<&str> {
    problems
        .iter()
        .map(|one| one["code"].as_str().unwrap_or(""))
        .collect()
}

/// A policy, and one of its rules.
fn policy() -> (TempDir, PathBuf) {
    let folder = shipped_folder();
    let rule = folder.path().join("rules/sign_in.yml");
    (folder, rule)
}

#[test]
fn what_is_typed_is_checked_at_once() {
    let (folder, rule) = policy();
    let mut editor = Editor::working_in(folder.path());
    let text = read(&rule);
    editor.open(&rule, &text);
    assert_eq!(editor.problems(&rule), Vec::<Value>::new());

    let start = position(&text, "user.session.start", 0);
    let end = position(&text, "user.session.start", "user.session.start".len());
    let range = json!({"start": start, "end": end});
    editor.change(
        &rule,
        json!([{"range": range, "text": "user.session.strat"}]),
    );
    let problems = editor.problems(&rule);
    assert_eq!(codes(&problems), ["RL0151"]);
    assert_eq!(problems[0]["range"], range, "{problems:?}");
    assert_eq!(problems[0]["severity"], 2);
    let message = problems[0]["message"].as_str().unwrap();
    assert!(
        message.ends_with("help: did you mean `user.session.start`?"),
        "{message}"
    );

    editor.change(&rule, json!([{"text": "title: [\n"}]));
    let problems = editor.problems(&rule);
    assert_eq!(codes(&problems), ["RL0010"]);

    // What was not saved is gone.
    editor.tell(
        "textDocument/didClose",
        json!({"textDocument": {"uri": uri(&rule)}}),
    );
    assert_eq!(editor.problems(&rule), Vec::<Value>::new());
    assert_eq!(editor.end(), Some(0));
}

#[test]
fn what_follows_in_other_files_is_told_too() {
    let (folder, rule) = policy();
    let mut editor = Editor::working_in(folder.path());
    let routing = folder.path().join("routing.toml");
    let text = read(&rule).replace("finding_type: IMPOSSIBLE_TRAVEL", "finding_type: TRAVEL");
    editor.open(&rule, &text);
    let problems = editor.problems(&routing);
    assert!(codes(&problems).contains(&"RL0152"), "{problems:?}");
    fs::write(&rule, &text).expect("written");
    fs::write(
        &routing,
        read(&routing).replace("IMPOSSIBLE_TRAVEL", "TRAVEL"),
    )
    .expect("written");
    editor.tell(
        "textDocument/didSave",
        json!({"textDocument": {"uri": uri(&rule)}}),
    );
    assert_eq!(editor.problems(&routing), Vec::<Value>::new());
    assert_eq!(editor.end(), Some(0));
}

#[test]
fn a_broken_policy_is_told_before_a_file_is_open() {
    let folder = tempfile::tempdir().expect("a folder");
    for layer in ["good", "unknown-keys"] {
        lay_over(&root().join("tests/diagnostics").join(layer), folder.path());
    }
    let mut editor = Editor::working_in(folder.path());
    let problems = editor.problems(&folder.path().join("routing.toml"));
    assert!(codes(&problems).contains(&"RL0011"), "{problems:?}");
    assert_eq!(editor.end(), Some(0));
}

#[test]
fn a_policy_in_a_folder_below_is_found_and_other_files_are_parsed() {
    let place = tempfile::tempdir().expect("a folder");
    let below = place.path().join("teams/one \u{fc}");
    lay_over(shipped_folder().path(), &below);
    let mut editor = Editor::working_in(place.path());
    let rule = below.join("rules/sign_in.yml");
    editor.open(
        &rule,
        &read(&rule).replace("condition: selection", "condition: selektion"),
    );
    assert!(codes(&editor.problems(&rule)).contains(&"RL0120"));

    for (name, text, expected) in [
        ("a.yml", "a: [1", vec!["RL0010"]),
        ("b.toml", "a = ", vec!["RL0010"]),
        ("c.yml", "title: no policy at all", vec![]),
        ("d.txt", "a: [", vec![]),
    ] {
        let path = place.path().join(name);
        editor.open(&path, text);
        assert_eq!(codes(&editor.problems(&path)), expected, "{name}");
    }
    assert_eq!(editor.end(), Some(0));
}

#[test]
fn nothing_that_an_editor_sends_ends_it_or_makes_it_wait() {
    let (folder, rule) = policy();
    let mut editor = Editor::started();
    let early = editor.answer("textDocument/hover", json!({}));
    assert_eq!(early["error"]["code"], -32002);
    editor.tell("textDocument/didOpen", json!({"textDocument": 1}));
    editor.ask("initialize", json!({"rootUri": uri(folder.path())}));
    editor.send_raw("Content-Length: 3\r\n\r\n{a}");
    let broken = editor.next().expect("an answer");
    assert_eq!(broken["error"]["code"], -32700);
    let deep = "[".repeat(100_000);
    editor.send_raw(&format!("Content-Length: {}\r\n\r\n{deep}", deep.len()));
    assert_eq!(editor.next().expect("an answer")["error"]["code"], -32700);
    for odd in [
        json!(7),
        json!([]),
        json!({"id": 5}),
        json!({"id": {}, "method": 3}),
    ] {
        editor.send(&odd);
        let answer = editor.next().expect("an answer");
        assert_eq!(answer["error"]["code"], -32600, "{odd}");
    }
    editor.open(&rule, &read(&rule));
    let far = json!({"line": 4_000_000_000_u64, "character": u64::MAX});
    let odd = [
        json!(null),
        json!([1, 2]),
        json!({"textDocument": {"uri": "file:///%zz"}}),
        json!({"textDocument": {"uri": uri(&rule)}, "position": far, "contentChanges": [{"range": {"start": far, "end": {"line": -1}}, "text": "x"}]}),
        json!({"textDocument": {"uri": uri(&rule)}, "position": {"line": "a"}, "contentChanges": [{"range": 5, "text": "y"}, {"text": 1}, 7]}),
    ];
    let requests = [
        "textDocument/completion",
        "textDocument/hover",
        "textDocument/definition",
        "textDocument/codeAction",
    ];
    for params in &odd {
        for notice in ["didOpen", "didChange", "didSave", "didClose", "didNothing"] {
            editor.tell(&format!("textDocument/{notice}"), params.clone());
        }
        for request in requests {
            let answer = editor.answer(request, params.clone());
            assert!(
                answer.get("error").is_none() || answer["error"]["message"].is_string(),
                "{request} {params}"
            );
        }
    }
    assert_eq!(editor.end(), Some(0));
}

#[test]
fn an_editor_that_is_gone_or_talks_otherwise_ends_it() {
    assert_eq!(Editor::started().left(), Some(1));
    let mut editor = Editor::started();
    editor.send_raw("hello\n");
    let told = editor.next().expect("a word");
    assert_eq!(told["error"]["code"], -32700);
    assert_eq!(editor.left(), Some(1));
    let mut editor = Editor::started();
    editor.tell("exit", Value::Null);
    assert_eq!(editor.left(), Some(1));
}
