//! Databases of addresses.

use std::net::{IpAddr, Ipv6Addr};

use rulectl::geo::{Database, Holds};

/// A file is read or refused, as either kind of database; what is read knows no private
/// address, and an IPv4 address by any spelling or not at all.
pub fn mmdb(bytes: &[u8]) {
    for holds in [Holds::Country, Holds::Asn] {
        match Database::of_bytes(bytes.to_vec(), "x.mmdb", holds) {
            Ok(database) => ask(&database),
            Err(error) => assert!(error.to_string().starts_with("`x.mmdb` is "), "{error}"),
        }
    }
}

fn ask(database: &Database) {
    for n in 0..=u8::MAX {
        let v4 = IpAddr::from([n, n ^ 0x5A, n.wrapping_mul(7), n]);
        let mapped = match v4 {
            IpAddr::V4(v4) => IpAddr::from(v4.to_ipv6_mapped()),
            v6 => v6,
        };
        assert_eq!(database.country(v4), database.country(mapped), "{v4}");
        assert_eq!(database.system(v4), database.system(mapped), "{v4}");
        let v6 = IpAddr::from(Ipv6Addr::from(u128::from(n) << 117 | u128::from(n)));
        let country = database.country(v6);
        assert!(country.is_none_or(|name| !name.is_empty() && name.len() <= 512));
        let private = IpAddr::from([10, n, 0, 1]);
        assert!(database.country(private).is_none() && database.system(private).is_none());
    }
}
