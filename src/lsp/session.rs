//! The conversation with one editor: each message, and what is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;
use serde_json::{Value, json};

use crate::fmt::{FileKind, formatted};
use crate::lsp::Ended;
use crate::lsp::desk::Desk;
use crate::lsp::folder::{Checked, Folder, Open, is_policy, parsed, root_of};
use crate::lsp::lines::{Encoding, Lines};
use crate::lsp::mend::Mended;
use crate::lsp::names::Names;
use crate::lsp::outline::Notation;
use crate::lsp::paths::{path_of, uri_of};
use crate::lsp::shape::Shape;
use crate::lsp::told::{Told, told};
use crate::schema::Format;

/// So many texts may be open at once.
const MOST_OPEN: usize = 2_000;

/// Where a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was agreed yet.
    New,
    /// As usual.
    Begun,
    /// The editor wants to end it.
    Ending,
}

/// A text that is open in the editor.
#[derive(Debug)]
struct Buffer {
    /// As the editor names it.
    uri: String,
    version: Value,
    text: Arc<str>,
}

/// A policy folder that somebody works in.
struct Known {
    folder: Folder,
    checked: Checked,
    names: Names,
    /// What the editor was told of each file, by its place.
    told: BTreeMap<PathBuf, Vec<Value>>,
}

/// Why a request is not answered.
pub(super) struct Refusal {
    code: i64,
    message: String,
}

impl Refusal {
    const NOT_BEGUN: i64 = -32002;
    const INVALID_REQUEST: i64 = -32600;
    const NO_METHOD: i64 = -32601;

    fn new(code: i64, message: &str) -> Self {
        let message = message.to_owned();
        Self { code, message }
    }
}

/// A conversation.
pub(super) struct Session {
    stage: Stage,
    encoding: Encoding,
    today: Box<dyn Fn() -> NaiveDate>,
    /// Where the documentation of codes is to be had, where the editor was told.
    docs: Option<String>,
    open: BTreeMap<PathBuf, Buffer>,
    folders: BTreeMap<PathBuf, Known>,
    /// Where the editor works.
    workspace: Vec<PathBuf>,
    /// The formats that were asked about.
    shapes: BTreeMap<Format, Shape>,
}

impl Session {
    /// A conversation in which nothing was said yet.
    pub(super) fn new(today: Box<dyn Fn() -> NaiveDate>) -> Self {
        Self {
            stage: Stage::New,
            encoding: Encoding::default(),
            today,
            docs: None,
            open: BTreeMap::new(),
            folders: BTreeMap::new(),
            workspace: Vec::new(),
            shapes: BTreeMap::new(),
        }
    }

    /// Whether a message is the last one, and how the conversation ends with it.
    pub(super) fn ends_with(&self, message: &Value) -> Option<Ended> {
        let is_exit = message.get("method").and_then(Value::as_str) == Some("exit");
        is_exit.then_some(match self.stage {
            Stage::Ending => Ended::Orderly,
            Stage::New | Stage::Begun => Ended::Abrupt,
        })
    }

    /// What a message is answered with.
    pub(super) fn take(&mut self, message: &Value) -> Vec<Value> {
        let Some(method) = message.get("method").and_then(Value::as_str) else {
            // An answer needs none; we ask nothing.
            let is_answer = message.get("result").is_some() || message.get("error").is_some();
            return match message.get("id") {
                _ if is_answer => Vec::new(),
                id => vec![answer(
                    id.cloned().unwrap_or(Value::Null),
                    Err(Refusal::new(
                        Refusal::INVALID_REQUEST,
                        "expected a `method`",
                    )),
                )],
            };
        };
        let params = message.get("params").unwrap_or(&Value::Null);
        match message.get("id") {
            Some(id) => vec![answer(id.clone(), self.request(method, params))],
            None if self.stage == Stage::Begun => self.notice(method, params),
            None => Vec::new(),
        }
    }

