//! Everything in the tenant that looks accidental: ids, draws, tokens. All of it comes from one
//! number, so that the same seed and the same requests give the same bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The number that a tenant is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The digest of the seed and some words; each word is delimited, so that `ab` `c` and `a` `bc`
    /// differ.
    #[must_use]
    pub fn digest(self, words: &[&str]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(self.0.to_be_bytes());
        for word in words {
            hasher.update((word.len() as u64).to_be_bytes());
            hasher.update(word.as_bytes());
        }
        hasher.finalize().into()
    }

    /// A number below `below`, or 0 where that is 0.
    #[must_use]
    pub fn number(self, words: &[&str], below: u64) -> u64 {
        let digest = self.digest(words);
        let first = digest.first_chunk::<8>().copied().unwrap_or_default();
        u64::from_be_bytes(first).checked_rem(below).unwrap_or(0)
    }

    /// A share, from 0 up to but without 1.
    #[must_use]
    pub fn share(self, words: &[&str]) -> f64 {
        self.number(words, 1 << 52) as f64 / (1_u64 << 52) as f64
    }

    /// An id as Okta's look: 20 characters that begin with the `prefix` of their kind, such as
    /// `00u` for a user and `0oa` for an application.
    #[must_use]
    pub fn id(self, prefix: &str, name: &str) -> String {
        self.letters(prefix, &["id", prefix, name], 20)
    }

    /// `length` letters and digits, of which the first are `prefix`.
    #[must_use]
    pub fn letters(self, prefix: &str, words: &[&str], length: usize) -> String {
        let mut text = prefix.to_owned();
        for byte in self.digest(words).iter().cycle() {
            if text.len() >= length {
                break;
            }
            let letter = LETTERS.get(usize::from(*byte) % LETTERS.len());
            text.push(char::from(letter.copied().unwrap_or(b'0')));
        }
        text
    }

    /// The words as URL-safe base64 of a digest of 43 characters.
    #[must_use]
    pub fn token(self, words: &[&str]) -> String {
        URL_SAFE_NO_PAD.encode(self.digest(words))
    }

    /// A UUID, of version 4 by its looks.
    #[must_use]
    pub fn uuid(self, words: &[&str]) -> String {
        let number = self
            .digest(words)
            .first_chunk::<16>()
            .map_or(0, |bytes| u128::from_be_bytes(*bytes));
        let text = format!("{number:032x}");
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let (a, b, c) = (part(0, 8), part(8, 12), part(13, 16));
        format!("{a}-{b}-4{c}-8{}-{}", part(17, 20), part(20, 32))
    }
}
