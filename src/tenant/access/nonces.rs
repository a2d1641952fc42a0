//! The nonces of DPoP: one is told for 24 hours and taken for three days; while a fault rotates
//! them, one is good for some requests and no longer.

use crate::tenant::faults::FaultKind;
use crate::tenant::seed::Seed;
use crate::tenant::time::DAY;

/// The state of the nonces.
pub struct Nonces {
    seed: Seed,
    /// How many requests were taken with a nonce.
    taken: u64,
}

impl Nonces {
    /// None was told yet.
    pub const fn new(seed: Seed) -> Self {
        Self { seed, taken: 0 }
    }

    /// The nonce that is told now.
    pub fn current(&self, now: i64, drawn: &[FaultKind]) -> String {
        match rotation(drawn) {
            Some(each) => self.named("turn", self.taken / u64::from(each.max(1))),
            None => self.named("day", day(now)),
        }
    }

    /// Whether a proof with that nonce is taken.
    pub fn accepts(&self, nonce: &Option<String>, now: i64, drawn: &[FaultKind]) -> bool {
        let Some(nonce) = nonce else {
            return false;
        };
        if rotation(drawn).is_some() {
            return *nonce == self.current(now, drawn);
        }
        let today = day(now);
        (0..=3).any(|back| *nonce == self.named("day", today.saturating_sub(back)))
    }

    /// A request was taken.
    pub fn used(&mut self) {
        self.taken += 1;
    }

    fn named(&self, kind: &str, number: u64) -> String {
        self.seed
            .letters("", &["nonce", kind, &number.to_string()], 32)
    }
}

/// For how many requests a nonce is good, while nonces rotate.
pub fn rotation(drawn: &[FaultKind]) -> Option<u32> {
    drawn.iter().find_map(|kind| match kind {
        FaultKind::NonceRotation(each) => Some(*each),
        _ => None,
    })
}

fn day(now: i64) -> u64 {
    u64::try_from(now.div_euclid(DAY)).unwrap_or(0)
}
