//! The next page: what an answer names in its `Link` headers, as far as it may be asked.
//!
//! A link is opaque (RFC 8288; Okta's "Pagination"): its query is sent as it came. What is looked
//! at is where it leads, since it is data from outside: it must be of the same origin and of the
//! very path that was asked.

use http::HeaderMap;
use http::header::LINK;
use reqwest::Url;

use super::origin::Origin;
use crate::visible::visible;

/// A link has at most so many bytes.
const LONGEST: usize = 8 << 10;

/// So much of a link that is refused is shown.
const SHOWN: usize = 120;

/// The next page of an answer: a path that may be asked, and a query that only its tenant
/// understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    path: String,
    query: String,
}

/// A link that is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the link to the next page is not followed: {reason}: `{link}`")]
pub struct LinkError {
    /// What is wrong with it.
    pub reason: &'static str,
    /// Its beginning, made visible.
    pub link: String,
}

impl Next {
    /// The next page that an answer to `path` names, if it names one.
    ///
    /// # Errors
    ///
    /// When it names one that is not asked, or several.
    pub fn of(headers: &HeaderMap, origin: &Origin, path: &str) -> Result<Option<Self>, LinkError> {
        let mut found: Option<String> = None;
        for value in headers.get_all(LINK) {
            let refused = |reason| error(reason, &String::from_utf8_lossy(value.as_bytes()));
            let text = value
                .to_str()
                .map_err(|_| refused("it is not ASCII text"))?;
            for (target, is_next) in links(text).ok_or_else(|| refused("it is no list of links"))? {
                let is_other = found.as_deref().is_some_and(|found| found != target);
                if is_next && is_other {
                    return Err(refused("there are several of them"));
                }
                if is_next {
                    found = Some(target.to_owned());
                }
            }
        }
        found
            .map(|target| Self::parse(&target, origin, path))
            .transpose()
    }

    /// The next page that a link names, where `path` was asked.
    ///
    /// # Errors
    ///
    /// When it leads elsewhere.
    pub fn parse(link: &str, origin: &Origin, path: &str) -> Result<Self, LinkError> {
        let refused = |reason| Err(error(reason, link));
        if link.len() > LONGEST {
            return refused("it is longer than 8 KiB");
        }
        // A URL parser drops tabs and line breaks, and takes `\` for `/`.
        if !link
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        {
            return refused("it holds characters that no URL holds");
        }
        let Ok(url) = Url::parse(link) else {
            return refused("it is not an absolute URL");
        };
        if authority(link).contains('@') {
            return refused("it names a user");
        }
        if !origin.holds(&url) {
            return refused("it leads to another origin");
        }
        if url.path() != path {
            return refused("it leads to another path");
        }
        if url.fragment().is_some() {
            return refused("it names a fragment");
        }
        let lower = link.to_ascii_lowercase();
        if ["%00", "%0a", "%0d"]
            .iter()
            .any(|code| lower.contains(code))
        {
            return refused("it holds an encoded control character");
        }
        match url.query() {
            Some(query) if !query.is_empty() => Ok(Self {
                path: path.to_owned(),
                query: query.to_owned(),
            }),
            _ => refused("it has no query"),
        }
    }

    /// The link as it may be kept, for [`Next::parse`].
    #[must_use]
    pub fn to_link(&self, origin: &Origin) -> String {
        origin.url(&self.path, &self.query).to_string()
    }

    /// The path that is asked, encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query, encoded.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }
}

/// What stands between scheme and path, as it is written.
fn authority(link: &str) -> &str {
    let behind = link.split_once(':').map_or(link, |(_, behind)| behind);
    let behind = behind.trim_start_matches('/');
    behind.split(['/', '?', '#']).next().unwrap_or_default()
}

fn error(reason: &'static str, link: &str) -> LinkError {
    let link = shown(link);
    LinkError { reason, link }
}

/// The beginning of a link, made visible.
pub(super) fn shown(link: &str) -> String {
    let mut shown = visible(&link.chars().take(SHOWN).collect::<String>());
    if link.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// The targets in a `Link` header, and whether each is the next page; `None` where it is no list
/// of links.
fn links(text: &str) -> Option<Vec<(&str, bool)>> {
    let mut links = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (target, after) = rest.strip_prefix('<')?.split_once('>')?;
        let (parameters, others) = until_comma(after)?;
        links.push((target, is_next(parameters)));
        rest = others.trim_start_matches([' ', '\t', ',']);
    }
    Some(links)
}

/// Splits at the first comma that is not quoted; `None` where a quote is not closed.
fn until_comma(text: &str) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            // A comma is one byte, so that both sides are texts.
            b',' if !quoted => return text.split_at_checked(at),
            _ => {}
        }
    }
    (!quoted).then_some((text, ""))
}

