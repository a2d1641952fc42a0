//! Who asks, and whether they may: API tokens, access tokens, and the scopes that a path needs.

mod assertion;
mod grant;
mod nonces;
mod proof;
mod scopes;

use std::collections::BTreeMap;

pub use scopes::needed;

use jsonwebtoken::DecodingKey;

use super::errors::Failure;
use super::faults::FaultKind;
use super::scenario::{Client, Scenario, ScenarioError};
use super::seed::Seed;
use super::time::SECOND;
use super::wire::Ask;
use nonces::Nonces;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The holder of an API token; the login of the user that it acts for.
    User(Option<String>),
    /// A service application, with the scopes of its token.
    Service(Vec<String>),
}

/// An API token that is known.
#[derive(Clone, Debug)]
struct ApiToken {
    value: String,
    user: Option<String>,
    expires: Option<i64>,
}

impl ApiToken {
    fn is_valid(&self, now: i64) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

/// A service application that is known.
struct Service {
    client: Client,
    key: DecodingKey,
}

/// An access token that was issued.
#[derive(Clone, Debug)]
struct Issued {
    scopes: Vec<String>,
    expires: i64,
    /// The thumbprint of the key that it is bound to.
    bound: Option<String>,
}

/// All that is known of who may ask.
pub struct Access {
    seed: Seed,
    origin: String,
    lifetime: i64,
    tokens: Vec<ApiToken>,
    services: Vec<Service>,
    issued: BTreeMap<String, Issued>,
    /// The `jti`s that were used, of assertions and of proofs.
    used: BTreeMap<String, i64>,
    /// How often each token was used, for the fault that refuses it after some.
    uses: BTreeMap<String, u32>,
    nonces: Nonces,
}

impl Access {
    /// What a scenario says of it.
    ///
    /// # Errors
    ///
    /// Where a client has no key that can be read.
    pub fn new(
        scenario: &Scenario,
        seed: Seed,
        origin: &str,
        start: i64,
    ) -> Result<Self, ScenarioError> {
        let tokens = scenario.tokens.iter().map(|token| ApiToken {
            value: token
                .value
                .clone()
                .unwrap_or_else(|| made_token(seed, &token.name)),
            user: token.user.clone(),
            expires: token.expires.map(|moment| moment.nanos(start)),
        });
        let services = scenario.clients.iter().map(|client| {
            Ok(Service {
                key: assertion::key_of(client)?,
                client: client.clone(),
            })
        });
        Ok(Self {
            seed,
            origin: origin.to_owned(),
            lifetime: i64::from(scenario.access_token_lifetime) * SECOND,
            tokens: tokens.collect(),
            services: services.collect::<Result<_, ScenarioError>>()?,
            issued: BTreeMap::new(),
            used: BTreeMap::new(),
            uses: BTreeMap::new(),
            nonces: Nonces::new(seed),
        })
    }

    /// Who a request is from.
    ///
    /// # Errors
    ///
    /// 401 where nobody that is known; with `WWW-Authenticate` where it is about a proof.
    pub fn caller(&mut self, ask: &Ask, drawn: &[FaultKind]) -> Result<Caller, Failure> {
        let authorization = ask.header("authorization").unwrap_or_default();
        let (scheme, token) = authorization.split_once(' ').unwrap_or_default();
        let token = token.trim();
        let caller = match scheme.to_ascii_lowercase().as_str() {
            "ssws" => self.holder(token, ask.now)?,
            "bearer" => self.bearer(token, ask.now)?,
            "dpop" => self.bound(token, ask, drawn)?,
            _ => return Err(Failure::token()),
        };
        self.worn_out(token, drawn)?;
        Ok(caller)
    }

    /// The first API token that is valid at that moment.
    #[must_use]
    pub fn first_token(&self, now: i64) -> Option<&str> {
        let token = self.tokens.iter().find(|token| token.is_valid(now))?;
        Some(&token.value)
    }

    /// The nonce that an answer tells while nonces rotate, if they do.
    #[must_use]
    pub fn told_nonce(&self, ask: &Ask, drawn: &[FaultKind]) -> Option<String> {
        nonces::rotation(drawn)?;
        Some(self.nonces.current(ask.now, drawn))
    }

    fn holder(&self, token: &str, now: i64) -> Result<Caller, Failure> {
        let known = self.tokens.iter().find(|held| held.value == token);
        let valid = known.filter(|held| held.is_valid(now));
        let valid = valid.ok_or_else(Failure::token)?;
        Ok(Caller::User(valid.user.clone()))
    }

