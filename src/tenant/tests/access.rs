//! Who is let in: API tokens, assertions, proofs, scopes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::tenant::scenario::{Client, Moment};
use crate::tenant::wire::encoded;

/// Keys on P-256 for these tests and nothing else, in PKCS#8 without what is common to all.
const CLIENT: &str = "awIBAQQgKo6Gbw5iM6QPrD5Bc1grzxXMLZr3o2XzYz3REI5wjmuhRANCAAQnunoP4VboZmpmGI9BQKyHCfKDJ9b6xTRRsznYFaVhHsiW6IvmZCaxacXkMfaDwAKRGNMWvrjJ5+meri3PwFgZ";
const PROOF: &str = "awIBAQQg1voAjTsnjO9AqSwa/N6c5uSAYODSS0iz/ZmepGoi8A+hRANCAAQ2CI3+1KETEUE8YBpRO61zjMUg2O7iW/++quepsBNvS55q0cl1Z+zFGZ2M/JF0vc6U+mUlBAhPdHsgdL9Hm6fA";
const STRANGER: &str = "awIBAQQgWSFnQ7S1EAnoyCtMAdKS9XLYHTT8YZIM5rOYx9Z1q/mhRANCAAQvGZ9YRcg8sNjpiFXQH5kCf7QpaibOBTfLxigc+wGtfsvqx3ltuHaUlZzNtSmQCMkyccMBt+8Y/rswgYn9TnyL";

fn key(text: &str) -> EncodingKey {
    let der = STANDARD
        .decode(format!("MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0w{text}"))
        .unwrap();
    EncodingKey::from_ec_der(&der)
}

fn jwk(text: &str) -> Jwk {
    Jwk::from_encoding_key(&key(text), Algorithm::ES256).unwrap()
}

fn bench(dpop: bool) -> Bench {
    let mut scenario = plain();
    scenario.tokens.push(Token {
        value: Some("short-lived".to_owned()),
        name: "short".to_owned(),
        expires: Some(Moment::At(NOW + 60 * SECOND)),
        ..Token::default()
    });
    scenario.clients.push(Client {
        client_id: "0oaService".to_owned(),
        jwk: Some(serde_json::to_value(jwk(CLIENT)).unwrap()),
        pem: None,
        scopes: vec!["okta.logs.read".to_owned(), "okta.users.manage".to_owned()],
        dpop,
    });
    Bench::new(scenario)
}

fn good(bench: &Bench, jti: &str) -> Value {
    let now = bench.clock.load(Ordering::SeqCst) / SECOND;
    json!({
        "iss": "0oaService", "sub": "0oaService", "aud": format!("{}/oauth2/v1/token", bench.tenant.origin()),
        "iat": now, "exp": now + 300, "jti": jti,
    })
}

fn signed(claims: &Value, by: &str) -> String {
    encode(&Header::new(Algorithm::ES256), claims, &key(by)).unwrap()
}

fn form(assertion: &str, scope: &str) -> String {
    let kind = encoded("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    format!(
        "grant_type=client_credentials&scope={}&client_assertion_type={kind}&client_assertion={assertion}",
        encoded(scope)
    )
}

fn grant(bench: &Bench, body: &str, more: &[(&str, &str)]) -> Reply {
    let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
    headers.extend(more);
    bench.ask("POST", "/oauth2/v1/token", &headers, body)
}

/// A proof of a key; `change` makes it wrong.
fn proof(bench: &Bench, by: &str, method: &str, path: &str, more: &Value, typ: &str) -> String {
    let now = bench.clock.load(Ordering::SeqCst) / SECOND;
    let mut claims = json!({
        "htm": method, "htu": format!("{}{path}", bench.tenant.origin()), "iat": now,
        "jti": format!("{method} {path} {more}"),
    });
    claims
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some(typ.to_owned());
    header.jwk = Some(jwk(by));
    encode(&header, &claims, &key(by)).unwrap()
}

#[test]
fn api_tokens_are_known_or_refused() {
    let bench = bench(false);
    for (authorization, status) in [
        (format!("SSWS {TOKEN}"), 200),
        (format!("ssws {TOKEN}"), 200),
        ("SSWS short-lived".to_owned(), 200),
        ("SSWS nobody".to_owned(), 401),
        (format!("Bearer {TOKEN}"), 401),
        (TOKEN.to_owned(), 401),
        (String::new(), 401),
    ] {
        let reply = bench.ask(
            "GET",
            "/api/v1/logs",
            &[("authorization", &authorization)],
            "",
        );
        assert_eq!(reply.status, status, "{authorization}");
        assert!(status == 200 || reply.code() == "E0000011");
        assert!(
            reply.header("x-okta-request-id").is_some()
                && reply.header("x-rate-limit-limit").is_some()
        );
    }
    bench.advance(60);
    let late = bench.ask(
        "GET",
        "/api/v1/logs",
        &[("authorization", "SSWS short-lived")],
        "",
    );
    assert_eq!(late.status, 401);
}

