//! Names of files as editors write them: `file:///home/ann/policy/rules/a%20b.yml`.

use std::path::{Path, PathBuf};

/// The file that a URI names; `None` of what is no file of this machine.
pub(super) fn path_of(uri: &str) -> Option<PathBuf> {
    let rest = uri.strip_prefix("file://")?;
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    if !rest.starts_with('/') {
        return None;
    }
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let path = decoded(rest.get(..end)?)?;
    // A drive of Windows stands behind the first slash.
    let path = match path.as_bytes() {
        [b'/', letter, b':', ..] if letter.is_ascii_alphabetic() => path.get(1..)?.to_owned(),
        _ => path,
    };
    (!path.contains('\0')).then(|| PathBuf::from(path))
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| (byte? as char).to_digit(16);
        let value = digit(rest.next())? * 16 + digit(rest.next())?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// The URI of a file.
pub(super) fn uri_of(path: &Path) -> String {
    let path = path.to_string_lossy().replace('\\', "/");
    let mut uri = "file://".to_owned();
    if !path.starts_with('/') {
        uri.push('/');
    }
    for byte in path.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte);
        if is_plain {
            uri.push(byte as char);
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_uri_and_a_uri_a_file() {
        for (uri, path) in [
            ("file:///a/b%20c/%C3%BC.yml", Some("/a/b c/\u{fc}.yml")),
            ("file://localhost/a", Some("/a")),
            ("file:///a.yml?x#y", Some("/a.yml")),
            ("file:///c%3A/a", Some("c:/a")),
            ("file://host/a", None),
            ("untitled:1", None),
            ("file:///%zz", None),
            ("file:///%f", None),
            ("file:///%ff", None),
            ("file:///%00", None),
        ] {
            assert_eq!(path_of(uri), path.map(PathBuf::from), "{uri}");
        }
        for path in ["/a/b c/\u{fc}%.yml", "/x#y?z"] {
            let uri = uri_of(Path::new(path));
            assert!(uri.is_ascii(), "{uri}");
            assert_eq!(path_of(&uri), Some(PathBuf::from(path)));
        }
    }
}
