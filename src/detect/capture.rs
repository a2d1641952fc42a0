//! The field values that a matched event carries on, so that the event itself can be let go.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{FieldPath, clip, scalar_text};

/// A field among all those that some rule of the policy needs after a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaptureId(u16);

/// Every field that is captured, each once.
#[derive(Clone, Debug, Default)]
pub struct Captures(Vec<FieldPath>);

impl Captures {
    /// The id of a field.
    pub fn id(&mut self, path: &FieldPath) -> CaptureId {
        let at = self
            .0
            .iter()
            .position(|known| known == path)
            .unwrap_or_else(|| {
                self.0.push(path.clone());
                self.0.len() - 1
            });
        CaptureId(u16::try_from(at).unwrap_or(u16::MAX))
    }

    /// How many there are: more than 65,535 do not fit.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Reads the given fields from an event.
    #[must_use]
    pub fn read(&self, ids: &[CaptureId], fields: &Value) -> Captured {
        let read = |id: &CaptureId| {
            let values = self.0.get(usize::from(id.0))?.values(fields);
            let mut texts: Vec<String> = Vec::new();
            for text in values
                .into_iter()
                .filter_map(scalar_text)
                .map(|text| clip(&text))
            {
                // Elements of one array often repeat; more of them than this say nothing.
                if texts.len() < MAX_VALUES && !texts.contains(&text) {
                    texts.push(text);
                }
            }
            (!texts.is_empty()).then_some((*id, texts))
        };
        Captured(ids.iter().filter_map(read).collect())
    }
}

/// At most so many distinct values of one field of one event are carried on.
const MAX_VALUES: usize = 100;

/// The captured values of one event: texts of scalars, null and absent left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured(Vec<(CaptureId, Vec<String>)>);

impl Captured {
    /// Every distinct value of a field.
    #[must_use]
    pub fn all(&self, id: CaptureId) -> &[String] {
        self.0
            .iter()
            .find(|(known, _)| *known == id)
            .map_or(&[], |(_, texts)| texts)
    }

    /// The first value of a field.
    #[must_use]
    pub fn first(&self, id: CaptureId) -> Option<&str> {
        self.all(id).first().map(String::as_str)
    }

    /// Roughly how many bytes this takes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0
            .iter()
            .map(|(_, texts)| 48 + texts.iter().map(|text| 24 + text.len()).sum::<usize>())
            .sum()
    }
}
