//! A database of addresses in MaxMind's format, read into memory and checked.

use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use maxminddb::{MaxMindDbError, Reader};
use serde::{Deserialize, Serialize};

use crate::event::{Digest, Nanos, Time, clip};
use crate::geo::country_name;

/// A larger file is refused: it would be held in memory as a whole.
const LARGEST: u64 = 512 << 20;

/// So many networks are looked through for one with what the database is for.
const LOOKED_THROUGH: usize = 10_000;

/// What is asked of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holds {
    /// The country of an address.
    Country,
    /// Its autonomous system.
    Asn,
}

/// A database that was checked.
#[derive(Debug)]
pub struct Database {
    record: DatabaseRecord,
    reader: Reader<Vec<u8>>,
}

/// Which database it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseRecord {
    /// What it was asked.
    pub holds: Holds,
    /// What it says it is, such as `GeoLite2-Country`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it says it was built.
    pub built: Option<Time>,
    /// The digest of the file.
    pub sha256: Digest,
}

/// Why a file is no database that can be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file cannot be read.
    #[error("`{file}` cannot be read: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// It is something else than a regular file.
    #[error("`{file}` is not a regular file; name an .mmdb file")]
    NotAFile {
        /// The file.
        file: String,
    },
    /// It is too large to be held in memory.
    #[error("`{file}` has more than 512 MiB, and a database is held in memory")]
    TooLarge {
        /// The file.
        file: String,
    },
    /// It is in another format.
    #[error(
        "`{file}` is no MaxMind database: {reason}; name an .mmdb file, unpacked from its archive"
    )]
    NotADatabase {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// It is in the format, and not whole.
    #[error("`{file}` is damaged: {reason}; download it again")]
    Damaged {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// It is about something else.
    #[error("`{file}` is of the type `{kind}` and holds no {}", holds.explained())]
    Foreign {
        /// The file.
        file: String,
        /// What it says it is.
        kind: String,
        /// What it was asked.
        holds: Holds,
    },
}

impl Holds {
    fn explained(self) -> &'static str {
        match self {
            Self::Country => {
                "`country.iso_code`; a database for countries is one like GeoLite2-Country or GeoLite2-City"
            }
            Self::Asn => {
                "`autonomous_system_number`; a database for autonomous systems is one like GeoLite2-ASN"
            }
        }
    }
}

/// The autonomous system of an address, as far as the database knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// Its number.
    pub number: Option<u32>,
    /// Whose it is.
    pub organization: Option<String>,
}

#[derive(Deserialize)]
struct CountryRow<'d> {
    #[serde(borrow)]
    country: Option<Country<'d>>,
}

#[derive(Deserialize)]
struct Country<'d> {
    iso_code: Option<&'d str>,
    #[serde(borrow)]
    names: Option<Names<'d>>,
}

#[derive(Deserialize)]
struct Names<'d> {
    en: Option<&'d str>,
}

#[derive(Deserialize)]
struct SystemRow<'d> {
    autonomous_system_number: Option<u32>,
    autonomous_system_organization: Option<&'d str>,
}

impl Database {
    /// Reads and checks a database.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is none, is not whole, or holds nothing of what is asked.
    pub fn open(path: &Path, holds: Holds) -> Result<Self, DatabaseError> {
        let file = path.display().to_string();
        let bytes = read(path, &file)?;
        Self::of_bytes(bytes, &file, holds)
    }

    /// The same of the bytes of a file.
    ///
    /// # Errors
    ///
    /// As [`Database::open`].
    pub fn of_bytes(bytes: Vec<u8>, file: &str, holds: Holds) -> Result<Self, DatabaseError> {
        let named = || file.to_owned();
        let sha256 = Digest::of(&bytes);
        let reader = Reader::from_source(bytes).map_err(|error| DatabaseError::NotADatabase {
            file: named(),
            reason: said(&error),
        })?;
        reader.verify().map_err(|error| DatabaseError::Damaged {
            file: named(),
            reason: said(&error),
        })?;
        let metadata = reader.metadata();
        let record = DatabaseRecord {
            holds,
            kind: clip(&metadata.database_type).into_owned(),
            built: moment(metadata.build_epoch),
            sha256,
        };
        let database = Self { record, reader };
        if database.is_of_use() {
            return Ok(database);
        }
        Err(DatabaseError::Foreign {
            file: named(),
            kind: database.record.kind,
            holds,
        })
    }

