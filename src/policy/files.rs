//! The one door to the files of a policy folder.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diag::{FileId, Problems};
use crate::event::Digest;
use crate::policy::{codes, nowhere};
use crate::visible::reason;

/// A file of a policy, read.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    /// Its path relative to the folder, with `/`.
    pub path: String,
    /// Its place among the problems.
    pub id: FileId,
    /// Its text.
    pub text: Arc<str>,
}

impl PolicyFile {
    /// The path in `rules/` of a script; `None` for any other file.
    #[must_use]
    pub fn as_script(&self) -> Option<&str> {
        let path = self.path.strip_prefix("rules/")?;
        path.ends_with(".rhai").then_some(path)
    }

    /// Whether it holds rules.
    #[must_use]
    pub fn is_rule(&self) -> bool {
        let yaml = self.path.ends_with(".yml") || self.path.ends_with(".yaml");
        yaml && self.path.starts_with("rules/") && !is_list(&self.path)
    }
}

/// A larger file is no policy file: rules have a few kilobytes.
const MAX_FILE: u64 = 1 << 20;
/// A list may have a hundred thousand values.
const MAX_LIST: u64 = 16 << 20;
/// All lists together have at most so many bytes.
const MAX_LISTS: u64 = 64 << 20;
/// More files than this are not one policy.
const MAX_FILES: usize = 20_000;
/// Folders nested deeper than this are not entered.
const MAX_DEPTH: usize = 8;

/// Reads `rules/`, `prompts/`, `routing.toml` and `tools.yaml` of a folder, in
/// the order of their paths; reports what cannot be read.
#[must_use]
pub fn read_folder(folder: &Path, problems: &mut Problems) -> Vec<PolicyFile> {
    if !folder.is_dir() {
        let name = folder.display().to_string();
        let message = format!("there is no policy folder `{name}`");
        let id = problems.add_file(&name, "");
        problems.error(codes::MISSING_FILE, nowhere(id), message);
        return Vec::new();
    }
    let mut reader = Reader {
        root: Root::Policy(folder.to_owned()),
        problems,
        found: Vec::new(),
        buffer: Vec::new(),
        lists: 0,
    };
    for required in ["routing.toml", "tools.yaml"] {
        reader.required(required);
    }
    for directory in ["rules", "prompts"] {
        reader.directory(directory, 0);
    }
    reader.finish("--policy")
}

/// Reads the rules of any folder as if it were the `rules/` of a policy, or
/// those of one file with the scripts and lists beside it that it names; reports what cannot
/// be read.
#[must_use]
pub fn read_rules(place: &Path, problems: &mut Problems) -> Vec<PolicyFile> {
    let shown = place.display().to_string();
    if !place.exists() {
        let id = problems.add_file(&shown, "");
        let message = format!("there is no folder or file of rules `{shown}`");
        problems.error(codes::MISSING_FILE, nowhere(id), message);
        return Vec::new();
    }
    let is_folder = place.is_dir();
    let root = if is_folder {
        Root::Rules
    } else {
        Root::RuleFile
    };
    let mut reader = Reader {
        root: root(place.to_owned()),
        problems,
        found: Vec::new(),
        buffer: Vec::new(),
        lists: 0,
    };
    if is_folder {
        reader.directory("rules", 0);
    } else {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        reader.file(&format!("rules/{name}"), false);
        reader.beside("rules", |name| name.ends_with(".rhai"));
        reader.beside("rules/lists", |_| true);
    }
    reader.finish("--rules")
}

/// The digest of a policy: of each file's path and content, in the order of their paths.
pub(super) fn digest(files: &[PolicyFile]) -> Digest {
    let mut lines = String::new();
    for file in files {
        let digest = Digest::of(file.text.as_bytes()).to_string();
        lines.extend([&digest, " ", &file.path, "\n"]);
    }
    Digest::of(lines.as_bytes())
}

/// Where the files stand whose paths are those of a policy.
enum Root {
    /// In a policy folder.
    Policy(PathBuf),
    /// In a folder that is read as the `rules/` of a policy.
    Rules(PathBuf),
    /// There is one of rules, a file of `rules/`, and what stands beside it.
    RuleFile(PathBuf),
}

