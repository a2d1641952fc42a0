//! `--report FORMAT=FILE`: what a command found, written into files beside what it prints.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use anyhow::Result;
use tempfile::NamedTempFile;

use crate::cli::output::UsageError;
use crate::visible::{reason, visible};

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// A comment on a pull request
    Markdown,
    /// A page that opens anywhere
    Html,
    /// What pipelines show as tests
    Junit,
    /// What forges show beside the lines of files
    Sarif,
    /// The document that `--format json` prints
    Json,
}

/// Every format, by its name.
const FORMATS: [(&str, ReportFormat); 5] = [
    ("markdown", ReportFormat::Markdown),
    ("html", ReportFormat::Html),
    ("junit", ReportFormat::Junit),
    ("sarif", ReportFormat::Sarif),
    ("json", ReportFormat::Json),
];

/// A report that is asked for: `html=diff.html`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How it is written.
    pub format: ReportFormat,
    /// Where.
    pub file: PathBuf,
}

impl FromStr for Report {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::one_of(word, &FORMATS.map(|(_, format)| format))
    }
}

impl Report {
    /// The report that a word asks for, in one of the formats that a command has.
    pub fn one_of(word: &str, formats: &[ReportFormat]) -> Result<Self, String> {
        let mut known = FORMATS;
        known.sort_by_key(|(_, format)| !formats.contains(format));
        let known = known.get(..formats.len()).unwrap_or_default();
        let named: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let (named, first) = (named.join(", "), named.first().copied().unwrap_or_default());
        let Some((format, file)) = word.split_once('=').filter(|(_, file)| !file.is_empty()) else {
            return Err(format!(
                "a report is a format and a file, such as `{first}=FILE`; the formats are {named}"
            ));
        };
        let known = known.iter().find(|(name, _)| *name == format);
        let Some((_, format)) = known else {
            return Err(format!(
                "no report `{}`; there are {named}",
                visible(format)
            ));
        };
        Ok(Self {
            format: *format,
            file: PathBuf::from(file),
        })
    }
}

/// That every report has a file of its own, in a folder that is there: said before the work begins.
pub fn placed(reports: &[Report]) -> Result<()> {
    for (at, report) in reports.iter().enumerate() {
        let name = report.file.display().to_string();
        let name = visible(&name);
        let folder = folder(&report.file);
        let problem = if reports
            .iter()
            .take(at)
            .any(|other| place(&other.file) == place(&report.file))
        {
            "is named for two reports; each takes a file of its own".to_owned()
        } else if report.file.is_dir() {
            "is a folder; a report is a file".to_owned()
        } else if !folder.is_dir() {
            let folder = folder.display().to_string();
            format!(
                "cannot be written: there is no folder `{}`",
                visible(&folder)
            )
        } else {
            continue;
        };
        return Err(UsageError(format!("the report `{name}` {problem}")).into());
    }
    Ok(())
}

/// Where a report ends up, however its folder is spelled.
fn place(file: &Path) -> (PathBuf, Option<&OsStr>) {
    let folder = folder(file);
    let known = fs::canonicalize(folder);
    (
        known.unwrap_or_else(|_| folder.to_owned()),
        file.file_name(),
    )
}

/// Writes reports, each beside its place and moved there: a reader finds the old one or the new.
pub fn write(reports: &[Report], text: impl Fn(ReportFormat) -> Result<String>) -> Result<()> {
    for report in reports {
        let text = text(report.format)?;
        replace(&report.file, text.as_bytes()).map_err(|error| {
            let name = report.file.display().to_string();
            let (name, reason) = (visible(&name), reason(&error));
            anyhow::anyhow!("the report `{name}` cannot be written: {reason}")
        })?;
    }
    Ok(())
}

/// Where a policy folder stands below the working directory: what forges show is named from the
/// root of the repository, where they run us. Empty, or with a `/` at its end.
pub fn root_of(folder: &Path) -> String {
    let is_below = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !folder.components().all(|part| is_below(&part)) {
        return String::new();
    }
    let mut root = String::new();
    for part in folder.components() {
        if let Component::Normal(part) = part {
            root.push_str(&part.to_string_lossy());
            root.push('/');
        }
    }
    root
}

fn folder(file: &Path) -> &Path {
    let parent = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    // What is no plain file, such as a pipe, stays what it is.
    if fs::metadata(file).is_ok_and(|about| !about.is_file()) {
        return File::options().write(true).open(file)?.write_all(text);
    }
    let mut staged = tempfile::Builder::new();
    // As any file that a program makes: whoever may read the folder's files may read a report.
    #[cfg(unix)]
    staged.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut staged: NamedTempFile = staged.tempfile_in(folder(file))?;
    staged.write_all(text)?;
    staged.as_file().sync_all()?;
    staged.persist(file).map_err(|error| error.error)?;
    Ok(())
}
