//! Okta's API and the System Log, against the emulated tenant: manners, safety, and what is lost.
//!
//! Tenant and client share a clock that goes on when the client waits, so that nobody waits.
//! `docs/okta-faults.md` is written by `BLESS=1`: what a person sees of each fault.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use regex::Regex;
use rulectl::detect::{Finding, Heading, Match, Status};
use rulectl::event::{Digest, Nanos, Time};
use rulectl::geo::Databases;
use rulectl::okta::Mapping;
use rulectl::okta::client::{
    Call, Came, Client, Clock as _, Credentials, Expects, Failure, Gate, Operation, Origin, Reach,
    Registry, Sent, Settings, TooMany, Waits, token_operation,
};
use rulectl::okta::system_log::{self, Begin, SystemLog, Text};
use rulectl::pipeline::{self, Advance, DetectSink, Evidence, Late, Live, LiveSink, Rejected};
use rulectl::policy::Policy;
use rulectl::redact::Secret;
use rulectl::source::{Input, Reader, Remote};
use rulectl::tenant::faults::{ALL, FaultKind, Hostile};
use rulectl::tenant::{self, Clock, Fault, Options, Scenario, Tenant};

use crate::harness::{log, program, root, small, small_folder};

const S: i64 = Nanos::SECOND.0;

/// When tests begin: the end of the bundled day.
fn midnight() -> Time {
    Time::parse("2026-03-03T00:00:00Z").unwrap()
}

/// A clock that goes on when somebody waits.
#[derive(Clone)]
struct Hand(Arc<AtomicI64>);

impl Hand {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(midnight().0)))
    }

    fn turn(&self, seconds: i64) {
        self.0.fetch_add(seconds * S, Ordering::SeqCst);
    }
}

impl rulectl::okta::client::Clock for Hand {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }

    fn sleep(&self, pause: Duration) {
        let nanos = i64::try_from(pause.as_nanos()).unwrap();
        self.0.fetch_add(nanos, Ordering::SeqCst);
    }
}

/// What a client did, and whether it may do more.
#[derive(Default)]
struct Watched {
    registry: Registry,
    /// Requests that were recorded, and what came.
    seen: Mutex<Vec<String>>,
    waits: Mutex<Vec<String>>,
    warned: Mutex<Vec<TooMany>>,
    /// The audit cannot be written after so many requests.
    full_after: Option<usize>,
    /// Nor behind a request.
    full_behind: bool,
}

impl Gate for Watched {
    fn permits(&self, method: &str, path: &str) -> bool {
        self.registry.permits(method, path)
    }

    fn intend(&self, sent: &Sent<'_>) -> io::Result<u64> {
        let mut seen = self.seen.lock().unwrap();
        if self.full_after.is_some_and(|most| seen.len() >= most) {
            return Err(io::Error::other("the disk is full"));
        }
        seen.push(format!("{sent:?}"));
        Ok(seen.len() as u64 - 1)
    }

    fn conclude(&self, intent: u64, came: &Came<'_>) -> io::Result<()> {
        if self.full_behind {
            return Err(io::Error::other("the disk is full"));
        }
        let said = match came {
            Came::Answer { status, .. } => format!(" {status}"),
            Came::Nothing(failure) => format!(" {failure}"),
        };
        self.seen.lock().unwrap()[usize::try_from(intent).unwrap()].push_str(&said);
        Ok(())
    }

    fn waits(&self, waits: &Waits<'_>) {
        let said = match waits {
            Waits::Share { bucket, wait } => format!("share of {bucket} {}", wait.as_secs()),
            Waits::Retry { failure, wait, .. } => format!("{failure} {wait:?}"),
        };
        self.waits.lock().unwrap().push(said);
    }

    fn warns(&self, warning: &TooMany) {
        self.warned.lock().unwrap().push(*warning);
    }
}

/// A tenant with a client.
struct Place {
    tenant: Tenant,
    client: Arc<Client>,
    gate: Arc<Watched>,
    hand: Hand,
    token: String,
}

fn operations() -> Vec<Operation> {
    vec![
        system_log::operation(),
        token_operation(),
        Operation::get("/api/v1/users/{userId}", "users", "okta.users.read"),
    ]
}

/// A tenant of a scenario, and a client with these settings.
fn place(scenario: &str, change: impl FnOnce(&mut Settings)) -> Place {
    placed(scenario, change, Watched::default())
}

fn placed(scenario: &str, change: impl FnOnce(&mut Settings), watched: Watched) -> Place {
    let hand = Hand::new();
    let options = Options {
        clock: Clock::Manual(Arc::clone(&hand.0)),
        ..Options::default()
    };
    let token = "00canary-0f3a9c51d2-SSWS-4c1f8d5b6a4c0b8a3e22";
    let scenario = format!("tokens: [{{name: test, value: {token}}}]\n{scenario}");
    let tenant = tenant::start(Scenario::read(&scenario).unwrap(), options).unwrap();
    let origin = Origin::parse(&tenant.origin(), Reach::Private).unwrap();
    let credentials = Credentials::Token(Secret::new(token.to_owned()));
    let mut settings = Settings::new(origin, Reach::Private, Some(credentials));
    settings.retries = 2;
    settings.share = 1.0;
    settings.jitter = 1;
    // A machine with other work is slow, and no answer is waited for where there is none.
    settings.timeout = Duration::from_secs(20);
    change(&mut settings);
    let gate = Arc::new(Watched {
        registry: Registry::new(operations()),
        ..watched
    });
    let told: Arc<dyn Gate> = gate.clone();
    let client = Client::new(settings, told, Arc::new(hand.clone())).unwrap();
    Place {
        tenant,
        client: Arc::new(client),
        gate,
        hand,
        token: token.to_owned(),
    }
}

