//! Where suites stand: below `fixtures/`, and what of it is not entered.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use crate::diag::{Problems, Span};
use crate::lab::suite::codes;
use crate::policy::{is_passing, leads_out};
use crate::visible::reason;

/// Folders nested deeper than this are not entered.
const MOST_DEEP: usize = 8;

/// So many names are looked at in folders that are not entered.
const MOST_NAMES: usize = 10_000;

/// Why a link is not read.
const ELSEWHERE: &str = "it is a link that leads out of the policy folder";

/// The files of the suites of a policy folder, in the order of their paths. What looks like a
/// suite and is not read is warned of. Links to folders are not followed: they may go in a circle.
pub(super) fn find_suites(policy: &Path, problems: &mut Problems) -> Vec<PathBuf> {
    let mut finding = Finding {
        policy,
        found: Vec::new(),
        names: MOST_NAMES,
        problems,
    };
    // That there is no such folder is reported with the policy.
    if !policy.is_dir() {
        return Vec::new();
    }
    let fixtures = policy.join("fixtures");
    if leads_out(policy, &fixtures) {
        finding.unreadable("fixtures", ELSEWHERE);
        return Vec::new();
    }
    if let Err(error) = finding.enter(&fixtures, 0)
        && error.kind() != io::ErrorKind::NotFound
    {
        finding.unreadable("fixtures", &reason(&error));
    }
    finding.found.sort();
    finding.found
}

struct Finding<'p> {
    policy: &'p Path,
    found: Vec<PathBuf>,
    /// How many more names are looked at in folders that are not entered.
    names: usize,
    problems: &'p mut Problems,
}

impl Finding<'_> {
    fn enter(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<DirEntry>>>()?;
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type()?);
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_passing(&name) {
                continue;
            }
            if kind.is_dir() && depth < MOST_DEEP {
                self.enter(&path, depth + 1)?;
            } else if kind.is_dir() {
                let why = format!("it is nested deeper than {MOST_DEEP} folders");
                self.leave_folder(&path, &why, "move it up");
            } else if is_suite(&name) {
                self.suite(path, kind.is_symlink());
            } else if is_suite(&name.to_lowercase()) {
                let shown = self.shown(&path);
                let message = format!("`{shown}` is not read as a suite: case counts in its name");
                let help = "name it `NAME.test.yml` or `NAME.test.yaml`";
                self.unread(&shown, message, help);
            } else if kind.is_symlink() && path.is_dir() {
                let why = "links to folders are not followed";
                self.leave_folder(&path, why, "put the folder itself there");
            }
        }
        Ok(())
    }

    /// Takes a suite, unless problems could not name it, or could show what is none of the policy's.
    fn suite(&mut self, path: PathBuf, is_link: bool) {
        let shown = self.shown(&path);
        if !self.is_text(&path) {
            self.unreadable(&shown, "its name is not UTF-8");
        } else if is_link && leads_out(self.policy, &path) {
            self.unreadable(&shown, ELSEWHERE);
        } else {
            self.found.push(path);
        }
    }

    /// Warns of a folder that is not entered, where it holds suites.
    fn leave_folder(&mut self, folder: &Path, why: &str, help: &str) {
        if self.holds_suite(folder) {
            let shown = self.shown(folder);
            let message = format!("the suites in `{shown}` are not read: {why}");
            self.unread(&shown, message, help);
        }
    }

    fn holds_suite(&mut self, folder: &Path) -> bool {
        let mut todo = vec![folder.to_owned()];
        while let Some(folder) = todo.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if self.names == 0 {
                    return false;
                }
                self.names -= 1;
                let name = entry.file_name().to_string_lossy().to_lowercase();
                if is_suite(&name) {
                    return true;
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    todo.push(entry.path());
                }
            }
        }
        false
    }

    /// Whether the path in the policy folder is one that other files can name.
    fn is_text(&self, path: &Path) -> bool {
        let below = path.strip_prefix(self.policy).unwrap_or(path);
        below.to_str().is_some()
    }

    fn shown(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.policy).unwrap_or(path);
        below.to_string_lossy().into_owned()
    }

    fn unread(&mut self, shown: &str, message: String, help: &str) {
        let file = self.problems.add_file(shown, "");
        let (start, end) = (0, 0);
        let span = Span { file, start, end };
        self.problems
            .warn(codes::UNREAD_SUITE, span, message)
            .help(help);
    }

    fn unreadable(&mut self, shown: &str, why: &str) {
        let file = self.problems.add_file(shown, "");
        let message = format!("`{shown}` cannot be read: {why}");
        self.problems.file_error(codes::UNREADABLE, file, message);
    }
}

fn is_suite(name: &str) -> bool {
    name.ends_with(".test.yml") || name.ends_with(".test.yaml")
}
