//! Cursors: the opaque `after` of a next link. Whoever follows one learns nothing from it, and one
//! that this tenant did not make is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::seed::Seed;

const SEAL: usize = 9;

/// A cursor that says `what` to this tenant alone.
#[must_use]
pub fn sealed(seed: Seed, what: &str) -> String {
    let mut bytes = seal(seed, what);
    bytes.extend(what.bytes().zip(mask(seed)).map(|(byte, mask)| byte ^ mask));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What a cursor says, where this tenant made it.
#[must_use]
pub fn opened(seed: Seed, cursor: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (held, masked) = bytes.split_at_checked(SEAL)?;
    let plain = masked
        .iter()
        .zip(mask(seed))
        .map(|(byte, mask)| byte ^ mask);
    let what = String::from_utf8(plain.collect()).ok()?;
    (held == seal(seed, &what)).then_some(what)
}

fn seal(seed: Seed, what: &str) -> Vec<u8> {
    let digest = seed.digest(&["cursor", what]);
    digest.into_iter().take(SEAL).collect()
}

fn mask(seed: Seed) -> impl Iterator<Item = u8> {
    seed.digest(&["cursor mask"]).into_iter().cycle()
}