/// The scenario whose log is the bundled day.
fn day() -> String {
    format!("log: {{files: [{}]}}\n", log("demo-day.ndjson").display())
}

/// The whole day, as a bounded request.
fn bounded(place: &Place, limit: u32) -> Result<Vec<usize>, Failure> {
    let begin = Begin::Between(midnight().minus(Nanos::DAY), midnight());
    pages(place, &begin, limit)
}

fn pages(place: &Place, begin: &Begin, limit: u32) -> Result<Vec<usize>, Failure> {
    let mut log = SystemLog::new(Arc::clone(&place.client), begin, limit).unwrap();
    let mut pages = Vec::new();
    while let Some(page) = log.page()? {
        pages.push(page.events);
        if matches!(begin, Begin::Since(_)) && !page.is_full {
            break;
        }
    }
    Ok(pages)
}

#[test]
fn a_bounded_request_ends_and_a_polling_one_says_when_all_has_come() {
    let place = place(&day(), |_| {});
    assert_eq!(bounded(&place, 100).unwrap(), [100, 100, 100, 97]);
    let since = Begin::Since(midnight().minus(Nanos::DAY));
    assert_eq!(pages(&place, &since, 397).unwrap(), [397, 0]);
    assert_eq!(pages(&place, &since, 200).unwrap(), [200, 197]);
}

/// One row a fault: what a person sees, and how many requests it took.
#[test]
fn what_a_person_sees_of_each_fault() {
    let mut page = String::from(PAGE);
    for kind in ALL {
        let hostile = match kind {
            FaultKind::HostileNext(_) | FaultKind::HostileRedirect(_) => continue,
            kind => kind,
        };
        row(&mut page, hostile);
    }
    page.push_str(LINKS);
    for kind in tenant::faults::KINDS {
        row(&mut page, FaultKind::HostileNext(Some(kind)));
    }
    for kind in tenant::faults::KINDS {
        // A redirect to nothing new is one all the same.
        if !matches!(kind, Hostile::EndlessEmpty) {
            row(&mut page, FaultKind::HostileRedirect(Some(kind)));
        }
    }
    let file = root().join("docs/okta-faults.md");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, &page).unwrap();
    }
    let written = fs::read_to_string(file).unwrap_or_default();
    assert_eq!(written, page, "read, then BLESS=1");
}

const PAGE: &str = "# What goes wrong at Okta, and what you see

This page is written by a test, from the emulated tenant with each of its faults on every request: `rulectl tenant --fault NAME`. A day of 397 events is asked for in pages of 100, with two retries. What is read is whole, or there is an error with what to do; how requests wait is in [okta.md](okta.md).

| fault | requests | what you see |
|---|---|---|
";

const LINKS: &str = "
## Links and redirects that lead elsewhere

A link to the next page is data from outside: it is followed where it leads to the same origin and the same path, and nowhere else. A redirect is never followed. None of these requests left for the other place.

| fault | requests | what you see |
|---|---|---|
";

fn row(page: &mut String, kind: FaultKind) {
    let is_slow = matches!(kind, FaultKind::SlowBody(_) | FaultKind::NoAnswer);
    let place = place(&day(), |settings| {
        settings.timeout = Duration::from_secs(if is_slow { 1 } else { 20 });
    });
    place.tenant.set_fault(Fault { kind, share: 1.0 });
    let seen = match bounded(&place, 100) {
        Ok(pages) => format!(
            "{} events on {} pages",
            pages.iter().sum::<usize>(),
            pages.len()
        ),
        Err(failure) => failure.to_string(),
    };
    let port = Regex::new(r"(127\.0\.0\.1|localhost):\d+").unwrap();
    let seen = port.replace_all(&seen, "$1:PORT");
    let seen = seen.replace('|', "\\|");
    assert!(!seen.contains("canary"), "{seen}");
    let fault = Fault { kind, share: 1.0 }.to_string();
    let fault = fault
        .strip_suffix(":1")
        .or(fault.strip_suffix("=1"))
        .unwrap_or(&fault);
    let tally = place.client.tally();
    // Nothing that was hostile was asked.
    let asked = place.tenant.requests();
    assert!(
        asked.iter().all(|seen| seen.path == system_log::PATH),
        "{asked:?}"
    );
    writeln!(page, "| `{fault}` | {} | {seen} |", tally.requests).unwrap();
}

#[test]
fn no_more_than_our_share_of_a_rate_limit_is_used() {
    for (share, most) in [(1.0, 120), (0.5, 60), (0.1, 12)] {
        let place = place(&day(), |settings| settings.share = share);
        let begin = Begin::Between(midnight().minus(Nanos::DAY), midnight());
        let mut log = SystemLog::new(Arc::clone(&place.client), &begin, 1).unwrap();
        let mut minutes: BTreeMap<i64, u32> = BTreeMap::new();
        for _ in 0..300 {
            let begun = place.hand.now();
            log.page().unwrap();
            let minute = place.hand.now().since(midnight()).0 / (60 * S);
            *minutes.entry(minute).or_default() += 1;
            assert!(place.hand.now() >= begun);
        }
        let tally = place.client.tally();
        assert_eq!((tally.rate_limited, tally.requests), (0, 300), "{share}");
        assert!(
            minutes.values().all(|count| *count <= most + 1),
            "{share}: {minutes:?}"
        );
        assert!(
            place
                .gate
                .waits
                .lock()
                .unwrap()
                .iter()
                .all(|said| said.starts_with("share of logs"))
        );
    }
}

