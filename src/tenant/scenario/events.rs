//! A day of plain events: people sign in, open what they use, and now and then mistype.

use serde_json::{Value, json};

use super::{Moment, Scenario, User};
use crate::tenant::seed::Seed;
use crate::tenant::time::{self, SECOND};

/// How long a day is that ends at the start, in seconds.
const DAY: u64 = 24 * 3600;

/// The events of the 24 hours before `now`, in the order in which they happened.
pub fn plain_day(scenario: &Scenario, seed: Seed, now: i64) -> Vec<Value> {
    let mut events = Vec::new();
    let people = scenario.users.iter().filter(|user| user.status.is_none());
    let recent = people.filter(|user| user.last_login.is_some_and(|moment| is_recent(moment, now)));
    for user in recent {
        let session = Session::new(scenario, seed, user);
        let start = seed.number(&["start", &user.login], DAY - 9 * 3600);
        events.extend(
            session
                .events()
                .into_iter()
                .map(|(after, event)| (start + after, event)),
        );
    }
    events.sort_by_key(|(second, _)| *second);
    let placed = events
        .into_iter()
        .enumerate()
        .map(|(number, (second, event))| {
            let number = number.to_string();
            let millis = seed.number(&["millisecond", &number], 1000);
            let ago = (DAY - second) * 1000 - millis;
            let published = now.saturating_sub(i64::try_from(ago).unwrap_or(0) * (SECOND / 1000));
            (published, finished(event, seed, &number, published))
        });
    let mut placed: Vec<(i64, Value)> = placed.collect();
    placed.sort_by_key(|(published, _)| *published);
    placed.into_iter().map(|(_, event)| event).collect()
}

/// Who signed in within three weeks is at work.
fn is_recent(moment: Moment, now: i64) -> bool {
    moment.nanos(now) > now.saturating_sub(21 * time::DAY)
}

/// A day of one person.
struct Session<'s> {
    scenario: &'s Scenario,
    seed: Seed,
    user: &'s User,
    id: String,
}

impl<'s> Session<'s> {
    fn new(scenario: &'s Scenario, seed: Seed, user: &'s User) -> Self {
        let id = seed.letters("102", &["session", &user.login], 25);
        Self {
            scenario,
            seed,
            user,
            id,
        }
    }

    /// What happens, and how many seconds after the first.
    fn events(&self) -> Vec<(u64, Value)> {
        let draw =
            |what: &str, below: u64| self.seed.number(&["day", &self.user.login, what], below);
        let mut events = Vec::new();
        if draw("mistypes", 8) == 0 {
            events.push((0, self.start("FAILURE", "INVALID_CREDENTIALS")));
        }
        events.push((25, self.policy()));
        events.push((26, self.start("SUCCESS", "")));
        if draw("factor", 3) > 0 {
            events.push((41, self.factor()));
        }
        let apps = self.apps();
        for number in 0..draw("apps", 12) + 2 {
            let name = number.to_string();
            let after = 60
                + self
                    .seed
                    .number(&["open", &self.user.login, &name], 8 * 3600);
            let Ok(which) = usize::try_from(
                self.seed
                    .number(&["which", &self.user.login, &name], apps.len() as u64),
            ) else {
                continue;
            };
            events.extend(apps.get(which).map(|label| (after, self.open(label))));
        }
        if draw("leaves", 3) == 0 {
            events.push((
                8 * 3600 + 600,
                self.event(
                    "user.session.end",
                    "User logout from Okta",
                    "SUCCESS",
                    "",
                    &[],
                ),
            ));
        }
        events
    }

