//! Which files are laid out: those that are named, and the YAML and TOML below folders.

use std::fs;
use std::path::{Path, PathBuf};

use crate::fmt::FileKind;

/// More files than a policy may have are somebody's home directory.
const MAX_FILES: usize = 20_000;
/// Folders are nested no deeper than this.
const MAX_DEPTH: usize = 16;

/// The files below some paths.
#[derive(Debug, Default)]
pub struct Found {
    /// YAML and TOML, in the order of their paths in each folder.
    pub files: Vec<PathBuf>,
    /// Files that were named and have no layout, such as scripts and prompts.
    pub left: Vec<PathBuf>,
    /// Links below folders that would have a layout if they were files.
    pub links: Vec<PathBuf>,
    /// What cannot be read, and why.
    pub unread: Vec<(PathBuf, String)>,
}

/// The files that paths name and those below folders. Links are not followed, and names that begin
/// with a dot are passed over unless they are named.
#[must_use]
pub fn find(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for path in paths {
        match fs::symlink_metadata(path) {
            Err(error) => found.cannot(path, &crate::visible::reason(&error)),
            Ok(metadata) if metadata.is_symlink() => {
                found.cannot(path, "it is a link, which is not followed");
            }
            Ok(metadata) if metadata.is_dir() => found.folder(path, &|_| true, 0),
            Ok(metadata) if metadata.is_file() && has_layout(path) => found.add(path.clone()),
            Ok(metadata) if metadata.is_file() => found.left.push(path.clone()),
            Ok(_) => found.cannot(path, "it is no regular file"),
        }
    }
    found
}

/// The files of a policy folder that have a layout: rules, suites, `routing.toml`, `tools.yaml` and
/// `rulectl.toml`. What else stands below `fixtures/` may be somebody else's.
#[must_use]
pub fn of_policy(folder: &Path) -> Found {
    let mut found = Found::default();
    let is_regular = |path: &Path| fs::symlink_metadata(path).is_ok_and(|file| file.is_file());
    let is_suite = |path: &Path| kind_of(path) == Some(FileKind::Suite);
    for (part, is_meant) in [
        ("rules", &(|_: &Path| true) as &dyn Fn(&Path) -> bool),
        ("fixtures", &is_suite),
    ] {
        let part = folder.join(part);
        if fs::symlink_metadata(&part).is_ok_and(|part| part.is_dir()) {
            found.folder(&part, is_meant, 0);
        }
    }
    let single = ["routing.toml", "rulectl.toml", "tools.yaml"].map(|name| folder.join(name));
    for path in single {
        match is_regular(&path) {
            true => found.add(path),
            false => found.links.extend(Some(path).filter(|path| is_link(path))),
        }
    }
    found
}

/// Whether a path is a link that does not lead to a folder.
fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) && !path.is_dir()
}

fn has_layout(path: &Path) -> bool {
    kind_of(path).is_some()
}

fn kind_of(path: &Path) -> Option<FileKind> {
    FileKind::of(&path.file_name()?.to_string_lossy())
}

impl Found {
    fn cannot(&mut self, path: &Path, why: &str) {
        self.unread.push((path.to_owned(), why.to_owned()));
    }

    fn add(&mut self, path: PathBuf) {
        if self.files.len() == MAX_FILES {
            let why = format!("there are more than {MAX_FILES} files");
            self.cannot(&path, &why);
        }
        if self.files.len() <= MAX_FILES {
            self.files.push(path);
        }
    }

    fn folder(&mut self, folder: &Path, is_meant: &dyn Fn(&Path) -> bool, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.cannot(folder, &crate::visible::reason(&error)),
        };
        if depth > MAX_DEPTH {
            return self.cannot(folder, "its folders are nested too deeply");
        }
        let is_shown = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default();
            !name.to_string_lossy().starts_with('.')
        };
        let paths = entries.flatten().map(|entry| entry.path());
        let mut paths: Vec<PathBuf> = paths.filter(is_shown).collect();
        paths.sort_unstable();
        for path in paths {
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => self.folder(&path, is_meant, depth + 1),
                Ok(metadata) if metadata.is_file() && has_layout(&path) && is_meant(&path) => {
                    self.add(path);
                }
                Ok(_) if is_link(&path) && has_layout(&path) && is_meant(&path) => {
                    self.links.push(path);
                }
                _ => {}
            }
            if self.files.len() > MAX_FILES {
                return;
            }
        }
    }
}
