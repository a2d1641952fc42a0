//! The file of a recording: a line that says whose replies these are, then a line for each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::event::Digest;
use crate::llm::{About, Reply};
use crate::recording::Key;
use crate::recording::key::temperature;
use crate::visible::{json, reason, visible};

/// What the first line calls itself.
const FORMAT: &str = "rulectl-recording";
/// The version of the format that this program reads and writes.
const VERSION: u32 = 1;
/// A file has at most so many bytes.
const MAX_BYTES: u64 = 256 << 20;
/// So many wrong lines are told.
const TOLD: usize = 20;

/// Whose replies are recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Of {
    /// The model, as it is configured.
    pub model: String,
    /// The temperature that was asked for; `None` left it to the endpoint.
    pub temperature: Option<f64>,
}

impl Of {
    /// What is kept of what a record may say of a model.
    #[must_use]
    pub fn new(about: &About) -> Self {
        Self {
            model: about.model.clone(),
            temperature: about.temperature,
        }
    }
}

impl std::fmt::Display for Of {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (model, temperature) = (visible(&self.model), temperature(self.temperature));
        write!(f, "model `{model}` at temperature {temperature}")
    }
}

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    model: String,
    temperature: Option<f64>,
    version: u32,
}

/// Every other line: what the request is known by, and the reply.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    context: Value,
    max_tokens: u32,
    prompt: Digest,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    repair: Option<Digest>,
    reply: Reply,
    schema: Digest,
    slot: String,
}

/// The replies of one model, by what was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    of: Of,
    replies: BTreeMap<Key, Reply>,
}

/// A recording that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// There is none.
    #[error("there is no recording `{}`; `--slots record` makes one", shown(.0))]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("the recording `{}` cannot be read: {}", shown(.0), reason(.1))]
    Unreadable(PathBuf, io::Error),
    /// The file is larger than a recording may be.
    #[error("the recording `{}` is larger than {} MiB", shown(.0), MAX_BYTES >> 20)]
    TooLarge(PathBuf),
    /// Lines of it are wrong.
    #[error("{}", told(.0, .1))]
    Lines(PathBuf, Vec<Wrong>),
}

/// A line that is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Its number, from 1.
    pub line: usize,
    /// What was found and what is expected.
    pub what: String,
}

fn shown(path: &Path) -> String {
    visible(&path.display().to_string())
}

fn told(path: &Path, wrong: &[Wrong]) -> String {
    let lines = wrong.iter().take(TOLD);
    let mut told: Vec<String> = lines
        .map(|wrong| format!("{}:{}: {}", shown(path), wrong.line, visible(&wrong.what)))
        .collect();
    if let Some(more) = wrong.len().checked_sub(TOLD).filter(|more| *more > 0) {
        told.push(format!("and {more} more lines like these"));
    }
    told.join("\n")
}

impl Recording {
    /// One without replies.
    #[must_use]
    pub fn new(of: Of) -> Self {
        Self {
            of,
            replies: BTreeMap::new(),
        }
    }

    /// Whose replies these are.
    #[must_use]
    pub fn of(&self) -> &Of {
        &self.of
    }

