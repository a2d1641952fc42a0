//! The tests of one field: which of them does a value pass?
//!
//! Whole texts, beginnings, ends and networks are looked up, parts of texts are found
//! in one pass over the value, and what remains is tried one by one.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use aho_corasick::{AhoCorasick, MatchKind};
use foldhash::fast::RandomState;
use ipnet::IpNet;

use crate::detect::modifiers::Test;
use crate::detect::pattern::{Anchor, Plain};
use crate::event::fold;
use crate::json::Scalar;

/// A test of a field among all distinct ones of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TestId(pub u32);

/// The tests of a field, arranged by how they are decided.
#[derive(Debug, Default)]
pub struct Values {
    /// Texts without regard to case.
    folded: Texts,
    /// Texts letter by letter.
    cased: Texts,
    networks: Networks,
    /// Everything else.
    others: Vec<(TestId, Test)>,
}

/// Networks by the length of their prefix.
#[derive(Debug, Default)]
struct Networks {
    by_length: BTreeMap<u8, HashMap<IpAddr, Vec<TestId>>>,
}

/// Texts without wildcards.
#[derive(Debug, Default)]
struct Texts {
    whole: ByLength,
    starts: ByLength,
    ends: ByLength,
    parts: Vec<(Box<str>, TestId)>,
    /// Finds the parts, where there are more than a few.
    finder: Option<AhoCorasick>,
}

/// Texts by their length in bytes, to be looked up.
#[derive(Debug, Default)]
struct ByLength(BTreeMap<usize, HashMap<Box<str>, Vec<TestId>, RandomState>>);

/// So few parts are looked for one by one.
const FEW: usize = 3;

impl Values {
    /// Adds a test.
    pub fn add(&mut self, id: TestId, test: &Test) {
        let patterns = match test {
            Test::Text(patterns) => patterns,
            Test::Cidr(nets) => return nets.iter().for_each(|net| self.networks.add(*net, id)),
            _ => return self.others.push((id, test.clone())),
        };
        let mut wild = Vec::new();
        for pattern in patterns {
            match pattern.as_plain() {
                Some(Plain {
                    text,
                    anchor,
                    cased: true,
                }) => self.cased.add(text, anchor, id),
                Some(Plain {
                    text,
                    anchor,
                    cased: false,
                }) => self.folded.add(text, anchor, id),
                None => wild.push(pattern.clone()),
            }
        }
        if !wild.is_empty() {
            self.others.push((id, Test::Text(wild)));
        }
    }

    /// Makes ready to run.
    pub fn finish(&mut self) {
        self.folded.finish();
        self.cased.finish();
    }

    /// Appends the tests that a value passes; one may come twice.
    pub fn passed(&self, value: Scalar<'_>, passed: &mut Vec<TestId>) {
        let Some(text) = value.shown() else { return };
        let nobody_folds = self.folded.is_empty() && self.others.is_empty();
        let folded = if nobody_folds || is_folded(&text) {
            Cow::Borrowed(text.as_ref())
        } else {
            Cow::Owned(fold(&text))
        };
        if !self.folded.is_empty() {
            self.folded.passed(&folded, passed);
        }
        if !self.cased.is_empty() {
            self.cased.passed(&text, passed);
        }
        if value.is_str() {
            self.networks.passed(&text, passed);
        }
        let passes = |(_, test): &&(TestId, Test)| test.passes(value, &text, &folded);
        passed.extend(self.others.iter().filter(passes).map(|(id, _)| *id));
    }
}

/// Whether a text is the same when it is folded, for sure.
fn is_folded(text: &str) -> bool {
    // No branch for each byte, so that many are looked at together.
    let other = |byte: &u8| !byte.is_ascii() | byte.is_ascii_uppercase();
    let any = |part: &[u8]| part.iter().fold(false, |any, byte| any | other(byte));
    !text.as_bytes().chunks(64).any(any)
}

impl Networks {
    fn add(&mut self, net: IpNet, id: TestId) {
        let of_length = self.by_length.entry(net.prefix_len()).or_default();
        of_length.entry(net.network()).or_default().push(id);
    }

    fn passed(&self, value: &str, passed: &mut Vec<TestId>) {
        let Some(address) = (!self.by_length.is_empty())
            .then(|| value.parse().ok())
            .flatten()
        else {
            return;
        };
        for (length, networks) in &self.by_length {
            // A prefix that is longer than the address is of the other family.
            let network = IpNet::new(address, *length).map(|net| net.network());
            if let Some(ids) = network.ok().and_then(|network| networks.get(&network)) {
                passed.extend(ids);
            }
        }
    }
}

impl ByLength {
    fn add(&mut self, text: &str, id: TestId) {
        let of_length = self.0.entry(text.len()).or_default();
        of_length.entry(text.into()).or_default().push(id);
    }

    /// Looks a value up, or what `part` makes of it for a length.
    fn passed<'v>(&self, part: impl Fn(usize) -> Option<&'v str>, passed: &mut Vec<TestId>) {
        for (length, texts) in &self.0 {
            if let Some(ids) = part(*length).and_then(|part| texts.get(part)) {
                passed.extend(ids);
            }
        }
    }
}

impl Texts {
    fn is_empty(&self) -> bool {
        let looked_up = [&self.whole, &self.starts, &self.ends];
        looked_up.iter().all(|texts| texts.0.is_empty()) && self.parts.is_empty()
    }

    fn add(&mut self, text: &str, anchor: Anchor, id: TestId) {
        match anchor {
            Anchor::Whole => self.whole.add(text, id),
            Anchor::Start => self.starts.add(text, id),
            Anchor::End => self.ends.add(text, id),
            Anchor::Anywhere => self.parts.push((text.into(), id)),
        }
    }

    fn finish(&mut self) {
        if self.parts.len() > FEW {
            let texts = self.parts.iter().map(|(text, ..)| text.as_bytes());
            // Where the automaton cannot be built, each part is looked for by itself.
            self.finder = AhoCorasick::builder()
                .match_kind(MatchKind::Standard)
                .build(texts)
                .ok();
        }
    }

    fn passed(&self, value: &str, passed: &mut Vec<TestId>) {
        if let Some(ids) = self
            .whole
            .0
            .get(&value.len())
            .and_then(|texts| texts.get(value))
        {
            passed.extend(ids);
        }
        self.starts.passed(|length| value.get(..length), passed);
        let end = |length| value.get(value.len().checked_sub(length)?..);
        self.ends.passed(end, passed);
        let Some(finder) = &self.finder else {
            return self.parts_one_by_one(value, passed);
        };
        let before = passed.len();
        // Texts that are parts of each other may end at every byte of a value.
        let mut left = value.len() + self.parts.len();
        for found in finder.find_overlapping_iter(value) {
            let Some((_, id)) = self.parts.get(found.pattern().as_usize()) else {
                continue;
            };
            if passed.last() != Some(id) {
                passed.push(*id);
            }
            if left == 0 {
                passed.truncate(before);
                return self.parts_one_by_one(value, passed);
            }
            left -= 1;
        }
    }

    fn parts_one_by_one(&self, value: &str, passed: &mut Vec<TestId>) {
        let fits = |(text, _): &&(Box<str>, TestId)| value.contains(&**text);
        passed.extend(self.parts.iter().filter(fits).map(|(_, id)| *id));
    }
}
