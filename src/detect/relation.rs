//! Whether a text of one field stands somewhere in a text of another (`fieldref`).
//!
//! Both fields may have very many values, so that pairs are compared only while
//! there are few. Beyond that the texts are looked for all at once, in time that
//! grows with the length of what is given and not with its square.

use aho_corasick::{AhoCorasick, Anchored, Input, StartKind};

use crate::detect::pattern::Anchor;

/// So few pairs are compared one by one.
const FEW: usize = 256;

/// So many bytes of texts are looked for at once: what finds them takes many times as much.
const AT_ONCE: usize = 128 << 10;

/// Whether one of `texts` stands in one of `values`, there where the anchor says.
#[must_use]
pub fn stands_in(mut texts: Vec<String>, values: &[String], anchor: Anchor) -> bool {
    if texts.len().saturating_mul(values.len()) <= FEW {
        let fits = |value: &String| texts.iter().any(|text| anchor.fits(text, value));
        return values.iter().any(fits);
    }
    texts.sort_unstable();
    texts.dedup();
    if anchor == Anchor::Whole {
        return values
            .iter()
            .any(|value| texts.binary_search(value).is_ok());
    }
    let mut rest = texts.as_slice();
    while !rest.is_empty() {
        let (some, left) = rest.split_at(how_many_at_once(rest));
        rest = left;
        let found = match some {
            [one] => values.iter().any(|value| anchor.fits(one, value)),
            some => any_stands_in(some, values, anchor),
        };
        if found {
            return true;
        }
    }
    false
}

/// How many of the first texts are looked for together: one at least.
fn how_many_at_once(texts: &[String]) -> usize {
    let mut room = AT_ONCE;
    let fit = texts.iter().take_while(|text| {
        let taken = text.len() <= room;
        room = room.saturating_sub(text.len());
        taken
    });
    fit.count().max(1)
}

fn any_stands_in(texts: &[String], values: &[String], anchor: Anchor) -> bool {
    let turned = |text: &String| -> Vec<u8> {
        match anchor {
            // The end of a text is where it begins from behind.
            Anchor::End => text.bytes().rev().collect(),
            _ => text.as_bytes().to_vec(),
        }
    };
    let (start, anchored) = match anchor {
        Anchor::Anywhere => (StartKind::Unanchored, Anchored::No),
        _ => (StartKind::Anchored, Anchored::Yes),
    };
    let finder = AhoCorasick::builder()
        .start_kind(start)
        .build(texts.iter().map(turned));
    match finder {
        Ok(finder) => values.iter().any(|value| {
            let value = turned(value);
            finder.is_match(Input::new(&value).anchored(anchored))
        }),
        Err(_) => values
            .iter()
            .any(|value| texts.iter().any(|text| anchor.fits(text, value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANCHORS: [Anchor; 4] = [Anchor::Whole, Anchor::Start, Anchor::End, Anchor::Anywhere];

    proptest::proptest! {
        /// Looking for many at once finds what comparing each pair finds.
        #[test]
        fn many_texts_are_found_like_few(
            texts in proptest::collection::vec("[abä]{0,6}", 0..40),
            values in proptest::collection::vec("[abä]{0,8}", 0..40),
        ) {
            for anchor in ANCHORS {
                let expected = values.iter().any(|value| texts.iter().any(|text| anchor.fits(text, value)));
                proptest::prop_assert_eq!(stands_in(texts.clone(), &values, anchor), expected, "{:?}", anchor);
            }
        }

        /// Most made-up texts are found; these are longer, and hardly ever are.
        #[test]
        fn and_are_not_found_where_they_are_not(
            texts in proptest::collection::vec("[ab]{7,9}", 20..40),
            values in proptest::collection::vec("[ab]{9,12}", 20..40),
        ) {
            for anchor in ANCHORS {
                let expected = values.iter().any(|value| texts.iter().any(|text| anchor.fits(text, value)));
                proptest::prop_assert_eq!(stands_in(texts.clone(), &values, anchor), expected, "{:?}", anchor);
            }
        }
    }

    #[test]
    fn texts_that_do_not_fit_at_once_are_looked_for_in_turns() {
        let long = |last: char| "a".repeat(AT_ONCE / 2) + last.to_string().as_str();
        let texts: Vec<String> = "bcdefgh"
            .chars()
            .map(long)
            .chain(["x".repeat(2 * AT_ONCE)])
            .collect();
        let values: Vec<String> = (0..100).map(|number| format!("{number}")).collect();
        for anchor in ANCHORS {
            assert!(!stands_in(texts.clone(), &values, anchor), "{anchor:?}");
            for text in &texts {
                let values = [values.clone(), vec![text.clone()]].concat();
                assert!(stands_in(texts.clone(), &values, anchor), "{anchor:?}");
            }
        }
    }
}