    fn bearer(&self, token: &str, now: i64) -> Result<Caller, Failure> {
        let issued = self.valid(token, now).ok_or_else(|| refused("Bearer"))?;
        // a token that is bound to a key is no bearer token
        match issued.bound {
            Some(_) => Err(refused("DPoP")),
            None => Ok(Caller::Service(issued.scopes.clone())),
        }
    }

    fn bound(&mut self, token: &str, ask: &Ask, drawn: &[FaultKind]) -> Result<Caller, Failure> {
        let issued = self
            .valid(token, ask.now)
            .ok_or_else(|| refused("DPoP"))?
            .clone();
        let proof = proof::read(ask, &self.origin, Some(token));
        let proof = proof.map_err(|why| unproven("invalid_dpop_proof", &why))?;
        if issued.bound.as_ref() != Some(&proof.thumbprint) {
            let why = "The token is not bound to the key of the proof.";
            return Err(unproven("invalid_token", why));
        }
        if nonces::rotation(drawn).is_some() && !self.nonces.accepts(&proof.nonce, ask.now, drawn) {
            let nonce = self.nonces.current(ask.now, drawn);
            let why = "Authorization server requires nonce in DPoP proof.";
            return Err(unproven("use_dpop_nonce", why).with("dpop-nonce", &nonce));
        }
        if !self.once(&proof.jti, ask.now) {
            let why = "The DPoP proof JWT has already been used.";
            return Err(unproven("invalid_dpop_proof", why));
        }
        self.nonces.used();
        Ok(Caller::Service(issued.scopes))
    }

    fn valid(&self, token: &str, now: i64) -> Option<&Issued> {
        self.issued.get(token).filter(|issued| now < issued.expires)
    }

    /// Refuses a token that the fault has worn out.
    fn worn_out(&mut self, token: &str, drawn: &[FaultKind]) -> Result<(), Failure> {
        let uses = self.uses.entry(token.to_owned()).or_insert(0);
        *uses = uses.saturating_add(1);
        let after = drawn.iter().find_map(|kind| match kind {
            FaultKind::ExpiredToken(after) => Some(*after),
            _ => None,
        });
        match after {
            Some(after) if *uses > after => Err(Failure::token()),
            _ => Ok(()),
        }
    }

    /// Whether a `jti` was not used before; from now on it was.
    fn once(&mut self, jti: &str, now: i64) -> bool {
        let oldest = now.saturating_sub(2 * 3600 * SECOND);
        self.used.retain(|_, at| *at > oldest);
        self.used.insert(jti.to_owned(), now).is_none()
    }
}

/// Refuses a caller whose token lacks the scope that a path needs.
///
/// # Errors
///
/// 403 with `insufficient_scope`.
pub fn permitted(caller: &Caller, path: &str) -> Result<(), Failure> {
    let Caller::Service(scopes) = caller else {
        return Ok(());
    };
    let Some(needed) = needed(path) else {
        return Ok(());
    };
    let manages = needed.replace(".read", ".manage");
    let has = scopes
        .iter()
        .any(|scope| scope == needed || *scope == manages);
    has.then_some(()).ok_or_else(|| insufficient(path))
}

/// 403 as it is said of a token without a scope.
#[must_use]
pub fn insufficient(path: &str) -> Failure {
    let why = "The access token provided does not contain the required scopes.";
    let text = format!(
        "Bearer error=\"insufficient_scope\", error_description=\"{why}\", resource=\"{}\"",
        path.replace(
            |letter: char| !letter.is_ascii_graphic() || letter == '"',
            ""
        )
    );
    Failure::forbidden()
        .because(why)
        .with("www-authenticate", &text)
}

/// The value of a token that is known by its name alone; 42 characters, as Okta's have.
#[must_use]
pub fn made_token(seed: Seed, name: &str) -> String {
    seed.letters("00", &["token", name], 42)
}

fn refused(scheme: &str) -> Failure {
    let text =
        format!("{scheme} error=\"invalid_token\", error_description=\"The token is invalid.\"");
    Failure::token().with("www-authenticate", &text)
}

fn unproven(error: &str, why: &str) -> Failure {
    let text = format!("DPoP error=\"{error}\", error_description=\"{why}\"");
    Failure::token()
        .because(why)
        .with("www-authenticate", &text)
}