    fn request(&mut self, method: &str, params: &Value) -> Result<Value, Refusal> {
        match (self.stage, method) {
            (Stage::New, "initialize") => Ok(self.begin(params)),
            (Stage::New, _) => Err(Refusal::new(
                Refusal::NOT_BEGUN,
                "expected `initialize` first",
            )),
            (Stage::Begun, "shutdown") => {
                self.stage = Stage::Ending;
                Ok(Value::Null)
            }
            (Stage::Ending, _) | (Stage::Begun, "initialize") => Err(Refusal::new(
                Refusal::INVALID_REQUEST,
                &format!("`{method}` is not expected any more"),
            )),
            (Stage::Begun, _) => self.asked(method, params).ok_or_else(|| {
                Refusal::new(Refusal::NO_METHOD, &format!("`{method}` is not known"))
            }),
        }
    }

    /// The answer to what is asked of a place; `None` of what is not asked here. Of a file that is
    /// not open or belongs to no policy there is nothing to say.
    fn asked(&mut self, method: &str, params: &Value) -> Option<Value> {
        let nothing = match method {
            "textDocument/hover" => Value::Null,
            "textDocument/completion"
            | "textDocument/definition"
            | "textDocument/codeAction"
            | "textDocument/formatting" => {
                json!([])
            }
            _ => return None,
        };
        let answered = match method {
            "textDocument/completion" => self.with_desk(params, |desk| desk.completion()),
            "textDocument/hover" => self.with_desk(params, |desk| desk.hover()),
            "textDocument/definition" => self.with_desk(params, |desk| desk.definition()),
            "textDocument/formatting" => self.layout(params),
            _ => self.actions(params),
        };
        Some(answered.unwrap_or(nothing))
    }

