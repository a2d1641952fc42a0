//! From the words of a command line to inputs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::Input;
use super::error::SourceError;
use super::open::regular_file;

/// Turns command-line words into inputs: paths, globs and `-` for standard input.
///
/// A path that exists is taken literally, whatever characters it has. In a glob, `*` and `?` stay
/// inside one directory and `**` goes down any number; its matches are regular files, sorted by
/// the bytes of their paths. Hidden entries match only a glob that has a component starting with
/// `.`, and `**` does not follow links to directories. A file that two words name is read twice.
///
/// # Errors
///
/// All that is wrong with all the words, in their order; there are no inputs then.
pub fn expand(words: &[String]) -> Result<Vec<Input>, Vec<SourceError>> {
    let mut inputs = Vec::new();
    let mut errors = Vec::new();
    for word in words {
        if word != "-" {
            files(word, &mut inputs, &mut errors);
        } else if inputs.contains(&Input::Stdin) {
            errors.push(SourceError::StdinTwice);
        } else {
            inputs.push(Input::Stdin);
        }
    }
    if errors.is_empty() {
        Ok(inputs)
    } else {
        Err(errors)
    }
}

/// Adds the file, or the files, that one word names.
fn files(word: &str, inputs: &mut Vec<Input>, errors: &mut Vec<SourceError>) {
    let literal = Path::new(word);
    if !word.contains(is_special) || literal.exists() {
        match regular_file(literal) {
            Ok(_) => inputs.push(Input::File(literal.to_owned())),
            Err(error) => errors.push(error),
        }
        return;
    }
    match Pattern::parse(word) {
        Ok(pattern) => pattern.files(word, inputs, errors),
        Err(error) => errors.push(error),
    }
}

fn is_special(character: char) -> bool {
    matches!(character, '*' | '?' | '[' | '{')
}

/// A glob: the directory to start from, and what to match below it.
struct Pattern {
    base: PathBuf,
    below: GlobMatcher,
    /// How many directories below `base` can match; `None` with `**`.
    depth: Option<usize>,
    hidden: bool,
}

impl Pattern {
    fn parse(word: &str) -> Result<Self, SourceError> {
        let special = word
            .find(|c| is_special(c) || c == '\\')
            .unwrap_or(word.len());
        let (start, _) = word.split_at(special);
        let (base, below) = match start.rfind('/') {
            Some(slash) => word.split_at(slash + 1),
            None => ("", word),
        };
        let parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
        let glob = GlobBuilder::new(&parts.join("/"))
            .literal_separator(true)
            .build()
            .map_err(|error| SourceError::Pattern {
                pattern: word.to_owned(),
                reason: error.kind().to_string(),
            })?;
        Ok(Self {
            base: PathBuf::from(base),
            below: glob.compile_matcher(),
            depth: (!below.contains("**")).then_some(parts.len().saturating_sub(1)),
            hidden: parts.iter().any(|part| part.starts_with('.')),
        })
    }

    /// Adds the regular files that match; matched directories count only if nothing else does.
    fn files(&self, word: &str, inputs: &mut Vec<Input>, errors: &mut Vec<SourceError>) {
        let mut matches = self.matches(errors);
        matches.sort_by(|a, b| bytes(a).cmp(bytes(b)));
        let before = inputs.len() + errors.len();
        let mut directory = None;
        for path in matches {
            match regular_file(&path) {
                Ok(_) => inputs.push(Input::File(path)),
                Err(error @ SourceError::Directory { .. }) => directory = directory.or(Some(error)),
                Err(error) => errors.push(error),
            }
        }
        if inputs.len() + errors.len() == before {
            let none = || SourceError::NoMatch {
                pattern: word.to_owned(),
            };
            errors.push(directory.unwrap_or_else(none));
        }
    }

    /// Everything below the base that matches, in no order.
    fn matches(&self, errors: &mut Vec<SourceError>) -> Vec<PathBuf> {
        let mut matches = Vec::new();
        let mut open = vec![(PathBuf::new(), 0)];
        while let Some((directory, depth)) = open.pop() {
            let entries = match self.list(&directory) {
                Ok(entries) => entries,
                Err(error) => {
                    errors.extend(self.list_error(&directory, error));
                    continue;
                }
            };
            for path in entries {
                if self.depth.is_none_or(|most| depth < most) && self.enters(&path) {
                    open.push((path.clone(), depth + 1));
                }
                if self.below.is_match(&path) {
                    matches.push(self.base.join(path));
                }
            }
        }
        matches
    }

    /// The entries of a directory, as paths below the base.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut path = self.base.join(directory);
        if path.as_os_str().is_empty() {
            path.push(".");
        }
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let name = entry?.file_name();
            if self.hidden || !name.as_encoded_bytes().starts_with(b".") {
                entries.push(directory.join(name));
            }
        }
        Ok(entries)
    }

    /// Nothing for a base that is no directory: the glob then simply matches nothing.
    fn list_error(&self, directory: &Path, source: io::Error) -> Option<SourceError> {
        let absent = matches!(
            source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        );
        let path = self.base.join(directory).display().to_string();
        (!absent).then_some(SourceError::List { path, source })
    }

    /// Whether to look inside; a link to a directory could lead `**` in circles.
    fn enters(&self, below: &Path) -> bool {
        let path = self.base.join(below);
        let metadata = match self.depth {
            Some(_) => fs::metadata(path),
            None => fs::symlink_metadata(path),
        };
        metadata.is_ok_and(|metadata| metadata.is_dir())
    }
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}
