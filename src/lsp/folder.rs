//! A policy folder as it is being written: its files, with open texts in the place of those on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;

use crate::diag::Problems;
use crate::document::{parse_toml, parse_yaml_documents};
use crate::lab::{UNREACHED, all_suites_over, is_suite};
use crate::policy::codes::{EXPLODES, TOO_LARGE};
use crate::policy::{self, is_wanted, most_bytes, read_folder};

/// Open texts, by their paths in the folder.
pub(super) type Open = BTreeMap<String, Arc<str>>;

/// A policy folder.
#[derive(Debug)]
pub(super) struct Folder {
    /// Where it is.
    pub(super) root: PathBuf,
    /// The files of the policy as they were saved last.
    saved: Open,
    /// What could not be read of them.
    reading: Problems,
}

/// A larger suite is not read.
const MAX_SUITE: u64 = 4 << 20;

/// What is wrong with a folder: with reading it, and with what was read.
pub(super) struct Checked {
    pub(super) reading: Problems,
    pub(super) policy: Problems,
    /// The texts that were checked, by their paths in the folder.
    pub(super) texts: Open,
}

impl Folder {
    /// The policy in a folder.
    pub(super) fn read(root: &Path) -> Self {
        let mut folder = Self {
            root: root.to_owned(),
            saved: Open::new(),
            reading: Problems::default(),
        };
        folder.read_again();
        folder
    }

    /// Looks at the disk again.
    pub(super) fn read_again(&mut self) {
        self.reading = Problems::default();
        let files = read_folder(&self.root, &mut self.reading);
        self.saved = files
            .into_iter()
            .map(|file| (file.path, file.text))
            .collect();
    }

    /// The path of a file in a folder, if it is one of the policy or of its suites.
    pub(super) fn name_in(root: &Path, path: &Path) -> Option<String> {
        let name = path.strip_prefix(root).ok()?.to_str()?;
        let name = name.replace('\\', "/");
        is_read(&name).then_some(name)
    }

    /// Checks the policy and its suites as `check` does, with the open texts.
    pub(super) fn check(&self, open: &Open, today: NaiveDate) -> Checked {
        let mut texts = self.saved.clone();
        let mut reading = self.reading.clone();
        let open = readable(open, &mut reading);
        let of_policy = open.iter().filter(|(name, _)| !is_suite(name));
        texts.extend(of_policy.map(|(name, text)| (name.clone(), Arc::clone(text))));
        let files = texts
            .iter()
            .map(|(name, text)| (name.as_str(), Arc::clone(text)));
        let mut loaded = policy::load_texts(files);
        let suites = open.iter().filter(|(name, _)| is_suite(name));
        let suites: BTreeMap<String, String> = suites
            .map(|(name, text)| (name.clone(), text.to_string()))
            .collect();
        all_suites_over(&self.root, &mut loaded, &suites);
        let mut policy = loaded.problems;
        policy.settle(today, |code| ![UNREACHED, EXPLODES].contains(&code));
        texts.extend(
            open.iter()
                .map(|(name, text)| (name.clone(), Arc::clone(text))),
        );
        Checked {
            reading,
            policy,
            texts,
        }
    }
}

/// The open texts that would be read if they were saved; of longer ones it is reported.
fn readable(open: &Open, reading: &mut Problems) -> Open {
    let mut readable = open.clone();
    readable.retain(|name, text| {
        let most = if is_suite(name) {
            MAX_SUITE
        } else {
            most_bytes(name)
        };
        let is_read = text.len() as u64 <= most;
        if !is_read {
            let file = reading.add_file(name, "");
            let message = format!("`{name}` is larger than {} MiB", most >> 20);
            reading.file_error(TOO_LARGE, file, message);
        }
        is_read
    });
    readable
}

/// The nearest folder around a file that is a policy: it has a `routing.toml`.
pub(super) fn root_of(path: &Path) -> Option<PathBuf> {
    let mut around = path.ancestors().skip(1);
    let found = around.find(|folder| is_policy(folder))?;
    Some(found.to_owned())
}

/// Whether a folder is a policy.
pub(super) fn is_policy(folder: &Path) -> bool {
    folder.join("routing.toml").is_file()
}

/// Whether a file is one that a policy or its suites are read from, by its path in the folder.
fn is_read(name: &str) -> bool {
    let is_inside = name.starts_with("rules/") || name.starts_with("prompts/");
    let is_hidden = name.split('/').any(|part| part.starts_with('.'));
    let of_policy = ["routing.toml", "tools.yaml"].contains(&name) || is_inside && is_wanted(name);
    !is_hidden && (of_policy || is_suite(name))
}

/// What is wrong with the form of a file that belongs to no policy.
pub(super) fn parsed(name: &str, text: &str) -> Problems {
    let mut problems = Problems::default();
    let file = problems.add_file(name, text);
    if name.ends_with(".yml") || name.ends_with(".yaml") {
        parse_yaml_documents(file, text, &mut problems);
    } else if name.ends_with(".toml") {
        parse_toml(file, text, &mut problems);
    }
    problems
}
