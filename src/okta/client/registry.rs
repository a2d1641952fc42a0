//! The operations that may be asked for, and their paths.

use std::fmt;

/// One operation of Okta's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// `GET`, or `POST` for the one operation that gives tokens.
    pub method: &'static str,
    /// Its path with names in braces, such as `/api/v1/users/{userId}`.
    pub template: String,
    /// The bucket of the rate limit that it counts in, e.g. `logs`.
    pub bucket: String,
    /// The scope that it asks of a service app, such as `okta.logs.read`; empty where there is none.
    pub scope: String,
    /// What may be kept of its answers.
    pub keeps: Keeps,
}

/// What may be kept of the answers of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Their bodies.
    Body,
    /// The size and the digest of their bodies, which hold what nobody may keep as it is.
    Digest,
    /// Nothing: they are secrets.
    Nothing,
}

impl Operation {
    /// A `GET`.
    #[must_use]
    pub fn get(template: &str, bucket: &str, scope: &str) -> Self {
        Self {
            method: "GET",
            template: template.to_owned(),
            bucket: bucket.to_owned(),
            scope: scope.to_owned(),
            keeps: Keeps::Body,
        }
    }

    /// The same with other rules for what is kept.
    #[must_use]
    pub fn keeping(self, keeps: Keeps) -> Self {
        Self { keeps, ..self }
    }

    /// The path with these values of its parameters, each as one encoded segment; nothing where
    /// one is missing, or is a segment that a server could read as another path.
    #[must_use]
    pub fn path(&self, values: &[(&str, &str)]) -> Option<String> {
        let mut path = String::new();
        for segment in segments(&self.template) {
            path.push('/');
            match hole(segment) {
                None => path.push_str(segment),
                Some(name) => {
                    let mut named = values.iter().filter(|(given, _)| *given == name);
                    let (_, value) = named.next()?;
                    path.push_str(&encoded_segment(value)?);
                }
            }
        }
        Some(path)
    }

    /// Whether an encoded path is one of this operation.
    #[must_use]
    pub fn takes(&self, path: &str) -> bool {
        let mut written = segments(&self.template);
        let mut given = segments(path);
        loop {
            match (written.next(), given.next()) {
                (None, None) => return true,
                (Some(written), Some(given)) => match hole(written) {
                    None if written == given => {}
                    Some(_) if is_encoded_segment(given) => {}
                    _ => return false,
                },
                _ => return false,
            }
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.template)
    }
}

/// The operations that may be asked for: what is none of these does not reach the network.
#[derive(Clone, Debug, Default)]
pub struct Registry(Vec<Operation>);

impl Registry {
    /// A registry of these.
    #[must_use]
    pub fn new(operations: Vec<Operation>) -> Self {
        Self(operations)
    }

    /// Whether a request with this method and encoded path is one of these.
    #[must_use]
    pub fn permits(&self, method: &str, path: &str) -> bool {
        let mut permitted = self.0.iter();
        permitted.any(|operation| operation.method == method && operation.takes(path))
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

/// The name of a hole, where a segment of a template is one.
fn hole(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// A value as one segment of a path: everything but RFC 3986's unreserved characters is encoded.
fn encoded_segment(value: &str) -> Option<String> {
    let segment = encoded(value);
    (is_encoded_segment(&segment)
        && !value.contains(['/', '\\'])
        && !value.contains(char::is_control))
    .then_some(segment)
}

/// A text with everything but RFC 3986's unreserved characters encoded, as a value of a query or
/// a segment of a path.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Whether this is one segment, however often it is decoded: neither empty nor `.` nor `..`, and
/// without an encoded slash, backslash or percent sign.
fn is_encoded_segment(segment: &str) -> bool {
    let is_written = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
    let lower = segment.to_ascii_lowercase();
    let hides = ["%2f", "%5c", "%25", "%2e", "%00"];
    !segment.is_empty()
        && !matches!(segment, "." | "..")
        && segment.bytes().all(is_written)
        && !hides.iter().any(|hidden| lower.contains(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_segments_of_a_path_and_no_more() {
        let operation =
            Operation::get("/api/v1/users/{userId}/factors", "users", "okta.users.read");
        let cases = [
            (
                "00u1abcdefghijklmnop",
                Some("/api/v1/users/00u1abcdefghijklmnop/factors"),
            ),
            (
                "ann@example.com",
                Some("/api/v1/users/ann%40example.com/factors"),
            ),
            ("a b+ü", Some("/api/v1/users/a%20b%2B%C3%BC/factors")),
            ("a?b=c&d#e", Some("/api/v1/users/a%3Fb%3Dc%26d%23e/factors")),
            ("", None),
            (".", None),
            ("..", None),
            ("../apps", None),
            ("a/b", None),
            ("a\\b", None),
            ("a%2fb", None),
            ("a\r\nX: y", None),
            ("a\0", None),
        ];
        for (value, expected) in cases {
            let path = operation.path(&[("userId", value)]);
            assert_eq!(path.as_deref(), expected, "{value:?}");
            assert!(path.is_none_or(|path| operation.takes(&path)));
        }
        assert_eq!(operation.path(&[("user", "x")]), None);
    }

    #[test]
    fn what_is_not_registered_is_not_permitted() {
        let registry = Registry::new(vec![
            Operation::get("/api/v1/logs", "logs", "okta.logs.read"),
            Operation::get("/api/v1/users/{userId}", "users", "okta.users.read"),
        ]);
        let cases = [
            ("GET", "/api/v1/logs", true),
            ("GET", "/api/v1/users/00u1", true),
            ("POST", "/api/v1/logs", false),
            ("DELETE", "/api/v1/users/00u1", false),
            ("get", "/api/v1/logs", false),
            ("GET", "/api/v1/logs/", false),
            ("GET", "//api/v1/logs", false),
            ("GET", "/api/v1/Logs", false),
            ("GET", "/api/v1/users", false),
            ("GET", "/api/v1/users/", false),
            ("GET", "/api/v1/users/..", false),
            ("GET", "/api/v1/users/%2e%2e", false),
            ("GET", "/api/v1/users/a%2Ffactors", false),
            ("GET", "/api/v1/users/a%252Ffactors", false),
            ("GET", "/api/v1/users/a/factors", false),
            ("GET", "/api/v1/users/a?b", false),
            ("GET", "", false),
        ];
        for (method, path, expected) in cases {
            assert_eq!(registry.permits(method, path), expected, "{method} {path}");
        }
    }
}
