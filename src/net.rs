//! What the clients of HTTP share: why there was no answer, in words.

use std::error::Error;

use crate::visible::visible;

/// What lies at the bottom of an error: what stands above names the address, and our own types.
#[must_use]
pub fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no connection in time".to_owned();
    }
    let mut deepest: &dyn Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    match deepest.downcast_ref::<std::io::Error>() {
        Some(error) => visible(&crate::visible::reason(error)),
        None => told(&deepest.to_string()),
    }
}

/// What TLS says of a certificate, with what to do about it; anything else as it is.
fn told(text: &str) -> String {
    match text.strip_prefix("invalid peer certificate: ") {
        Some(why) => format!(
            "its certificate is not trusted here ({}); name the authority that issued it in `SSL_CERT_FILE`",
            visible(why)
        ),
        None => visible(text),
    }
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn a_certificate_that_is_not_trusted_says_what_to_do() {
        let said = told("invalid peer certificate: UnknownIssuer");
        let expected = "its certificate is not trusted here (UnknownIssuer); name the authority that issued it in `SSL_CERT_FILE`";
        assert_eq!(said, expected);
        assert_eq!(told("bad\u{202e}"), "bad\\u{202e}");
    }
}
