//! The file in which live detection keeps its state.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use tempfile::NamedTempFile;

use crate::visible::{reason, visible};

/// What was kept; `None` where there is no file yet.
pub(super) fn read_state(file: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(saved) => Ok(Some(saved)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(file, "read", &error)),
    }
}

/// Writes beside the file and moves it there: a crash leaves the old state or the new.
pub(super) fn write_state(file: &Path, state: &[u8]) -> Result<()> {
    replace(file, state).map_err(|error| failed(file, "written", &error))
}

/// Puts bytes into the place of a file, whole or not at all, and durable.
pub(super) fn replace(file: &Path, state: &[u8]) -> io::Result<()> {
    let parent = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    let mut staged = NamedTempFile::new_in(folder)?;
    staged.write_all(state)?;
    staged.as_file().sync_all()?;
    staged.persist(file).map_err(|error| error.error)?;
    // That it was moved is durable once the folder is, where folders can be opened.
    File::open(folder).map_or(Ok(()), |folder| folder.sync_all())
}

fn failed(file: &Path, what: &str, error: &io::Error) -> anyhow::Error {
    let (file, reason) = (visible(&file.display().to_string()), reason(error));
    anyhow::anyhow!("the state in `{file}` cannot be {what}: {reason}")
}