    /// The reply to a request.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Reply> {
        self.replies.get(key)
    }

    /// Everything that is recorded, in its order.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Reply)> {
        self.replies.iter()
    }

    /// How many replies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.replies.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.replies.is_empty()
    }

    /// Adds a reply.
    pub fn insert(&mut self, key: Key, reply: Reply) {
        self.replies.insert(key, reply);
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it is not there or not whole; every line that is wrong is told.
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => RecordingError::Missing(path.to_owned()),
            _ => RecordingError::Unreadable(path.to_owned(), error),
        };
        let file = File::open(path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(unreadable)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(RecordingError::TooLarge(path.to_owned()));
        }
        Self::parse(&bytes).map_err(|wrong| RecordingError::Lines(path.to_owned(), wrong))
    }

    /// Reads the lines of a file.
    ///
    /// # Errors
    ///
    /// Every line that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Wrong>> {
        let mut wrong = Vec::new();
        let mut lines = bytes.split(|byte| *byte == b'\n').enumerate();
        let header = lines.next().map(|(_, line)| header(line));
        let mut recording = match header.unwrap_or_else(|| header_of(None)) {
            Ok(of) => Self::new(of),
            // What the other lines mean is for that version to say.
            Err(what) => return Err(vec![Wrong { line: 1, what }]),
        };
        for (at, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
            match entry(line) {
                Ok((key, reply)) if !recording.replies.contains_key(&key) => {
                    recording.insert(key, reply);
                }
                Ok(_) => wrong.push(Wrong {
                    line: at + 1,
                    what: "the same request as on a line above; keep one of the two".to_owned(),
                }),
                Err(what) => wrong.push(Wrong { line: at + 1, what }),
            }
        }
        if wrong.is_empty() {
            Ok(recording)
        } else {
            Err(wrong)
        }
    }

    /// Its text: the same for the same replies, in whatever order they came.
    ///
    /// # Errors
    ///
    /// When something in it cannot be JSON.
    pub fn text(&self) -> Result<String, serde_json::Error> {
        let mut text = json(&Header {
            format: FORMAT.to_owned(),
            model: self.of.model.clone(),
            temperature: self.of.temperature,
            version: VERSION,
        })?;
        text.push('\n');
        for (key, reply) in &self.replies {
            let line = json(&Entry {
                context: serde_json::from_str(&key.context)?,
                max_tokens: key.max_tokens,
                prompt: key.prompt,
                repair: key.repair,
                reply: reply.clone(),
                schema: key.schema,
                slot: key.slot.clone(),
            })?;
            text.extend([line.as_str(), "\n"]);
        }
        Ok(text)
    }

    /// Puts it in the place of the file, whole.
    ///
    /// # Errors
    ///
    /// When that fails: the file is then what it was.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let folder = folder_of(path);
        let mut staged = NamedTempFile::new_in(folder)?;
        staged.write_all(self.text()?.as_bytes())?;
        staged.as_file().sync_all()?;
        staged.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn header(line: &[u8]) -> Result<Of, String> {
    let value: Option<Value> = serde_json::from_slice(line).ok();
    header_of(value)
}

fn header_of(value: Option<Value>) -> Result<Of, String> {
    let expected = format!(
        "expected the first line of a recording, such as {{\"format\":\"{FORMAT}\",\"model\":\"NAME\",\"temperature\":0.0,\"version\":{VERSION}}}"
    );
    let format = value.as_ref().and_then(|value| value.get("format"));
    if format.and_then(Value::as_str) != Some(FORMAT) {
        return Err(expected);
    }
    let version = value.as_ref().and_then(|value| value.get("version"));
    if let Some(other) = version.filter(|version| version.as_u64() != Some(u64::from(VERSION))) {
        return Err(format!(
            "the recording has version {other} of the format, and this program reads version {VERSION}"
        ));
    }
    let header: Header = serde_json::from_value(value.unwrap_or_default())
        .map_err(|error| format!("{expected}: {error}"))?;
    Ok(Of {
        model: header.model,
        temperature: header.temperature,
    })
}

fn entry(line: &[u8]) -> Result<(Key, Reply), String> {
    let entry: Entry = serde_json::from_slice(line).map_err(|error| {
        let cut = if error.is_eof() { "; the line is cut off" } else { "" };
        format!("expected a recorded reply, with `slot`, `prompt`, `context`, `schema`, `max_tokens` and `reply`: {error}{cut}")
    })?;
    let key = Key {
        slot: entry.slot,
        prompt: entry.prompt,
        context: entry.context.to_string(),
        schema: entry.schema,
        max_tokens: entry.max_tokens,
        repair: entry.repair,
    };
    Ok((key, entry.reply))
}