    /// The labels of the applications that the person has.
    fn apps(&self) -> Vec<&'s str> {
        let login = &self.user.login;
        let groups = self
            .scenario
            .groups
            .iter()
            .filter(|group| group.members.contains(login));
        let groups: Vec<&str> = groups.map(|group| group.name.as_str()).collect();
        let apps = self.scenario.apps.iter().filter(|app| {
            app.users.contains(login)
                || app
                    .groups
                    .iter()
                    .any(|group| groups.contains(&group.as_str()))
        });
        apps.map(|app| app.label.as_str()).collect()
    }

    fn start(&self, result: &str, reason: &str) -> Value {
        self.event(
            "user.session.start",
            "User login to Okta",
            result,
            reason,
            &[],
        )
    }

    fn policy(&self) -> Value {
        let rule = json!({ "id": self.seed.id("0pr", "OKTA_SIGN_ON Default Policy Default Rule"), "type": "Rule",
            "alternateId": "unknown", "displayName": "Default Rule", "detailEntry": null });
        self.event(
            "policy.evaluate_sign_on",
            "Evaluation of sign-on policy",
            "ALLOW",
            "Sign-on policy evaluation resulted in ALLOW",
            &[rule],
        )
    }

    fn factor(&self) -> Value {
        let message = "Authentication of user via MFA";
        let mut event = self.event(
            "user.authentication.auth_via_mfa",
            message,
            "SUCCESS",
            "",
            &[],
        );
        if let Some(debug) = event
            .pointer_mut("/debugContext/debugData")
            .and_then(Value::as_object_mut)
        {
            debug.insert("factor".to_owned(), json!("OKTA_VERIFY_PUSH"));
        }
        event
    }

    fn open(&self, label: &str) -> Value {
        let app = json!({ "id": self.seed.id("0oa", label), "type": "AppInstance", "alternateId": label,
            "displayName": label, "detailEntry": null });
        self.event(
            "user.authentication.sso",
            "User single sign on to app",
            "SUCCESS",
            "",
            &[app],
        )
    }

    /// An event without its time and its ids.
    fn event(
        &self,
        kind: &str,
        message: &str,
        result: &str,
        reason: &str,
        more: &[Value],
    ) -> Value {
        let actor = self.actor();
        let is_failure = result == "FAILURE";
        let session = if is_failure {
            Value::Null
        } else {
            json!(self.id)
        };
        let mut target = more.to_vec();
        target.extend(
            kind.starts_with("user.authentication")
                .then(|| actor.clone()),
        );
        let mut event = json!({
            "actor": actor,
            "device": null,
            "authenticationContext": {
                "authenticationProvider": null, "credentialProvider": null, "credentialType": null, "issuer": null,
                "interface": null, "authenticationStep": 0, "rootSessionId": session, "externalSessionId": session,
            },
            "displayMessage": message,
            "eventType": kind,
            "legacyEventType": null,
            "outcome": { "result": result, "reason": if reason.is_empty() { Value::Null } else { json!(reason) } },
            "severity": if is_failure { "WARN" } else { "INFO" },
            "transaction": { "type": "WEB", "id": null, "detail": {} },
            "version": "0",
            "target": if target.is_empty() { Value::Null } else { json!(target) },
        });
        if let (Some(event), Value::Object(request)) = (event.as_object_mut(), self.request()) {
            event.extend(request);
        }
        event
    }

    fn actor(&self) -> Value {
        let user = self.user;
        let id = user
            .id
            .clone()
            .unwrap_or_else(|| self.seed.id("00u", &user.login));
        let name = format!("{} {}", user.first_name, user.last_name);
        json!({ "id": id, "type": "User", "alternateId": user.login, "displayName": name, "detailEntry": null })
    }

    /// 32 hexadecimal digits that are the person's.
    fn hex(&self, what: &str) -> String {
        self.seed.uuid(&[what, &self.user.login]).replace('-', "")
    }

    /// What an event tells of the request that it comes from.
    fn request(&self) -> Value {
        let address = self.seed.number(&["address", &self.user.login], 250);
        let address = format!("198.51.100.{}", address + 1);
        let place = json!({ "city": "Lisbon", "state": "Lisbon", "country": "Portugal", "postalCode": "1000-001",
            "geolocation": { "lat": 38.7223, "lon": -9.1393 } });
        json!({
            "client": {
                "userAgent": {
                    "rawUserAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
                    "os": "Mac OS X", "browser": "CHROME",
                },
                "zone": "Offices", "device": "Computer", "id": null, "ipAddress": address, "geographicalContext": place,
            },
            "securityContext": { "asNumber": 64496, "asOrg": "example networks", "isp": "example networks",
                "domain": "robotics.example", "isProxy": false },
            "debugContext": { "debugData": {
                "deviceFingerprint": self.hex("fingerprint"),
                "dtHash": format!("{}{}", self.hex("device"), self.hex("token")),
                "requestUri": "/idp/idx/identify", "url": "/idp/idx/identify?", "threatSuspected": "false",
                "risk": "{level=LOW}",
                "behaviors": "{New City=NEGATIVE, New Device=NEGATIVE, New IP=NEGATIVE, Velocity=NEGATIVE}",
            } },
            "request": { "ipChain": [{ "ip": address, "geographicalContext": place, "version": "V4", "source": null }] },
        })
    }
}

fn finished(mut event: Value, seed: Seed, number: &str, published: i64) -> Value {
    if let Some(map) = event.as_object_mut() {
        map.insert("uuid".to_owned(), json!(seed.uuid(&["event", number])));
        map.insert("published".to_owned(), json!(time::written(published)));
    }
    if let Some(id) = event.pointer_mut("/transaction/id") {
        *id = json!(seed.letters("a", &["transaction", number], 27));
    }
    event
}
