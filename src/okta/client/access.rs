//! Who asks: the headers of credentials, and access tokens of a service app.

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use super::Client;
use super::call::{Call, Expects};
use super::credentials::{Access, Credentials, Prover, ServiceApp, Signer};
use super::failure::Failure;
use super::limits::RateLimit;
use super::registry::{Keeps, Operation, encoded};
use crate::redact::Secret;

/// Where access tokens are had.
const TOKEN_PATH: &str = "/oauth2/v1/token";

/// The operation that gives access tokens.
#[must_use]
pub fn token_operation() -> Operation {
    Operation {
        method: "POST",
        template: TOKEN_PATH.to_owned(),
        bucket: "oauth2".to_owned(),
        scope: String::new(),
        keeps: Keeps::Nothing,
    }
}

/// The keys of a service app.
pub(super) struct App {
    signer: Signer,
    prover: Prover,
    client_id: String,
    scopes: String,
}

impl App {
    /// Its keys, ready to sign.
    ///
    /// # Errors
    ///
    /// When a key cannot sign.
    pub(super) fn new(app: &ServiceApp) -> Result<Self, Failure> {
        Ok(Self {
            signer: Signer::new(app)?,
            prover: Prover::new()?,
            client_id: app.client_id.clone(),
            scopes: app.scopes.join(" "),
        })
    }
}

impl Client {
    /// The scopes that were granted, where a service app asks; gets a token where there is none.
    ///
    /// # Errors
    ///
    /// When there is no token to be had.
    pub fn granted(&self) -> Result<Option<Vec<String>>, Failure> {
        let Some(app) = &self.app else {
            return Ok(None);
        };
        self.persist("oauth2", &mut |attempt| self.access(app, attempt))
            .map(|access| Some(access.scopes))
    }

    pub(super) fn authorization(
        &self,
        method: &str,
        path: &str,
        attempt: u32,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
        match (&self.settings.credentials, &self.app) {
            (Some(Credentials::Token(token)), _) => {
                Ok(vec![secret(AUTHORIZATION, "SSWS ", token)?])
            }
            (Some(Credentials::ServiceApp(_)), Some(app)) => {
                let access = self.access(app, attempt)?;
                if !access.is_dpop {
                    return Ok(vec![secret(AUTHORIZATION, "Bearer ", &access.token)?]);
                }
                let url = self.settings.origin.url(path, "");
                let about = (method, url.as_str());
                let (now, nonce) = (self.clock.now(), self.known().nonce.clone());
                let proof = app
                    .prover
                    .proof(about, Some(&access.token), nonce.as_deref(), now)?;
                Ok(vec![
                    secret(AUTHORIZATION, "DPoP ", &access.token)?,
                    secret(HeaderName::from_static("dpop"), "", &Secret::new(proof))?,
                ])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The access token, renewed before it ends.
    fn access(&self, app: &App, attempt: u32) -> Result<Access, Failure> {
        let now = self.clock.now();
        let held = self.known().access.clone();
        if let Some(access) = held.filter(|access| now < access.renew_at) {
            return Ok(access);
        }
        let access = match self.request_token(app, attempt) {
            // The server wants its nonce in the proof, and has just said it.
            Err(Failure::Refused(refusal)) if refusal.wants_nonce() => {
                self.request_token(app, attempt)?
            }
            other => other?,
        };
        self.known().access = Some(access.clone());
        Ok(access)
    }

    fn request_token(&self, app: &App, attempt: u32) -> Result<Access, Failure> {
        let operation = token_operation();
        // Its path has no hole, so that there is a call.
        let call = Call::new(&operation, &[], &[], Expects::Object);
        let Some(call) = call.map(Call::open) else {
            return Err(Failure::NotPermitted {
                method: operation.method.to_owned(),
                path: operation.template,
            });
        };
        let url = self.settings.origin.url(TOKEN_PATH, "");
        let (now, nonce) = (self.clock.now(), self.known().nonce.clone());
        let about = (operation.method, url.as_str());
        let proof = app.prover.proof(about, None, nonce.as_deref(), now)?;
        let assertion = app.signer.assertion(&app.client_id, url.as_str(), now)?;
        let form = format!(
            "grant_type=client_credentials&scope={}&client_assertion_type={}&client_assertion={}",
            encoded(&app.scopes),
            encoded("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            encoded(&assertion),
        );
        let proof = secret(HeaderName::from_static("dpop"), "", &Secret::new(proof))?;
        let received = self.send(&call, vec![proof], Some(form), attempt)?;
        match received.status {
            200..=299 => Access::of(&received.body, self.clock.now()).ok_or_else(|| {
                let found = "something that grants no token";
                // What it says may be a token all the same.
                self.unexpected(&call, found, "an access token", "")
            }),
            300..=399 => Err(self.redirected(&call, &received)),
            _ => {
                let limit = RateLimit::of(&received.headers, self.clock.now());
                Err(self.refused(&call, &received, limit).into())
            }
        }
    }

    /// What no message may show.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let mut secrets = Vec::new();
        match &self.settings.credentials {
            Some(Credentials::Token(token)) => secrets.push(token.clone()),
            Some(Credentials::ServiceApp(app)) => secrets.push(app.key.clone()),
            None => {}
        }
        secrets.extend(
            self.known()
                .access
                .iter()
                .map(|access| access.token.clone()),
        );
        secrets
    }
}

/// A header that is never shown.
fn secret(
    name: HeaderName,
    scheme: &str,
    value: &Secret,
) -> Result<(HeaderName, HeaderValue), Failure> {
    let text = format!("{scheme}{}", value.expose());
    let refused = "it holds a character that a header cannot have, such as a line break";
    let mut value = HeaderValue::from_str(&text).map_err(|_| Failure::Token(refused))?;
    value.set_sensitive(true);
    Ok((name, value))
}