impl Root {
    fn full(&self, path: &str) -> PathBuf {
        match self {
            Self::Policy(folder) => folder.join(path),
            Self::Rules(folder) => below(folder, path),
            Self::RuleFile(file) => below(file.parent().unwrap_or(Path::new("")), path),
        }
    }

    /// The folder that everything stands in.
    fn folder(&self) -> &Path {
        match self {
            Self::Policy(folder) | Self::Rules(folder) => folder,
            Self::RuleFile(file) => {
                let folder = file.parent().unwrap_or(Path::new(""));
                if folder.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    folder
                }
            }
        }
    }

    /// Whether somebody named this file, wherever it leads.
    fn is_named(&self, full: &Path) -> bool {
        matches!(self, Self::RuleFile(file) if file == full)
    }

    /// What messages call a file.
    fn shown(&self, path: &str) -> String {
        match self {
            Self::Policy(_) => path.to_owned(),
            Self::Rules(_) | Self::RuleFile(_) => self.full(path).display().to_string(),
        }
    }

    /// Where there should be rules, and what messages call it.
    fn of_rules(&self) -> (PathBuf, String) {
        match self {
            Self::RuleFile(file) => (file.clone(), file.display().to_string()),
            Self::Policy(_) | Self::Rules(_) => (self.full("rules"), self.shown("rules")),
        }
    }
}

/// Where a path of `rules/` stands that is another folder.
fn below(folder: &Path, path: &str) -> PathBuf {
    let rest = path.strip_prefix("rules/");
    rest.map_or_else(|| folder.to_owned(), |rest| folder.join(rest))
}

struct Reader<'p> {
    root: Root,
    problems: &'p mut Problems,
    found: Vec<PolicyFile>,
    /// The bytes of the file that is being read.
    buffer: Vec<u8>,
    /// How many bytes the lists have so far.
    lists: u64,
}

