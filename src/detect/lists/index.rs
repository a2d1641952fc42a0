//! Looking a value up in a column of a list.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;

use super::ListKind;
use crate::detect::modifiers::network_of;
use crate::detect::pattern::{Anchor, Pattern};
use crate::event::fold;

/// The rows of a column by their values; of several with one value the first.
#[derive(Debug)]
pub enum Index {
    /// Texts without regard to case; those with wildcards are tried one after the other.
    Texts {
        plain: HashMap<String, usize>,
        wild: Vec<(Pattern, usize)>,
    },
    /// Networks by the length of their prefix.
    Networks(BTreeMap<u8, HashMap<IpAddr, usize>>),
}

impl Index {
    /// Arranges the values of a column.
    pub fn new<'v>(kind: ListKind, values: impl Iterator<Item = &'v str>) -> Self {
        let rows = values.enumerate().map(|(row, value)| (value, row));
        match kind {
            // Numbers are kept as the texts that events have.
            ListKind::Texts | ListKind::AsNumbers => texts(rows),
            ListKind::Networks => networks(rows),
        }
    }

    /// How many texts with wildcards there are.
    pub fn wildcards(&self) -> usize {
        match self {
            Self::Texts { wild, .. } => wild.len(),
            Self::Networks(_) => 0,
        }
    }

    /// The row of a value: the first, or that of the smallest network. There is one where
    /// a line with `expand`, of networks with `cidr|expand`, is true of the value.
    pub fn find(&self, value: &str) -> Option<usize> {
        match self {
            Self::Texts { plain, wild } => {
                let folded = fold(value);
                let of_plain = plain.get(&folded).copied();
                let fits = |(pattern, _): &&(Pattern, usize)| pattern.fits(value, &folded);
                let of_wild = wild.iter().find(fits).map(|(_, row)| *row);
                of_plain.into_iter().chain(of_wild).min()
            }
            Self::Networks(by_length) => {
                let address: IpAddr = value.parse().ok()?;
                let mut longest_first = by_length.iter().rev();
                longest_first.find_map(|(length, networks)| {
                    // A prefix that is longer than the address is of the other family.
                    let net = IpNet::new(address, *length).ok()?;
                    networks.get(&net.network()).copied()
                })
            }
        }
    }
}

fn texts<'v>(rows: impl Iterator<Item = (&'v str, usize)>) -> Index {
    let (mut plain, mut wild) = (HashMap::new(), Vec::new());
    for (value, row) in rows {
        let pattern = Pattern::new(value, Anchor::Whole, false);
        match pattern
            .as_plain()
            .filter(|plain| plain.anchor == Anchor::Whole)
        {
            Some(text) => {
                plain.entry(text.text.to_owned()).or_insert(row);
            }
            None => wild.push((pattern, row)),
        }
    }
    Index::Texts { plain, wild }
}

fn networks<'v>(rows: impl Iterator<Item = (&'v str, usize)>) -> Index {
    let mut by_length: BTreeMap<u8, HashMap<IpAddr, usize>> = BTreeMap::new();
    for (value, row) in rows {
        if let Some(net) = network_of(value) {
            let of_length = by_length.entry(net.prefix_len()).or_default();
            of_length.entry(net.network()).or_insert(row);
        }
    }
    Index::Networks(by_length)
}
