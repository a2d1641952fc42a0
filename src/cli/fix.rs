//! `rulectl check --fix`: puts right what is right whatever was meant, and shows what it changes.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;

use crate::cli::Common;
use crate::cli::output::out;
use crate::diag::{Problems, counted};
use crate::lab::{Fixed, Fixes, fix};
use crate::policy::{Loaded, leads_out};
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
    let fixes = fix(&common.policy, loaded, settle);
    let fixed = &fixes.files;
    for file in fixed {
        out(&fix_as_text(file))?;
    }
    if !is_dry {
        for file in fixed {
            write(&common.policy, file)?;
        }
    }
    let changes: usize = fixed.iter().map(|file| file.changes).sum();
    let (changes, files) = (
        counted(changes as u64, "problem"),
        counted(fixed.len() as u64, "file"),
    );
    let left = left_out(&fixes);
    out(&match (fixed.is_empty(), is_dry) {
        (true, _) => format!("nothing to fix\n{left}"),
        (false, true) => {
            format!("{changes} in {files} can be fixed; nothing is written\n{left}\n")
        }
        (false, false) => format!("{changes} in {files} fixed\n{left}\n"),
    })?;
    Ok(!is_dry && !fixed.is_empty())
}

/// What is known to be wrong and is not put right.
fn left_out(fixes: &Fixes) -> String {
    let reasons = [
        (
            fixes.refused,
            "left: the change would bring another problem",
        ),
        (
            fixes.untried,
            "left for now: mend what is told, and run the command again",
        ),
        (fixes.in_scripts, "left in scripts, which are for a person"),
    ];
    let told = reasons.iter().filter(|(count, _)| *count > 0);
    told.map(|(count, why)| format!("{} {why}\n", counted(*count as u64, "problem")))
        .collect()
}

fn write(folder: &Path, fixed: &Fixed) -> Result<()> {
    replace(folder, &folder.join(&fixed.file), fixed).map_err(|error| {
        let (name, reason) = (visible(&fixed.file), reason(&error));
        anyhow::anyhow!("`{name}` cannot be written: {reason}")
    })
}

/// Writes a file beside its place and moves it there, with the rights that it had, and the owner
/// where the system allows it. One that somebody else changed meanwhile is left.
fn replace(folder: &Path, path: &Path, fixed: &Fixed) -> io::Result<()> {
    if leads_out(folder, path) {
        return Err(io::Error::other("it leads out of the policy folder"));
    }
    // A link stays one: what it leads to in the folder is written.
    let path = fs::canonicalize(path)?;
    if fs::read(&path)? != fixed.before.as_bytes() {
        return Err(io::Error::other(
            "it was changed meanwhile; run the command again",
        ));
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut staged = tempfile::NamedTempFile::new_in(folder)?;
    staged.write_all(fixed.after.as_bytes())?;
    let was = fs::metadata(&path)?;
    keep_owner(staged.as_file(), &was);
    staged.as_file().set_permissions(was.permissions())?;
    staged.as_file().sync_all()?;
    staged.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

/// Gives a file the owner and the group that it had: only an administrator may give it to others,
/// and everybody may give it to a group of their own.
#[cfg(unix)]
fn keep_owner(file: &fs::File, was: &fs::Metadata) {
    use std::os::unix::fs::{MetadataExt, fchown};
    let _ = fchown(file, None, Some(was.gid()));
    let _ = fchown(file, Some(was.uid()), None);
}

#[cfg(not(unix))]
fn keep_owner(_: &fs::File, _: &fs::Metadata) {}