impl Reader<'_> {
    /// The files in the order of their paths; reports that there are no rules
    /// among them, and the option that names another place.
    fn finish(mut self, option: &str) -> Vec<PolicyFile> {
        self.found.sort_by(|a, b| a.path.cmp(&b.path));
        if !self.found.iter().any(PolicyFile::is_rule) && !self.problems.has_errors() {
            let (place, shown) = self.root.of_rules();
            let id = self.problems.add_file(&shown, "");
            let message = format!("`{}` holds no rules", place.display());
            let help = format!(
                "put Sigma rules there as `.yml` files, or name another folder with `{option}`"
            );
            let span = nowhere(id);
            self.problems
                .error(codes::NO_RULES, span, message)
                .help(help);
        }
        self.found
    }

    fn required(&mut self, path: &str) {
        let full = self.root.full(path);
        if fs::symlink_metadata(&full).is_ok() {
            self.file(path, false);
            return;
        }
        let id = self.problems.add_file(path, "");
        let folder = full.parent().unwrap_or(&full).display();
        self.problems
            .error(
                codes::MISSING_FILE,
                nowhere(id),
                format!("`{folder}` has no `{path}`"),
            )
            .help("name the policy folder with `--policy DIR`");
    }

    fn directory(&mut self, path: &str, depth: usize) {
        if depth == 0 && self.is_elsewhere(path) {
            return self.report_elsewhere(path);
        }
        let entries = match fs::read_dir(self.root.full(path)) {
            Ok(entries) => entries,
            Err(error) => return self.no_directory(path, &error),
        };
        let shown = self.root.shown(path);
        let mut names: Vec<(String, bool)> = Vec::new();
        for entry in entries {
            let is_file = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
            match entry.map(|entry| (entry.file_name().into_string(), is_file(&entry))) {
                Ok((Ok(name), is_file)) => names.push((name, is_file)),
                Ok((Err(name), _)) => self.report(
                    path,
                    codes::UNREADABLE,
                    &format!(
                        "a name in `{shown}` is not UTF-8: {}",
                        name.to_string_lossy()
                    ),
                ),
                Err(error) => self.report(
                    path,
                    codes::UNREADABLE,
                    &format!("the folder `{shown}` cannot be read: {}", reason(&error)),
                ),
            }
        }
        names.sort_unstable();
        for (name, is_file) in names.iter().filter(|(name, _)| !is_passing(name)) {
            self.entry(&format!("{path}/{name}"), *is_file, depth);
        }
    }

    /// Reads those files of a folder whose names, without their endings, stand in what was read so
    /// far. There may be none, and a folder that is there for something else is no problem.
    fn beside(&mut self, folder: &str, is_meant: impl Fn(&str) -> bool) {
        let entries = fs::read_dir(self.root.full(folder));
        let names = entries.into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| is_meant(name)).collect();
        names.sort_unstable();
        for name in names {
            let path = format!("{folder}/{name}");
            let stem = name.rsplit_once('.').map_or("", |(stem, _)| stem);
            let is_named = || self.found.iter().any(|file| file.text.contains(stem));
            if is_wanted(&path) && !stem.is_empty() && is_named() {
                self.file(&path, false);
            }
        }
    }

    /// A policy needs no prompts, but it needs rules.
    fn no_directory(&mut self, path: &str, error: &std::io::Error) {
        let shown = self.root.shown(path);
        if error.kind() != std::io::ErrorKind::NotFound {
            let message = format!("the folder `{shown}` cannot be read: {}", reason(error));
            self.report(path, codes::UNREADABLE, &message);
        } else if path != "prompts" {
            let full = self.root.full(path);
            let folder = full.parent().unwrap_or(&full).display();
            let message = format!("`{folder}` has no folder `{path}`");
            self.report(path, codes::MISSING_FILE, &message);
        }
    }

    fn entry(&mut self, path: &str, is_file: bool, depth: usize) {
        if is_wanted(path) {
            return self.file(path, is_file);
        }
        let (full, shown) = (self.root.full(path), self.root.shown(path));
        if fs::symlink_metadata(&full).is_ok_and(|metadata| metadata.is_dir()) {
            if depth >= MAX_DEPTH {
                let message = format!("`{shown}` is nested deeper than {MAX_DEPTH} folders");
                self.report(path, codes::TOO_LARGE, &message);
                return;
            }
            self.directory(path, depth + 1);
        } else if let Some(why) = why_unread(path, &full) {
            if why == NOT_A_RULE && matches!(self.root, Root::Rules(_)) {
                return; // any folder may hold other files beside its rules
            }
            let id = self.problems.add_file(&shown, "");
            let message = format!("`{shown}` has no effect: {why}");
            self.problems.warn(codes::UNSUPPORTED, nowhere(id), message);
        }
    }

    /// Reads a file of the policy; `is_file` where its folder says that it is a regular one.
    fn file(&mut self, path: &str, is_file: bool) {
        if self.found.len() == MAX_FILES {
            return self.report(
                path,
                codes::TOO_LARGE,
                &format!("the policy has more than {MAX_FILES} files"),
            );
        }
        if self.found.len() > MAX_FILES {
            return;
        }
        if !is_file && self.is_elsewhere(path) {
            return self.report_elsewhere(path);
        }
        let shown = self.root.shown(path);
        let most = most_bytes(path);
        match read_text(&self.root.full(path), is_file, most, &mut self.buffer) {
            Ok(text) => {
                let text: Arc<str> = text.into();
                if is_list(path) {
                    self.lists += text.len() as u64;
                    if self.lists > MAX_LISTS {
                        let message = "the lists of the policy are larger than 64 MiB together";
                        return self.report(path, codes::TOO_LARGE, message);
                    }
                }
                let id = self.problems.share_file(&shown, Arc::clone(&text));
                self.found.push(PolicyFile {
                    path: path.to_owned(),
                    id,
                    text,
                });
            }
            Err(Unread {
                code,
                reason,
                text,
                at,
            }) => {
                let id = self.problems.add_file(&shown, &text);
                let start = u32::try_from(at).unwrap_or(u32::MAX);
                let span = crate::diag::Span {
                    file: id,
                    start,
                    end: start,
                };
                self.problems
                    .error(code, span, format!("`{shown}` {reason}"));
            }
        }
    }

    fn is_elsewhere(&self, path: &str) -> bool {
        let (folder, full) = (self.root.folder(), self.root.full(path));
        !self.root.is_named(&full) && leads_out(folder, &full)
    }

    /// What a link leads to elsewhere is not read: problems show the lines that they are in.
    fn report_elsewhere(&mut self, path: &str) {
        let shown = self.root.shown(path);
        let id = self.problems.add_file(&shown, "");
        let message = format!("`{shown}` is a link that leads out of the folder");
        self.problems
            .error(codes::ELSEWHERE, nowhere(id), message)
            .help("put what it leads to into the folder, or name the folder that holds both");
    }

    fn report(&mut self, path: &str, code: &'static str, message: &str) {
        let id = self.problems.add_file(&self.root.shown(path), "");
        self.problems.error(code, nowhere(id), message);
    }
}