#[test]
fn a_rate_limit_that_others_use_up_is_waited_for_and_told() {
    let place = place(&day(), |settings| settings.retries = 5);
    place
        .tenant
        .set_fault("rate-limit-storm=0.5".parse().unwrap());
    assert_eq!(bounded(&place, 10).unwrap().iter().sum::<usize>(), 397);
    let tally = place.client.tally();
    assert!(
        tally.rate_limited > 10 && tally.retries == tally.rate_limited,
        "{tally:?}"
    );
    assert_eq!(
        place.gate.warned.lock().unwrap().len(),
        1,
        "once in ten minutes"
    );
}

#[test]
fn what_the_registry_does_not_hold_never_reaches_the_network() {
    let place = place("", |_| {});
    let outside = [
        Operation::get("/api/v1/groups", "groups", ""),
        Operation::get("/api/v1/users/{userId}/factors", "users", ""),
        Operation {
            method: "POST",
            ..Operation::get("/api/v1/logs", "logs", "")
        },
        Operation {
            method: "DELETE",
            ..Operation::get("/api/v1/users/{userId}", "users", "")
        },
        Operation::get("/api/v1/logs/../users", "logs", ""),
        Operation::get("/api/v1/logs?after=x", "logs", ""),
        Operation::get("//evil.example/api/v1/logs", "logs", ""),
    ];
    for operation in outside {
        let call = Call::new(&operation, &[("userId", "00u1")], &[], Expects::Array).unwrap();
        let refused = place.client.get(&call).unwrap_err();
        assert!(
            matches!(refused, Failure::NotPermitted { .. }),
            "{operation}: {refused}"
        );
    }
    assert_eq!(place.tenant.requests().len(), 0);
    assert_eq!(place.gate.seen.lock().unwrap().len(), 0);
}

#[test]
fn what_cannot_be_recorded_is_not_sent_and_no_answer_to_it_is_used() {
    let before = Watched {
        full_after: Some(2),
        ..Watched::default()
    };
    let place = placed(&day(), |_| {}, before);
    let refused = bounded(&place, 100).unwrap_err().to_string();
    assert_eq!(
        refused,
        "GET /api/v1/logs was not sent, since the audit cannot be written: the disk is full"
    );
    assert_eq!(place.tenant.requests().len(), 2);
    let seen = place.gate.seen.lock().unwrap();
    assert!(seen.iter().all(|seen| seen.ends_with(" 200")), "{seen:?}");

    let behind = Watched {
        full_behind: true,
        ..Watched::default()
    };
    let place = placed(&day(), |_| {}, behind);
    let refused = bounded(&place, 100).unwrap_err().to_string();
    assert_eq!(
        refused,
        "GET /api/v1/logs was sent, and its answer is dropped, since the audit cannot be written: the disk is full"
    );
    assert_eq!(place.tenant.requests().len(), 1);
}

#[test]
fn no_data_reaches_a_header() {
    let place = place("", |_| {});
    let operation = Operation::get("/api/v1/users/{userId}", "users", "okta.users.read");
    for value in ["a\r\nX-Evil: 1", "a\nb", "a\0b"] {
        assert!(Call::new(&operation, &[("userId", value)], &[], Expects::Object).is_none());
    }
    let query = [("q", "a\r\nX-Evil: 1&limit=9"), ("x y", "#?/")];
    let call = Call::new(&system_log::operation(), &[], &query, Expects::Array).unwrap();
    let _refused = place.client.get(&call);
    let seen = place.tenant.requests().remove(0);
    assert_eq!(
        seen.query,
        "q=a%0D%0AX-Evil%3A%201%26limit%3D9&x%20y=%23%3F%2F"
    );
    let names: Vec<&str> = seen.headers.iter().map(|(name, _)| name.as_str()).collect();
    let known = [
        "accept",
        "accept-encoding",
        "authorization",
        "host",
        "user-agent",
    ];
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
}

/// A service app of the tenant: its scenario, and its credentials.
fn app(algorithm: &str, dpop: bool, scopes: &str) -> (String, Credentials) {
    let read = |name: &str| fs::read_to_string(root().join("tests/okta").join(name)).unwrap();
    let public = read(&format!("{algorithm}.pub.pem")).replace('\n', "\n      ");
    let scenario = format!(
        "clients:\n  - client_id: 0oa1clientclientclien\n    dpop: {dpop}\n    scopes: [okta.logs.read]\n    pem: |\n      {public}\n{}",
        day()
    );
    let app = rulectl::okta::client::ServiceApp {
        client_id: "0oa1clientclientclien".to_owned(),
        key: Secret::new(read(&format!("{algorithm}.pem"))),
        key_id: None,
        scopes: scopes.split(' ').map(str::to_owned).collect(),
    };
    (scenario, Credentials::ServiceApp(app))
}

