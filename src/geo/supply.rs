//! What databases know of the address of a record, as values of fields that it leaves empty.

use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use crate::event::FieldPath;
use crate::geo::database::{Database, DatabaseError, DatabaseRecord, Holds};
use crate::json::{Fields, Slot, Supplied, Supplier, Wanted};

/// The databases of a run; none unless they were given.
#[derive(Clone, Debug)]
pub struct Databases {
    country: Option<Arc<Database>>,
    asn: Option<Arc<Database>>,
}

/// The fields of a record that databases are about.
#[derive(Clone, Copy, Debug)]
pub struct AddressFields {
    /// The address that is looked up.
    pub address: &'static str,
    /// The name of its country.
    pub country: &'static str,
    /// The number of its autonomous system.
    pub as_number: &'static str,
    /// Whose that is.
    pub as_org: &'static str,
}

impl Databases {
    /// None at all.
    pub const NONE: Self = Self {
        country: None,
        asn: None,
    };

    /// Opens the databases that were given.
    ///
    /// # Errors
    ///
    /// Why each of those that cannot be used cannot.
    pub fn open(country: Option<&Path>, asn: Option<&Path>) -> Result<Self, Vec<DatabaseError>> {
        let open = |path: Option<&Path>, holds| {
            let opened = path.map(|path| Database::open(path, holds));
            opened.transpose()
        };
        match (open(country, Holds::Country), open(asn, Holds::Asn)) {
            (Ok(country), Ok(asn)) => Ok(Self::new(country, asn)),
            (country, asn) => Err(country.err().into_iter().chain(asn.err()).collect()),
        }
    }

    /// These databases.
    #[must_use]
    pub fn new(country: Option<Database>, asn: Option<Database>) -> Self {
        Self {
            country: country.map(Arc::new),
            asn: asn.map(Arc::new),
        }
    }

    /// Which they are.
    #[must_use]
    pub fn records(&self) -> Vec<DatabaseRecord> {
        let databases = self.country.iter().chain(&self.asn);
        databases
            .map(|database| database.record().clone())
            .collect()
    }

    /// The fields that they may give a value.
    #[must_use]
    pub fn paths(&self, fields: &AddressFields) -> Vec<FieldPath> {
        let mut paths = Vec::new();
        if self.country.is_some() {
            paths.push(fields.country);
        }
        if self.asn.is_some() {
            paths.extend([fields.as_number, fields.as_org]);
        }
        paths.into_iter().map(FieldPath::new).collect()
    }

    /// What supplies a reader of these wanted fields; nothing where it wants none of those that
    /// they know. The address is then wanted too.
    #[must_use]
    pub fn supplier(
        &self,
        fields: &AddressFields,
        wanted: &mut Wanted,
    ) -> Option<Box<dyn Supplier>> {
        let find = |path: &'static str| wanted.find(path.split('.'));
        let country = self.country.as_ref();
        let country =
            country.and_then(|database| Some((Arc::clone(database), find(fields.country)?)));
        let slots = [find(fields.as_number), find(fields.as_org)];
        let asn = self.asn.as_ref().filter(|_| slots != [None, None]);
        let asn = asn.map(|database| (Arc::clone(database), slots));
        let filled = country.iter().map(|(_, slot)| *slot);
        let systems = asn.iter().flat_map(|(_, slots)| slots.iter().flatten());
        let filled: Vec<Slot> = filled.chain(systems.copied()).collect();
        if filled.is_empty() {
            return None;
        }
        Some(Box::new(AddressSupplier {
            address: wanted.add(fields.address.split('.')),
            country,
            asn,
            filled,
            memory: vec![Place::default(); REMEMBERED],
        }))
    }
}

/// Looks up the address of a record. One a thread.
#[derive(Debug)]
struct AddressSupplier {
    address: Slot,
    country: Option<(Arc<Database>, Slot)>,
    /// With the fields of the number and of the organization.
    asn: Option<(Arc<Database>, [Option<Slot>; 2])>,
    filled: Vec<Slot>,
    /// What is known of the addresses seen last, each at a place by its hash.
    memory: Vec<Place>,
}

#[derive(Clone, Debug, Default)]
struct Place {
    address: Box<[u8]>,
    known: Vec<(Slot, Supplied)>,
}

/// So many addresses are remembered, a power of two.
const REMEMBERED: usize = 1 << 10;

/// No address has a longer text.
const LONGEST: usize = 64;

/// Addresses are told apart by all their bytes, so nothing depends on this hash but speed.
const HASHER: foldhash::fast::FixedState = foldhash::fast::FixedState::with_seed(0);

impl Supplier for AddressSupplier {
    fn fields(&self) -> &[Slot] {
        &self.filled
    }

    fn know(&mut self, record: &Fields<'_>) -> &[(Slot, Supplied)] {
        let mut values = record.values(self.address);
        let (Some(value), None) = (values.next(), values.next()) else {
            return &[];
        };
        let raw = value.raw();
        if !value.is_str() || raw.is_empty() || raw.len() > LONGEST {
            return &[];
        }
        let at = HASHER.hash_one(raw) as usize & (REMEMBERED - 1);
        let is_known = self
            .memory
            .get(at)
            .is_some_and(|place| *place.address == *raw);
        if !is_known {
            let address = value.as_str().and_then(|text| text.parse().ok());
            let known = address.map(|address| self.look_up(address));
            let known = known.unwrap_or_default();
            let address = raw.into();
            if let Some(place) = self.memory.get_mut(at) {
                *place = Place { address, known };
            }
        }
        self.memory.get(at).map_or(&[], |place| &place.known)
    }
}

impl AddressSupplier {
    fn look_up(&self, address: IpAddr) -> Vec<(Slot, Supplied)> {
        let mut known = Vec::new();
        if let Some((database, slot)) = &self.country {
            let country = database.country(address);
            known.extend(country.map(|name| (*slot, Supplied::text(&name))));
        }
        if let Some((database, [number, org])) = &self.asn
            && let Some(system) = database.system(address)
        {
            let asked = number.zip(system.number);
            known.extend(asked.map(|(slot, number)| (slot, Supplied::number(number.into()))));
            let asked = org.zip(system.organization);
            known.extend(asked.map(|(slot, name)| (slot, Supplied::text(&name))));
        }
        known
    }
}
