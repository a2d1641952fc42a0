//! Who asks: an API token, or a service app that signs for its access tokens.
//!
//! A service app proves itself by `private_key_jwt` (RFC 7523; Okta, "Implement OAuth for Okta with
//! a service app") and its requests by DPoP (RFC 9449): every request for a token carries a proof,
//! so that an app which needs one is not refused first.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, EllipticCurveKeyParameters,
    EllipticCurveKeyType, Jwk,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::failure::Failure;
use crate::event::{Nanos, Time};
use crate::redact::Secret;

/// Who asks.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// An API token, sent as `SSWS`.
    Token(Secret),
    /// A service app of the org's authorization server.
    ServiceApp(ServiceApp),
}

/// A service app with its key.
#[derive(Clone, Debug)]
pub struct ServiceApp {
    /// Its client ID.
    pub client_id: String,
    /// Its private key in PEM (PKCS #8 or PKCS #1), RSA or EC on P-256 or P-384.
    pub key: Secret,
    /// The `kid` of the key, where the app has several.
    pub key_id: Option<String>,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
}

/// An access token, as it was granted.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) token: Secret,
    /// Whether it is bound to our key.
    pub(super) is_dpop: bool,
    /// From when on another is asked for: before it ends.
    pub(super) renew_at: Time,
    /// What was granted.
    pub(super) scopes: Vec<String>,
}

/// A proof is good for so long; servers take less.
const ASSERTION_SECONDS: i64 = 300;

/// A token is renewed when a fifth of its time is left, and five minutes before its end at most.
const EARLIEST_RENEWAL: i64 = 300;

/// What an answer to a request for a token holds.
#[derive(Deserialize)]
struct Granted {
    token_type: String,
    access_token: String,
    expires_in: i64,
    #[serde(default)]
    scope: String,
}

impl Access {
    /// The token in an answer that came at `now`.
    pub(super) fn of(body: &[u8], now: Time) -> Option<Self> {
        let granted: Granted = serde_json::from_slice(body).ok()?;
        let is_dpop = granted.token_type.eq_ignore_ascii_case("DPoP");
        let is_known = is_dpop || granted.token_type.eq_ignore_ascii_case("Bearer");
        if !is_known || granted.access_token.is_empty() || granted.expires_in <= 0 {
            return None;
        }
        let life = granted.expires_in.min(24 * 3600);
        let early = (life / 5).min(EARLIEST_RENEWAL);
        Some(Self {
            token: Secret::new(granted.access_token),
            is_dpop,
            renew_at: now.plus(Nanos((life - early) * Nanos::SECOND.0)),
            scopes: granted
                .scope
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect(),
        })
    }
}

/// The key of a service app, ready to sign.
pub(super) struct Signer {
    key: EncodingKey,
    header: Header,
}

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
}

/// Why a text is no private key, by how it begins; nothing of it is shown.
fn no_key(text: &str) -> &'static str {
    if text.contains("-----BEGIN EC PRIVATE KEY-----") {
        return "it is an EC key in SEC1 (`-----BEGIN EC PRIVATE KEY-----`), and PKCS #8 is read: `openssl pkcs8 -topk8 -nocrypt -in KEY.pem` writes it so";
    }
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return "it is encrypted, and nobody is asked for its pass phrase: `openssl pkcs8 -in KEY.pem` writes it without";
    }
    if text.contains("-----BEGIN PUBLIC KEY-----") {
        return "it is a public key; what signs is the private one that belongs to it";
    }
    "it is no private key in PEM (`-----BEGIN PRIVATE KEY-----`), RSA or EC; a JWK has to be written as PEM"
}

impl Signer {
    /// The key that an app signs with.
    ///
    /// # Errors
    ///
    /// When it is no private key of a kind that Okta takes.
    pub(super) fn new(app: &ServiceApp) -> Result<Self, Failure> {
        let pem = app.key.expose().as_bytes();
        let rsa = EncodingKey::from_rsa_pem(pem).map(|key| (key, [Algorithm::RS256].as_slice()));
        let ec = || {
            let key = EncodingKey::from_ec_pem(pem)?;
            Ok((key, [Algorithm::ES256, Algorithm::ES384].as_slice()))
        };
        // What the error says may show parts of the key.
        let none =
            |_: jsonwebtoken::errors::Error| Failure::Key(no_key(app.key.expose()).to_owned());
        let (key, algorithms) = rsa.or_else(|_| ec()).map_err(none)?;
        for algorithm in algorithms {
            let mut header = Header::new(*algorithm);
            header.kid.clone_from(&app.key_id);
            if encode(&header, &serde_json::json!({}), &key).is_ok() {
                return Ok(Self { key, header });
            }
        }
        let why = match app.key.expose().contains("-----BEGIN PUBLIC KEY-----") {
            true => "it is a public key; what signs is the private one that belongs to it",
            false => "it is of a kind that cannot sign; use RSA, or EC on P-256 or P-384",
        };
        Err(Failure::Key(why.to_owned()))
    }

