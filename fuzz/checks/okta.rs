//! What an answer of Okta's says beside its events.

use http::header::LINK;
use http::{HeaderMap, HeaderName, HeaderValue};
use rulectl::event::Time;
use rulectl::okta::client::{Next, OktaError, Origin, RateLimit, Reach, Registry, date};
use rulectl::okta::system_log;

/// Lines of headers, an empty line, and a body: whatever they say, the next page is one of the same
/// tenant and the same path, a wait has an end, and nothing is shown that a terminal obeys.
pub fn okta(bytes: &[u8]) {
    let split = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = match split {
        Some(at) => (&bytes[..at], &bytes[at + 2..]),
        None => (bytes, &[][..]),
    };
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n').take(32) {
        let at = line.iter().position(|byte| *byte == b':');
        let (name, value) = match at {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (LINK.as_str().as_bytes(), line),
        };
        let pair = HeaderName::from_bytes(name)
            .ok()
            .zip(HeaderValue::from_bytes(value.trim_ascii()).ok());
        if let Some((name, value)) = pair {
            headers.append(name, value);
        }
    }
    let origin = Origin::parse("https://acme.okta.com", Reach::Public).expect("an origin");
    let registry = Registry::new(vec![system_log::operation()]);
    match Next::of(&headers, &origin, system_log::PATH) {
        Ok(Some(next)) => {
            assert!(registry.permits("GET", next.path()), "{next:?}");
            let link = next.to_link(&origin);
            assert!(
                link.starts_with("https://acme.okta.com/api/v1/logs?"),
                "{link}"
            );
            assert!(link.bytes().all(|byte| byte.is_ascii_graphic()), "{link}");
            assert_eq!(Next::parse(&link, &origin, system_log::PATH), Ok(next));
        }
        Ok(None) => {}
        Err(error) => shown(&error.to_string()),
    }
    if let Some(limit) = RateLimit::of(&headers, Time(0)) {
        assert!(limit.resets_in.as_secs() <= 15 * 60, "{limit:?}");
    }
    let _date = date(&headers);
    if let Some(error) = OktaError::of(body) {
        shown(&error.to_string());
    }
    if let Ok(text) = std::str::from_utf8(body)
        && let Ok(origin) = Origin::parse(text, Reach::Public)
    {
        shown(&origin.to_string());
        assert!(origin.to_string().starts_with("https://"), "{origin}");
    }
}

fn shown(text: &str) {
    assert!(
        text.len() < 20_000 && !text.chars().any(char::is_control),
        "{text:?}"
    );
}
