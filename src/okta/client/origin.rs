//! Where a tenant is.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use reqwest::Url;
use url::Host;

use super::address::Reach;
use crate::visible::visible;

/// Scheme, host and port of a tenant: everything that is asked is asked there.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin(Url);

/// Why a text is not the address of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// No URL with a host.
    #[error("not the address of an Okta org; write one such as `https://acme.okta.com`")]
    NotAnAddress,
    /// More than scheme, host and port.
    #[error(
        "an org's address is scheme, host and port alone, without {0}; write one such as `https://acme.okta.com`"
    )]
    More(&'static str),
    /// The address of the Admin Console.
    #[error("`{0}` is the address of the Admin Console; the API is at `{1}`")]
    AdminConsole(String, String),
    /// Not encrypted, where that is not allowed.
    #[error(
        "`http://` would send the token unencrypted; write `https://`, or for an emulated tenant on this machine set OKTA_ALLOW_PRIVATE=true"
    )]
    NotEncrypted,
    /// An address of a private network, where that is not allowed.
    #[error("`{0}` is not a public address; where that is meant, set OKTA_ALLOW_PRIVATE=true")]
    NotPublic(String),
}

impl Origin {
    /// The origin that a text names: a URL, or a host for `https`.
    ///
    /// # Errors
    ///
    /// When it names something else, or what is not reached.
    pub fn parse(text: &str, reach: Reach) -> Result<Self, OriginError> {
        let text = text.trim();
        let text = match text.contains("://") {
            true => text.to_owned(),
            false => format!("https://{text}"),
        };
        let url = Url::parse(&text).map_err(|_| OriginError::NotAnAddress)?;
        let more = [
            (
                !url.username().is_empty() || url.password().is_some(),
                "user and password",
            ),
            (url.path() != "/", "a path"),
            (url.query().is_some(), "a query"),
            (url.fragment().is_some(), "a fragment"),
        ];
        if let Some((_, what)) = more.into_iter().find(|(is_there, _)| *is_there) {
            return Err(OriginError::More(what));
        }
        let origin = Self(url);
        origin.check(reach)?;
        Ok(origin)
    }

    fn check(&self, reach: Reach) -> Result<(), OriginError> {
        let host = self.0.host().ok_or(OriginError::NotAnAddress)?;
        let (address, is_here) = match &host {
            Host::Ipv4(address) => (Some(IpAddr::V4(*address)), address.is_loopback()),
            Host::Ipv6(address) => (Some(IpAddr::V6(*address)), address.is_loopback()),
            Host::Domain(name) => (here(name), here(name).is_some()),
        };
        let is_encrypted = match self.0.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(OriginError::NotAnAddress),
        };
        let may_be_plain = is_here && reach == Reach::Private;
        if !is_encrypted && !may_be_plain {
            return Err(OriginError::NotEncrypted);
        }
        if address.is_some_and(|address| !reach.holds(address)) {
            return Err(OriginError::NotPublic(visible(&host.to_string())));
        }
        match host {
            Host::Domain(name) => not_the_console(name),
            Host::Ipv4(_) | Host::Ipv6(_) => Ok(()),
        }
    }

    /// Host and port, for a person.
    #[must_use]
    pub fn host(&self) -> String {
        let host = visible(self.0.host_str().unwrap_or_default());
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }

    /// Whether a URL is of this origin: the same scheme, host and port, and nobody's name before.
    #[must_use]
    pub fn holds(&self, url: &Url) -> bool {
        let of = |url: &Url| {
            let host = url.host_str().map(str::to_owned);
            (url.scheme().to_owned(), host, url.port_or_known_default())
        };
        of(&self.0) == of(url) && url.username().is_empty() && url.password().is_none()
    }

    /// The URL of a path, with its query; both are encoded.
    pub(super) fn url(&self, path: &str, query: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        url
    }
}

/// The address of a name that stands for this machine on every machine.
fn here(name: &str) -> Option<IpAddr> {
    let name = name.trim_end_matches('.');
    let is_here = name == "localhost" || name.ends_with(".localhost");
    is_here.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// The Admin Console of an org is at the org's name with `-admin` behind it.
fn not_the_console(name: &str) -> Result<(), OriginError> {
    for domain in [
        "okta.com",
        "okta-emea.com",
        "oktapreview.com",
        "okta-gov.com",
        "okta.mil",
    ] {
        let admin = format!("-admin.{domain}");
        if let Some(org) = name.strip_suffix(&admin) {
            let api = format!("https://{}.{domain}", visible(org));
            return Err(OriginError::AdminConsole(visible(name), api));
        }
    }
    Ok(())
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.host())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_of_a_tenant() {
        let cases = [
            (
                "https://acme.okta.com",
                Reach::Public,
                "https://acme.okta.com",
            ),
            (
                "https://acme.okta.com/",
                Reach::Public,
                "https://acme.okta.com",
            ),
            (" acme.okta.com ", Reach::Public, "https://acme.okta.com"),
            (
                "https://ACME.okta.com:443",
                Reach::Public,
                "https://acme.okta.com",
            ),
            (
                "https://id.acme.example:8443",
                Reach::Public,
                "https://id.acme.example:8443",
            ),
            (
                "http://127.0.0.1:8080",
                Reach::Private,
                "http://127.0.0.1:8080",
            ),
            (
                "http://localhost:8080",
                Reach::Private,
                "http://localhost:8080",
            ),
            ("http://[::1]:8080", Reach::Private, "http://[::1]:8080"),
            ("https://10.1.2.3", Reach::Private, "https://10.1.2.3"),
        ];
        for (text, reach, expected) in cases {
            let origin = Origin::parse(text, reach).map(|origin| origin.to_string());
            assert_eq!(origin.as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_tenant_is_refused_with_what_to_write() {
        let cases = [
            ("", Reach::Public, "not the address"),
            ("https://", Reach::Public, "not the address"),
            ("ftp://acme.okta.com", Reach::Public, "not the address"),
            ("https://acme okta com", Reach::Public, "not the address"),
            (
                "https://me@acme.okta.com",
                Reach::Public,
                "without user and password",
            ),
            (
                "https://acme.okta.com/api/v1",
                Reach::Public,
                "without a path",
            ),
            (
                "https://acme.okta.com?x=1",
                Reach::Public,
                "without a query",
            ),
            (
                "https://acme.okta.com#x",
                Reach::Public,
                "without a fragment",
            ),
            (
                "https://acme-admin.okta.com",
                Reach::Public,
                "the API is at `https://acme.okta.com`",
            ),
            ("http://acme.okta.com", Reach::Public, "unencrypted"),
            ("http://acme.okta.com", Reach::Private, "unencrypted"),
            ("http://10.0.0.1", Reach::Private, "unencrypted"),
            ("http://127.0.0.1:8080", Reach::Public, "unencrypted"),
            ("https://127.0.0.1", Reach::Public, "not a public address"),
            ("https://localhost", Reach::Public, "not a public address"),
            (
                "https://a.localhost.",
                Reach::Public,
                "not a public address",
            ),
            (
                "https://169.254.169.254",
                Reach::Public,
                "not a public address",
            ),
            ("https://0x7f.1", Reach::Public, "not a public address"),
            ("https://2130706433", Reach::Public, "not a public address"),
            (
                "https://[::ffff:127.0.0.1]",
                Reach::Public,
                "not a public address",
            ),
        ];
        for (text, reach, expected) in cases {
            let said = Origin::parse(text, reach).expect_err(text).to_string();
            assert!(said.contains(expected), "{text}: {said}");
        }
    }
}
