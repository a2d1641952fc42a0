//! Addresses that nobody who is careful follows.

use crate::tenant::wire::encoded;

/// A kind of hostile address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hostile {
    /// Another host.
    OtherHost,
    /// Another host without TLS, by a name that looks right.
    Http,
    /// The host, at another port, with TLS.
    HttpsOtherPort,
    /// The metadata service of a cloud.
    Metadata,
    /// The same socket by another name.
    Localhost,
    /// The origin as user and password of another host.
    Userinfo,
    /// Line ends, percent-encoded.
    Crlf,
    /// The request itself.
    Loop,
    /// An empty page, and the same again, for ever.
    EndlessEmpty,
    /// Another path of the origin.
    OtherPath,
    /// No scheme.
    SchemeRelative,
    /// No address at all.
    NotAUrl,
    /// An address of 100 kB.
    TooLong,
}

/// Every kind.
pub const KINDS: [Hostile; 13] = [
    Hostile::OtherHost,
    Hostile::Http,
    Hostile::HttpsOtherPort,
    Hostile::Metadata,
    Hostile::Localhost,
    Hostile::Userinfo,
    Hostile::Crlf,
    Hostile::Loop,
    Hostile::EndlessEmpty,
    Hostile::OtherPath,
    Hostile::SchemeRelative,
    Hostile::NotAUrl,
    Hostile::TooLong,
];

impl Hostile {
    /// The name that a flag and a scenario use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OtherHost => "other-host",
            Self::Http => "http",
            Self::HttpsOtherPort => "https-other-port",
            Self::Metadata => "metadata",
            Self::Localhost => "localhost",
            Self::Userinfo => "userinfo",
            Self::Crlf => "crlf",
            Self::Loop => "loop",
            Self::EndlessEmpty => "endless-empty",
            Self::OtherPath => "other-path",
            Self::SchemeRelative => "scheme-relative",
            Self::NotAUrl => "not-a-url",
            Self::TooLong => "too-long",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind whose turn it is.
    #[must_use]
    pub fn in_turn(turn: u64) -> Self {
        let place = usize::try_from(turn % KINDS.len() as u64).unwrap_or(0);
        KINDS.get(place).copied().unwrap_or(Self::OtherHost)
    }

    /// The address, for a request whose own path and query are given.
    #[must_use]
    pub fn address(self, origin: &str, path: &str, query: &str, turn: u64) -> String {
        let target = match query {
            "" => path.to_owned(),
            query => format!("{path}?{query}"),
        };
        let (_, authority) = origin.split_once("://").unwrap_or(("http", origin));
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
        let joint = if query.is_empty() { '?' } else { '&' };
        match self {
            Self::OtherHost => format!("https://tenant.attacker.example{target}"),
            Self::Http => format!("http://tenant.okta.example{target}"),
            Self::HttpsOtherPort => {
                let other = port.parse::<u16>().map_or(8443, |port| port ^ 1);
                format!("https://{host}:{other}{target}")
            }
            Self::Metadata => "http://169.254.169.254/latest/meta-data/iam/".to_owned(),
            Self::Localhost => format!("http://localhost:{port}{target}"),
            Self::Userinfo => format!("http://{host}:{port}@attacker.example{target}"),
            Self::Crlf => format!(
                "{origin}{target}{joint}x={}",
                encoded("\r\nX-Injected: yes\r\n\r\n")
            ),
            Self::Loop => format!("{origin}{target}"),
            // the same place with another text, so that comparing addresses does not end it
            Self::EndlessEmpty => format!("{origin}{path}?{}", numbered(query, turn)),
            Self::OtherPath => format!("{origin}/api/v1/users?limit=200"),
            Self::SchemeRelative => format!("//attacker.example{target}"),
            Self::NotAUrl => ":::this is not an address".to_owned(),
            Self::TooLong => format!("{origin}{target}{joint}x={}", "A".repeat(100_000)),
        }
    }
}

fn numbered(query: &str, turn: u64) -> String {
    let kept = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("page="));
    let mut pairs: Vec<String> = kept.map(str::to_owned).collect();
    pairs.push(format!("page={turn}"));
    pairs.join("&")
}
