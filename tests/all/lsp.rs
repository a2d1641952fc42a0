//! An editor that talks to the program over its streams.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{lay_over, root, small_folder};

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
    let folder = small_folder();
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
fn a_suite_that_is_not_saved_yet_is_checked() {
    let (folder, _) = policy();
    let mut editor = Editor::working_in(folder.path());
    let suite = folder.path().join("fixtures/new.test.yml");
    editor.open(
        &suite,
        "suite: s\ncases:\n  - {name: c, events: [], expct: {}}\n",
    );
    let problems = editor.problems(&suite);
    assert!(codes(&problems).contains(&"RL0012"), "{problems:?}");
    assert_eq!(editor.end(), Some(0));
}

#[test]
fn a_value_is_offered_behind_the_blank() {
    let (folder, rule) = policy();
    let mut editor = Editor::working_in(folder.path());
    for (typed, is_offered) in [("eventType:", false), ("eventType: ", true)] {
        let text = format!(
            "title: t\nlogsource: {{product: okta}}\ndetection:\n  s:\n    {typed}\n  condition: s\n"
        );
        editor.open(&rule, &text);
        let place = at(&rule, &text, typed, typed.len());
        let offered = editor.ask("textDocument/completion", place);
        assert_eq!(
            labels(&offered).contains(&"user.session.start"),
            is_offered,
            "{typed}"
        );
        assert_eq!(labels(&offered).is_empty(), !is_offered, "{typed}");
    }
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
    lay_over(small_folder().path(), &below);
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
        "textDocument/formatting",
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

/// The place of a text in an open file, as the parameters of a request.
fn at(path: &Path, text: &str, place: &str, further: usize) -> Value {
    json!({"textDocument": {"uri": uri(path)}, "position": position(text, place, further)})
}

fn labels(completion: &Value) -> Vec<&str> {
    let items = completion.as_array().expect("a list").iter();
    items
        .map(|item| item["label"].as_str().expect("a label"))
        .collect()
}

/// The text of a file with one of what is offered taken.
fn taken(text: &str, completion: &Value, label: &str) -> String {
    let items = completion.as_array().expect("a list").iter();
    let mut items = items.filter(|item| item["label"] == label);
    let edit = &items
        .next()
        .unwrap_or_else(|| panic!("no {label} in {:?}", labels(completion)))["textEdit"];
    let offset = |end: &str| {
        let place = &edit["range"][end];
        let (line, column) = (
            place["line"].as_u64().unwrap(),
            place["character"].as_u64().unwrap(),
        );
        let lines: usize = text
            .split_inclusive('\n')
            .take(line as usize)
            .map(str::len)
            .sum();
        lines + column as usize
    };
    let new = edit["newText"].as_str().unwrap();
    format!(
        "{}{new}{}",
        &text[..offset("start")],
        &text[offset("end")..]
    )
}

#[test]
fn what_may_stand_at_a_place_is_offered() {
    let (folder, _) = policy();
    let mut editor = Editor::working_in(folder.path());
    let rule = "title: A rule
name: new_rule
logsource: {product: okta, service: okta}
detection:
  selection:
    eventType: user.sess
    actor.alternateId|con: x
    outc
  other: {outcome.result: FAILURE, clie}
  condition: selection and n
---
title: Many
correlation:
  type: val
  rules: [failed_l]
  group-by:
    - actor.al
  timespan: 10m
rulectl:
  fin
  finding_type: FAIL
";
    let tests = "suite: x
cases:
  - name: a
    events:
      - {eventType: user.sess}
    expect:
      fin
      findings:
        - rule: fai
";
    let routing = "
[agents.new]
runs = \"slot:\"
crit
[route.incident]
allow = [\"plan\"]
[[route.incident.require_when]]
severity = [\"hi\"]
[plan.default]
MFA_FATIGUE = [\"lock\"]
";
    let tools = "commands:\n  a:\n    step: lo\n    de\n";
    let prompt = "---\nslot: ri\ncontext: [finding.ru]\nsch\n---\ncontext\n";
    #[rustfmt::skip]
    let rows = [
        ("rules/new.yml", rule, "user.sess", 9, "user.session.start", "eventType: user.session.start\n"),
        ("rules/new.yml", rule, "alternateId|con", 15, "contains", "actor.alternateId|contains: x"),
        ("rules/new.yml", rule, "outc\n", 4, "outcome.reason", "    outcome.reason: \n"),
        ("rules/new.yml", rule, "clie}", 4, "client.ipAddress", "FAILURE, client.ipAddress: }"),
        ("rules/new.yml", rule, "and n", 5, "not", "selection and not\n"),
        ("rules/new.yml", rule, "and n", 5, "other", "selection and other\n"),
        ("rules/new.yml", rule, "type: val", 9, "value_count", "type: value_count\n"),
        ("rules/new.yml", rule, "failed_l", 8, "failed_login_burst", "[failed_login_burst]"),
        ("rules/new.yml", rule, "actor.al\n", 8, "actor.alternateId", "- actor.alternateId\n"),
        ("rules/new.yml", rule, "  fin\n", 5, "metadata", "  metadata: \n"),
        ("rules/new.yml", rule, "FAIL\n", 4, "IMPOSSIBLE_TRAVEL", "finding_type: IMPOSSIBLE_TRAVEL\n"),
        ("fixtures/new.test.yml", tests, "user.sess", 9, "user.session.start", "{eventType: user.session.start}"),
        ("fixtures/new.test.yml", tests, "fin\n", 3, "plans", "      plans: \n"),
        ("fixtures/new.test.yml", tests, "fai\n", 3, "failed_login", "rule: failed_login\n"),
        ("routing.toml", routing, "slot:", 5, "slot:notification", "runs = \"slot:notification\""),
        ("routing.toml", routing, "crit", 4, "critical", "critical = \n"),
        ("routing.toml", routing, "[\"plan", 6, "planner_agent", "allow = [\"planner_agent\"]"),
        ("routing.toml", routing, "hi\"", 2, "high", "[\"high\"]"),
        ("routing.toml", routing, "lock\"", 4, "lock_account", "[\"lock_account\"]"),
        ("tools.yaml", tools, "lo\n", 2, "lock_account", "step: lock_account\n"),
        ("tools.yaml", tools, "de\n", 2, "description", "    description: \n"),
        ("prompts/risk.md", prompt, "ri\n", 2, "risk", "slot: risk\n"),
        ("prompts/risk.md", prompt, "finding.ru", 10, "finding.rule_name", "[finding.rule_name]"),
        ("prompts/risk.md", prompt, "sch\n", 3, "schema", "\nschema: \n"),
    ];
    let shipped: Vec<(&str, String)> = ["routing.toml", "tools.yaml", "prompts/risk.md"]
        .into_iter()
        .map(|name| (name, read(&folder.path().join(name))))
        .collect();
    for (name, text, place, further, label, expected) in rows {
        let path = folder.path().join(name);
        // What others name is there, too, and the place is at the end.
        let before = shipped
            .iter()
            .find(|(of, _)| *of == name && name.ends_with("toml"));
        let text = before.map_or(text.to_owned(), |(_, before)| {
            before.replace("[agents.new]", "") + text
        });
        editor.open(&path, &text);
        let at_place = text.rfind(place).expect("it stands there");
        let asked = at(&path, &text, &text[at_place..], further);
        let offered = editor.ask("textDocument/completion", asked);
        let taken = taken(&text, &offered, label);
        assert!(taken.contains(expected), "{name} {place}: {taken}");
        editor.tell(
            "textDocument/didClose",
            json!({"textDocument": {"uri": uri(&path)}}),
        );
    }
    assert_eq!(editor.end(), Some(0));
}

#[test]
fn what_stands_somewhere_is_explained_and_leads_somewhere() {
    let (folder, rule) = policy();
    let path = |name: &str| folder.path().join(name);
    let mut editor = Editor::working_in(folder.path());
    #[rustfmt::skip]
    let hovers = [
        ("rules/sign_in.yml", "user.session.start", "an event type of Okta's"),
        ("rules/sign_in.yml", "outcome.result", "a field of Okta's System Log"),
        ("rules/sign_in.yml", "finding_type", "chooses the plan in `routing.toml`"),
        ("rules/sign_in.yml", "timespan", "how long a window is"),
        ("rules/sign_in.yml", "failed_login]", "Failed sign-in\nA sign-in to Okta that failed"),
        ("rules/sign_in.yml", "selection\n---", "selection:\n    eventType: user.session.start"),
        ("routing.toml", "detector_agent\", \"risk", "description: Runs the detection rules"),
        ("routing.toml", "\"lock_account\", \"revoke", "description: Suspend the account\nrationale: Nobody"),
        ("routing.toml", "threshold", "A score at or above it promotes"),
        ("tools.yaml", "enable_mfa", "Reset the account's factors"),
        ("prompts/risk.md", "context", "the only fields that reach a model"),
    ];
    for (name, place, expected) in hovers {
        let text = read(&path(name));
        editor.open(&path(name), &text);
        let further = usize::from(place.starts_with('"'));
        let hover = editor.ask("textDocument/hover", at(&path(name), &text, place, further));
        let said = hover["contents"]["value"].as_str().unwrap_or_default();
        assert!(said.contains(expected), "{name} {place}: {hover}");
    }
    #[rustfmt::skip]
    let leads = [
        ("rules/sign_in.yml", "selection\n---", "rules/sign_in.yml", "selection:"),
        ("rules/sign_in.yml", "failed_login]", "rules/sign_in.yml", "failed_login\n"),
        ("fixtures/x.test.yml", "failed_login_burst", "rules/sign_in.yml", "failed_login_burst\n"),
        ("routing.toml", "detector_agent\", \"risk", "routing.toml", "detector_agent]"),
        ("routing.toml", "FAILED_LOGIN_BURST", "rules/sign_in.yml", "FAILED_LOGIN_BURST"),
        ("routing.toml", "\"lock_account\", \"revoke", "tools.yaml", "lock_account:"),
        ("routing.toml", "slot:notification", "routing.toml", "notification]\nprompt"),
        ("routing.toml", "prompts/plan.md", "prompts/plan.md", ""),
        ("tools.yaml", "enable_mfa", "routing.toml", "enable_mfa]\ndescription"),
    ];
    let suite = "suite: x\ncases:\n  - name: a\n    events: []\n    expect: {findings: [{rule: failed_login_burst}]}\n";
    editor.open(&path("fixtures/x.test.yml"), suite);
    for (name, place, to, target) in leads {
        let text = if name.starts_with("fix") {
            suite.to_owned()
        } else {
            read(&path(name))
        };
        let further = usize::from(place.starts_with('"'));
        let asked = at(&path(name), &text, place, further);
        let found = editor.ask("textDocument/definition", asked);
        let expected = position(&read(&path(to)), target, 0);
        let all = found.as_array().expect("a list");
        let is_there = |one: &&Value| {
            one["uri"] == uri(&path(to)).as_str() && one["range"]["start"] == expected
        };
        assert!(
            all.iter().any(|one| is_there(&one)),
            "{name} {place}: {found}"
        );
    }
    // What is wrong is explained where it is.
    let text = read(&rule).replacen("outcome.result", "outcome.rezult", 1);
    editor.change(&rule, json!([{"text": text}]));
    let hover = editor.ask("textDocument/hover", at(&rule, &text, "outcome.rezult", 3));
    let said = hover["contents"]["value"].as_str().unwrap_or_default();
    assert!(said.starts_with("RL0150: "), "{said}");
    assert_eq!(editor.end(), Some(0));
}

#[test]
fn a_text_gets_the_layout_of_fmt() {
    let (folder, rule) = policy();
    let mut editor = Editor::working_in(folder.path());
    let good = read(&rule);
    editor.open(&rule, &good);
    let asked = json!({"textDocument": {"uri": uri(&rule)}, "options": {"tabSize": 2, "insertSpaces": true}});
    let edits = editor.ask("textDocument/formatting", asked.clone());
    assert_eq!(edits, json!([]), "it has its layout");
    let title = good.lines().find(|line| line.starts_with("title:"));
    let title = title.expect("a title").to_owned() + "\n";
    let below = good
        .replacen(&title, "", 1)
        .replacen("level:", &(title + "level:"), 1);
    editor.change(&rule, json!([{"text": below}]));
    let edits = editor.ask("textDocument/formatting", asked.clone());
    assert_eq!(edits[0]["newText"], good.as_str());
    assert_eq!(
        edits[0]["range"]["start"],
        json!({"line": 0, "character": 0})
    );
    let last = edits[0]["range"]["end"]["line"].as_u64().expect("a line");
    assert_eq!(last, below.lines().count() as u64);
    editor.change(&rule, json!([{"text": "title: [\n"}]));
    assert_eq!(editor.ask("textDocument/formatting", asked), json!([]));
    assert_eq!(editor.end(), Some(0));
}

#[test]
fn what_is_wrong_is_put_right() {
    let (folder, rule) = policy();
    let mut editor = Editor::working_in(folder.path());
    let good = read(&rule);
    let text = good
        .replacen("outcome.result", "Outcome.result", 1)
        .replacen("user.session.start", "user.session.strat", 1);
    editor.open(&rule, &text);
    assert_eq!(codes(&editor.problems(&rule)), ["RL0151", "RL0150"]);
    let asked = |place: &str| {
        let here = position(&text, place, 2);
        json!({"textDocument": {"uri": uri(&rule)}, "range": {"start": here, "end": here}, "context": {"diagnostics": []}})
    };
    let actions = editor.ask("textDocument/codeAction", asked("user.session.strat"));
    assert_eq!(
        actions[0]["title"],
        "Write `user.session.start` for `user.session.strat`"
    );
    assert_eq!(actions[0]["isPreferred"], false);
    let actions = editor.ask("textDocument/codeAction", asked("Outcome.result"));
    assert_eq!(
        actions[0]["title"],
        "Write `outcome.result` for `Outcome.result`"
    );
    assert_eq!(actions[0]["isPreferred"], true);
    assert_eq!(actions[1]["kind"], "source.fixAll.rulectl");
    let uri = uri(&rule);
    let edit = &actions[0]["edit"]["changes"][&uri][0];
    assert_eq!(actions[1]["edit"]["changes"][&uri][0], *edit);
    editor.change(
        &rule,
        json!([{"range": edit["range"], "text": edit["newText"]}]),
    );
    assert_eq!(codes(&editor.problems(&rule)), ["RL0151"]);
    assert_eq!(editor.end(), Some(0));
}

/// What was said on both sides, a line each, without the place of the folder.
struct Transcript {
    folder: String,
    lines: Vec<String>,
}

impl Transcript {
    fn says(&mut self, sign: &str, message: &Value) {
        let text = message.to_string().replace(&self.folder, "/policy");
        let version = format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION"));
        self.lines.push(format!(
            "{sign} {}",
            text.replace(&version, "\"version\":\"…\"")
        ));
    }

    fn asks(&mut self, editor: &mut Editor, method: &str, params: Value) -> Value {
        self.says("-->", &json!({"method": method, "params": params.clone()}));
        let result = editor.ask(method, params);
        self.hears(editor);
        result
    }

    fn tells(&mut self, editor: &mut Editor, method: &str, params: Value) {
        self.says("-->", &json!({"method": method, "params": params.clone()}));
        editor.tell(method, params);
        // What follows from it is said before the next answer.
        editor.answer("rulectl/nothing", Value::Null);
        self.hears(editor);
    }

    fn hears(&mut self, editor: &mut Editor) {
        for notice in editor.notices.drain(..) {
            self.says(
                "<--",
                &json!({"method": notice["method"], "params": notice["params"]}),
            );
        }
    }
}

/// `docs/editor-session.txt` is a whole session; `BLESS=1` writes it anew.
#[test]
fn a_session_is_what_the_documentation_shows() {
    let (folder, rule) = policy();
    let mut shown = Transcript {
        folder: folder.path().display().to_string(),
        lines: Vec::new(),
    };
    let mut editor = Editor::started();
    let begun = shown.asks(
        &mut editor,
        "initialize",
        json!({"rootUri": uri(folder.path()), "capabilities": {"general": {"positionEncodings": ["utf-8"]}}}),
    );
    shown.says("<--", &begun);
    shown.tells(&mut editor, "initialized", json!({}));

    let text = "title: Session of a former employee
name: former_employee
logsource: {product: okta, service: okta}
detection:
  selection:
    eventType: user.session.strat
    Outcome.result: SUCCESS
  condition: selection
";
    let new = folder.path().join("rules/new.yml");
    let document = json!({"uri": uri(&new), "languageId": "yaml", "version": 1, "text": text});
    shown
        .lines
        .push("\n# A rule is typed, and is not right yet.".to_owned());
    shown.tells(
        &mut editor,
        "textDocument/didOpen",
        json!({"textDocument": document}),
    );

    shown
        .lines
        .push("\n# What event types there are.".to_owned());
    let asked = at(&new, text, "user.session.strat", 15);
    let offered = shown.asks(&mut editor, "textDocument/completion", asked);
    let items = offered.as_array().expect("a list");
    let start = items
        .iter()
        .find(|item| item["label"] == "user.session.start")
        .expect("it is offered");
    shown
        .lines
        .push(format!("<-- {} items, one of them:", items.len()));
    shown.says("   ", start);

    shown
        .lines
        .push("\n# The change that puts the field right.".to_owned());
    let here = position(text, "Outcome", 0);
    let actions = shown.asks(
        &mut editor,
        "textDocument/codeAction",
        json!({"textDocument": {"uri": uri(&new)}, "range": {"start": here, "end": here}, "context": {"diagnostics": []}}),
    );
    assert_eq!(actions[0]["isPreferred"], true, "{actions}");
    shown.says("<--", &actions[0]);

    shown.lines.push("\n# It is right.".to_owned());
    let right = text.replace("strat", "start").replace("Outcome", "outcome");
    let change = json!({"textDocument": {"uri": uri(&new), "version": 2}, "contentChanges": [{"text": right}]});
    shown.tells(&mut editor, "textDocument/didChange", change);

    for (what, method, place) in [
        (
            "# What the event type is.",
            "textDocument/hover",
            "user.session.start",
        ),
        (
            "# Where the condition leads.",
            "textDocument/definition",
            "selection\n",
        ),
    ] {
        shown.lines.push(format!("\n{what}"));
        let at = right.rfind(place).expect("it stands there");
        let params = json!({"textDocument": {"uri": uri(&new)}, "position": position(&right, &right[at..], 0)});
        let answer = shown.asks(&mut editor, method, params);
        shown.says("<--", &answer);
    }
    shown
        .lines
        .push("\n# Where the rule of a correlation is.".to_owned());
    let other = read(&rule);
    let document =
        json!({"uri": uri(&rule), "languageId": "yaml", "version": 1, "text": "(as it is)"});
    shown.says(
        "-->",
        &json!({"method": "textDocument/didOpen", "params": {"textDocument": document}}),
    );
    editor.open(&rule, &other);
    let asked = at(&rule, &other, "failed_login]", 0);
    let answer = shown.asks(&mut editor, "textDocument/definition", asked);
    shown.says("<--", &answer);

    shown.lines.push("\n# Enough.".to_owned());
    let answer = shown.asks(&mut editor, "shutdown", Value::Null);
    shown.says("<--", &answer);
    shown.says("-->", &json!({"method": "exit"}));
    editor.tell("exit", Value::Null);
    assert_eq!(editor.left(), Some(0));

    let said = shown.lines.join("\n") + "\n";
    let golden = root().join("docs/editor-session.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&golden, &said).expect("written");
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(said, expected, "BLESS=1 writes it anew");
}
