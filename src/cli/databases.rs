//! The databases of addresses that a command is given.

use std::path::PathBuf;

use crate::cli::output::bad;
use crate::geo::Databases;
use crate::visible::visible;

/// Which databases.
#[derive(Debug, clap::Args)]
pub struct DatabaseArgs {
    /// A MaxMind database of countries: the country of an address where an event lacks it
    #[arg(long, value_name = "FILE")]
    geoip: Option<PathBuf>,
    /// A MaxMind database of autonomous systems: number and owner where an event lacks them
    #[arg(long, value_name = "FILE")]
    asn: Option<PathBuf>,
}

impl DatabaseArgs {
    /// The databases; reports the files that are none.
    pub fn open(&self) -> Option<Databases> {
        match Databases::open(self.geoip.as_deref(), self.asn.as_deref()) {
            Ok(databases) => Some(databases),
            Err(errors) => {
                for error in errors {
                    bad(&visible(&error.to_string()));
                }
                None
            }
        }
    }

    /// Their files.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.geoip.iter().chain(&self.asn)
    }
}