fn is_next(parameters: &str) -> bool {
    parameters.split(';').any(|parameter| {
        let Some((name, value)) = parameter.split_once('=') else {
            return false;
        };
        let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
        name.trim().eq_ignore_ascii_case("rel")
            && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::okta::client::Reach;
    use http::HeaderValue;

    const PATH: &str = "/api/v1/logs";

    fn origin() -> Origin {
        Origin::parse("https://acme.okta.com", Reach::Public).expect("an origin")
    }

    fn next(headers: &[&[u8]]) -> Result<Option<String>, LinkError> {
        let values = headers.iter().map(|value| {
            let value = HeaderValue::from_bytes(value).expect("a header");
            (LINK, value)
        });
        let next = Next::of(&values.collect(), &origin(), PATH)?;
        Ok(next.map(|next| next.query().to_owned()))
    }

    #[test]
    fn a_next_page_is_found_wherever_the_headers_name_it() {
        let cases: [(&[&str], Option<&str>); 10] = [
            (&[], None),
            (
                &["<https://acme.okta.com/api/v1/logs?limit=2>; rel=\"self\""],
                None,
            ),
            (
                &[
                    "<https://acme.okta.com/api/v1/logs?limit=2>; rel=\"self\"",
                    "<https://acme.okta.com/api/v1/logs?after=x%2Fy&limit=2>; rel=\"next\"",
                ],
                Some("after=x%2Fy&limit=2"),
            ),
            (
                &[
                    "<https://acme.okta.com/api/v1/logs?a>; rel=\"self\", <https://acme.okta.com/api/v1/logs?b>; rel=\"next\"",
                ],
                Some("b"),
            ),
            (
                &["<https://acme.okta.com/api/v1/logs?a,b>;title=\"x, y\";rel=next"],
                Some("a,b"),
            ),
            (
                &["<https://acme.okta.com/api/v1/logs?a>; REL=\"prev Next\""],
                Some("a"),
            ),
            (
                &["<https://acme.okta.com:443/api/v1/logs?a>; rel=next"],
                Some("a"),
            ),
            (
                &[
                    "<https://acme.okta.com/api/v1/logs?a>; rel=next",
                    "<https://acme.okta.com/api/v1/logs?a>; rel=next",
                ],
                Some("a"),
            ),
            (
                &["<https://acme.okta.com/api/v1/logs?q=a@b>; rel=next"],
                Some("q=a@b"),
            ),
            (&["<http://elsewhere.example/?a>; rel=\"about\""], None),
        ];
        for (headers, expected) in cases {
            let bytes: Vec<&[u8]> = headers.iter().map(|text| text.as_bytes()).collect();
            assert_eq!(next(&bytes), Ok(expected.map(str::to_owned)), "{headers:?}");
        }
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_not_followed() {
        let long = format!("https://acme.okta.com/api/v1/logs?{}", "a".repeat(9000));
        let cases = [
            ("https://evil.example/api/v1/logs?a", "another origin"),
            (
                "https://acme.okta.com.evil.example/api/v1/logs?a",
                "another origin",
            ),
            ("http://acme.okta.com/api/v1/logs?a", "another origin"),
            ("https://acme.okta.com:8443/api/v1/logs?a", "another origin"),
            (
                "https://169.254.169.254/latest/meta-data?a",
                "another origin",
            ),
            ("https://localhost/api/v1/logs?a", "another origin"),
            (
                "https://acme.okta.com@evil.example/api/v1/logs?a",
                "names a user",
            ),
            ("https://me:x@acme.okta.com/api/v1/logs?a", "names a user"),
            ("https://acme.okta.com/api/v1/users?a", "another path"),
            (
                "https://acme.okta.com/api/v1/logs/../users?a",
                "another path",
            ),
            ("https://acme.okta.com/api/v1/logs/?a", "another path"),
            ("https://acme.okta.com/api/v1/logs%2f..?a", "another path"),
            ("https://acme.okta.com/api/v1/logs?a#b", "a fragment"),
            (
                "https://acme.okta.com/api/v1/logs?a%0d%0aX:y",
                "control character",
            ),
            ("https://acme.okta.com/api/v1/logs?a\\b", "no URL holds"),
            ("https:\\\\evil.example/?a", "no URL holds"),
            ("https://acme.okta.com/api/v1/logs", "no query"),
            ("//evil.example/api/v1/logs?a", "not an absolute URL"),
            ("/api/v1/logs?a", "not an absolute URL"),
            ("javascript:alert(1)", "another origin"),
            ("file:///etc/passwd", "another origin"),
            ("", "not an absolute URL"),
            (long.as_str(), "longer than 8 KiB"),
        ];
        for (link, expected) in cases {
            let header = format!("<{link}>; rel=\"next\"");
            let said = next(&[header.as_bytes()]).expect_err(link).to_string();
            assert!(said.contains(expected), "{link}: {said}");
            assert!(said.len() < 300, "{said}");
        }
    }

    #[test]
    fn headers_that_are_no_links_are_refused() {
        let cases: [&[&[u8]]; 5] = [
            &[b"https://acme.okta.com/api/v1/logs?a; rel=next"],
            &[b"<https://acme.okta.com/api/v1/logs?a; rel=next"],
            &[b"<https://acme.okta.com/api/v1/logs?a>; rel=\"next"],
            &[b"<https://acme.okta.com/api/v1/logs?\xff>; rel=next"],
            &[
                b"<https://acme.okta.com/api/v1/logs?a>; rel=next",
                b"<https://acme.okta.com/api/v1/logs?b>; rel=next",
            ],
        ];
        for headers in cases {
            assert!(next(headers).is_err(), "{headers:?}");
        }
    }
}