#[test]
fn a_good_assertion_gets_a_token_with_its_scopes() {
    let bench = bench(false);
    let body = form(
        &signed(&good(&bench, "1"), CLIENT),
        "okta.logs.read okta.users.manage",
    );
    let reply = grant(&bench, &body, &[]);
    let told = reply.json();
    assert_eq!(
        (reply.status, &told["token_type"], &told["expires_in"]),
        (200, &json!("Bearer"), &json!(3600))
    );
    let bearer = format!("Bearer {}", told["access_token"].as_str().unwrap());
    let ask = |path: &str| bench.ask("GET", path, &[("authorization", &bearer)], "");
    assert_eq!(ask("/api/v1/logs").status, 200);
    assert_eq!(ask("/api/v1/users").status, 200, "who manages may read");
    let missing = ask("/api/v1/groups");
    assert_eq!((missing.status, missing.code().as_str()), (403, "E0000006"));
    assert!(
        missing
            .header("www-authenticate")
            .unwrap()
            .contains("insufficient_scope")
    );
    bench.advance(3600);
    assert_eq!(ask("/api/v1/logs").status, 401);
    assert_eq!(
        grant(&bench, &body, &[]).json()["error"],
        "invalid_client",
        "expired by now"
    );
}

#[test]
fn every_wrong_claim_is_refused() {
    let bench = bench(false);
    let now = NOW / SECOND;
    for (claim, value) in [
        ("iss", json!("another")),
        ("sub", json!("another")),
        ("sub", Value::Null),
        ("aud", json!("https://elsewhere.example/oauth2/v1/token")),
        ("aud", json!([bench.tenant.origin()])),
        ("exp", json!(now - 1)),
        ("exp", json!(now)),
        ("exp", json!(now + 3601)),
        ("exp", Value::Null),
        ("iat", json!(now + 900)),
    ] {
        let mut claims = good(&bench, &format!("{claim} {value}"));
        claims[claim] = value.clone();
        let reply = grant(
            &bench,
            &form(&signed(&claims, CLIENT), "okta.logs.read"),
            &[],
        );
        assert_eq!(
            (reply.status, &reply.json()["error"]),
            (401, &json!("invalid_client")),
            "{claim} {value}"
        );
        assert!(reply.json()["error_description"].is_string());
    }
    let right = form(&signed(&good(&bench, "once"), CLIENT), "okta.logs.read");
    let kind = "grant_type=client_credentials";
    for (body, error) in [
        (
            form(&signed(&good(&bench, "s"), STRANGER), "okta.logs.read"),
            "invalid_client",
        ),
        (form("no.jwt.here", "okta.logs.read"), "invalid_client"),
        (form("", "okta.logs.read"), "invalid_client"),
        (
            form(&signed(&good(&bench, "a"), CLIENT), "okta.apps.read"),
            "invalid_scope",
        ),
        (
            form(&signed(&good(&bench, "b"), CLIENT), ""),
            "invalid_scope",
        ),
        (
            right.replace(kind, "grant_type=password"),
            "unsupported_grant_type",
        ),
        (right.replace("jwt-bearer", "basic"), "invalid_request"),
        (String::new(), "unsupported_grant_type"),
    ] {
        assert_eq!(grant(&bench, &body, &[]).json()["error"], error, "{body}");
    }
    assert_eq!(grant(&bench, &right, &[]).status, 200);
    assert_eq!(
        grant(&bench, &right, &[]).json()["error"],
        "invalid_client",
        "a jti is good once"
    );
}

