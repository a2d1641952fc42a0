//! The tenant: whether it answers, who asks, what they may read, and how far the clocks are apart.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Check, Verdict};
use crate::diag::{counted, noun};
use crate::event::{Nanos, Time};
use crate::okta::client::{
    Answer, Call, Client, Credentials, Expects, Failure, Operation, Settings,
};
use crate::okta::{parse_time, system_log};
use crate::visible::visible;

/// Clocks that are further apart are warned of.
const SKEW: i64 = 30;

/// Okta refuses proofs and assertions of a clock that is further off.
const MOST_SKEW: i64 = 300;

/// Tokens that are older are warned of, in days.
const OLD: i64 = 30;

fn organization() -> Operation {
    Operation::get("/.well-known/okta-organization", "well-known", "")
}

fn me() -> Operation {
    Operation::get("/api/v1/users/me", "users", "okta.users.read.self")
}

fn tokens() -> Operation {
    Operation::get("/api/v1/api-tokens", "api-tokens", "okta.apiTokens.read")
}

/// What a doctor may ask.
#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![organization(), me(), tokens(), system_log::operation()]
}

/// Looks at a tenant.
#[must_use]
pub fn tenant(client: &Client, settings: &Settings) -> Vec<Check> {
    let organization = get(client, &organization(), Expects::Object, true);
    let mut checks = vec![reached(client, &organization)];
    let Ok(answer) = organization else {
        return checks;
    };
    checks.push(clock(&answer));
    match &settings.credentials {
        None => {
            checks.push(no_credentials());
            return checks;
        }
        Some(Credentials::Token(_)) => token(client, &mut checks),
        Some(Credentials::ServiceApp(app)) => service_app(client, &app.scopes, &mut checks),
    }
    checks.push(logs(client, settings));
    checks
}

/// That nobody is configured who asks.
#[must_use]
pub fn no_credentials() -> Check {
    Check::new("credentials", Verdict::Error, "none are configured").fix(
        "set `OKTA_API_TOKEN`, or `OKTA_CLIENT_ID` and `OKTA_PRIVATE_KEY_FILE`; for a service app that is read-only, docs/okta.md",
    )
}

/// Credentials that cannot be used.
#[must_use]
pub fn bad_credentials(why: &str) -> Check {
    Check::new("credentials", Verdict::Error, why)
        .fix("docs/okta.md says how a service app and its key are made")
}

fn get(
    client: &Client,
    operation: &Operation,
    expects: Expects,
    is_open: bool,
) -> Result<Answer, Failure> {
    ask(client, operation, &[], expects, is_open)
}

fn ask(
    client: &Client,
    operation: &Operation,
    query: &[(&str, &str)],
    expects: Expects,
    is_open: bool,
) -> Result<Answer, Failure> {
    let not_permitted = || Failure::NotPermitted {
        method: operation.method.to_owned(),
        path: operation.template.clone(),
    };
    let call = Call::new(operation, &[], query, expects).ok_or_else(not_permitted)?;
    client.get_once(&if is_open { call.open() } else { call })
}

/// What a body says, where it says that.
fn said<T: DeserializeOwned>(answer: &Answer) -> Option<T> {
    serde_json::from_slice(&answer.body).ok()
}

fn reached(client: &Client, answer: &Result<Answer, Failure>) -> Check {
    #[derive(Deserialize)]
    struct Organization {
        id: Option<String>,
        pipeline: Option<String>,
    }
    let origin = client.origin();
    match answer {
        Err(failure) => Check::new("tenant", Verdict::Error, failure.to_string()).fix(
            "check OKTA_ORG_URL, and that this machine reaches it; a proxy is used where OKTA_PROXY names it, and nowhere else",
        ),
        Ok(answer) => {
            let organization = said::<Organization>(answer);
            let id = organization.as_ref().and_then(|org| org.id.as_deref()).unwrap_or("unknown");
            let engine = match organization.as_ref().and_then(|org| org.pipeline.as_deref()) {
                Some("idx") => "Identity Engine",
                Some("v1") => "Classic Engine",
                _ => "an engine that it does not name",
            };
            let found = format!("{origin} answers: org {}, {engine}", visible(id));
            Check::new("tenant", Verdict::Ok, found)
        }
    }
}

fn clock(answer: &Answer) -> Check {
    let Some(date) = answer.date else {
        return Check::new("clock", Verdict::Unknown, "the answer has no `Date`");
    };
    // Theirs is cut to the second, and was read between our two looks at ours.
    let ours = Time(answer.sent.0.midpoint(answer.came.0));
    let apart = ours.since(date).0.div_euclid(Nanos::SECOND.0);
    let seconds = apart.unsigned_abs();
    let ahead = if apart > 0 { "ahead of" } else { "behind" };
    let found = match seconds {
        0..=1 => "within a second or two of Okta's".to_owned(),
        _ => format!("{seconds} s {ahead} Okta's"),
    };
    let limit = |most: i64| seconds > most.unsigned_abs();
    if !limit(SKEW) {
        return Check::new("clock", Verdict::Ok, found);
    }
    let verdict = if limit(MOST_SKEW) {
        Verdict::Error
    } else {
        Verdict::Warning
    };
    Check::new("clock", verdict, found).fix(
        "set this machine's clock by NTP: events count as late or early by it, and past five minutes Okta refuses the proofs of a service app",
    )
}