    /// What is said at a place of an open file.
    fn with_desk(&mut self, params: &Value, say: impl Fn(&Desk<'_>) -> Value) -> Option<Value> {
        let path = path_of(text(params, "/textDocument/uri")?)?;
        let (root, name) = self.place(&path)?;
        let format = Format::of(&name)?;
        let shape = self
            .shapes
            .entry(format)
            .or_insert_with(|| Shape::of(format));
        let buffer = self.open.get(&path)?;
        let known = self.folders.get(&root)?;
        let lines = Lines::of(&buffer.text, self.encoding);
        Some(say(&Desk {
            root: &root,
            name: &name,
            text: &buffer.text,
            offset: lines.offset(params.get("position")?),
            lines,
            notation: Notation::of(&name)?,
            encoding: self.encoding,
            shape,
            names: &known.names,
            texts: &known.checked.texts,
            problems: &known.checked.policy,
        }))
    }

    fn actions(&self, params: &Value) -> Option<Value> {
        let path = path_of(text(params, "/textDocument/uri")?)?;
        let (root, name) = self.place(&path)?;
        let buffer = self.open.get(&path)?;
        let lines = Lines::of(&buffer.text, self.encoding);
        let range = lines.bytes(params.get("range")?);
        let mended = Mended {
            uri: &buffer.uri,
            name: &name,
            lines,
            problems: &self.folders.get(&root)?.checked.policy,
        };
        Some(mended.actions(&range))
    }

    /// The whole text in its canonical layout, where it has another and means the same in it.
    fn layout(&self, params: &Value) -> Option<Value> {
        let path = path_of(text(params, "/textDocument/uri")?)?;
        let name = path.to_str()?;
        let before = &self.open.get(&path)?.text;
        let after = formatted(name, before, FileKind::of(name)?).ok()?;
        if after == **before {
            return None;
        }
        let lines = Lines::of(before, self.encoding);
        let range = json!({"start": lines.position(0), "end": lines.position(before.len())});
        Some(json!([{"range": range, "newText": after}]))
    }

    fn begin(&mut self, params: &Value) -> Value {
        self.stage = Stage::Begun;
        let offered = params.pointer("/capabilities/general/positionEncodings");
        let offered = offered.and_then(Value::as_array);
        if offered.is_some_and(|all| all.iter().any(|one| one == Encoding::Utf8.as_str())) {
            self.encoding = Encoding::Utf8;
        }
        self.docs = text(params, "/initializationOptions/docs").map(str::to_owned);
        let folders = params.get("workspaceFolders").and_then(Value::as_array);
        let folders = folders.into_iter().flatten();
        let uris = folders.filter_map(|folder| text(folder, "/uri"));
        let root = text(params, "/rootUri");
        self.workspace = uris.chain(root).filter_map(path_of).collect();
        json!({
            "capabilities": {
                "positionEncoding": self.encoding.as_str(),
                "textDocumentSync": {"openClose": true, "change": 2, "save": {"includeText": false}},
                "completionProvider": {"triggerCharacters": [":", " ", "|", ".", "\"", "["]},
                "hoverProvider": true,
                "definitionProvider": true,
                "documentFormattingProvider": true,
                "codeActionProvider": {"codeActionKinds": ["quickfix", "source.fixAll.rulectl"]},
            },
            "serverInfo": {"name": "rulectl", "version": env!("CARGO_PKG_VERSION")},
        })
    }

    /// What is said when something happened.
    fn notice(&mut self, method: &str, params: &Value) -> Vec<Value> {
        match method {
            "initialized" => self.begun(),
            "textDocument/didOpen" => self.opened(params).unwrap_or_default(),
            "textDocument/didChange" => self.changed(params).unwrap_or_default(),
            "textDocument/didSave" => self.saved(params).unwrap_or_default(),
            "textDocument/didClose" => self.closed(params).unwrap_or_default(),
            "workspace/didChangeWatchedFiles" => self.looked_again(),
            _ => Vec::new(),
        }
    }

    /// The policies where the editor works are told of before any of their files is open.
    fn begun(&mut self) -> Vec<Value> {
        let roots: BTreeSet<PathBuf> = self.workspace.iter().cloned().collect();
        let policies = roots.into_iter().filter(|root| is_policy(root));
        policies.flat_map(|root| self.check(&root, None)).collect()
    }

    fn opened(&mut self, params: &Value) -> Option<Vec<Value>> {
        let uri = text(params, "/textDocument/uri")?;
        let path = path_of(uri)?;
        if self.open.len() >= MOST_OPEN {
            return None;
        }
        let buffer = Buffer {
            uri: uri.to_owned(),
            version: version(params),
            text: text(params, "/textDocument/text")?.into(),
        };
        self.open.insert(path.clone(), buffer);
        Some(self.check_file(&path, true))
    }

    fn changed(&mut self, params: &Value) -> Option<Vec<Value>> {
        let path = path_of(text(params, "/textDocument/uri")?)?;
        let encoding = self.encoding;
        let buffer = self.open.get_mut(&path)?;
        let changes = params.get("contentChanges").and_then(Value::as_array)?;
        for change in changes {
            let new = text(change, "/text")?;
            buffer.text = match change.get("range") {
                Some(range) => replaced(&buffer.text, range, new, encoding).into(),
                None => new.into(),
            };
        }
        buffer.version = version(params);
        Some(self.check_file(&path, false))
    }

    fn saved(&mut self, params: &Value) -> Option<Vec<Value>> {
        let path = path_of(text(params, "/textDocument/uri")?)?;
        Some(self.check_file(&path, true))
    }

    fn closed(&mut self, params: &Value) -> Option<Vec<Value>> {
        let path = path_of(text(params, "/textDocument/uri")?)?;
        let buffer = self.open.remove(&path)?;
        if self.place(&path).is_some() {
            return Some(self.check_file(&path, true));
        }
        Some(vec![publish(&buffer.uri, Value::Null, &[])])
    }

    fn looked_again(&mut self) -> Vec<Value> {
        for known in self.folders.values_mut() {
            known.folder.read_again();
        }
        let roots: Vec<PathBuf> = self.folders.keys().cloned().collect();
        let all = roots.iter().flat_map(|root| self.check(root, None));
        all.collect()
    }

    /// The folder of a policy in which a file stands, and its path there.
    fn place(&self, path: &Path) -> Option<(PathBuf, String)> {
        let root = root_of(path)?;
        let name = Folder::name_in(&root, path)?;
        Some((root, name))
    }

    /// Checks what a file belongs to; `anew` where the disk may be another.
    fn check_file(&mut self, path: &Path, anew: bool) -> Vec<Value> {
        let Some((root, _)) = self.place(path) else {
            return self.check_alone(path);
        };
        if anew && let Some(known) = self.folders.get_mut(&root) {
            known.folder.read_again();
        }
        self.check(&root, Some(path))
    }

    /// A file that belongs to no policy is only parsed.
    fn check_alone(&self, path: &Path) -> Vec<Value> {
        let Some(buffer) = self.open.get(path) else {
            return Vec::new();
        };
        let name = path.to_string_lossy();
        let problems = parsed(&name, &buffer.text);
        let told = told(&problems, &self.telling());
        let of_file = told.into_values().next().unwrap_or_default();
        vec![publish(&buffer.uri, buffer.version.clone(), &of_file)]
    }

    fn check(&mut self, root: &Path, changed: Option<&Path>) -> Vec<Value> {
        let before = self.folders.remove(root);
        let (folder, told, mut names) = match before {
            Some(known) => (known.folder, known.told, known.names),
            None => (Folder::read(root), BTreeMap::new(), Names::default()),
        };
        let checked = folder.check(&self.open_in(root), (self.today)());
        let now = self.problems_by_file(&folder, &checked);
        let said = self.differences(&told, &now, changed);
        let known = Known {
            folder,
            names: Names::of(&checked.texts, &mut names),
            checked,
            told: now,
        };
        self.folders.insert(root.to_owned(), known);
        said
    }

    /// The open texts of a policy.
    fn open_in(&self, root: &Path) -> Open {
        let in_folder = self.open.iter().filter_map(|(path, buffer)| {
            let (of, name) = self.place(path)?;
            (of == root).then(|| (name, Arc::clone(&buffer.text)))
        });
        in_folder.collect()
    }

    fn telling(&self) -> Told<'_> {
        Told {
            encoding: self.encoding,
            docs: self.docs.as_deref(),
        }
    }

