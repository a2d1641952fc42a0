//! Client assertions: `private_key_jwt` of OpenID Connect Core, section 9, as Okta takes them.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use crate::tenant::scenario::{Client, ScenarioError};
use crate::tenant::time::SECOND;

/// The algorithms that are taken. ES512 is named by Okta and is not in the library.
pub const ALGORITHMS: [Algorithm; 5] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::ES256,
    Algorithm::ES384,
];

/// The key of a client.
///
/// # Errors
///
/// Where it has none, or one that cannot be read.
pub fn key_of(client: &Client) -> Result<DecodingKey, ScenarioError> {
    let bad = |why: &str| {
        ScenarioError::Meaning(format!("the key of client `{}` {why}", client.client_id))
    };
    if let Some(pem) = &client.pem {
        let key = DecodingKey::from_rsa_pem(pem.as_bytes());
        let key = key.or_else(|_| DecodingKey::from_ec_pem(pem.as_bytes()));
        return key.map_err(|_| bad("is no public key in PEM"));
    }
    let jwk = client
        .jwk
        .clone()
        .ok_or_else(|| bad("is missing: it needs `jwk` or `pem`"))?;
    let jwk: Jwk = serde_json::from_value(jwk).map_err(|_| bad("is no JWK"))?;
    DecodingKey::from_jwk(&jwk).map_err(|_| bad("cannot be used"))
}

/// The claims of a signed token, where the signature is right and the algorithm is taken.
pub fn claims(token: &str, key: &DecodingKey) -> Option<Map<String, Value>> {
    let algorithm = decode_header(token).ok()?.alg;
    if !ALGORITHMS.contains(&algorithm) {
        return None;
    }
    let mut validation = Validation::new(algorithm);
    // times are compared with the tenant's own clock, and the audience by its own rule
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let data = decode::<Map<String, Value>>(token, key, &validation).ok()?;
    Some(data.claims)
}

/// What an assertion claims without proof of it: its issuer.
pub fn issuer(token: &str) -> Option<String> {
    let claims = jsonwebtoken::dangerous::insecure_decode::<Map<String, Value>>(token).ok()?;
    Some(claims.claims.get("iss")?.as_str()?.to_owned())
}

/// Checks what a signed assertion claims.
///
/// # Errors
///
/// What is wrong, in Okta's words.
pub fn check(
    claims: &Map<String, Value>,
    client_id: &str,
    audience: &str,
    now: i64,
) -> Result<(), &'static str> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let seconds = |name: &str| claims.get(name).and_then(Value::as_f64);
    let now = now as f64 / SECOND as f64;
    if text("iss") != Some(client_id) || text("sub") != Some(client_id) {
        return Err("The issuer and the subject of the client_assertion must be the client id.");
    }
    let aimed = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(audience)),
        Some(one) => one.as_str() == Some(audience),
        None => false,
    };
    if !aimed {
        return Err(
            "The audience claim for client_assertion must be the endpoint invoked for the request.",
        );
    }
    let Some(expires) = seconds("exp") else {
        return Err("The client_assertion token must contain an expiration.");
    };
    if expires <= now {
        return Err("The client_assertion token is expired.");
    }
    if expires > now + 3600.0 {
        return Err("The client_assertion token has an expiration too far into the future.");
    }
    let early = |name: &str| seconds(name).is_some_and(|at| at > now + 300.0);
    if early("iat") || early("nbf") {
        return Err("The client_assertion token is not valid yet.");
    }
    Ok(())
}