/// Who an API token stands for, and how old it is.
fn token(client: &Client, checks: &mut Vec<Check>) {
    #[derive(Deserialize)]
    struct Me {
        id: String,
        profile: Option<Profile>,
    }
    #[derive(Deserialize)]
    struct Profile {
        login: Option<String>,
    }
    let me = get(client, &me(), Expects::Object, false);
    let me = match me {
        Ok(answer) => said::<Me>(&answer),
        // It was accepted: who it belongs to is not there, or not to be seen by it.
        Err(failure) if failure.status() == Some(404) => None,
        Err(failure) => {
            let fix =
                "make another token under Security, API, Tokens, and put it into `OKTA_API_TOKEN`";
            checks.push(Check::new("credentials", Verdict::Error, failure.to_string()).fix(fix));
            return;
        }
    };
    let Some(me) = me else {
        checks.push(Check::new(
            "credentials",
            Verdict::Unknown,
            "the token is accepted, and whose it is was not told",
        ));
        return;
    };
    let login = me.profile.and_then(|profile| profile.login);
    let login = visible(&login.unwrap_or_else(|| me.id.clone()));
    let found = format!("an API token of {login}: it may do whatever they may");
    checks
        .push(Check::new("credentials", Verdict::Warning, found).fix(
            "a service app with the scope `okta.logs.read` may do nothing else: docs/okta.md",
        ));
    checks.push(age(client, &me.id));
}

/// How old the tokens of a user are: which of them is ours is not told.
fn age(client: &Client, user: &str) -> Check {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Token {
        name: Option<String>,
        user_id: Option<String>,
        created: Option<String>,
    }
    let answer = match get(client, &tokens(), Expects::Array, false) {
        Ok(answer) => answer,
        Err(failure) => {
            return Check::new("token age", Verdict::Unknown, failure.to_string())
                .fix("an admin who may read API tokens sees its age under Security, API, Tokens");
        }
    };
    let mut theirs: Vec<(i64, String)> = said::<Vec<Token>>(&answer)
        .unwrap_or_default()
        .into_iter()
        .filter(|token| token.user_id.as_deref() == Some(user))
        .filter_map(|token| {
            let created = parse_time(&token.created?)?;
            let days = answer.came.since(created).0 / Nanos::DAY.0;
            Some((days, visible(&token.name.unwrap_or_default())))
        })
        .collect();
    theirs.sort();
    let Some((days, name)) = theirs.last() else {
        return Check::new(
            "token age",
            Verdict::Unknown,
            "no token of this user is listed",
        );
    };
    let age = format!("{days} {}", noun(days.unsigned_abs(), "day"));
    let found = match theirs.len() {
        1 => format!("`{name}` is {age} old"),
        many => format!("of {many} tokens of this user the oldest, `{name}`, is {age} old"),
    };
    if *days <= OLD {
        return Check::new("token age", Verdict::Ok, found);
    }
    Check::new("token age", Verdict::Warning, found)
        .fix("make a new one, put it into `OKTA_API_TOKEN`, and revoke the old one")
}

/// What a service app was granted.
fn service_app(client: &Client, wanted: &[String], checks: &mut Vec<Check>) {
    let granted = match client.granted() {
        Ok(granted) => granted.unwrap_or_default(),
        Err(failure) => {
            checks.push(
                Check::new("credentials", Verdict::Error, failure.to_string())
                    .fix("check the client ID, the key and the granted scopes of the service app: docs/okta.md"),
            );
            return;
        }
    };
    let of = counted(granted.len() as u64, "scope");
    let found = format!("a service app with {of}: {}", visible(&granted.join(" ")));
    checks.push(Check::new("credentials", Verdict::Ok, found));
    let missing = wanted.iter().filter(|scope| !granted.contains(scope));
    let missing: Vec<&str> = missing.map(String::as_str).collect();
    if !missing.is_empty() {
        let found = format!("asked for and not granted: {}", missing.join(" "));
        checks.push(Check::new("scopes", Verdict::Error, found).fix(
            "grant them under Okta API Scopes of the service app, or leave them out of OKTA_SCOPES",
        ));
    }
}

/// Whether the System Log can be read, and how often.
fn logs(client: &Client, settings: &Settings) -> Check {
    let answer = ask(
        client,
        &system_log::operation(),
        &[("limit", "1")],
        Expects::Array,
        false,
    );
    match answer {
        Err(failure) => {
            let fix = match (&settings.credentials, failure.status()) {
                (Some(Credentials::ServiceApp(_)), _) => {
                    "a service app needs the scope `okta.logs.read` and an admin role such as Read-only Administrator"
                }
                (_, Some(401)) => "put a token that is valid into `OKTA_API_TOKEN`",
                _ => {
                    "whoever the token belongs to needs an admin role that reads the System Log, such as Read-only Administrator"
                }
            };
            Check::new("System Log", Verdict::Error, failure.to_string()).fix(fix)
        }
        Ok(answer) => {
            let share = settings.share * 100.0;
            let limit = match answer.rate_limit {
                Some(limit) => format!(
                    "its rate limit is {} a minute, of which {share:.0} % is used here",
                    counted(limit.limit, "request")
                ),
                None => "it tells no rate limit".to_owned(),
            };
            Check::new("System Log", Verdict::Ok, format!("can be read; {limit}"))
        }
    }
}
