//! What the watched files hold, as one digest, and where a change of it would be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, FileType, Metadata};
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::event::Digest;
use crate::policy;
use crate::watch::Watched;

/// So many names are looked at; a policy has at most 20,000 files.
const MOST_NAMES: usize = 50_000;

/// Folders nested deeper than this are not entered, as in a policy.
const MOST_DEEP: usize = 8;

/// So many links are followed from a name to its file.
const MOST_LINKS: usize = 32;

/// What is larger is known by its length and the time of its last change: a log, and no file of a policy.
const MOST_READ: u64 = 32 << 20;

/// What the watched files hold.
pub(super) struct Content {
    /// Of each path and what stands there.
    pub(super) digest: Digest,
    pub(super) places: Places,
}

/// Files that are watched wherever they stand, each with what it holds.
pub(super) type Beside = BTreeMap<PathBuf, String>;

/// Where changes are seen, without links: a folder that is met by two ways is one.
#[derive(Default)]
pub(super) struct Places {
    /// The folders to be told of.
    pub(super) folders: BTreeSet<PathBuf>,
    /// Those of which every name matters; of the others, `names` alone do.
    whole: BTreeSet<PathBuf>,
    names: BTreeSet<PathBuf>,
}

impl Places {
    /// Whether a change at a path may be one of the content.
    pub(super) fn concern(&self, path: &Path) -> bool {
        let is_inside = || {
            path.parent()
                .is_some_and(|folder| self.whole.contains(folder))
        };
        self.names.contains(path) || self.folders.contains(path) || is_inside()
    }

    /// What stands at a path matters; where its folder is not there, the nearest name that is missing.
    fn name(&mut self, mut path: &Path) {
        while let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
            if let Ok(folder) = folder.canonicalize() {
                self.names.insert(folder.join(name));
                self.folders.insert(folder);
                return;
            }
            path = folder;
        }
    }

    /// Notes a path, and every link on the way from it: what is there changes where any of them stands.
    pub(super) fn links(&mut self, path: &Path) {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            match first_link(&path) {
                Some((link, beyond)) => {
                    self.name(&link);
                    path = beyond;
                }
                None => break,
            }
        }
        self.name(&path);
    }

    fn whole(&mut self, folder: &Path) {
        if let Ok(folder) = folder.canonicalize() {
            self.folders.insert(folder.clone());
            self.whole.insert(folder);
        }
    }
}

/// Looks at everything that is watched in a folder, which is absolute.
pub(super) fn content(folder: &Path, watched: Watched) -> Content {
    let mut looking = Looking {
        folder,
        lines: String::new(),
        places: Places::default(),
        names: 0,
    };
    looking.places.links(folder);
    for name in ["routing.toml", "tools.yaml"] {
        looking.places.links(&folder.join(name));
        looking.file(name);
    }
    looking.folder("rules", 0);
    looking.folder("prompts", 0);
    if watched == Watched::Project {
        looking.folder("fixtures", 0);
    }
    Content {
        digest: Digest::of(looking.lines.as_bytes()),
        places: looking.places,
    }
}

struct Looking<'f> {
    folder: &'f Path,
    /// A line for each path.
    lines: String,
    places: Places,
    names: usize,
}

impl Looking<'_> {
    fn folder(&mut self, path: &str, depth: usize) {
        let full = self.folder.join(path);
        if depth == 0 {
            self.places.links(&full);
        }
        let Ok(entries) = fs::read_dir(&full) else {
            return self.line(path, "no folder");
        };
        self.places.whole(&full);
        let entries = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name, entry.file_type().ok()?))
        });
        let mut entries: Vec<(String, FileType)> = entries
            .filter(|(name, _)| !policy::is_passing(name))
            .take(MOST_NAMES.saturating_sub(self.names))
            .collect();
        self.names += entries.len();
        entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (name, kind) in entries {
            let path = format!("{path}/{name}");
            if kind.is_symlink() {
                self.places.links(&self.folder.join(&path));
            }
            match kind.is_dir() {
                true if depth < MOST_DEEP => self.folder(&path, depth + 1),
                true => self.line(&path, "a folder too deep"),
                false => self.file(&path),
            }
        }
    }

    fn file(&mut self, path: &str) {
        let in_policy = path.starts_with("rules/") || path.starts_with("prompts/");
        if !in_policy || policy::is_wanted(path) {
            let holds = holds(&self.folder.join(path));
            self.line(path, &holds);
        }
    }

    fn line(&mut self, path: &str, holds: &str) {
        self.lines.extend([holds, " ", path, "\n"]);
    }
}

/// The first link on the way to a path, and the path that is meant.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut reached = PathBuf::new();
    let mut parts = path.components();
    while let Some(part) = parts.next() {
        if part == Component::ParentDir {
            reached.pop();
            continue;
        }
        reached.push(part);
        if let Ok(target) = fs::read_link(&reached) {
            let folder = reached.parent().unwrap_or(Path::new("/"));
            let mut beyond = folder.join(target);
            // An empty rest would add a separator.
            let rest = parts.as_path();
            if !rest.as_os_str().is_empty() {
                beyond.push(rest);
            }
            return Some((reached, beyond));
        }
    }
    None
}

/// What stands at a path, in words that are the same as long as it is.
pub(super) fn holds(path: &Path) -> String {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => "no file".to_owned(),
        Ok(metadata) if metadata.len() > MOST_READ => large(&metadata),
        Ok(_) => match File::open(path).and_then(|mut file| Digest::of_reader(&mut file)) {
            Ok(digest) => digest.to_string(),
            Err(error) => error.kind().to_string(),
        },
        Err(error) => error.kind().to_string(),
    }
}

fn large(metadata: &Metadata) -> String {
    let changed = metadata.modified().ok();
    let since = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let since = since.unwrap_or_default().as_nanos();
    format!("{} bytes of {since}", metadata.len())
}
