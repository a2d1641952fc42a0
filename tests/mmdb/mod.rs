//! Writes small databases in MaxMind's format, as <https://maxmind.github.io/MaxMind-DB/> has it.
//!
//! Numbers of networks are written as `uint32`, records are 24 bits wide. IPv4 networks stand below `::/96`.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::{Value, json};

/// A database of these networks, such as `203.0.113.0/24`, each with what is said of it.
pub fn database(kind: &str, networks: &[(&str, Value)]) -> Vec<u8> {
    let mut tree = Tree::default();
    let mut data = Vec::new();
    for (network, said) in networks {
        let offset = data.len();
        encode(said, &mut data);
        let (address, length) = bits_of(network);
        tree.insert(address, length, offset);
    }
    let mut file = tree.encode();
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    metadata(kind, tree.nodes.len(), &mut file);
    file
}

/// A country as MaxMind has it.
pub fn country(code: &str, name: &str) -> Value {
    json!({"country": {"geoname_id": 7, "iso_code": code, "names": {"de": "Land", "en": name}}})
}

/// An autonomous system as MaxMind has it.
pub fn system(number: u32, organization: &str) -> Value {
    json!({"autonomous_system_number": number, "autonomous_system_organization": organization})
}

/// 2026-11-01.
const BUILT: u64 = 1_793_491_200;

/// What stands at the end: the kind of each number is as the format has it.
fn metadata(kind: &str, nodes: usize, out: &mut Vec<u8>) {
    let nodes = u64::try_from(nodes).expect("few");
    let numbers = [
        ("binary_format_major_version", UINT16, 2),
        ("binary_format_minor_version", UINT16, 0),
        ("build_epoch", UINT64, BUILT),
        ("ip_version", UINT16, 6),
        ("node_count", UINT32, nodes),
        ("record_size", UINT16, 24),
    ];
    let others = [
        ("database_type", json!(kind)),
        ("description", json!({"en": "made for tests"})),
        ("languages", json!(["en"])),
    ];
    control(MAP, numbers.len() + others.len(), out);
    for (key, kind, value) in numbers {
        encode(&Value::from(key), out);
        number(kind, value, out);
    }
    for (key, value) in others {
        encode(&Value::from(key), out);
        encode(&value, out);
    }
}

fn bits_of(network: &str) -> (u128, u32) {
    let (address, length) = network.split_once('/').expect("a network");
    let length: u32 = length.parse().expect("a length");
    match address.parse().expect("an address") {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 96 + length),
        IpAddr::V6(v6) => (u128::from(Ipv6Addr::from(v6.octets())), length),
    }
}

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

struct Tree {
    nodes: Vec<[Record; 2]>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: vec![[Record::Nothing; 2]],
        }
    }
}

impl Tree {
    /// Networks that lie in another come after it.
    fn insert(&mut self, address: u128, length: u32, offset: usize) {
        let mut at = 0;
        for depth in 0..length {
            let side = (address >> (127 - depth)) as usize & 1;
            let record = self.nodes[at][side];
            if depth + 1 == length {
                self.nodes[at][side] = Record::Data(offset);
            } else if let Record::Node(next) = record {
                at = next;
            } else {
                let next = self.nodes.len();
                self.nodes.push([record; 2]);
                self.nodes[at][side] = Record::Node(next);
                at = next;
            }
        }
    }

    fn encode(&self) -> Vec<u8> {
        let count = self.nodes.len();
        let number = |record: &Record| match record {
            Record::Nothing => count,
            Record::Node(at) => *at,
            Record::Data(offset) => count + 16 + offset,
        };
        let records = self.nodes.iter().flatten().map(number);
        let three = |number: usize| {
            let [_, bytes @ ..] = u32::try_from(number).expect("few").to_be_bytes();
            bytes
        };
        records.flat_map(three).collect()
    }
}

/// The kinds of values, as the format numbers them.
const TEXT: u8 = 2;
const UINT16: u8 = 5;
const UINT32: u8 = 6;
const MAP: u8 = 7;
const UINT64: u8 = 9;
const ARRAY: u8 = 11;

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => {
            control(TEXT, text.len(), out);
            out.extend(text.as_bytes());
        }
        Value::Number(value) => number(UINT32, value.as_u64().expect("a whole number"), out),
        Value::Object(map) => {
            control(MAP, map.len(), out);
            for (key, value) in map {
                encode(&Value::from(key.as_str()), out);
                encode(value, out);
            }
        }
        Value::Array(items) => {
            control(ARRAY, items.len(), out);
            items.iter().for_each(|item| encode(item, out));
        }
        other => panic!("{other} has no kind"),
    }
}

fn number(kind: u8, number: u64, out: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    let bytes = &bytes[number.leading_zeros() as usize / 8..];
    control(kind, bytes.len(), out);
    out.extend(bytes);
}

/// What begins a value: its kind and its size.
fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (low, more) = match size {
        0..29 => (size, None),
        29..285 => (29, Some(size - 29)),
        _ => panic!("{size} is much"),
    };
    let low = u8::try_from(low).expect("five bits");
    if kind < 8 {
        out.push(kind << 5 | low);
    } else {
        out.extend([low, kind - 7]);
    }
    out.extend(more.map(|more| u8::try_from(more).expect("a byte")));
}
