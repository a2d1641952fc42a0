//! The two sides of a diff: a folder, a revision of git, or a recorded generation.
//!
//! A revision is read by asking the program `git` for the files of the policy, which are laid
//! out in a temporary folder and read like any other policy. The work tree is never touched.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::lab::diff::Side;
use crate::policy::{self, Loaded};
use crate::visible::{reason, visible};

/// Why a side cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// What was asked for is not there, or can be read in two ways.
    #[error("{0}")]
    Named(String),
    /// Something outside failed.
    #[error("{0}")]
    Failed(String),
}

/// A side as it was found, its problems included.
#[derive(Debug)]
pub struct Found {
    /// As given.
    pub name: String,
    /// The policy and its problems.
    pub loaded: Loaded,
}

impl Found {
    /// The side; `None` where it has errors.
    #[must_use]
    pub fn side(self) -> Option<Side> {
        Some(Side {
            name: self.name,
            policy: self.loaded.policy?,
            files: self.loaded.files,
        })
    }
}

/// So much is read of a file of the repository that says where another one is.
const POINTER: u64 = 4 << 10;

/// The files of the repository of a folder that are others where a commit is made, or where `word`
/// is another revision; none where there is no repository.
#[must_use]
pub fn revision_files(folder: &Path, word: &str) -> Vec<PathBuf> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let mut places = folder.ancestors().filter_map(|place| {
        let git = place.join(".git");
        match pointer(&git)
            .as_deref()
            .map(|told| told.strip_prefix("gitdir: "))
        {
            Some(Some(told)) => Some(place.join(told)),
            _ => git.is_dir().then_some(git),
        }
    });
    let Some(git) = places.next() else {
        return Vec::new();
    };
    let shared = pointer(&git.join("commondir")).map_or_else(|| git.clone(), |at| git.join(at));
    let head = pointer(&git.join("HEAD"));
    let branch = head.and_then(|head| Some(head.strip_prefix("ref: ")?.to_owned()));
    let named = format!("refs/heads/{word}");
    let references = [branch, Some(named)].into_iter().flatten();
    let is_inside = |name: &PathBuf| {
        let mut steps = name.components();
        steps.all(|step| matches!(step, Component::Normal(_)))
    };
    let references = references.map(PathBuf::from).filter(is_inside);
    let mut files: Vec<PathBuf> = references.map(|name| shared.join(name)).collect();
    files.extend([
        git.join("HEAD"),
        git.join("logs/HEAD"),
        shared.join("packed-refs"),
    ]);
    files
}

/// The first line of a small file.
fn pointer(file: &Path) -> Option<String> {
    let mut text = String::new();
    if !fs::metadata(file).is_ok_and(|metadata| metadata.is_file()) {
        return None;
    }
    let file = fs::File::open(file).ok()?;
    file.take(POINTER).read_to_string(&mut text).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}

/// What begins the name of a recorded generation.
const GENERATION: &str = "generation:";

/// The side that a word names: `generation:N` of the archive in the data folder, a folder, or
/// else a revision of the repository that the policy folder stands in.
///
/// # Errors
///
/// When it names nothing, or two things, or cannot be read.
pub fn find(word: &str, policy: &Path, data: &Path) -> Result<Found, SideError> {
    if let Some(number) = word.strip_prefix(GENERATION) {
        return generation(word, number, data);
    }
    if !Path::new(word).is_dir() {
        return revision(word, policy);
    }
    let is_path = word.contains(['/', '\\']) || word == "." || word == "..";
    if !is_path && commit(policy, word).is_ok() {
        return Err(SideError::Named(format!(
            "`{}` is a folder here and a revision too; write `./{0}` for the folder, or the full name of the revision, such as `refs/heads/{0}`",
            visible(word)
        )));
    }
    Ok(folder(word, Path::new(word)))
}

/// The policy in a folder.
#[must_use]
pub fn folder(name: &str, folder: &Path) -> Found {
    Found {
        name: name.to_owned(),
        loaded: policy::load(folder),
    }
}

fn generation(word: &str, number: &str, data: &Path) -> Result<Found, SideError> {
    let number: u64 = number.parse().map_err(|_| {
        SideError::Named(format!(
            "`{}` is no generation; write a number, such as `generation:3`",
            visible(word)
        ))
    })?;
    let recorded = policy::generation(data, number).map_err(failed)?;
    let Some(digest) = recorded else {
        return Err(SideError::Named(format!(
            "the archive in `{}` has no generation {number}; `{}` lists those that it has",
            data.display(),
            data.join("policies/generations.jsonl").display()
        )));
    };
    let place = policy::archived(data, digest);
    let found = folder(word, &place);
    match &found.loaded.policy {
        Some(policy) if policy.digest != digest => Err(SideError::Failed(format!(
            "what `{}` holds is not the policy of generation {number}: its digest is {}",
            place.display(),
            policy.digest
        ))),
        _ => Ok(found),
    }
}

