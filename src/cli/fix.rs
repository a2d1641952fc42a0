//! `rulectl check --fix`: puts right what is right whatever was meant, and shows what it changes.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;

use crate::cli::Common;
use crate::cli::output::out;
use crate::diag::{Problems, counted};
use crate::lab::{Fixed, fix};
use crate::policy::Loaded;
use crate::render::fix_as_text;
use crate::visible::{reason, visible};

/// Shows the changes and writes them, unless they are only to be shown; says whether any were
/// written.
pub fn fix_files(
    common: &Common,
    loaded: &Loaded,
    settle: impl Fn(&mut Problems),
    is_dry: bool,
) -> Result<bool> {
    let fixed = fix(&common.policy, loaded, settle);
    for file in &fixed {
        out(&fix_as_text(file))?;
    }
    if !is_dry {
        for file in &fixed {
            write(&common.policy, file)?;
        }
    }
    let changes: usize = fixed.iter().map(|file| file.changes).sum();
    let (changes, files) = (
        counted(changes as u64, "problem"),
        counted(fixed.len() as u64, "file"),
    );
    out(&match (fixed.is_empty(), is_dry) {
        (true, _) => "nothing to fix\n".to_owned(),
        (false, true) => format!("{changes} in {files} can be fixed; nothing is written\n\n"),
        (false, false) => format!("{changes} in {files} fixed\n\n"),
    })?;
    Ok(!is_dry && !fixed.is_empty())
}

fn write(folder: &Path, fixed: &Fixed) -> Result<()> {
    let path = folder.join(&fixed.file);
    replace(&path, &fixed.before, &fixed.after).map_err(|error| {
        let (name, reason) = (visible(&fixed.file), reason(&error));
        anyhow::anyhow!("`{name}` cannot be written: {reason}")
    })
}

/// Writes a file beside its place and moves it there, with the rights that it had. One that
/// somebody else changed meanwhile is left.
pub fn replace(path: &Path, before: &str, after: &str) -> io::Result<()> {
    // A link stays one: what it leads to is written.
    let path = fs::canonicalize(path)?;
    if fs::read(&path)? != before.as_bytes() {
        return Err(io::Error::other(
            "it was changed meanwhile; run the command again",
        ));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut staged = tempfile::NamedTempFile::new_in(folder)?;
    staged.write_all(after.as_bytes())?;
    staged
        .as_file()
        .set_permissions(fs::metadata(&path)?.permissions())?;
    staged.as_file().sync_all()?;
    staged.persist(&path).map_err(|error| error.error)?;
    Ok(())
}
