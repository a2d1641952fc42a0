//! A secret, from the uppermost place that says where it is.

use std::path::Path;

use crate::config::layer::Layer;
use crate::config::setting::SecretName;
use crate::config::{codes, files};
use crate::diag::{Problems, Span};
use crate::redact::Secret;

/// The secret and where it, or the file that holds it, is named; the last of the layers goes over
/// those before it.
pub(super) fn find(
    layers: &[Layer],
    name: &SecretName,
    problems: &mut Problems,
) -> Option<(Secret, Span)> {
    let said = layers.iter().rev().map(|layer| layer.secret(name));
    let mut said = said.filter(|(text, file)| text.is_some() || file.is_some());
    match said.next()? {
        (Some(_), Some((_, span))) => {
            let (variable, file) = (name.variable, name.file_variable);
            let message = format!("both `{variable}` and `{file}` are set");
            problems
                .error(codes::KEY, *span, message)
                .help("keep one of them");
            None
        }
        (Some((secret, span)), None) => Some((secret.clone(), *span)),
        (None, Some((path, span))) => Some((from_file(path, *span, problems)?, *span)),
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
