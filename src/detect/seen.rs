//! What is kept of a matched event: its identity and its captured values, in
//! one allocation that all windows and findings it is in share.

use std::sync::Arc;

use uuid::Uuid;

use crate::detect::capture::{CaptureId, Captured, Values};
use crate::detect::limits::EVENT;
use crate::detect::packed::{Unpacked, pack_text};
use crate::event::{Digest, Time};

/// An event in a window. There may be millions, and each may be in many windows.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) time: Time,
    pub(super) seen: Seen,
}

impl std::ops::Deref for Member {
    type Target = Seen;

    fn deref(&self) -> &Seen {
        &self.seen
    }
}

impl Member {
    /// The same event without its values.
    pub(super) fn bare(&self) -> Self {
        Self {
            time: self.time,
            seen: self.seen.bare(),
        }
    }

    /// The same event as another rule has it: what that one says of some fields is added.
    pub(super) fn hear(&mut self, other: &Self, fields: &[CaptureId]) {
        if !fields.is_empty() {
            self.seen = self.with(&self.values().joined(other.values(), fields));
        }
    }

    /// Where it stands among the events of a group.
    pub(super) fn order(&self) -> (Time, Digest) {
        (self.time, self.digest())
    }
}

/// The digest, a byte that says how the provider's id is kept, the id, and the captured values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen(Arc<[u8]>);

/// No id.
const NONE: u8 = 0;
/// The 16 bytes of an id in the usual spelling of a UUID, as Okta's are.
const UUID: u8 = 1;
/// An id of any other text.
const TEXT: u8 = 2;

impl Seen {
    pub(super) fn new(digest: Digest, id: Option<&str>, captured: &Captured) -> Self {
        let values = captured.as_bytes();
        let length = DIGEST + 3 + id.map_or(0, str::len) + values.len();
        let mut packed = Vec::with_capacity(length);
        packed.extend_from_slice(digest.as_bytes());
        match id.map(|text| (text, usual_uuid(text))) {
            None => packed.push(NONE),
            Some((_, Some(uuid))) => {
                packed.push(UUID);
                packed.extend_from_slice(uuid.as_bytes());
            }
            Some((text, None)) => {
                packed.push(TEXT);
                pack_text(&mut packed, text);
            }
        }
        packed.extend_from_slice(values);
        Self(packed.into())
    }

    /// The same event with other values.
    pub(super) fn with(&self, captured: &Captured) -> Self {
        Self::new(self.digest(), self.id().as_deref(), captured)
    }

    /// The same event without its values.
    pub(super) fn bare(&self) -> Self {
        self.with(&Captured::default())
    }

    /// Where it is in memory: the same for all that share it.
    pub(super) fn place(&self) -> usize {
        self.0.as_ptr().addr()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes it takes wherever it is kept, as if nobody shared it.
    pub(super) fn weight(&self) -> usize {
        self.0.len() + EVENT
    }

    /// The event whose bytes these are, with other ids for its fields, and without the
    /// values of those that have none; `None` where they are something else.
    pub(super) fn restored(bytes: &[u8], id_of: impl Fn(u64) -> Option<CaptureId>) -> Option<Self> {
        let mut rest = bytes;
        rest.take(DIGEST)?;
        match rest.take(1)? {
            [NONE] => {}
            [UUID] => {
                rest.take(16)?;
            }
            [TEXT] => {
                rest.text()?;
            }
            _ => return None,
        }
        let values = Values::of_bytes(rest).renumbered(id_of)?;
        let mut packed = bytes.get(..bytes.len() - rest.len())?.to_vec();
        packed.extend_from_slice(values.as_bytes());
        Some(Self(packed.into()))
    }

    pub(super) fn digest(&self) -> Digest {
        let bytes = self.0.first_chunk().copied();
        Digest::of_bytes(bytes.unwrap_or_default())
    }

    /// The provider's id of the event, which may be missing or shared.
    pub(super) fn id(&self) -> Option<String> {
        match self.parts().0 {
            Id::None => None,
            Id::Usual(bytes) => Some(Uuid::from_bytes(bytes).to_string()),
            Id::Text(text) => Some(text.to_owned()),
        }
    }

    pub(super) fn values(&self) -> Values<'_> {
        Values::of_bytes(self.parts().1)
    }

    /// The id and the bytes of the values.
    fn parts(&self) -> (Id<'_>, &[u8]) {
        let mut rest = self.0.get(DIGEST..).unwrap_or_default();
        let id = match rest.take(1) {
            Some([UUID]) => {
                let bytes = rest.take(16).and_then(<[u8]>::first_chunk);
                bytes.map_or(Id::None, |bytes| Id::Usual(*bytes))
            }
            Some([TEXT]) => rest.text().map_or(Id::None, Id::Text),
            _ => Id::None,
        };
        (id, rest)
    }
}

/// How an id is kept.
enum Id<'a> {
    None,
    Usual([u8; 16]),
    Text(&'a str),
}

/// The bytes of a digest.
const DIGEST: usize = 32;

/// The UUID of a text that is the usual spelling of it: lower case, with hyphens, nothing around it.
fn usual_uuid(text: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(text).ok()?;
    let spelled = uuid.hyphenated();
    (*spelled.encode_lower(&mut Uuid::encode_buffer()) == *text).then_some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::capture::{CapturedBuilder, Captures};
    use crate::event::FieldPath;

    #[test]
    fn an_event_comes_back_as_it_was() {
        let field = Captures::default().id(&FieldPath::new("actor.id"));
        let mut captured = CapturedBuilder::default();
        captured.begin(field);
        captured.push("u1");
        captured.push("ü2");
        let captured = captured.finish();
        let digest = Digest::of(b"x");
        for id in [
            None,
            Some("5d2f6a0e-6c1b-4a52-9a4e-0d6d3a0f7b11"),
            Some("5D2F6A0E-6c1b-4a52-9a4e-0d6d3a0f7b11"),
            Some("5d2f6a0e6c1b4a529a4e0d6d3a0f7b11"),
            Some("urn:uuid:5d2f6a0e-6c1b-4a52-9a4e-0d6d3a0f7b11"),
            Some(""),
            Some(
                "an id of its own, longer than a hundred and twenty-seven bytes, so that its length takes two bytes itself, and as odd as it likes ü",
            ),
        ] {
            let seen = Seen::new(digest, id, &captured);
            assert_eq!(seen.id().as_deref(), id);
            assert_eq!(seen.digest(), digest);
            assert_eq!(seen.values().all(field).collect::<Vec<_>>(), ["u1", "ü2"]);
            assert_eq!(seen.bare().id().as_deref(), id);
            assert_eq!(seen.bare().values().count(), 0);
        }
    }
}
