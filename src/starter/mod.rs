//! The files of a folder to begin with: a rule, its suite, and all that a policy needs.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file: its path in the folder, and its text.
type File = (&'static str, &'static str);

/// The files, in the order of their paths.
pub const FILES: [File; 9] = [
    (".github/workflows/policy.yml", include_str!("workflow.yml")),
    (".gitignore", include_str!("gitignore")),
    ("README.md", include_str!("README.md")),
    ("fixtures/api_token.test.yml", include_str!("suite.yml")),
    ("fixtures/logs/sample.ndjson", include_str!("sample.ndjson")),
    ("prompts/risk.md", include_str!("../../prompts/risk.md")),
    ("routing.toml", include_str!("routing.toml")),
    ("rules/api_token.yml", include_str!("rules.yml")),
    ("tools.yaml", include_str!("tools.yaml")),
];

/// Why nothing, or not everything, was written.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something stands where a file would be written.
    #[error("{} in the way; nothing is written", list(.0))]
    InTheWay(Vec<PathBuf>),
    /// A file could not be written.
    #[error("`{}` cannot be written", path.display())]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    let verb = if paths.len() == 1 { "stands" } else { "stand" };
    format!("{} {verb}", names.join(", "))
}

/// Writes the files into a folder, which is made where it is missing. Where anything stands in the
/// way of one of them, none is written.
pub fn write(folder: &Path) -> Result<(), Failure> {
    let mut in_the_way: Vec<PathBuf> = FILES
        .iter()
        .filter_map(|(path, _)| obstacle(folder, path))
        .collect();
    in_the_way.dedup();
    if !in_the_way.is_empty() {
        return Err(Failure::InTheWay(in_the_way));
    }
    for (path, text) in FILES {
        let path = folder.join(path);
        let written = write_new(&path, text);
        written.map_err(|source| Failure::Unwritten { path, source })?;
    }
    Ok(())
}

/// What stands in the way of a file: the file itself, or something that is no folder above it.
fn obstacle(folder: &Path, path: &str) -> Option<PathBuf> {
    let full = folder.join(path);
    if fs::symlink_metadata(&full).is_ok() {
        return Some(full);
    }
    let is_named = |path: &&Path| !path.as_os_str().is_empty();
    let inner = Path::new(path).ancestors().skip(1).filter(is_named);
    let outer = folder.ancestors().filter(is_named);
    let above = inner
        .map(|inner| folder.join(inner))
        .chain(outer.map(Path::to_owned));
    let is_obstacle = |above: &PathBuf| {
        let is_folder = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.is_dir());
        fs::symlink_metadata(above).is_ok() && !is_folder(above)
    };
    above.filter(is_obstacle).last()
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::File::create_new(path)?;
    file.write_all(text.as_bytes())
}
