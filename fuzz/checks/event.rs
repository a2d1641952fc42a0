//! The bytes of an input.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use rulectl::detect::{Detector, Lists, Match, Scratch, decode_rule};
use rulectl::diag::Problems;
use rulectl::document::parse_yaml_documents;
use rulectl::event::Event;
use rulectl::json::{self, Slot, Wanted};
use rulectl::okta::{MAPPINGS, Mapping, Records, parse_time};
use rulectl::render::problems_as_text;
use rulectl::source::{Input, Limits, Place, Reader};
use serde_json::Value;

use super::plain;

/// Rules that ask events for most of what can be asked, some of them SigmaHQ's.
const RULES: [&str; 4] = [
    include_str!("../../fixtures/sigma/okta/okta_fastpass_phishing_detection.yml"),
    include_str!("../../fixtures/sigma/okta/okta_new_behaviours_admin_console.yml"),
    include_str!("../../fixtures/sigma/okta/okta_password_in_alternateid_field.yml"),
    include_str!("rules.yml"),
];

/// Fields that are compared with a plain walk of the tree.
const PATHS: [&str; 9] = [
    "a",
    "a.b",
    "actor.id",
    "actor.alternateId",
    "client.geographicalContext.country",
    "eventType",
    "published",
    "target",
    "target.id",
];

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| {
    let mut problems = Problems::default();
    let mut rules = Vec::new();
    for (number, text) in RULES.iter().enumerate() {
        let name = format!("{number}.yml");
        let file = problems.add_file(&name, text);
        for (at, document) in parse_yaml_documents(file, text, &mut problems)
            .iter()
            .enumerate()
        {
            let rule = decode_rule(document, &name, at, &Lists::default(), &mut problems);
            rules.extend(rule);
        }
    }
    let detector = Detector::compile(&rules, &BTreeSet::new(), &mut problems);
    let shown = problems_as_text(&problems, false);
    assert!(!problems.has_errors(), "{shown}");
    detector
});

/// No more text than this is looked at: a few bytes may decompress to very many.
const ENOUGH: u64 = 1 << 16;

/// Records are the same whatever the size of the chunks, each is an event exactly when the
/// parser says so, and has the values that the parser finds.
pub fn event(bytes: &[u8]) {
    let limits = |chunk| Limits {
        chunk,
        record: 1 << 12,
    };
    let (small, all) = split(bytes, limits(64));
    let (large, all_too) = split(bytes, limits(1 << 14));
    if all && all_too {
        assert_eq!(small, large, "the size of the chunks changes the records");
    }
    let mut looks: Vec<Look> = MAPPINGS.map(|(_, mapping)| Look::new(mapping)).into();
    for piece in &large {
        if piece.rejected.is_none() {
            compare_readers(&piece.bytes);
            looks.iter_mut().for_each(|look| look.at(&piece.bytes));
        }
    }
}

/// A record, or a stretch that is none.
#[derive(Debug, PartialEq)]
struct Piece {
    place: Place,
    bytes: Vec<u8>,
    rejected: Option<(String, u64)>,
}

/// The pieces of an input in the order of their places, and whether these are all.
fn split(bytes: &[u8], limits: Limits) -> (Vec<Piece>, bool) {
    let input = Input::Memory {
        name: "input".to_owned(),
        bytes: bytes.into(),
    };
    let (mut records, mut rejects) = (Vec::new(), Vec::new());
    let mut read = 0;
    let mut all = true;
    for chunk in Reader::with_limits(vec![input], limits) {
        let Ok(chunk) = chunk else { continue };
        read += chunk.bytes();
        records.extend(chunk.records().map(|record| Piece {
            place: record.place,
            bytes: record.bytes.to_vec(),
            rejected: None,
        }));
        rejects.extend(chunk.rejects().iter().map(|reject| Piece {
            place: reject.place,
            bytes: reject.bytes.clone(),
            rejected: Some((reject.reason.clone(), reject.length)),
        }));
        if read > ENOUGH {
            all = false;
            break;
        }
    }
    for record in &records {
        assert!(record.bytes.len() <= limits.record, "a record is too long");
    }
    records.extend(rejects);
    (records, all)
}

/// What is read straight from the bytes is JSON with the same values.
fn compare_readers(raw: &[u8]) {
    let mut wanted = Wanted::default();
    let slots = PATHS.map(|path| (path, wanted.add(path.split('.'))));
    let mut reader = json::Reader::new(wanted);
    let Some(fields) = reader.read(raw) else {
        return;
    };
    let tree = plain::parse(raw);
    let tree =
        tree.unwrap_or_else(|| panic!("read and not JSON: {}", String::from_utf8_lossy(raw)));
    for (path, slot) in slots {
        plain::same_field(path, slot, &fields, &tree);
    }
}