#[test]
fn a_service_app_proves_itself_with_and_without_dpop() {
    for (algorithm, dpop) in [
        ("rs256", false),
        ("rs256", true),
        ("es256", false),
        ("es256", true),
        ("es384", true),
    ] {
        let (scenario, credentials) = app(algorithm, dpop, "okta.logs.read");
        let place = place(&scenario, |settings| {
            settings.credentials = Some(credentials)
        });
        assert_eq!(
            bounded(&place, 100).unwrap(),
            [100, 100, 100, 97],
            "{algorithm} {dpop}"
        );
        assert_eq!(place.client.granted().unwrap().unwrap(), ["okta.logs.read"]);
        let asked = place.tenant.requests();
        let tokens = asked.iter().filter(|seen| seen.path == "/oauth2/v1/token");
        // The first proof cannot know the nonce of the server.
        assert_eq!(tokens.count(), 2, "{algorithm} {dpop}");
        // Before it ends, the token is renewed.
        place.hand.turn(3400);
        bounded(&place, 400).unwrap();
        let tally = place.client.tally();
        assert_eq!(tally.unauthorized, 0, "{tally:?}");
    }
}

#[test]
fn a_service_app_goes_on_when_its_token_or_its_nonce_ends() {
    let (scenario, credentials) = app("es256", true, "okta.logs.read");
    let place = place(&scenario, |settings| {
        settings.credentials = Some(credentials)
    });
    place.tenant.set_fault("expired-token=7".parse().unwrap());
    assert_eq!(bounded(&place, 10).unwrap().iter().sum::<usize>(), 397);
    place.tenant.clear_faults();
    place.tenant.set_fault("nonce-rotation=3".parse().unwrap());
    assert_eq!(bounded(&place, 10).unwrap().iter().sum::<usize>(), 397);
}

#[test]
fn scopes_that_are_missing_are_named() {
    let (scenario, credentials) = app("es256", false, "okta.logs.read okta.users.read");
    let place = place(&scenario, |settings| {
        settings.credentials = Some(credentials)
    });
    let said = bounded(&place, 100).unwrap_err().to_string();
    assert!(
        said.contains("invalid_scope") && said.contains("grant the scopes"),
        "{said}"
    );
}

static POLICY: LazyLock<Policy> = LazyLock::new(small);

/// What live detection tells: each finding as it was told last.
#[derive(Clone, Default)]
struct Told {
    findings: BTreeMap<String, Finding>,
    late: Vec<Late>,
}

impl DetectSink for Told {
    fn found(&mut self, _: &Heading, _: &Match) -> io::Result<()> {
        Ok(())
    }

    fn finding(&mut self, finding: Finding) -> io::Result<()> {
        self.findings.insert(finding.id.to_string(), finding);
        Ok(())
    }

    fn reject(&mut self, rejected: &Rejected) -> io::Result<()> {
        panic!("rejected: {rejected:?}")
    }

    fn evidence(&mut self, _: Evidence) -> io::Result<()> {
        Ok(())
    }
}

impl LiveSink for Told {
    fn advanced(&mut self, _: Advance) -> io::Result<()> {
        Ok(())
    }

    fn late(&mut self, late: &Late) -> io::Result<()> {
        self.late.push(late.clone());
        Ok(())
    }
}

fn settings() -> pipeline::Settings {
    pipeline::Settings {
        mapping: Mapping::Okta,
        since: None,
        until: None,
        strict: false,
        threads: 1,
        databases: Databases::NONE,
        evidence: None,
    }
}

fn live() -> Live<'static> {
    let names = vec!["log".to_owned()];
    Live::new(&POLICY.detector, settings(), names, Nanos(120 * S))
}

/// What one run over one file finds.
fn of_file(events: &str) -> BTreeMap<String, Finding> {
    let mut told = Told::default();
    let input = Input::Memory {
        name: "log".to_owned(),
        bytes: events.as_bytes().into(),
    };
    let show = |_| {};
    pipeline::detect(&POLICY.detector, vec![input], &settings(), &mut told, &show).unwrap();
    told.findings
}

/// Polls the whole log, and is cut off after these numbers of pages: what was decided since the
/// state was kept last is forgotten then, and what was told stays told.
fn polled(place: &Place, limit: u32, cuts: &[usize], keep_every: usize) -> Told {
    let mut told = Told::default();
    let mut kept: Option<(Vec<u8>, String)> = None;
    for cut in cuts.iter().map(Some).chain([None]) {
        let (mut live, begin) = match &kept {
            Some((state, link)) => {
                let (live, _) = live().restore(state, place.hand.now()).unwrap();
                assert_eq!(live.position(), Some(link.as_str()));
                (live, Begin::Behind(link.clone()))
            }
            None => (live(), Begin::Since(midnight().minus(Nanos::DAY))),
        };
        let mut log = SystemLog::new(Arc::clone(&place.client), &begin, limit).unwrap();
        let mut number = 0;
        loop {
            if cut == Some(&number) {
                break;
            }
            let page = match log.page() {
                Ok(page) => page.unwrap(),
                // Whoever polls asks again.
                Err(failure) if failure.is_transient() => continue,
                Err(failure) => panic!("{failure}"),
            };
            number += 1;
            let memory = Input::Memory {
                name: "page".to_owned(),
                bytes: page.text.into(),
            };
            for chunk in Reader::new(vec![memory]) {
                live.take(&chunk.unwrap(), page.asked, &mut told).unwrap();
            }
            if number % keep_every == 0 {
                let link = page.position.unwrap();
                live.at(Some(link.clone()));
                kept = Some((live.save(), link));
            }
            if !page.is_full {
                break;
            }
        }
        if cut.is_none() {
            live.finish(&mut told).unwrap();
            return told;
        }
    }
    unreachable!("the last round has no cut")
}

