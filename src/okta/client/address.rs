//! Which addresses of the network a tenant may be at.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Which addresses are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those of the public internet alone.
    Public,
    /// Those of this machine and of private networks too, as an emulated tenant has them.
    Private,
}

impl Reach {
    /// Whether this address is among them.
    #[must_use]
    pub fn holds(self, address: IpAddr) -> bool {
        self == Self::Private || is_public(address)
    }
}

/// Whether an address belongs to the public internet: to none of the special blocks of the IANA
/// registries (RFC 6890 and its successors), nor, of IPv6, to one that carries such an IPv4 address.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast();
    let [a, b, c, _] = address.octets();
    let reserved = matches!(
        (a, b, c),
        (0 | 240.., ..) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _)
    );
    !special && !reserved
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        // Mapped and compatible IPv4 addresses, `::` and `::1` among them.
        (0, 0) if (c, d, e) == (0, 0, 0) && matches!(f, 0 | 0xffff) => v4(g, h),
        // NAT64 and 6to4.
        (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => v4(g, h),
        (0x2002, _) => v4(b, c),
        // Teredo, benchmarks, documentation.
        (0x2001, 0 | 2 | 0xdb8) | (0x3fff, 0..=0x0fff) => false,
        // Global unicast is 2000::/3, and everything else is special.
        _ => (0x2000..=0x3fff).contains(&a),
    }
}

/// Resolves names, and gives only addresses that are reached: whatever a name stands for, and
/// whenever it is asked again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver(pub(super) Reach);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (reached, others): (Vec<SocketAddr>, Vec<_>) =
                found.partition(|address| reach.holds(address.ip()));
            if let (true, Some(other)) = (reached.is_empty(), others.first()) {
                return Err(NotReached(other.ip()).into());
            }
            Ok(Box::new(reached.into_iter()) as Addrs)
        })
    }
}

/// A name stands for addresses that are not reached.
#[derive(Debug, thiserror::Error)]
#[error(
    "its name stands for {0}, an address that is not public; where that is meant, set OKTA_ALLOW_PRIVATE=true"
)]
struct NotReached(IpAddr);

impl From<NotReached> for io::Error {
    fn from(error: NotReached) -> Self {
        Self::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public_in_whatever_form() {
        let cases = [
            ("8.8.8.8", true),
            ("100.63.255.255", true),
            ("2606:4700::1111", true),
            ("::ffff:8.8.8.8", true),
            ("127.0.0.1", false),
            ("127.8.8.8", false),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("10.0.0.1", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("192.0.0.192", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("250.1.1.1", false),
            ("203.0.113.5", false),
            ("::1", false),
            ("::", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("::127.0.0.1", false),
            ("64:ff9b::7f00:1", false),
            ("64:ff9b::808:808", true),
            ("2002:7f00:1::", false),
            ("2001:0:1::1", false),
            ("2001:db8::1", false),
            ("fc00::1", false),
            ("fd12::1", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ];
        for (text, expected) in cases {
            let address: IpAddr = text.parse().expect("an address");
            assert_eq!(is_public(address), expected, "{text}");
            assert!(Reach::Private.holds(address));
        }
    }
}