    /// Which database it is.
    #[must_use]
    pub fn record(&self) -> &DatabaseRecord {
        &self.record
    }

    /// The country of an address, by the name that Okta sends where we know it.
    #[must_use]
    pub fn country(&self, address: IpAddr) -> Option<String> {
        let row: CountryRow<'_> = self.row(address)?;
        name(&row)
    }

    /// The autonomous system of an address.
    #[must_use]
    pub fn system(&self, address: IpAddr) -> Option<System> {
        let row: SystemRow<'_> = self.row(address)?;
        Some(System {
            number: row.autonomous_system_number,
            organization: row.autonomous_system_organization.and_then(filled),
        })
    }

    /// What is said of an address; of one that has no place in the world nothing is.
    fn row<'d, R: Deserialize<'d>>(&'d self, address: IpAddr) -> Option<R> {
        let address = address.to_canonical();
        if is_local(address) {
            return None;
        }
        // An address of a version that the database does not have is one that it does not know.
        let found = self.reader.lookup(address).ok()?;
        found.decode().ok()?
    }

    /// Whether one of its first networks has what is asked.
    fn is_of_use(&self) -> bool {
        let networks = self.reader.networks(Default::default());
        let networks = networks.into_iter().flatten().flatten();
        networks
            .take(LOOKED_THROUGH)
            .any(|network| match self.record.holds {
                Holds::Country => {
                    let row = network.decode::<CountryRow<'_>>();
                    row.is_ok_and(|row| row.as_ref().and_then(name).is_some())
                }
                Holds::Asn => {
                    let row = network.decode::<SystemRow<'_>>();
                    row.is_ok_and(|row| row.is_some_and(|r| r.autonomous_system_number.is_some()))
                }
            })
    }
}

fn name(row: &CountryRow<'_>) -> Option<String> {
    let country = row.country.as_ref()?;
    let english = country.names.as_ref().and_then(|names| names.en);
    let known = country.iso_code.and_then(country_name);
    known.or(english).or(country.iso_code).and_then(filled)
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| clip(text).into_owned())
}

/// Whether an address is that of many machines, or of none: no database can say where it is.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_multicast()
                || is_shared(v4)
        }
        IpAddr::V6(v6) => {
            v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
                || [Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED].contains(&v6)
        }
    }
}

/// `0.0.0.0/8`, and `100.64.0.0/10`, which providers share out among their customers.
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 0 || (first == 100 && second & 0xC0 == 64)
}

fn read(path: &Path, file: &str) -> Result<Vec<u8>, DatabaseError> {
    let failed = |error: io::Error| DatabaseError::Unreadable {
        file: file.to_owned(),
        reason: crate::visible::reason(&error),
    };
    // Opening a FIFO could wait for ever.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        let file = file.to_owned();
        return Err(DatabaseError::NotAFile { file });
    }
    let mut bytes = Vec::new();
    let opened = File::open(path).map_err(failed)?;
    let mut opened = opened.take(LARGEST + 1);
    opened.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        let file = file.to_owned();
        return Err(DatabaseError::TooLarge { file });
    }
    Ok(bytes)
}

/// What the format's reader says of a file, without its own words for what kind of error it is.
fn said(error: &MaxMindDbError) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("invalid database").unwrap_or(&text);
    let text = text.strip_prefix(": ").unwrap_or(text.trim_start());
    clip(text).into_owned()
}

fn moment(epoch: u64) -> Option<Time> {
    let seconds = i64::try_from(epoch).ok()?;
    seconds.checked_mul(Nanos::SECOND.0).map(Time)
}