fn failed(error: impl std::fmt::Display) -> SideError {
    SideError::Failed(error.to_string())
}

/// The policy as a revision of the repository around a folder has it.
///
/// # Errors
///
/// When there is no `git`, no repository or no such revision, or when a file cannot be laid out.
pub fn revision(word: &str, policy: &Path) -> Result<Found, SideError> {
    let commit = commit(policy, word)?;
    let prefix = in_repository(policy)?;
    let files = listed(policy, &commit, &prefix, word, &PARTS)?;
    if let Some(part) = PARTS.iter().find(|part| needed(part) && !has(&files, part)) {
        return Err(SideError::Failed(format!(
            "`{}` has no `{}{part}`, so there was no policy yet; `--policy` names its folder, where it stands elsewhere",
            visible(word),
            visible(&prefix)
        )));
    }
    let copy = tempfile::tempdir().map_err(|error| io_failed("a temporary folder", &error))?;
    lay_out(policy, &files, copy.path())?;
    Ok(folder(word, copy.path()))
}

/// Some files of the policy folder as a revision has them, laid out in a temporary folder; one
/// that it does not have is not there.
///
/// # Errors
///
/// As [`revision`].
pub fn files_of(word: &str, policy: &Path, paths: &[String]) -> Result<TempDir, SideError> {
    let commit = commit(policy, word)?;
    let prefix = in_repository(policy)?;
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let files = listed(policy, &commit, &prefix, word, &paths)?;
    let copy = tempfile::tempdir().map_err(|error| io_failed("a temporary folder", &error))?;
    lay_out(policy, &files, copy.path())?;
    Ok(copy)
}

/// The commit that a revision names: hexadecimal digits, which no program takes for an option.
fn commit(policy: &Path, revision: &str) -> Result<String, SideError> {
    let asked = format!("{revision}^{{commit}}");
    let words = ["rev-parse", "--verify", "--quiet", "--end-of-options"];
    let output = git(policy, words.iter().map(OsStr::new).chain([asked.as_ref()]))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let is_hash = text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if output.status.success() && is_hash {
        return Ok(text);
    }
    // Where there is no repository, that is the reason.
    in_repository(policy)?;
    Err(SideError::Named(format!(
        "`{}` is no folder, and no revision of the repository that `{}` stands in",
        visible(revision),
        policy.display()
    )))
}

