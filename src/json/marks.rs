//! The structure of a text: where its brackets, colons and commas stand.

use super::blocks::{Strings, look};

/// The places of the structure of a text; used again for the next.
#[derive(Debug, Default)]
pub(super) struct Marks {
    places: Vec<u32>,
}

impl Marks {
    /// The places of the brackets, colons and commas of a text that stand outside of
    /// strings; `None` where it cannot be compact JSON in UTF-8: a string has no end,
    /// a control character or an escape that JSON does not have, or is not followed
    /// by structure.
    pub(super) fn of(&mut self, text: &[u8]) -> Option<&[u32]> {
        // A place has one bit more for what stands elsewhere, see `Places`.
        i32::try_from(text.len()).ok()?;
        let mut strings = Strings::default();
        let count = look(&mut strings, text, &mut self.places);
        let is_text = || strings.ascii || simdutf8::basic::from_utf8(text).is_ok();
        (strings.are_sound() && is_text()).then(|| self.places.get(..count))?
    }
}