/// The bundled day, whose events the tenant tells as they are written.
fn day_as_told() -> String {
    fs::read_to_string(log("demo-day.ndjson")).unwrap()
}

fn compared(told: &Told) {
    let closed = |findings: &BTreeMap<String, Finding>| -> Vec<String> {
        let all = findings.values();
        all.map(|finding| {
            assert_eq!(finding.status, Status::Closed);
            let digest = Digest::of(serde_json::to_string(finding).unwrap().as_bytes());
            format!("{} {:?} {digest}", finding.rule_title, finding.first_seen)
        })
        .collect()
    };
    static EXPECTED: LazyLock<BTreeMap<String, Finding>> =
        LazyLock::new(|| of_file(&day_as_told()));
    assert_eq!(closed(&told.findings), closed(&EXPECTED));
    assert!(!EXPECTED.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is late within the bound, told twice, refused or cut off, and wherever the run is
    /// killed: what is found is what one run over one file finds.
    #[test]
    fn nothing_is_lost_and_nothing_doubled(
        limit in 1_u32..120,
        cuts in prop::collection::vec(0_usize..8, 0..50),
        keep_every in 1_usize..4,
        fault in prop::sample::select(vec!["", "rate-limit-storm=0.3", "rate-limit-without-reset=0.3", "concurrency-limit=0.3", "server-error=0.3", "reset-mid-body=0.3", "truncated-gzip=0.3", "malformed-json=0.2", "duplicate-link", "comma-links", "clock-skew=4000"]),
    ) {
        let scenario = format!("{}  duplicates: 0.1\n  late: {{share: 0.3, most: 100s}}\nrate_limits: {{buckets: {{/api/v1/logs: 100000}}}}\n", day().replace("log: {files: [", "log:\n  files: [").replace("]}", "]"));
        let place = place(&scenario, |settings| settings.retries = 8);
        if !fault.is_empty() {
            place.tenant.set_fault(fault.parse().unwrap());
        }
        let told = polled(&place, limit, &cuts, keep_every);
        prop_assert_eq!(told.late.len(), 0);
        compared(&told);
    }
}

#[test]
fn events_past_the_bound_are_listed_each() {
    let scenario = format!(
        "{}  later: {{share: 0.2, by: 3h}}\n",
        day()
            .replace("log: {files: [", "log:\n  files: [")
            .replace("]}", "]")
    );
    let place = place(&scenario, |_| {});
    let told = polled(&place, 50, &[], 1);
    let listed: Vec<Digest> = told.late.iter().map(|late| late.event_digest).collect();
    // What comes when much newer events have come.
    let mut late = Vec::new();
    let mut newest = Time(0);
    for event in told_in_order(&place) {
        let fields: serde_json::Value = serde_json::from_str(event.get()).unwrap();
        let published = Time::parse(fields["published"].as_str().unwrap()).unwrap();
        if published < newest.minus(Nanos(3600 * S)) {
            late.push(Digest::of_record(event.get().as_bytes()));
        }
        newest = newest.max(published);
    }
    let expected = of_file(&day_as_told());
    let of_findings = expected.values().flat_map(|finding| &finding.event_digests);
    let missed: Vec<&Digest> = of_findings.filter(|digest| late.contains(digest)).collect();
    assert!(!missed.is_empty());
    assert!(
        missed.iter().all(|digest| listed.contains(digest)),
        "an event is in no list"
    );
    assert!(
        listed.iter().all(|digest| late.contains(digest)),
        "an event came in time"
    );
}

/// All events in the order in which polling gives them.
fn told_in_order(place: &Place) -> Vec<Box<serde_json::value::RawValue>> {
    let begin = Begin::Since(midnight().minus(Nanos::DAY));
    let mut log = SystemLog::new(Arc::clone(&place.client), &begin, 1000).unwrap();
    serde_json::from_slice(&log.page().unwrap().unwrap().text).unwrap()
}

#[test]
fn a_bounded_log_is_an_input_like_a_file() {
    let place = place(&day(), |_| {});
    let begin = Begin::Between(midnight().minus(Nanos::DAY), midnight());
    let log_of = SystemLog::new(Arc::clone(&place.client), &begin, 90).unwrap();
    let pages = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&pages);
    let text = Text::new(
        log_of,
        Box::new(move |progress| told.lock().unwrap().push(progress)),
    );
    let remote = Remote::new("the log".to_owned(), Box::new(text));
    let mut told = Told::default();
    pipeline::detect(
        &POLICY.detector,
        vec![Input::Remote(remote)],
        &settings(),
        &mut told,
        &|_| {},
    )
    .unwrap();
    compared(&told);
    let pages = pages.lock().unwrap();
    let last = pages.last().unwrap();
    assert_eq!((last.pages, last.events), (5, 397));
    assert_eq!(last.newest.unwrap().day(), midnight().minus(Nanos(1)).day());
}

#[test]
fn a_place_of_another_tenant_is_not_gone_to() {
    let place = place(&day(), |_| {});
    for link in [
        "https://acme.okta.com/api/v1/logs?after=x",
        "http://127.0.0.1:1/api/v1/logs?after=x",
        "",
        "x",
    ] {
        let begin = Begin::Behind(link.to_owned());
        assert!(
            SystemLog::new(Arc::clone(&place.client), &begin, 10).is_err(),
            "{link}"
        );
    }
    assert_eq!(place.tenant.requests().len(), 0);
    assert!(!place.token.is_empty());
}