    /// What proves who asks for a token at `audience`.
    pub(super) fn assertion(
        &self,
        client_id: &str,
        audience: &str,
        now: Time,
    ) -> Result<String, Failure> {
        let iat = seconds(now);
        let claims = Assertion {
            iss: client_id,
            sub: client_id,
            aud: audience,
            iat,
            exp: iat + ASSERTION_SECONDS,
            jti: Uuid::new_v4().to_string(),
        };
        encode(&self.header, &claims, &self.key).map_err(|_| cannot_sign())
    }
}

/// The key that access tokens are bound to: a new one for each client, kept in memory alone.
pub(super) struct Prover {
    key: EncodingKey,
    header: Header,
}

#[derive(Serialize)]
struct Proof<'a> {
    htm: &'a str,
    htu: &'a str,
    iat: i64,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
}

impl Prover {
    /// A new key.
    ///
    /// # Errors
    ///
    /// Where this machine gives no randomness.
    pub(super) fn new() -> Result<Self, Failure> {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new());
        let pkcs8 = pkcs8.map_err(|_| cannot_sign())?;
        let pair =
            EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).map_err(|_| cannot_sign())?;
        // An uncompressed point: 4, then both coordinates (SEC 1, 2.3.3).
        let point = pair.public_key().as_ref();
        let coordinates = point.get(1..33).zip(point.get(33..65));
        let (x, y) = coordinates.ok_or_else(cannot_sign)?;
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("dpop+jwt".to_owned());
        header.jwk = Some(Jwk {
            common: CommonParameters::default(),
            algorithm: AlgorithmParameters::EllipticCurve(EllipticCurveKeyParameters {
                key_type: EllipticCurveKeyType::EC,
                curve: EllipticCurve::P256,
                x: URL_SAFE_NO_PAD.encode(x),
                y: URL_SAFE_NO_PAD.encode(y),
            }),
        });
        Ok(Self {
            key: EncodingKey::from_ec_der(pkcs8.as_ref()),
            header,
        })
    }

    /// What proves that a request is ours: its method, its URL without query and fragment, and the
    /// token that it carries, if it carries one.
    pub(super) fn proof(
        &self,
        (method, url): (&str, &str),
        token: Option<&Secret>,
        nonce: Option<&str>,
        now: Time,
    ) -> Result<String, Failure> {
        let claims = Proof {
            htm: method,
            htu: url,
            iat: seconds(now),
            jti: Uuid::new_v4().to_string(),
            nonce,
            ath: token.map(|token| URL_SAFE_NO_PAD.encode(Sha256::digest(token.expose()))),
        };
        encode(&self.header, &claims, &self.key).map_err(|_| cannot_sign())
    }
}

fn cannot_sign() -> Failure {
    Failure::Key("signing failed".to_owned())
}

fn seconds(now: Time) -> i64 {
    now.0.div_euclid(Nanos::SECOND.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = Nanos::SECOND.0;

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        let cases = [
            (3600, Some(3300)),
            (1500, Some(1200)),
            (60, Some(48)),
            (1, Some(1)),
            (0, None),
            (-5, None),
            (i64::MAX, Some(24 * 3600 - 300)),
        ];
        for (life, expected) in cases {
            let body = format!(
                r#"{{"token_type":"Bearer","access_token":"a","expires_in":{life},"scope":"okta.logs.read okta.users.read"}}"#
            );
            let access = Access::of(body.as_bytes(), Time(0));
            let renewed = access.as_ref().map(|access| access.renew_at.0 / S);
            assert_eq!(renewed, expected, "{life}");
            assert!(access.is_none_or(|access| access.scopes.len() == 2 && !access.is_dpop));
        }
    }

    #[test]
    fn what_is_no_token_is_none() {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"token_type":"Bearer","access_token":"","expires_in":3600}"#,
            r#"{"token_type":"MAC","access_token":"a","expires_in":3600}"#,
            r#"{"token_type":"Bearer","access_token":7,"expires_in":3600}"#,
        ] {
            assert!(Access::of(body.as_bytes(), Time(0)).is_none(), "{body}");
        }
    }

    #[test]
    fn what_is_no_key_is_told_without_showing_it() {
        for pem in [
            "",
            "hunter2hunter2",
            "-----BEGIN PRIVATE KEY-----\nhunter2hunter2\n-----END PRIVATE KEY-----\n",
            r#"{"kty":"RSA","d":"hunter2hunter2"}"#,
        ] {
            let app = ServiceApp {
                client_id: "0oa1".to_owned(),
                key: Secret::new(pem.to_owned()),
                key_id: None,
                scopes: Vec::new(),
            };
            let said = Signer::new(&app).err().expect("no key").to_string();
            assert!(
                said.contains("no private key in PEM") && !said.contains("hunter2"),
                "{said}"
            );
        }
    }
}
