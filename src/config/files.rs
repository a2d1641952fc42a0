//! Small files that a person wrote, read with a limit.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use crate::visible::reason;

/// A file of the configuration has at most so many bytes.
const MAX_FILE: u64 = 256 << 10;

/// The text of a file, or `None` where there is none; else why it cannot be read.
pub(super) fn text(path: &Path) -> Result<Option<String>, String> {
    let kind = match fs::metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(reason(&error)),
    };
    // Opening a pipe would wait for a writer.
    if !kind.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let file = File::open(path).map_err(|error| reason(&error))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes);
    let read = read.map_err(|error| reason(&error))?;
    if read as u64 > MAX_FILE {
        return Err(format!("it is longer than {MAX_FILE} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    Ok(Some(text))
}
