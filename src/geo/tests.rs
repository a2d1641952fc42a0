//! What databases say of addresses, and damage done to them.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../../tests/mmdb/mod.rs"]
pub mod mmdb;

use std::net::IpAddr;

use serde_json::json;

use self::mmdb::{country, database, system};
use super::*;
use crate::event::Time;

fn countries() -> Vec<u8> {
    let networks = [
        ("192.0.2.0/24", country("FR", "Republique")),
        ("192.0.2.128/25", country("US", "United States of America")),
        ("198.51.100.7/32", country("ZZ", "Atlantis")),
        ("203.0.113.0/25", json!({"continent": {"code": "EU"}})),
        ("203.0.113.128/26", json!({"country": {"iso_code": "ZZ"}})),
        ("203.0.113.192/26", json!({"country": "FR"})),
        ("10.0.0.0/8", country("DE", "Germany")),
        ("100.64.0.0/10", country("DE", "Germany")),
        ("2001:db8::/32", country("CL", "Chile")),
        ("fc00::/7", country("DE", "Germany")),
    ];
    database("Test-Country", &networks)
}

fn opened(bytes: Vec<u8>, holds: Holds) -> Result<Database, String> {
    Database::of_bytes(bytes, "x.mmdb", holds).map_err(|error| error.to_string())
}

#[test]
fn countries_of_addresses() {
    let database = opened(countries(), Holds::Country).expect("a database");
    for (address, country) in [
        ("192.0.2.1", Some("France")),
        ("192.0.2.200", Some("United States")),
        ("::ffff:192.0.2.200", Some("United States")),
        ("198.51.100.7", Some("Atlantis")),
        ("198.51.100.8", None),
        ("203.0.113.1", None),
        ("203.0.113.129", Some("ZZ")),
        ("203.0.113.193", None),
        ("10.1.2.3", None),
        ("100.127.0.1", None),
        ("127.0.0.1", None),
        ("0.0.0.0", None),
        ("2001:db8::1", Some("Chile")),
        ("2001:db9::1", None),
        ("fd00::1", None),
        ("::1", None),
    ] {
        let address: IpAddr = address.parse().expect("an address");
        assert_eq!(database.country(address).as_deref(), country, "{address}");
        assert_eq!(
            database.system(address).and_then(|system| system.number),
            None
        );
    }
    let record = database.record();
    assert_eq!(record.kind, "Test-Country");
    assert_eq!(record.built, Time::parse("2026-11-01T00:00:00Z"));
}

#[test]
fn what_is_no_database_for_that_is_refused() {
    let systems = database("Test-ASN", &[("192.0.2.0/24", system(64_496, "Example"))]);
    for (bytes, holds, message) in [
        (
            b"PK\x03\x04".to_vec(),
            Holds::Country,
            "`x.mmdb` is no MaxMind database: ",
        ),
        (Vec::new(), Holds::Asn, "`x.mmdb` is no MaxMind database: "),
        (
            systems.clone(),
            Holds::Country,
            "`x.mmdb` is of the type `Test-ASN` and holds no `country.iso_code`",
        ),
        (
            countries(),
            Holds::Asn,
            "`x.mmdb` is of the type `Test-Country` and holds no `autonomous_system_number`",
        ),
        (
            database("Empty", &[]),
            Holds::Country,
            "`x.mmdb` is of the type `Empty` and holds no ",
        ),
    ] {
        let error = opened(bytes, holds).err().unwrap_or_default();
        assert!(error.starts_with(message), "{error}");
    }
    assert!(opened(systems, Holds::Asn).is_ok());
}

/// Every end, and every byte changed in three ways: refused or read, and nothing else.
#[test]
fn no_damage_is_a_panic() {
    let whole = countries();
    let mut refused = 0;
    let mut ask = |bytes: Vec<u8>| match opened(bytes, Holds::Country) {
        Ok(database) => {
            for address in ["192.0.2.200", "203.0.113.193", "2001:db8::1", "8.8.8.8"] {
                let address: IpAddr = address.parse().expect("an address");
                let country = database.country(address);
                assert!(country.is_none_or(|name| !name.is_empty()));
                let _ = database.system(address);
            }
        }
        Err(error) => {
            assert!(error.starts_with("`x.mmdb` is "), "{error}");
            refused += 1;
        }
    };
    for end in 0..whole.len() {
        ask(whole[..end].to_vec());
        ask(whole[end + 1..].to_vec());
        for change in [0x01, 0x80, 0xFF] {
            let mut damaged = whole.clone();
            damaged[end] ^= change;
            ask(damaged);
        }
    }
    let read = 5 * whole.len() - refused;
    assert!(refused > 1_000 && read > 1_000, "{refused} and {read}");
}
