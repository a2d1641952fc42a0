//! `POST /oauth2/v1/token`: the client credentials grant of the organization's own server.

use serde_json::json;

use super::{Access, Issued, assertion, proof};
use crate::tenant::faults::FaultKind;
use crate::tenant::time::SECOND;
use crate::tenant::wire::{Answer, Ask, Parameters};

const PATH: &str = "/oauth2/v1/token";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An error in the form of RFC 6749, section 5.2.
struct Refused(u16, &'static str, String);

impl Refused {
    fn client(why: &str) -> Self {
        Self(401, "invalid_client", why.to_owned())
    }

    fn request(error: &'static str, why: &str) -> Self {
        Self(400, error, why.to_owned())
    }

    fn answer(&self) -> Answer {
        let Self(status, error, why) = self;
        Answer::json(
            *status,
            &json!({ "error": error, "error_description": why }),
        )
    }
}

impl Access {
    /// Answers a request for an access token.
    pub fn grant(&mut self, ask: &Ask, drawn: &[FaultKind]) -> Answer {
        let answer = self.granted(ask, drawn).unwrap_or_else(|refused| {
            let answer = refused.answer();
            match refused.1 {
                "use_dpop_nonce" => answer.with("dpop-nonce", &self.nonces.current(ask.now, drawn)),
                _ => answer,
            }
        });
        answer.with("cache-control", "no-cache, no-store")
    }

    fn granted(&mut self, ask: &Ask, drawn: &[FaultKind]) -> Result<Answer, Refused> {
        let form = Parameters::read(&String::from_utf8_lossy(&ask.body));
        if form.get("grant_type") != Some("client_credentials") {
            let why = "The authorization grant type is not supported by the authorization server.";
            return Err(Refused::request("unsupported_grant_type", why));
        }
        if form.get("client_assertion_type") != Some(ASSERTION) {
            let why = "The client_assertion_type is invalid.";
            return Err(Refused::request("invalid_request", why));
        }
        let assertion = form.get("client_assertion").unwrap_or_default();
        let issuer = assertion::issuer(assertion);
        let issuer = issuer.ok_or_else(|| Refused::client("The client_assertion is malformed."))?;
        let service = self
            .services
            .iter()
            .find(|held| held.client.client_id == issuer);
        let service =
            service.ok_or_else(|| Refused::client("Invalid value for 'client_id' parameter."))?;
        let claims = assertion::claims(assertion, &service.key);
        let claims =
            claims.ok_or_else(|| Refused::client("The client_assertion signature is invalid."))?;
        let audience = format!("{}{PATH}", self.origin);
        assertion::check(&claims, &issuer, &audience, ask.now).map_err(Refused::client)?;
        let client = service.client.clone();
        let scopes = scopes(form.get("scope").unwrap_or_default(), &client.scopes)?;
        let bound = self.proven(ask, client.dpop, drawn)?;
        // last, so that what was refused for its proof can be sent again
        let jti = claims.get("jti").and_then(|jti| jti.as_str());
        if let Some(jti) = jti
            && !self.once(&format!("assertion {jti}"), ask.now)
        {
            return Err(Refused::client(
                "The client_assertion token has already been used.",
            ));
        }
        Ok(self.issue(ask, &client.client_id, scopes, bound))
    }

    /// The thumbprint of the key of the proof, where the client needs one or sends one.
    fn proven(
        &mut self,
        ask: &Ask,
        needed: bool,
        drawn: &[FaultKind],
    ) -> Result<Option<String>, Refused> {
        if !needed && ask.header("dpop").is_none() {
            return Ok(None);
        }
        let proof = proof::read(ask, &self.origin, None);
        let proof = proof.map_err(|why| Refused::request("invalid_dpop_proof", &why))?;
        if !self.nonces.accepts(&proof.nonce, ask.now, drawn) {
            let why = "Authorization server requires nonce in DPoP proof.";
            return Err(Refused::request("use_dpop_nonce", why));
        }
        if !self.once(&proof.jti, ask.now) {
            let why = "The DPoP proof JWT has already been used.";
            return Err(Refused::request("invalid_dpop_proof", why));
        }
        self.nonces.used();
        Ok(Some(proof.thumbprint))
    }

    fn issue(
        &mut self,
        ask: &Ask,
        client: &str,
        scopes: Vec<String>,
        bound: Option<String>,
    ) -> Answer {
        let token = self.made(ask, client, &scopes, bound.as_deref());
        let body = json!({
            "token_type": if bound.is_some() { "DPoP" } else { "Bearer" },
            "expires_in": self.lifetime / SECOND,
            "access_token": token,
            "scope": scopes.join(" "),
        });
        let expires = ask.now.saturating_add(self.lifetime);
        self.issued.retain(|_, issued| ask.now < issued.expires);
        self.issued.insert(
            token,
            Issued {
                scopes,
                expires,
                bound,
            },
        );
        Answer::json(200, &body)
    }

    /// A token that looks as Okta's do; what it says is not read again, it is known by its text.
    fn made(&self, ask: &Ask, client: &str, scopes: &[String], bound: Option<&str>) -> String {
        let number = ask.number.to_string();
        let seconds = ask.now.div_euclid(SECOND);
        let mut payload = json!({
            "ver": 1,
            "jti": format!("AT.{}", self.seed.token(&["jti", &number])),
            "iss": self.origin,
            "aud": self.origin,
            "sub": client,
            "cid": client,
            "iat": seconds,
            "exp": seconds + self.lifetime / SECOND,
            "scp": scopes,
        });
        if let (Some(bound), Some(payload)) = (bound, payload.as_object_mut()) {
            payload.insert("cnf".to_owned(), json!({ "jkt": bound }));
        }
        let header = json!({ "kid": self.seed.token(&["kid"]), "alg": "RS256" });
        let signature = self.seed.token(&["signature", &payload.to_string()]);
        let part = |value: serde_json::Value| {
            use base64::Engine as _;
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string())
        };
        format!("{}.{}.{signature}", part(header), part(payload))
    }
}

fn scopes(asked: &str, granted: &[String]) -> Result<Vec<String>, Refused> {
    let asked: Vec<String> = asked.split_whitespace().map(str::to_owned).collect();
    if asked.is_empty() {
        let why = "The scope parameter is missing.";
        return Err(Refused::request("invalid_scope", why));
    }
    match asked.iter().find(|scope| !granted.contains(scope)) {
        Some(_) => {
            let why =
                "One or more scopes are not configured for the authorization server resource.";
            Err(Refused::request("invalid_scope", why))
        }
        None => Ok(asked),
    }
}
