//! The key of the model, from the uppermost place that says where it is.

use std::path::Path;

use crate::config::layer::{KEY, KEY_FILE, Layer};
use crate::config::{codes, files};
use crate::diag::{Problems, Span};
use crate::redact::Secret;

/// The key; the last of the layers goes over those before it.
pub(super) fn find(layers: &[Layer], problems: &mut Problems) -> Option<Secret> {
    let mut said = layers.iter().rev();
    let layer = said.find(|layer| layer.key.is_some() || layer.key_file.is_some())?;
    match (&layer.key, &layer.key_file) {
        (Some(_), Some((_, span))) => {
            problems
                .error(
                    codes::KEY,
                    *span,
                    format!("both `{KEY}` and `{KEY_FILE}` are set"),
                )
                .help("keep one of them");
            None
        }
        (Some((key, _)), None) => Some(key.clone()),
        (None, Some((path, span))) => from_file(path, *span, problems),
        (None, None) => None,
    }
}

/// The key in a file: its text without the white space around it.
fn from_file(path: &Path, span: Span, problems: &mut Problems) -> Option<Secret> {
    let shown = path.display();
    let (code, message) = match files::text(path) {
        Ok(Some(text)) if !text.trim().is_empty() => {
            return Some(Secret::new(text.trim().to_owned()));
        }
        Ok(Some(_)) => (codes::KEY, format!("the key file `{shown}` is empty")),
        Ok(None) => (codes::UNREADABLE, format!("there is no key file `{shown}`")),
        Err(reason) => (
            codes::UNREADABLE,
            format!("the key file `{shown}` cannot be read: {reason}"),
        ),
    };
    problems
        .error(code, span, message)
        .help("name a file that holds the key and nothing else");
    None
}
