//! The audit that a command writes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::audit::{Audit, Options, Recovery, Signer, is_open_to_others};
use crate::cli::output::warn;
use crate::render::counted;
use crate::visible::visible;

/// The variable that names the file of the key by which checkpoints are signed.
pub const KEY_FILE: &str = "RULECTL_AUDIT_KEY_FILE";

/// The folder of the audit in a data folder.
pub fn folder(data: &Path) -> PathBuf {
    data.join("audit")
}

/// Opens the audit of a data folder whose lock is held, and says what a crash had left.
pub fn open(data: &Path) -> Result<Audit> {
    let (audit, recovery) = Audit::open(&folder(data), Options::live(signer()?))?;
    tell(&recovery);
    Ok(audit)
}

/// The key that signs checkpoints, where one is configured.
pub fn signer() -> Result<Option<Signer>> {
    let Some(file) = std::env::var_os(KEY_FILE).filter(|file| !file.is_empty()) else {
        return Ok(None);
    };
    let file = Path::new(&file);
    if is_open_to_others(file) {
        let shown = visible(&file.display().to_string());
        warn(&format!(
            "others may read the key in `{shown}`: `chmod 600` keeps it to you"
        ));
    }
    let signer = Signer::read(file).with_context(|| format!("{KEY_FILE} names no key"))?;
    Ok(Some(signer))
}

fn tell(recovery: &Recovery) {
    for torn in &recovery.torn {
        warn(&format!(
            "the audit ended in {} that a crash had left torn; they are kept in `{}`",
            counted(torn.bytes, "byte"),
            visible(&torn.file)
        ));
    }
    for unknown in &recovery.unknown {
        warn(&format!(
            "what became of record {} of the audit, `{}`, is not known: it was cut short",
            unknown.intent,
            visible(&unknown.kind)
        ));
    }
}