/// Where the policy folder stands in its repository: empty, or with a `/` at its end.
fn in_repository(policy: &Path) -> Result<String, SideError> {
    let output = git(policy, ["rev-parse", "--show-prefix"].map(OsStr::new))?;
    if !output.status.success() {
        return Err(SideError::Named(format!(
            "`{}` stands in no git repository that can be read: {}",
            policy.display(),
            said(&output)
        )));
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| SideError::Failed("the policy folder's name is not UTF-8".to_owned()))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// A file of a revision.
struct Blob {
    /// Its path in the policy folder.
    path: String,
    object: String,
}

/// More files than a policy has, or more bytes, are not laid out.
const MOST_FILES: usize = 20_000;
const MOST_BYTES: u64 = 256 << 20;

/// What makes up a policy, in the words of `git ls-tree`.
const PARTS: [&str; 4] = ["rules", "prompts", "routing.toml", "tools.yaml"];

/// Whether there is no policy without the part.
fn needed(part: &str) -> bool {
    part != "prompts"
}

fn has(files: &[Blob], part: &str) -> bool {
    let below = |path: &str| {
        path.strip_prefix(part)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    files.iter().any(|file| below(&file.path))
}

fn listed(
    policy: &Path,
    commit: &str,
    prefix: &str,
    word: &str,
    parts: &[&str],
) -> Result<Vec<Blob>, SideError> {
    let parts: Vec<String> = parts.iter().map(|part| format!("{prefix}{part}")).collect();
    let words = ["ls-tree", "-rlz", "--full-tree", commit, "--"];
    let words = words.into_iter().chain(parts.iter().map(String::as_str));
    let output = git(policy, words.map(OsStr::new))?;
    if !output.status.success() {
        return Err(SideError::Failed(format!(
            "git cannot list `{}`: {}",
            visible(word),
            said(&output)
        )));
    }
    let mut blobs = Vec::new();
    let mut bytes = 0;
    for entry in output.stdout.split(|byte| *byte == 0) {
        if entry.is_empty() {
            continue;
        }
        let entry = std::str::from_utf8(entry).map_err(|_| {
            SideError::Failed(format!(
                "`{}` has a file whose name is not UTF-8",
                visible(word)
            ))
        })?;
        let (blob, size) = blob(entry, prefix, word)?;
        bytes += size;
        blobs.push(blob);
        if blobs.len() > MOST_FILES || bytes > MOST_BYTES {
            return Err(SideError::Failed(format!(
                "`{}` has more than {MOST_FILES} files there, or more than {} MiB: that is no policy folder",
                visible(word),
                MOST_BYTES >> 20
            )));
        }
    }
    Ok(blobs)
}

/// `MODE blob OBJECT SIZE<TAB>PATH`.
fn blob(entry: &str, prefix: &str, word: &str) -> Result<(Blob, u64), SideError> {
    let unread = |what: &str| {
        SideError::Failed(format!(
            "`{}` has {what} that cannot be read: {}",
            visible(word),
            visible(entry)
        ))
    };
    let (about, path) = entry.split_once('\t').ok_or_else(|| unread("an entry"))?;
    let mut words = about.split_ascii_whitespace();
    let mode = words.next().unwrap_or_default();
    let object = words.nth(1).unwrap_or_default();
    let size = words.next().and_then(|size| size.parse().ok());
    let below = path.strip_prefix(prefix).unwrap_or(path);
    let is_plain = Path::new(below)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !is_plain || object.is_empty() {
        return Err(unread("an entry"));
    }
    match (mode, size) {
        ("100644" | "100755", Some(size)) => {
            let blob = Blob {
                path: below.to_owned(),
                object: object.to_owned(),
            };
            Ok((blob, size))
        }
        // What a link leads to is no part of the revision.
        ("120000", _) => Err(unread("a link")),
        _ => Err(unread("something else than a file")),
    }
}

/// Writes the files below a folder; one process is asked for all of them.
fn lay_out(policy: &Path, blobs: &[Blob], folder: &Path) -> Result<(), SideError> {
    let mut child = command(policy)
        .args(["cat-file", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| no_git(&error))?;
    let (Some(mut asks), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(SideError::Failed("git cannot be asked".to_owned()));
    };
    let mut answers = BufReader::new(answers);
    let laid_out = blobs.iter().try_for_each(|blob| {
        let written = one(&mut asks, &mut answers, blob, folder);
        written.map_err(|error| io_failed(&blob.path, &error))
    });
    drop(asks);
    // It ends when nobody asks any more; how, says nothing that is not known.
    drop(answers);
    let _ = child.wait();
    laid_out
}

fn one(
    asks: &mut impl Write,
    answers: &mut impl BufRead,
    blob: &Blob,
    folder: &Path,
) -> io::Result<()> {
    writeln!(asks, "{}", blob.object)?;
    asks.flush()?;
    let mut line = String::new();
    answers.take(256).read_line(&mut line)?;
    let size: Option<u64> = line
        .trim_end()
        .rsplit(' ')
        .next()
        .and_then(|size| size.parse().ok());
    let size = size.ok_or_else(|| io::Error::other("git does not have its content"))?;
    let path: PathBuf = folder.join(&blob.path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = fs::File::create(&path)?;
    if io::copy(&mut answers.take(size), &mut file)? != size {
        return Err(io::Error::other("git ended too early"));
    }
    answers.read_exact(&mut [0])
}

/// `git` in the policy folder, reading objects of this repository and nothing else: no
/// replacements, nothing fetched, nobody asked.
fn command(policy: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .args([
            "--no-replace-objects",
            "--literal-pathspecs",
            "-c",
            "core.fsmonitor=false",
            "-C",
        ])
        .arg(policy)
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C");
    command
}

fn git<'w>(policy: &Path, words: impl IntoIterator<Item = &'w OsStr>) -> Result<Output, SideError> {
    let mut command = command(policy);
    command.args(words).stdin(Stdio::null());
    command.output().map_err(|error| no_git(&error))
}

fn no_git(error: &io::Error) -> SideError {
    SideError::Failed(match error.kind() {
        io::ErrorKind::NotFound => {
            "revisions are read with the program `git`, and there is none; install it, or name two folders".to_owned()
        }
        _ => format!("the program `git` cannot be started: {}", reason(error)),
    })
}

fn io_failed(what: &str, error: &io::Error) -> SideError {
    SideError::Failed(format!(
        "`{}` of the revision cannot be laid out: {}",
        visible(what),
        reason(error)
    ))
}

/// The first line of what git says went wrong.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().next().unwrap_or_default();
    visible(line.trim_start_matches("fatal: "))
}