    fn problems_by_file(
        &self,
        folder: &Folder,
        checked: &Checked,
    ) -> BTreeMap<PathBuf, Vec<Value>> {
        let mut of_files: BTreeMap<PathBuf, Vec<Value>> = BTreeMap::new();
        for problems in [&checked.reading, &checked.policy] {
            for (name, told) in told(problems, &self.telling()) {
                of_files
                    .entry(folder.root.join(name))
                    .or_default()
                    .extend(told);
            }
        }
        of_files
    }

    /// What the editor is told of the files of which it knows something else, and of the one that
    /// was changed.
    fn differences(
        &self,
        before: &BTreeMap<PathBuf, Vec<Value>>,
        now: &BTreeMap<PathBuf, Vec<Value>>,
        changed: Option<&Path>,
    ) -> Vec<Value> {
        let paths: BTreeSet<&Path> = before
            .keys()
            .chain(now.keys())
            .map(PathBuf::as_path)
            .chain(changed)
            .collect();
        let differ = paths
            .into_iter()
            .filter(|path| before.get(*path) != now.get(*path) || changed == Some(*path));
        differ
            .map(|path| {
                let of_file = now.get(path).map(Vec::as_slice).unwrap_or_default();
                match self.open.get(path) {
                    Some(buffer) => publish(&buffer.uri, buffer.version.clone(), of_file),
                    None => publish(&uri_of(path), Value::Null, of_file),
                }
            })
            .collect()
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn version(params: &Value) -> Value {
    let version = params.pointer("/textDocument/version");
    version.cloned().unwrap_or(Value::Null)
}

fn replaced(text: &str, range: &Value, new: &str, encoding: Encoding) -> String {
    let bytes = Lines::of(text, encoding).bytes(range);
    let before = text.get(..bytes.start).unwrap_or_default();
    let behind = text.get(bytes.end..).unwrap_or_default();
    format!("{before}{new}{behind}")
}

fn publish(uri: &str, version: Value, problems: &[Value]) -> Value {
    let mut params = json!({"uri": uri, "diagnostics": problems});
    if let (Value::Object(params), false) = (&mut params, version.is_null()) {
        params.insert("version".to_owned(), version);
    }
    json!({"jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": params})
}

fn answer(id: Value, result: Result<Value, Refusal>) -> Value {
    match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(Refusal { code, message }) => {
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
        }
    }
}