/// One way to read records.
struct Look {
    mapping: Mapping,
    records: Records,
    slots: [(&'static str, Slot); PATHS.len()],
    scratch: Scratch,
}

impl Look {
    fn new(mapping: Mapping) -> Self {
        let mut wanted = DETECTOR.wanted().clone();
        let slots = PATHS.map(|path| (path, wanted.add(path.split('.'))));
        Self {
            mapping,
            records: Records::new(mapping, &wanted),
            slots,
            scratch: DETECTOR.scratch(),
        }
    }

    /// A record has the events that it should have.
    fn at(&mut self, raw: &[u8]) {
        let expected = expected(raw, self.mapping);
        let Self {
            records,
            slots,
            scratch,
            ..
        } = self;
        let mut shown = Vec::new();
        let read = records.read(raw, &mut |event, _| {
            let tree = expected.as_ref().and_then(|all| all.get(shown.len()));
            let tree = tree.unwrap_or_else(|| panic!("an event too many in {}", text(raw)));
            compare(event, slots, tree);
            shown.push(asked(event, scratch));
        });
        match (&read, &expected) {
            (Ok(()), Some(expected)) => assert_eq!(shown.len(), expected.len(), "{}", text(raw)),
            (Err(_), None) => assert!(shown.is_empty(), "shown and rejected: {}", text(raw)),
            _ => panic!("{read:?} of {}", text(raw)),
        }
        for (tree, asked) in expected.iter().flatten().zip(shown) {
            self.again(tree, &asked);
        }
    }

    /// The event in its shortest form matches what it matched as it came.
    fn again(&mut self, tree: &Value, first: &Asked) {
        let mut records = Records::new(Mapping::Okta, DETECTOR.wanted());
        let is_hook = tree.get("eventType") == Some(&"com.okta.event_hook".into())
            || tree.get("eventType").is_none() && tree.pointer("/data/events").is_some();
        let mut again = Vec::new();
        let compact = tree.to_string();
        let read = records.read(compact.as_bytes(), &mut |event, _| {
            again.push(asked(event, &mut self.scratch));
        });
        if is_hook {
            return;
        }
        assert_eq!(read, Ok(()), "{compact}");
        // A key that stands twice has only one of its values in the tree.
        if again.first().map(|asked| asked.scalars) == Some(first.scalars) {
            assert_eq!(again.first(), Some(first), "{compact}");
        }
    }
}

/// What rules made of an event.
#[derive(Debug, PartialEq)]
struct Asked {
    scalars: usize,
    matched: Vec<u32>,
}

fn asked(event: &Event<'_>, scratch: &mut Scratch) -> Asked {
    let mut matches: Vec<Match> = Vec::new();
    DETECTOR.scan(scratch, event, &mut matches);
    Asked {
        scalars: event.fields.scalars().count(),
        matched: matches.iter().map(|found| found.order().2).collect(),
    }
}

/// The trees of the events of a record; `None` where it is to be rejected.
fn expected(raw: &[u8], mapping: Mapping) -> Option<Vec<Value>> {
    /// What the parser nests at most.
    const DEEPEST: usize = 127;
    let tree = plain::parse(raw.trim_ascii())?;
    let map = tree.as_object()?;
    let inside = map.get("data").and_then(Value::as_object);
    let inside = inside.and_then(|data| data.get("events")?.as_array());
    let is_envelope = match map.get("eventType") {
        Some(event_type) => event_type == "com.okta.event_hook",
        None => inside.is_some(),
    };
    let events = if is_envelope {
        inside?.clone()
    } else {
        vec![tree]
    };
    let all_objects = events.iter().all(Value::is_object);
    let events: Vec<Value> = events
        .into_iter()
        .map(|event| mapping.apply(event))
        .collect();
    (all_objects && events.iter().all(|tree| plain::depth(tree) <= DEEPEST)).then_some(events)
}

/// The fields of an event, its time among them, are those of its tree.
fn compare(event: &Event<'_>, slots: &[(&str, Slot)], tree: &Value) {
    for (path, slot) in slots {
        plain::same_field(path, *slot, &event.fields, tree);
    }
    let published = tree.get("published").and_then(Value::as_str);
    assert_eq!(event.time, published.and_then(parse_time), "{tree}");
    // A longer one is clipped, and an empty one is none.
    let uuid = tree.get("uuid").and_then(Value::as_str);
    let uuid = uuid.filter(|uuid| (1..=512).contains(&uuid.len()));
    if uuid.is_some() {
        assert_eq!(event.uuid().as_deref(), uuid, "{tree}");
    }
    let mut all = Vec::new();
    plain::scalars(tree, &mut all);
    let mut read: Vec<String> = event.fields.scalars().map(plain::read).collect();
    read.sort_unstable();
    for scalar in all {
        let at = read.binary_search(&scalar);
        let at = at.unwrap_or_else(|_| panic!("{scalar} is missing in {tree}"));
        read.remove(at);
    }
}

fn text(raw: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(raw)
}