/// Variables of the environment.
type Variables<'v> = &'v [(&'v str, &'v str)];

/// A name, the scenario, who asks, a fault, and what is said.
type Diagnosis<'v> = (&'v str, String, Variables<'v>, &'v str, &'v [&'v str]);

/// The program, asking a tenant with a fault; what it says, and what it leaves.
fn said_under(fault: &str, how: &[&str]) -> (String, std::path::PathBuf, tempfile::TempDir) {
    let folder = small_folder();
    let options = Options::default();
    let token = "00canary-0f3a9c51d2-SSWS-4c1f8d5b6a4c0b8a3e22";
    let scenario = format!(
        "tokens: [{{name: test, value: {token}}}]\n{}",
        "log: {built_in: true}\n"
    );
    let tenant = tenant::start(Scenario::read(&scenario).unwrap(), options).unwrap();
    if !fault.is_empty() {
        tenant.set_fault(fault.parse().unwrap());
    }
    let run = program()
        .current_dir(folder.path())
        .args(["run", "--okta"])
        .args(how)
        .env("OKTA_ORG_URL", tenant.origin())
        .env("OKTA_API_TOKEN", token)
        .env("OKTA_ALLOW_PRIVATE", "true")
        .env("OKTA_RETRIES", "0")
        .env("OKTA_MAX_WAIT", "1s")
        .env("OKTA_TIMEOUT", "1s")
        .output()
        .unwrap();
    let mut said = String::from_utf8(run.stdout).unwrap();
    said.push_str(&String::from_utf8(run.stderr).unwrap());
    writeln!(said, "exit {:?}", run.status.code()).unwrap();
    (said, folder.path().join("data"), folder)
}

