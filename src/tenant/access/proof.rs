//! Proofs of possession of a key: DPoP, RFC 9449.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::ThumbprintHash;
use jsonwebtoken::{DecodingKey, decode_header};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::assertion;
use crate::tenant::time::SECOND;
use crate::tenant::wire::Ask;

/// How far the time of a proof may be from the tenant's, in seconds.
const NEAR: f64 = 300.0;

/// A proof whose signature, method, address and time are right.
pub struct Proof {
    /// The thumbprint of its key, RFC 7638.
    pub thumbprint: String,
    /// Its id.
    pub jti: String,
    /// Its nonce.
    pub nonce: Option<String>,
}

/// Reads the proof of a request; with an access token, it must hold the digest of that.
///
/// # Errors
///
/// What is wrong with it.
pub fn read(ask: &Ask, origin: &str, token: Option<&str>) -> Result<Proof, String> {
    let proofs = ask.headers.iter().filter(|(name, _)| name == "dpop");
    let [(_, proof)] = proofs.collect::<Vec<_>>()[..] else {
        return Err("The request must have one DPoP proof JWT.".to_owned());
    };
    let wrong = |what: &str| format!("The DPoP proof JWT has a wrong {what}.");
    let header = decode_header(proof).map_err(|_| wrong("header"))?;
    if header.typ.as_deref() != Some("dpop+jwt") {
        return Err(wrong("typ"));
    }
    let jwk = header.jwk.ok_or_else(|| wrong("jwk"))?;
    let key = DecodingKey::from_jwk(&jwk).map_err(|_| wrong("jwk"))?;
    let claims = assertion::claims(proof, &key).ok_or_else(|| wrong("signature"))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("htm") != Some(ask.method.as_str()) {
        return Err(wrong("htm"));
    }
    if text("htu") != Some(&format!("{origin}{}", ask.path)) {
        return Err(wrong("htu"));
    }
    let at = claims.get("iat").and_then(Value::as_f64);
    let now = ask.now as f64 / SECOND as f64;
    if at.is_none_or(|at| (at - now).abs() > NEAR) {
        return Err(wrong("iat"));
    }
    if let Some(token) = token
        && text("ath") != Some(&URL_SAFE_NO_PAD.encode(Sha256::digest(token)))
    {
        return Err(wrong("ath"));
    }
    Ok(Proof {
        thumbprint: jwk
            .thumbprint(ThumbprintHash::SHA256)
            .map_err(|_| wrong("jwk"))?,
        jti: text("jti")
            .filter(|jti| !jti.is_empty())
            .ok_or_else(|| wrong("jti"))?
            .to_owned(),
        nonce: text("nonce").map(str::to_owned),
    })
}