/// Whether a file is in the folder of lists.
fn is_list(path: &str) -> bool {
    path.starts_with("rules/lists/")
}

/// The most bytes that a file of a policy may have.
#[must_use]
pub fn most_bytes(path: &str) -> u64 {
    if is_list(path) { MAX_LIST } else { MAX_FILE }
}

/// Whether a file in `rules/` or `prompts/` is one that the policy reads, by its path.
#[must_use]
pub fn is_wanted(path: &str) -> bool {
    let extension = Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    match path.split('/').next() {
        Some("prompts") => extension == "md",
        Some("rules") if is_list(path) => matches!(extension, "txt" | "csv"),
        Some("rules") => matches!(extension, "yml" | "yaml" | "rhai"),
        _ => matches!(extension, "yml" | "yaml"),
    }
}

/// Whether a name is one that an editor or a system leaves beside files for a while, or that is
/// hidden.
#[must_use]
pub fn is_passing(name: &str) -> bool {
    let is_backup = name.ends_with('~') || name.ends_with(".swp") || name.ends_with(".tmp");
    let is_autosave = name.starts_with('#') && name.ends_with('#');
    name.starts_with('.') || is_autosave || is_backup
}

/// Whether a path leads out of a folder over links.
#[must_use]
pub fn leads_out(folder: &Path, path: &Path) -> bool {
    let places = folder
        .canonicalize()
        .and_then(|folder| Ok((folder, path.canonicalize()?)));
    places.is_ok_and(|(folder, path)| !path.starts_with(folder))
}

const NOT_A_RULE: &str = "rules stand in files named `NAME.yml` or `NAME.yaml`";

/// Why what stands beside the files of a policy is not read; prose needs no reason.
fn why_unread(path: &str, full: &Path) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    if name.ends_with(".md") || name.starts_with("license") || name.starts_with("notice") {
        return None;
    }
    Some(match path.split('/').next() {
        _ if full.is_dir() => "links to folders are not followed",
        _ if name.ends_with(".rhai") => "scripts stand in `rules/`",
        Some("rules") if is_list(path) => "a list is a file `NAME.txt` or `NAME.csv`",
        Some("prompts") => "a prompt is a file `NAME.md`",
        _ => NOT_A_RULE,
    })
}

struct Unread {
    code: &'static str,
    reason: String,
    /// What could be read, for the place of the problem.
    text: String,
    at: usize,
}

impl Unread {
    fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            text: String::new(),
            at: 0,
        }
    }
}

/// A regular file of at most so many bytes of UTF-8. A FIFO is never opened: that could wait for ever.
fn read_text<'b>(
    path: &Path,
    is_file: bool,
    most: u64,
    buffer: &'b mut Vec<u8>,
) -> Result<&'b str, Unread> {
    let unreadable = |error: std::io::Error| {
        Unread::new(
            codes::UNREADABLE,
            format!("cannot be read: {}", reason(&error)),
        )
    };
    if !is_file {
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(Unread::new(
                codes::NOT_A_FILE,
                "is a folder, expected a file",
            ));
        }
        if !metadata.is_file() {
            return Err(Unread::new(codes::NOT_A_FILE, "is not a regular file"));
        }
    }
    // Room for most files, so that the end of one is met in the second read.
    buffer.clear();
    buffer.reserve(8 << 10);
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(most + 1)
        .read_to_end(buffer)
        .map_err(unreadable)?;
    if buffer.len() as u64 > most {
        let reason = format!("is larger than {} MiB", most >> 20);
        return Err(Unread::new(codes::TOO_LARGE, reason));
    }
    std::str::from_utf8(buffer).map_err(|error| Unread {
        code: codes::UNREADABLE,
        reason: "is not UTF-8 text".to_owned(),
        text: String::from_utf8_lossy(buffer).into_owned(),
        at: error.valid_up_to(),
    })
}