#[test]
fn a_token_is_in_nothing_that_is_said_or_left() {
    let kinds = ALL.iter().map(|kind| kind.name());
    for fault in kinds.chain([""]) {
        let (said, data, _folder) = said_under(fault, &["--hours", "24"]);
        assert!(!said.contains("canary"), "{fault}: {said}");
        let mut files = 0;
        for entry in walk(&data) {
            files += 1;
            let bytes = fs::read(&entry).unwrap();
            assert!(
                !bytes.windows(6).any(|part| part == b"canary"),
                "{}",
                entry.display()
            );
        }
        assert!(files > 5, "{files}");
        let is_well = said.ends_with("exit Some(0)\n");
        assert!(
            is_well || said.ends_with("exit Some(2)\n"),
            "{fault}: {said}"
        );
        assert_eq!(is_well, !said.contains("error: "), "{fault}: {said}");
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn what_is_said_wrongly_is_told_before_anything_is_asked() {
    let cases: [(&[&str], Variables<'_>, &str); 9] = [
        (&[], &[], "`--okta` needs to know from when"),
        (
            &["--hours", "1"],
            &[("OKTA_ORG_URL", "")],
            "no tenant is configured",
        ),
        (
            &["--hours", "1"],
            &[("OKTA_API_TOKEN", "")],
            "no credentials are configured",
        ),
        (
            &["--hours", "1"],
            &[("OKTA_API_TOKEN", "SSWS 00abcdefgh")],
            "without `SSWS` before it",
        ),
        (
            &["--hours", "1"],
            &[("OKTA_CLIENT_ID", "0oa1")],
            "both an API token and a service app",
        ),
        (
            &["--hours", "1"],
            &[("OKTA_ORG_URL", "https://acme-admin.okta.com")],
            "the API is at `https://acme.okta.com`",
        ),
        (
            &["--hours", "1"],
            &[("OKTA_ORG_URL", "http://acme.okta.com")],
            "unencrypted",
        ),
        (
            &["--hours", "1"],
            &[("OKTA_ORG_URL", "https://10.0.0.1")],
            "not a public address",
        ),
        (&["--follow", "--until", "2026-03-02"], &[], "has no end"),
    ];
    for (words, variables, expected) in cases {
        let folder = small_folder();
        let mut command = program();
        command
            .current_dir(folder.path())
            .args(["run", "--okta"])
            .args(words);
        command
            .env("OKTA_ORG_URL", "https://acme.okta.com")
            .env("OKTA_API_TOKEN", "00abcdefgh");
        for (name, value) in variables {
            command.env(name, value);
        }
        let run = command.output().unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(
            said.contains(expected) && run.status.code() == Some(3),
            "{expected}: {said}"
        );
        assert!(!folder.path().join("data").exists(), "{said}");
    }
}

/// What `doctor` says of a tenant, with the words before it, exit code last.
fn diagnosed(scenario: &str, variables: &[(&str, &str)], fault: &str) -> String {
    let folder = small_folder();
    let tenant = tenant::start(Scenario::read(scenario).unwrap(), Options::default()).unwrap();
    if !fault.is_empty() {
        tenant.set_fault(fault.parse().unwrap());
    }
    let mut command = program();
    command
        .current_dir(folder.path())
        .arg("doctor")
        .env("OKTA_ORG_URL", tenant.origin())
        .env("OKTA_ALLOW_PRIVATE", "true")
        .env(
            "OKTA_TIMEOUT",
            if fault == "no-answer" { "1s" } else { "20s" },
        );
    for (name, value) in variables {
        command.env(name, value);
    }
    let run = command.output().unwrap();
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(!said.contains("canary"), "{said}");
    format!("{said}exit {}\n", run.status.code().unwrap())
}

#[test]
fn doctor_says_of_each_thing_how_it_is_and_what_to_do() {
    let token = "00canary-doctor-token-0123456789abcdefghi";
    let user = "users: [{login: ann@example.com, status: ACTIVE}]\n";
    let tokens = |created: &str| {
        format!(
            "{user}tokens: [{{name: test, value: {token}, user: ann@example.com, created: {created}}}]\n"
        )
    };
    let asks = [("OKTA_API_TOKEN", token)];
    let key = root().join("tests/okta/es256.pem");
    let key = key.display().to_string();
    let app_asks = [
        ("OKTA_CLIENT_ID", "0oa1clientclientclien"),
        ("OKTA_PRIVATE_KEY_FILE", key.as_str()),
    ];
    let (app_scenario, _) = app("es256", true, "okta.logs.read");
    let well = "";
    let cases: [Diagnosis<'_>; 8] = [
        (
            "an API token",
            tokens("-3d"),
            &asks,
            well,
            &[
                "ok       tenant ",
                "warning  credentials    an API token of ann@example.com",
                "ok       token age      `test` is 3 days old",
                "ok       System Log     can be read",
                "unused   model",
                "exit 0",
            ],
        ),
        (
            "an old token",
            tokens("-40d"),
            &asks,
            well,
            &[
                "warning  token age      `test` is 40 days old",
                "revoke the old one",
                "exit 0",
            ],
        ),
        (
            "a wrong token",
            tokens("-3d"),
            &[("OKTA_API_TOKEN", "00canary-another")],
            well,
            &[
                "error    credentials    Okta answered 401",
                "errorId",
                "exit 2",
            ],
        ),
        (
            "nobody asks",
            tokens("-3d"),
            &[],
            well,
            &["error    credentials    none are configured", "exit 2"],
        ),
        (
            "a service app",
            app_scenario.clone(),
            &app_asks,
            well,
            &[
                "ok       credentials    a service app with 1 scope: okta.logs.read",
                "ok       System Log",
                "exit 0",
            ],
        ),
        (
            "a clock that is off",
            tokens("-3d"),
            &asks,
            "clock-skew=90",
            &[
                "warning  clock          ",
                "s behind Okta's",
                "NTP",
                "exit 0",
            ],
        ),
        (
            "a clock that is far off",
            tokens("-3d"),
            &asks,
            "clock-skew=4000",
            &["error    clock          ", "exit 2"],
        ),
        (
            "no answer",
            tokens("-3d"),
            &asks,
            "no-answer",
            &[
                "error    tenant         127.0.0.1:",
                "did not answer",
                "exit 2",
            ],
        ),
    ];
    for (name, scenario, variables, fault, expected) in cases {
        let said = diagnosed(&scenario, variables, fault);
        for part in expected {
            assert!(said.contains(part), "{name}: `{part}` in\n{said}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_log_without_end_goes_on_where_it_was_stopped() {
    let folder = small_folder();
    let token = "00canary-0f3a9c51d2-SSWS-4c1f8d5b6a4c0b8a3e22";
    let scenario = format!(
        "tokens: [{{name: test, value: {token}}}]\nlog: {{files: [{}], shift_to_now: true}}\n",
        log("demo-day.ndjson").display()
    );
    let tenant = tenant::start(Scenario::read(&scenario).unwrap(), Options::default()).unwrap();
    let follow = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rulectl"));
        command
            .current_dir(folder.path())
            .args(["run", "--okta", "--follow", "--hours", "30"])
            .env("OKTA_ORG_URL", tenant.origin())
            .env("OKTA_API_TOKEN", token)
            .env("OKTA_ALLOW_PRIVATE", "true")
            .env("OKTA_POLL", "1s")
            .env("OKTA_PAGE", "100")
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        let mut lines = io::BufReader::new(child.stderr.take().unwrap());
        while !said.contains("caught up") {
            let read = io::BufRead::read_line(&mut lines, &mut said).unwrap();
            assert!(read > 0, "{said}");
        }
        // It asked again, so that what came before is decided.
        let asked = tenant.requests().len();
        while tenant.requests().len() < asked + 2 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let stop = std::process::Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status();
        assert!(stop.unwrap().success());
        io::Read::read_to_string(&mut lines, &mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
        said
    };
    let first = follow();
    assert!(first.contains("begins with events of"), "{first}");
    assert!(first.contains("caught up: 4 pages, 397 events"), "{first}");
    let findings = folder.path().join("data/findings.jsonl");
    let found = fs::read_to_string(&findings).unwrap();
    let asked = tenant.requests().len();
    let second = follow();
    assert!(second.contains("goes on behind the last page"), "{second}");
    assert!(second.contains("caught up: 1 page, 0 events"), "{second}");
    let asked: Vec<String> = tenant.requests()[asked..]
        .iter()
        .map(|seen| seen.query.clone())
        .collect();
    assert!(
        asked.iter().all(|query| query.contains("after=")),
        "{asked:?}"
    );
    assert_eq!(
        fs::read_to_string(&findings).unwrap(),
        found,
        "artifacts stay"
    );
    // A state of another tenant is not gone on from.
    let other = tenant::start(Scenario::read(&scenario).unwrap(), Options::default()).unwrap();
    let run = program()
        .current_dir(folder.path())
        .args(["run", "--okta", "--follow"])
        .env("OKTA_ORG_URL", other.origin())
        .env("OKTA_API_TOKEN", token)
        .env("OKTA_ALLOW_PRIVATE", "true")
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert!(said.contains("the state is of another tenant"), "{said}");
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn clients_that_are_refused_together_do_not_come_again_together() {
    let waited = |jitter: u64| {
        let place = place(&day(), |settings| settings.jitter = jitter);
        place.tenant.set_fault("server-error".parse().unwrap());
        let _refused = bounded(&place, 100).unwrap_err();
        place.gate.waits.lock().unwrap().clone()
    };
    assert_eq!(waited(1), waited(1));
    assert_ne!(waited(1), waited(2));
    let origin = Origin::parse("https://acme.okta.com", Reach::Public).unwrap();
    let seed = || Settings::new(origin.clone(), Reach::Public, None).jitter;
    assert_ne!(seed(), seed());
}

/// A clock of a program that is told to stop while it waits.
struct Stopping(Hand, AtomicI64);

impl rulectl::okta::client::Clock for Stopping {
    fn now(&self) -> Time {
        rulectl::okta::client::Clock::now(&self.0)
    }

    fn sleep(&self, _: Duration) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }

    fn is_stopped(&self) -> bool {
        self.1.load(Ordering::SeqCst) > 0
    }
}

#[test]
fn nothing_is_asked_any_more_when_the_program_is_told_to_stop() {
    for fault in [
        "rate-limit-storm",
        "rate-limit-without-reset",
        "server-error",
    ] {
        let place = place(&day(), |_| {});
        place.tenant.set_fault(fault.parse().unwrap());
        let origin = Origin::parse(&place.tenant.origin(), Reach::Private).unwrap();
        let credentials = Credentials::Token(Secret::new(place.token.clone()));
        let settings = Settings::new(origin, Reach::Private, Some(credentials));
        let gate: Arc<dyn Gate> = place.gate.clone();
        let clock = Stopping(place.hand.clone(), AtomicI64::new(0));
        let client = Client::new(settings, gate, Arc::new(clock)).unwrap();
        let begin = Begin::Since(midnight().minus(Nanos::DAY));
        let mut log = SystemLog::new(Arc::new(client), &begin, 100).unwrap();
        log.page().unwrap_err();
        assert_eq!(place.gate.seen.lock().unwrap().len(), 1, "{fault}");
    }
}

#[test]
fn where_a_log_begins_is_known_before_its_first_page() {
    let place = place(&day(), |_| {});
    let client = || Arc::clone(&place.client);
    let begin = Begin::Since(midnight().minus(Nanos::DAY));
    let first = SystemLog::new(client(), &begin, 100).unwrap();
    let position = first.position().unwrap();
    // Nothing was asked, and a later start has the same pages, of the size that was asked for then.
    assert!(place.gate.seen.lock().unwrap().is_empty());
    let mut again = SystemLog::new(client(), &Begin::Behind(position), 1000).unwrap();
    let mut pages = Vec::new();
    loop {
        let page = again.page().unwrap().unwrap();
        pages.push(page.events);
        if !page.is_full {
            break;
        }
    }
    assert_eq!(pages, [100, 100, 100, 97]);
}

/// A server that repeats the token that it was sent, in one place.
fn parrot(place: &'static str) -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                asked.push(byte[0]);
            }
            let asked = String::from_utf8_lossy(&asked).into_owned();
            let token = asked.split("SSWS ").nth(1).unwrap_or_default();
            let token = token.lines().next().unwrap_or_default();
            let (mut status, mut header, mut body) = ("200 OK", String::new(), "[]".to_owned());
            match place {
                "location" => {
                    status = "302 Found";
                    header = format!("Location: https://login.example/?t=SSWS%20{token}\r\n");
                }
                "link" => {
                    header = format!("Link: <https://login.example/?t={token}>; rel=\"next\"\r\n")
                }
                "after" => {
                    let host = asked.split("host: ").nth(1).unwrap_or_default();
                    let host = host.lines().next().unwrap_or_default();
                    header = format!(
                        "Link: <http://{host}/api/v1/logs?after={token}>; rel=\"next\"\r\n"
                    );
                }
                "request-id" => header = format!("x-okta-request-id: {token}\r\n"),
                "text" => body = format!("{:.<170}{token}", "Proxy error "),
                "event" => body = format!("[{{\"uuid\": \"{token}\"}}]"),
                _ => body = format!("{{\"errorSummary\": \"{token}\"}}"),
            }
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    origin
}

#[test]
fn a_token_that_a_server_repeats_is_shown_nowhere() {
    const TOKEN: &str = "00canary-0f3a9c51d2-SSWS-4c1f8d5b6a4c0b8a3e22";
    for place in [
        "location",
        "link",
        "after",
        "request-id",
        "text",
        "event",
        "object",
    ] {
        let folder = small_folder();
        let origin = parrot(place);
        let run = program()
            .current_dir(folder.path())
            .args(["run", "--okta", "--hours", "1"])
            .env("OKTA_ORG_URL", &origin)
            .env("OKTA_API_TOKEN", TOKEN)
            .env("OKTA_ALLOW_PRIVATE", "true")
            .env("OKTA_RETRIES", "0")
            .output()
            .unwrap();
        let said = [run.stdout, run.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.contains("canary"), "{place}: {said}");
        for file in walk(&folder.path().join("data")) {
            let text = fs::read(&file).unwrap();
            let is_there = memchr_in(&text, b"canary");
            assert!(!is_there, "{place}: {} {said}", file.display());
        }
    }
}

fn memchr_in(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