/// A token that is bound to the key of the proofs.
fn bound_token(bench: &Bench) -> String {
    let body = form(&signed(&good(bench, "bound"), CLIENT), "okta.logs.read");
    let path = "/oauth2/v1/token";
    assert_eq!(
        grant(bench, &body, &[]).json()["error"],
        "invalid_dpop_proof",
        "without a proof"
    );
    let first = proof(bench, PROOF, "POST", path, &json!({}), "dpop+jwt");
    let reply = grant(bench, &body, &[("dpop", &first)]);
    assert_eq!(
        (reply.status, &reply.json()["error"]),
        (400, &json!("use_dpop_nonce"))
    );
    let nonce = reply.header("dpop-nonce").unwrap().to_owned();
    let second = proof(
        bench,
        PROOF,
        "POST",
        path,
        &json!({ "nonce": nonce }),
        "dpop+jwt",
    );
    let reply = grant(bench, &body, &[("dpop", &second)]);
    assert_eq!(
        (reply.status, &reply.json()["token_type"]),
        (200, &json!("DPoP")),
        "{}",
        reply.text()
    );
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn a_bound_token_needs_the_proof_of_its_key() {
    let bench = bench(true);
    let token = bound_token(&bench);
    let path = "/api/v1/logs";
    let ath = URL_SAFE_NO_PAD.encode(Sha256::digest(&token));
    let ask = |scheme: &str, proof: &str| {
        let authorization = format!("{scheme} {token}");
        bench.ask(
            "GET",
            "/api/v1/logs?limit=1",
            &[("authorization", &authorization), ("dpop", proof)],
            "",
        )
    };
    let right = proof(
        &bench,
        PROOF,
        "GET",
        path,
        &json!({ "ath": ath }),
        "dpop+jwt",
    );
    assert_eq!(ask("DPoP", &right).status, 200);
    assert_eq!(ask("DPoP", &right).status, 401, "a jti is good once");
    assert_eq!(ask("Bearer", "").status, 401, "it is no bearer token");
    let now = NOW / SECOND;
    for (by, method, path, more, typ) in [
        (STRANGER, "GET", path, json!({ "ath": ath }), "dpop+jwt"),
        (PROOF, "POST", path, json!({ "ath": ath }), "dpop+jwt"),
        (
            PROOF,
            "GET",
            "/api/v1/users",
            json!({ "ath": ath }),
            "dpop+jwt",
        ),
        (
            PROOF,
            "GET",
            "/api/v1/logs?limit=1",
            json!({ "ath": ath }),
            "dpop+jwt",
        ),
        (PROOF, "GET", path, json!({}), "dpop+jwt"),
        (PROOF, "GET", path, json!({ "ath": "x" }), "dpop+jwt"),
        (
            PROOF,
            "GET",
            path,
            json!({ "ath": ath, "iat": now - 900 }),
            "dpop+jwt",
        ),
        (
            PROOF,
            "GET",
            path,
            json!({ "ath": ath, "iat": "now" }),
            "dpop+jwt",
        ),
        (
            PROOF,
            "GET",
            path,
            json!({ "ath": ath, "jti": "" }),
            "dpop+jwt",
        ),
        (PROOF, "GET", path, json!({ "ath": ath }), "JWT"),
    ] {
        let reply = ask("DPoP", &proof(&bench, by, method, path, &more, typ));
        assert_eq!(reply.status, 401, "{method} {path} {more} {typ}");
        assert!(
            reply
                .header("www-authenticate")
                .unwrap()
                .starts_with("DPoP error=")
        );
    }
    for garbage in ["", "x", "e30.e30.e30"] {
        assert_eq!(ask("DPoP", garbage).status, 401);
    }
}

#[test]
fn nonces_rotate_while_a_fault_says_so() {
    let bench = bench(true);
    let token = bound_token(&bench);
    bench.tenant.set_fault("nonce-rotation=2".parse().unwrap());
    let ath = URL_SAFE_NO_PAD.encode(Sha256::digest(&token));
    let mut nonce = String::new();
    let mut statuses = Vec::new();
    for number in 0..6 {
        let more = json!({ "ath": ath, "nonce": nonce, "jti": format!("{number}") });
        let proof = proof(&bench, PROOF, "GET", "/api/v1/logs", &more, "dpop+jwt");
        let authorization = format!("DPoP {token}");
        let reply = bench.ask(
            "GET",
            "/api/v1/logs",
            &[("authorization", &authorization), ("dpop", &proof)],
            "",
        );
        statuses.push(reply.status);
        // a client that only learns from refusals
        if reply.status == 401 {
            assert!(
                reply
                    .header("www-authenticate")
                    .unwrap()
                    .contains("use_dpop_nonce")
            );
            nonce = reply.header("dpop-nonce").unwrap().to_owned();
        }
    }
    assert_eq!(statuses, [401, 200, 401, 200, 200, 401]);
}
