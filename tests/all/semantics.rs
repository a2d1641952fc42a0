//! What is a finding and what is not: the shipped rules, and the meaning of every part of a rule.

use rulectl::detect::Finding;
use rulectl::okta::Mapping;
use rulectl::policy::Policy;
use serde_json::{Value, json};

use crate::harness::{
    Received, at, lines, memory, policy_of, run, run_inputs, sign_in, small, user_id, with,
};

/// Dotted paths and their values.
type Fields<'f> = &'f [(&'f str, Value)];
/// Findings as [`check`] shows them.
type Lines<'l> = &'l [&'l str];

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Runs events in three orders, which must not matter, and compares the findings, one a line:
/// `RULE COUNT/HITS: DESCRIPTION`.
#[track_caller]
fn check(policy: &Policy, what: &str, events: &[Value], expected: &[&str]) -> Received {
    let received = run(policy, events);
    let shown: Vec<String> = received
        .outcomes
        .iter()
        .map(|outcome| line(&outcome.finding))
        .collect();
    assert_eq!(shown, expected, "{what}");
    let reversed: Vec<Value> = events.iter().rev().cloned().collect();
    let (even, odd): (Vec<_>, Vec<_>) = events
        .iter()
        .cloned()
        .enumerate()
        .partition(|(at, _)| at % 2 == 0);
    let split: Vec<Value> = odd
        .into_iter()
        .chain(even)
        .map(|(_, event)| event)
        .collect();
    for (order, events) in [("reversed", reversed), ("split", split)] {
        assert_eq!(
            run(policy, &events).outcomes,
            received.outcomes,
            "{what}, {order}"
        );
    }
    received
}

fn line(finding: &Finding) -> String {
    let rule = finding.rule_name.as_deref().unwrap_or(&finding.rule_title);
    format!(
        "{rule} {}/{}: {}",
        finding.count, finding.hits, finding.description
    )
}

fn findings(received: &Received) -> Vec<&Finding> {
    received
        .outcomes
        .iter()
        .map(|outcome| &outcome.finding)
        .collect()
}

/// So many sign-ins of `alice`, so many seconds apart.
fn sign_ins(result: &str, count: i64, apart: i64) -> Vec<Value> {
    (0..count)
        .map(|turn| sign_in("alice", result, turn * apart))
        .collect()
}

#[test]
fn a_burst_is_one_finding_that_says_how_many() {
    let policy = small();
    #[rustfmt::skip]
    let cases: [(i64, i64, &[&str]); 9] = [
        (1, 60, &[]),
        (4, 60, &[]),
        (5, 60, &["failed_login_burst 5/1: 5 failed logins for alice@example.com within 4m"]),
        (7, 60, &["failed_login_burst 7/3: 7 failed logins for alice@example.com within 6m"]),
        (20, 20, &["failed_login_burst 20/16: 20 failed logins for alice@example.com within 6m 20s"]),
        (100, 5, &["failed_login_burst 100/96: 100 failed logins for alice@example.com within 8m 15s"]),
        (100, 60, &["failed_login_burst 100/96: 100 failed logins for alice@example.com within 1h 39m"]),
        (5, 150, &[]),
        (5, 149, &["failed_login_burst 5/1: 5 failed logins for alice@example.com within 9m 56s"]),
    ];
    for (count, apart, expected) in cases {
        check(
            &policy,
            &format!("{count} failures, {apart} s apart"),
            &sign_ins("FAILURE", count, apart),
            expected,
        );
    }
}

#[test]
fn only_failed_sign_ins_of_one_account_are_a_burst() {
    let policy = small();
    let failures = sign_ins("FAILURE", 6, 10);
    let each = |path: &'static str, value: &dyn Fn(usize) -> Value| -> Vec<Value> {
        failures
            .iter()
            .enumerate()
            .map(|(turn, event)| with(event.clone(), [(path, value(turn))]))
            .collect()
    };
    let one = "failed_login_burst 6/2: 6 failed logins for alice@example.com within 50s";
    #[rustfmt::skip]
    let cases: [(&str, Vec<Value>, &[&str]); 9] = [
        ("as they are", failures.clone(), &[one]),
        ("tokens that were not granted", each("eventType", &|_| "app.oauth2.token.grant".into()), &[]),
        ("second factors that failed", each("eventType", &|_| "user.authentication.auth_via_mfa".into()), &[]),
        ("a longer event type", each("eventType", &|_| "user.session.start.other".into()), &[]),
        ("sign-ins that succeeded", sign_ins("SUCCESS", 20, 10), &[]),
        ("no result", each("outcome.result", &|_| Value::Null), &[]),
        ("six accounts", each("actor.alternateId", &|turn| { format!("u{turn}@example.com").into() }), &[]),
        ("the account in several cases", each("actor.alternateId", &|turn| { if turn == 0 { "Alice@Example.com" } else { "alice@example.COM" }.into() }), &["failed_login_burst 6/2: 6 failed logins for alice@example.COM within 50s"]),
        ("no account", each("actor.alternateId", &|_| Value::Null), &[]),
    ];
    for (what, events, expected) in cases {
        check(&policy, what, &events, expected);
    }
}

const SYDNEY: (&str, f64, f64) = ("Australia", -33.8688, 151.2093);
const NEW_YORK: (&str, f64, f64) = ("United States", 40.7503, -73.9967);
const LONDON: (&str, f64, f64) = ("United Kingdom", 51.5074, -0.1278);
const BASEL: (&str, f64, f64) = ("Switzerland", 47.5596, 7.5886);
const WEIL: (&str, f64, f64) = ("Germany", 47.5936, 7.6108);
const PARIS: (&str, f64, f64) = ("France", 48.8566, 2.3522);

/// A sign-in from a place with coordinates.
fn from_place(place: (&str, f64, f64), result: &str, seconds: i64) -> Value {
    let (country, lat, lon) = place;
    with(
        from_country(country, result, seconds),
        [(
            "client.geographicalContext.geolocation",
            json!({"lat": lat, "lon": lon}),
        )],
    )
}

/// A sign-in from a country without coordinates.
fn from_country(country: &str, result: &str, seconds: i64) -> Value {
    with(
        sign_in("bob", result, seconds),
        [("client.geographicalContext.country", country.into())],
    )
}

#[test]
fn travel_is_impossible_by_speed_and_without_coordinates_by_country() {
    let policy = small();
    let travel = |from: &str, to: &str, rest: &str| {
        format!("impossible_travel {rest}").replace(
            ": ",
            &format!(
                ": bob@example.com signed in from unknown, {from} and then from unknown, {to}: "
            ),
        )
    };
    let place = |place, seconds| from_place(place, "SUCCESS", seconds);
    let country = |country, seconds| from_country(country, "SUCCESS", seconds);
    let alternating: Vec<Value> = (0..10)
        .map(|turn| {
            country(
                ["France", "United States"][turn as usize % 2],
                turn * 5 * MINUTE,
            )
        })
        .collect();
    let with_coordinates: Vec<Value> = (0..10)
        .map(|turn| place([PARIS, NEW_YORK][turn as usize % 2], turn * 5 * MINUTE))
        .collect();
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<Value>, Vec<String>)> = vec![
        ("Sydney, New York 61 minutes later", vec![place(SYDNEY, 0), place(NEW_YORK, 61 * MINUTE)], vec![travel("Australia", "United States", "2/1: 2 sign-ins within 1h 1m")]),
        ("Basel, Weil am Rhein 50 minutes later", vec![place(BASEL, 0), place(WEIL, 50 * MINUTE)], vec![]),
        ("Basel, Weil am Rhein at one instant", vec![place(BASEL, 0), place(WEIL, 0)], vec![]),
        ("London, New York by air", vec![place(LONDON, 0), place(NEW_YORK, 9 * HOUR)], vec![]),
        ("London, New York faster than by air", vec![place(LONDON, 0), place(NEW_YORK, 6 * HOUR)], vec![travel("United Kingdom", "United States", "2/1: 2 sign-ins within 6h")]),
        ("two continents at one instant", vec![place(SYDNEY, 0), with(place(SYDNEY, 0), [("uuid", "again".into())]), place(SYDNEY, 1)], vec![]),
        ("ten sign-ins between two countries", alternating, vec![travel("France", "United States", "10/9: 10 sign-ins within 45m")]),
        ("ten sign-ins between two cities", with_coordinates, vec![travel("France", "United States", "10/9: 10 sign-ins within 45m")]),
        ("two countries, an hour apart", vec![country("France", 0), country("US", HOUR)], vec![travel("France", "US", "2/1: 2 sign-ins within 1h")]),
        ("two countries, more than an hour apart", vec![country("France", 0), with(country("US", HOUR), [("published", at(HOUR, 1))])], vec![]),
        ("one country by code and by name", vec![country("FR", 0), country("France", MINUTE), country("fra", 2 * MINUTE), country("FRANCE", 3 * MINUTE)], vec![]),
        ("two countries by code and by name", vec![country("FR", 0), country("United States", MINUTE)], vec![travel("FR", "United States", "2/1: 2 sign-ins within 1m")]),
        ("coordinates of one of the two", vec![place(PARIS, 0), country("United States", MINUTE)], vec![travel("France", "United States", "2/1: 2 sign-ins within 1m")]),
        ("coordinates of one, and one country", vec![place(PARIS, 0), country("FR", MINUTE)], vec![]),
        ("coordinates that are not on Earth", vec![place(("France", 91.0, 0.0), 0), place(("FR", 48.0, 181.0), MINUTE)], vec![]),
        ("no place at all", vec![sign_in("bob", "SUCCESS", 0), country("US", MINUTE)], vec![]),
        ("a failure elsewhere", vec![place(PARIS, 0), from_place(NEW_YORK, "FAILURE", MINUTE), place(PARIS, 2 * MINUTE)], vec![]),
        ("a failure between", vec![place(PARIS, 0), from_place(PARIS, "FAILURE", MINUTE), place(NEW_YORK, 2 * MINUTE)], vec![travel("France", "United States", "2/1: 2 sign-ins within 2m")]),
        ("two days", vec![place(PARIS, 0), place(NEW_YORK, 2 * DAY)], vec![]),
    ];
    for (what, events, expected) in cases {
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check(&policy, what, &events, &expected);
    }
}

#[test]
fn two_places_at_one_instant_count_as_a_second_apart() {
    let events = [
        from_place(SYDNEY, "SUCCESS", 0),
        from_place(NEW_YORK, "SUCCESS", 0),
    ];
    let received = run(&small(), &events);
    let found = findings(&received);
    let [finding] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        finding.reasons,
        ["15990 km in 1s is 57563446 km/h, faster than 900 km/h"]
    );
    assert_eq!(
        (finding.count, finding.first_seen == finding.last_seen),
        (2, true)
    );
}

#[test]
fn turned_down_pushes_are_counted_in_both_engines() {
    let policy = small();
    let classic = [("eventType", json!("user.mfa.okta_verify.deny_push"))];
    let engine = [
        ("eventType", json!("user.authentication.auth_via_mfa")),
        ("debugContext.debugData.factor", json!("OKTA_VERIFY_PUSH")),
    ];
    let denied = [
        ("eventType", json!("user.authentication.auth_via_mfa")),
        (
            "debugContext.debugData.pushOnlyResponseType",
            json!("OV_RESPONSE_DENY"),
        ),
    ];
    let code = [
        ("eventType", json!("user.authentication.auth_via_mfa")),
        (
            "debugContext.debugData.factor",
            json!("GOOGLE_AUTHENTICATOR"),
        ),
    ];
    let phishing = [
        ("eventType", json!("user.authentication.auth_via_mfa")),
        ("debugContext.debugData.factor", json!("OKTA_VERIFY_PUSH")),
        (
            "outcome.reason",
            json!("FastPass declined phishing attempt"),
        ),
    ];
    let one =
        "mfa_fatigue 5/1: 5 MFA pushes to alice@example.com were turned down or failed within 4m";
    #[rustfmt::skip]
    let cases: [(&str, Fields<'_>, &str, i64, Lines<'_>); 8] = [
        ("classic", &classic, "FAILURE", 5, &[one]),
        ("classic, whatever the result", &classic, "SUCCESS", 5, &[one]),
        ("classic, four", &classic, "FAILURE", 4, &[]),
        ("engine, by factor", &engine, "FAILURE", 5, &[one]),
        ("engine, by response", &denied, "FAILURE", 5, &[one]),
        ("engine, accepted", &engine, "SUCCESS", 5, &[]),
        ("engine, mistyped codes", &code, "FAILURE", 5, &[]),
        ("engine, phishing declined by the device", &phishing, "FAILURE", 5, &[]),
    ];
    for (what, fields, result, count, expected) in cases {
        let mut events = sign_ins(result, count, MINUTE);
        for event in &mut events {
            for (path, value) in fields {
                rulectl::okta::place(event, path, value.clone());
            }
        }
        check(&policy, what, &events, expected);
    }
}

/// A rule on single events.
fn detection(search: &str, condition: &str) -> String {
    format!(
        "title: seen\nlogsource: {{product: okta}}\ndetection:\n  s: {search}\n  condition: {condition}\n"
    )
}

#[test]
fn a_search_holds_for_the_values_that_it_names() {
    let user = json!({"target": [{"type": "User", "id": "u"}, {"type": "AppUser"}]});
    #[rustfmt::skip]
    let cases: [(&str, &str, Value, bool); 70] = [
        // Arrays: any element; under `not`, no element.
        ("{target.type: User}", "s", user.clone(), true),
        ("{target.type: AppUser}", "s", user.clone(), true),
        ("{target.type: Group}", "s", user.clone(), false),
        ("{target.type: User}", "not s", user.clone(), false),
        ("{target.type: Group}", "not s", user.clone(), true),
        ("{target.type|neq: User}", "s", user.clone(), false),
        ("{target.type|neq: Group}", "s", user.clone(), true),
        ("{target.type: User}", "not s", json!({"target": []}), true),
        ("{target.type: User}", "not s", json!({"target": null}), true),
        ("{target.type: User}", "not s", json!({}), true),
        ("{tags: b}", "s", json!({"tags": ["a", "B"]}), true),
        ("{tags|contains|all: [a, b]}", "s", json!({"tags": ["xa", "xb"]}), true),
        ("{tags|contains|all: [a, c]}", "s", json!({"tags": ["xa", "xb"]}), false),
        // Missing, null, and the text `null`.
        ("{actor.id: null}", "s", json!({}), true),
        ("{actor.id: null}", "s", json!({"actor": null}), true),
        ("{actor.id: null}", "s", json!({"actor": {"id": null}}), true),
        ("{actor.id: null}", "s", json!({"actor": {"id": "null"}}), false),
        ("{actor.id: null}", "s", json!({"actor": {"id": ""}}), false),
        ("{actor.id: 'null'}", "s", json!({"actor": {"id": "null"}}), true),
        ("{actor.id: 'null'}", "s", json!({"actor": {"id": null}}), false),
        ("{actor.id: 'null'}", "s", json!({}), false),
        ("{actor.id: ''}", "s", json!({"actor": {"id": ""}}), true),
        ("{actor.id: ''}", "s", json!({}), false),
        ("{actor.id: [null, x]}", "s", json!({"actor": {"id": "x"}}), true),
        ("{actor.id|exists: true}", "s", json!({"actor": {"id": null}}), true),
        ("{actor.id|exists: true}", "s", json!({"actor": {"id": "null"}}), true),
        ("{actor.id|exists: true}", "s", json!({"actor": {}}), false),
        ("{actor.id|exists: false}", "s", json!({"actor": {}}), true),
        ("{actor.id|exists: false}", "s", json!({}), true),
        ("{actor.id|exists: false}", "s", json!({"actor": {"id": null}}), false),
        ("{target.id|exists: true}", "s", user.clone(), true),
        ("{target.id|exists: false}", "s", json!({"target": []}), true),
        // Types that differ compare by text.
        ("{x: 'true'}", "s", json!({"x": true}), true),
        ("{x: true}", "s", json!({"x": "true"}), true),
        ("{x: true}", "s", json!({"x": "TRUE"}), true),
        ("{x: true}", "s", json!({"x": true}), true),
        ("{x: true}", "s", json!({"x": false}), false),
        ("{x: 'true'}", "s", json!({"x": null}), false),
        ("{x: 403}", "s", json!({"x": 403}), true),
        ("{x: 403}", "s", json!({"x": "403"}), true),
        ("{x: '403'}", "s", json!({"x": 403}), true),
        ("{x: 403}", "s", json!({"x": 403.0}), true),
        ("{x: 403}", "s", json!({"x": 4030}), false),
        ("{x: 1}", "s", json!({"x": true}), false),
        ("{x: yes}", "s", json!({"x": "yes"}), true),
        ("{x: yes}", "s", json!({"x": true}), false),
        ("{x: 010}", "s", json!({"x": "010"}), true),
        // Texts: case, wildcards, modifiers.
        ("{x: ADMIN}", "s", json!({"x": "admin"}), true),
        ("{x|cased: ADMIN}", "s", json!({"x": "admin"}), false),
        ("{X: admin}", "s", json!({"x": "admin"}), false),
        ("{x: 'ÄÖ'}", "s", json!({"x": "äö"}), true),
        ("{x: 'a*d'}", "s", json!({"x": "abcd"}), true),
        ("{x: 'a\\*d'}", "s", json!({"x": "abcd"}), false),
        ("{x: 'a\\*d'}", "s", json!({"x": "a*d"}), true),
        ("{x|startswith: 'ab'}", "s", json!({"x": "ABc"}), true),
        ("{x|endswith: 'bc'}", "s", json!({"x": "abcd"}), false),
        ("{x|re: '^a.c$'}", "s", json!({"x": "abc"}), true),
        ("{x|re: '^a.c$'}", "s", json!({"x": "ABC"}), false),
        ("{x|re|i: '^a.c$'}", "s", json!({"x": "ABC"}), true),
        ("{x|gte: 5}", "s", json!({"x": "5"}), true),
        ("{x|lt: 5}", "s", json!({"x": 5}), false),
        ("{x|gt: 5}", "s", json!({"x": "many"}), false),
        ("{x|fieldref: y}", "s", json!({"x": "A", "y": "a"}), true),
        ("{x|fieldref: y}", "s", json!({}), false),
        ("{x|cidr: 10.0.0.0/8}", "s", json!({"x": "10.1.2.3"}), true),
        ("{x|cidr: 10.0.0.0/8}", "s", json!({"x": "null"}), false),
        ("{x|cidr: '2001:db8::/32'}", "s", json!({"x": "2001:db8::1"}), true),
        ("[needle]", "s", json!({"deep": [{"er": "hayNEEDLEhay"}]}), true),
        ("[{x: 1}, {y: 2}]", "s", json!({"y": 2}), true),
        ("{x: [1, 2], y: 3}", "s", json!({"x": 2, "y": 4}), false),
    ];
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(search, condition, event, holds)| {
            run(
                &policy_of(&detection(search, condition)),
                std::slice::from_ref(event),
            )
            .outcomes
            .is_empty()
                == *holds
        })
        .map(|(search, condition, event, holds)| {
            format!("{search}, {condition}: {event} should give {holds}")
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `failed_login` and a correlation over it.
fn correlation(body: &str) -> String {
    format!(
        "title: Failed sign-in\nname: failed_login\nlogsource: {{product: okta}}\ndetection:\n  s: {{eventType: user.session.start, outcome.result: FAILURE}}\n  condition: s\n---\n\
         title: Correlated\nname: many\n{body}"
    )
}

const TWO_IN_TEN_MINUTES: &str = "correlation: {type: event_count, rules: [failed_login], group-by: [actor.id], timespan: 10m, condition: {gte: 2}}\n";

fn failure(seconds: i64, nanos: i64) -> Value {
    with(
        sign_in("alice", "FAILURE", seconds),
        [
            ("published", at(seconds, nanos)),
            ("uuid", format!("{seconds}.{nanos}").into()),
        ],
    )
}

#[test]
fn windows_and_suppression_end_to_the_nanosecond() {
    let short = "correlation: {type: event_count, rules: [failed_login], group-by: [actor.id], timespan: 1m, condition: {gte: 2}}\nrulectl: {suppress: 10m}\n";
    let none = short.replace("10m", "0s");
    let single = "correlation: {type: event_count, rules: [failed_login], timespan: 1m, condition: {gte: 1}}\n";
    let (one, two) = ("many 2/1: Correlated", "many 4/2: Correlated");
    #[rustfmt::skip]
    let cases: [(&str, &str, Vec<Value>, &[&str]); 11] = [
        ("just inside the window", TWO_IN_TEN_MINUTES, vec![failure(0, 0), failure(599, 999_999_999)], &[one]),
        ("at the edge of the window", TWO_IN_TEN_MINUTES, vec![failure(0, 0), failure(600, 0)], &[]),
        ("at the edge, the earlier later", TWO_IN_TEN_MINUTES, vec![failure(0, 1), failure(600, 0)], &[one]),
        ("at one instant", TWO_IN_TEN_MINUTES, vec![failure(0, 0), with(failure(0, 0), [("uuid", "other".into())])], &[one]),
        ("hits exactly as far apart as suppression", short, vec![failure(0, 0), failure(1, 0), failure(600, 0), failure(601, 0)], &[two]),
        ("hits a nanosecond further apart", short, vec![failure(0, 0), failure(1, 0), failure(600, 0), failure(601, 1)], &[one, one]),
        ("suppression is the time span unless declared", TWO_IN_TEN_MINUTES, vec![failure(0, 0), failure(1, 0), failure(601, 0), failure(602, 0)], &[one, one]),
        ("and joins up to it", TWO_IN_TEN_MINUTES, vec![failure(0, 0), failure(1, 0), failure(600, 0), failure(601, 0)], &["many 4/3: Correlated"]),
        ("no suppression", &none, vec![failure(0, 0), failure(1, 0), failure(2, 0)], &[one, "many 3/1: Correlated"]),
        ("a hit each", single, vec![failure(0, 0), failure(60, 0)], &["many 2/2: Correlated"]),
        ("a hit each, too far apart", single, vec![failure(0, 0), failure(60, 1)], &["many 1/1: Correlated", "many 1/1: Correlated"]),
    ];
    for (what, body, events, expected) in cases {
        check(&policy_of(&correlation(body)), what, &events, expected);
    }
}

#[test]
fn a_condition_may_bound_the_count_from_both_sides() {
    let cases: [(&str, i64, &[&str]); 9] = [
        ("{gt: 2}", 2, &[]),
        ("{gt: 2}", 3, &["many 3/1: Correlated"]),
        ("{gte: 2, lt: 4}", 5, &["many 3/2: Correlated"]),
        ("{eq: 2}", 3, &["many 2/1: Correlated"]),
        ("{neq: 1}", 2, &["many 2/1: Correlated"]),
        ("{lte: 2}", 3, &["many 2/2: Correlated"]),
        ("{lt: 2}", 3, &["many 1/1: Correlated"]),
        ("{gte: 0}", 1, &["many 1/1: Correlated"]),
        ("{gte: 5}", 0, &[]),
    ];
    for (condition, count, expected) in cases {
        let policy = policy_of(&correlation(
            &TWO_IN_TEN_MINUTES.replace("{gte: 2}", condition),
        ));
        check(
            &policy,
            &format!("{count} of {condition}"),
            &sign_ins("FAILURE", count, 1),
            expected,
        );
    }
}

#[test]
fn a_finding_open_for_a_day_goes_on_in_another_that_names_it() {
    let body = "correlation: {type: event_count, rules: [failed_login], group-by: [actor.id], timespan: 30m, condition: {gte: 1}}\nrulectl: {suppress: 1h, summary: '{count} in {span}'}\n";
    let policy = policy_of(&correlation(body));
    let expected = [
        "many 29/29: 29 in 23h 20m",
        "many 29/29: 29 in 23h 20m",
        "many 2/2: 2 in 50m",
    ];
    let received = check(
        &policy,
        "every 50 minutes for two days and more",
        &sign_ins("FAILURE", 60, 50 * MINUTE),
        &expected,
    );
    let found = findings(&received);
    let continues: Vec<_> = found.iter().map(|finding| finding.continues).collect();
    assert_eq!(continues, [None, Some(found[0].id), Some(found[1].id)]);
    // Another account's events close it as well, and that changes nothing.
    let mut events = sign_ins("FAILURE", 60, 50 * MINUTE);
    events.extend((0..100).map(|turn| sign_in("zoe", "SUCCESS", turn * 37 * MINUTE)));
    assert_eq!(run(&policy, &events).outcomes, received.outcomes);
}

#[test]
fn copies_of_an_event_count_once() {
    let policy = policy_of(&correlation(TWO_IN_TEN_MINUTES));
    let (first, second) = (failure(0, 0), failure(1, 0));
    let pretty = |event: &Value| serde_json::to_string_pretty(event).expect("JSON");
    #[rustfmt::skip]
    let cases: [(&str, Vec<String>, u64, usize); 5] = [
        ("one event twice", vec![lines(&[first.clone(), first.clone()])], 1, 0),
        ("one event three times and another", vec![lines(&[first.clone(), first.clone(), second.clone(), first.clone()])], 2, 1),
        ("one event in two files", vec![lines(std::slice::from_ref(&first)), lines(std::slice::from_ref(&first))], 1, 0),
        ("a pretty copy", vec![lines(std::slice::from_ref(&first)), pretty(&first)], 1, 0),
        ("another uuid", vec![lines(&[first.clone(), with(first.clone(), [("uuid", "other".into())])])], 0, 1),
    ];
    for (what, inputs, duplicates, found) in cases {
        let inputs = inputs
            .into_iter()
            .map(|text| memory(text.into_bytes()))
            .collect();
        let received = run_inputs(&policy, inputs, Mapping::Okta, 1);
        assert_eq!(
            (
                received.counts.correlation.duplicates,
                received.outcomes.len()
            ),
            (duplicates, found),
            "{what}"
        );
    }
}

#[test]
fn groups_are_the_values_of_a_field_or_of_the_elements_of_an_array() {
    let by_target = TWO_IN_TEN_MINUTES.replace("actor.id", "target.id");
    let by_both = TWO_IN_TEN_MINUTES.replace("actor.id", "actor.id, target.id");
    let targets = |seconds, ids: &[&str]| {
        let list: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
        with(failure(seconds, 0), [("target", list.into())])
    };
    let one = "many 2/1: Correlated";
    #[rustfmt::skip]
    let cases: [(&str, &str, Vec<Value>, Lines<'_>, u64); 9] = [
        ("one element in common", &by_target, vec![targets(0, &["a", "b"]), targets(1, &["b", "c"])], &[one], 0),
        ("two elements in common", &by_target, vec![targets(0, &["a", "b"]), targets(1, &["b", "A"])], &[one, one], 0),
        ("an element twice", &by_target, vec![targets(0, &["a", "a"])], &[], 0),
        ("none in common", &by_target, vec![targets(0, &["a"]), targets(1, &["b"])], &[], 0),
        ("an empty array", &by_target, vec![targets(0, &[]), targets(1, &[])], &[], 2),
        ("no array", &by_target, vec![failure(0, 0), failure(1, 0)], &[], 2),
        ("null", &by_target, vec![with(failure(0, 0), [("target", Value::Null)]), failure(1, 0)], &[], 2),
        ("two fields", &by_both, vec![targets(0, &["a", "b"]), targets(1, &["b"])], &[one], 0),
        ("one of two fields", &by_both, vec![targets(0, &["a"]), failure(1, 0)], &[], 1),
    ];
    for (what, body, events, expected, without_group) in cases {
        let received = check(&policy_of(&correlation(body)), what, &events, expected);
        assert_eq!(
            received.counts.correlation.without_group, without_group,
            "{what}"
        );
    }
}

#[test]
fn an_event_without_a_readable_time_meets_single_event_rules_only() {
    let policy = policy_of(&format!(
        "{}---\n{}",
        correlation(TWO_IN_TEN_MINUTES),
        detection("{eventType: user.session.start}", "s")
    ));
    for published in [
        json!("redacted"),
        json!(null),
        json!(1_772_445_600),
        json!(""),
    ] {
        let events: Vec<Value> = (0..3)
            .map(|turn| with(failure(turn, 0), [("published", published.clone())]))
            .collect();
        let received = check(
            &policy,
            &published.to_string(),
            &events,
            &["seen 1/1: seen"; 3],
        );
        assert_eq!(
            (
                received.counts.without_time,
                received.counts.correlation.without_time
            ),
            (3, 3),
            "{published}"
        );
        assert!(
            findings(&received)
                .iter()
                .all(|finding| finding.first_seen.is_none() && finding.created_at.is_none())
        );
    }
}

#[test]
fn rules_that_feed_a_correlation_are_silent_unless_it_says_generate() {
    let events = sign_ins("FAILURE", 2, 1);
    let loud = TWO_IN_TEN_MINUTES.replace("type:", "generate: true, type:");
    let both = [
        "failed_login 1/1: Failed sign-in",
        "failed_login 1/1: Failed sign-in",
        "many 2/1: Correlated",
    ];
    check(
        &policy_of(&correlation(TWO_IN_TEN_MINUTES)),
        "silent",
        &events,
        &["many 2/1: Correlated"],
    );
    let received = run(&policy_of(&correlation(&loud)), &events);
    let mut shown: Vec<String> = findings(&received).into_iter().map(line).collect();
    shown.sort();
    assert_eq!(shown, both, "generate");
}

#[test]
fn an_event_that_satisfies_two_rules_of_a_correlation_is_one_event() {
    let second = "title: Any sign-in\nname: any\nlogsource: {product: okta}\ndetection:\n  s: {eventType: user.session.start}\n  condition: s\n---\n";
    let body = format!(
        "{second}{}",
        correlation(&TWO_IN_TEN_MINUTES.replace("[failed_login]", "[failed_login, any]"))
    );
    let policy = policy_of(&body);
    check(&policy, "one event", &sign_ins("FAILURE", 1, 1), &[]);
    check(
        &policy,
        "two events",
        &sign_ins("FAILURE", 2, 1),
        &["many 2/1: Correlated"],
    );
}

#[test]
fn texts_speak_of_the_first_hit_and_of_its_pair() {
    let pairs = "correlation:\n  type: consecutive\n  rules: [failed_login]\n  group-by: [actor.id]\n  timespan: 1d\n  condition: {without_coordinates: {country: client.geographicalContext.country, within: 1h}}\n\
                 rulectl: {summary: '{a.client.geographicalContext.country} {b.client.geographicalContext.country} {client.geographicalContext.country} {count} {hits} {span}'}\n";
    let counted = format!(
        "{TWO_IN_TEN_MINUTES}rulectl: {{summary: '{{client.geographicalContext.country}} {{client.zone}} {{count}} {{hits}} {{span}}'}}\n"
    );
    let from = |country: &str, seconds| {
        with(
            failure(seconds, 0),
            [("client.geographicalContext.country", country.into())],
        )
    };
    let events = [
        from("France", 0),
        from("France", 60),
        from("Spain", 120),
        from("Italy", 180),
    ];
    let cases: [(&str, &str, &[&str]); 2] = [
        ("pairs", pairs, &["many 3/2: France Spain Spain 3 2 2m"]),
        ("counts", &counted, &["many 4/3: France unknown 4 3 3m"]),
    ];
    for (what, body, expected) in cases {
        check(&policy_of(&correlation(body)), what, &events, expected);
    }
}

#[test]
fn an_account_is_named_where_the_events_agree() {
    let body = format!(
        "{}rulectl: {{user: actor.id}}\n",
        TWO_IN_TEN_MINUTES.replace("actor.id", "client.ipAddress")
    );
    let policy = policy_of(&correlation(&body));
    let from = |account: &str, seconds| {
        with(
            sign_in(account, "FAILURE", seconds),
            [("client.ipAddress", "192.0.2.1".into())],
        )
    };
    let nobody = |seconds| with(from("alice", seconds), [("actor.id", Value::Null)]);
    #[rustfmt::skip]
    let cases = [
        ("one account", vec![from("alice", 0), from("alice", 1)], Some(user_id("alice"))),
        ("two accounts", vec![from("alice", 0), from("bob", 1)], None),
        ("two and the first again", vec![from("alice", 0), from("bob", 1), from("alice", 2)], None),
        ("one, and an event that names none", vec![from("alice", 0), nobody(1)], Some(user_id("alice"))),
        ("none", vec![nobody(0), nobody(1)], None),
    ];
    for (what, events, expected) in cases {
        let received = run(&policy, &events);
        let users: Vec<_> = findings(&received)
            .iter()
            .map(|finding| finding.user_id.clone())
            .collect();
        assert_eq!(users, [expected], "{what}");
    }
}

#[test]
fn a_finding_that_never_merges_is_its_window() {
    let body = format!(
        "{TWO_IN_TEN_MINUTES}rulectl: {{suppress: 0s, user: actor.alternateId, metadata: [client.ipAddress]}}\n"
    );
    let policy = policy_of(&correlation(&body));
    // Two seconds apart, 300 are in a window of ten minutes; every third names the address again.
    let address = |turn: usize| {
        format!(
            "192.0.2.{}",
            if turn.is_multiple_of(3) { 250 } else { turn }
        )
    };
    let actor = |turn: usize| if turn < 250 { "u1" } else { "u2" };
    let events: Vec<Value> = (0..500)
        .map(|turn| {
            with(
                failure(2 * turn as i64, 0),
                [
                    ("client.ipAddress", address(turn).into()),
                    ("actor.alternateId", actor(turn).into()),
                    ("uuid", format!("e{turn:04}").into()),
                ],
            )
        })
        .collect();
    let received = run(&policy, &events);
    let found = findings(&received);
    assert_eq!(found.len(), 499);
    for (finding, last) in found.iter().zip(1_usize..) {
        let window = (last + 1).saturating_sub(300)..last + 1;
        let ids: Vec<String> = window
            .clone()
            .filter(|turn| *turn < window.start + 100 || *turn + 100 > last)
            .map(|turn| format!("e{turn:04}"))
            .collect();
        let mut addresses: Vec<String> = Vec::new();
        for address in window.clone().map(address) {
            if addresses.len() < 10 && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let actors = (actor(window.start), actor(last));
        assert_eq!((finding.count, finding.hits), (window.len() as u64, 1));
        assert_eq!(finding.okta_event_ids, ids, "{last}");
        assert_eq!(finding.metadata.get("client.ipAddress"), Some(&addresses));
        let one = (actors.0 == actors.1).then(|| actors.0.to_owned());
        assert_eq!(finding.user_id, one, "{last}");
    }
}

#[test]
fn lists_of_a_finding_are_capped_and_its_count_is_not() {
    let body =
        format!("{TWO_IN_TEN_MINUTES}rulectl: {{metadata: [client.ipAddress, client.zone]}}\n");
    let policy = policy_of(&correlation(&body));
    for count in [15_usize, 199, 200, 201, 250, 1_000] {
        let events: Vec<Value> = (0..count)
            .map(|turn| {
                with(
                    failure(turn as i64, 0),
                    [
                        ("client.ipAddress", format!("192.0.2.{turn}").into()),
                        ("uuid", format!("e{turn:04}").into()),
                    ],
                )
            })
            .collect();
        let received = run(&policy, &events);
        let found = findings(&received);
        let [finding] = found.as_slice() else {
            panic!("{count}: {} findings", found.len())
        };
        let listed: Vec<String> = (0..count)
            .filter(|turn| *turn < 100 || *turn + 100 >= count)
            .map(|turn| format!("e{turn:04}"))
            .collect();
        assert_eq!(finding.okta_event_ids, listed, "{count}");
        assert_eq!(
            (finding.count, finding.event_digests.len()),
            (count as u64, listed.len()),
            "{count}"
        );
        let addresses: Vec<String> = (0..10).map(|turn| format!("192.0.2.{turn}")).collect();
        assert_eq!(
            finding.metadata.get("client.ipAddress"),
            Some(&addresses),
            "{count}"
        );
        assert_eq!(finding.metadata.get("client.zone"), None, "{count}");
        assert_eq!(finding.timeline.len(), count.min(20), "{count}");
        let last = at(count as i64 - 1, 0);
        assert_eq!(
            finding.last_seen.map(|time| time.to_string()).as_deref(),
            last.as_str(),
            "{count}"
        );
    }
}

#[test]
fn ids_do_not_change_while_a_finding_grows() {
    let policy = small();
    let ids = |count| {
        let received = run(&policy, &sign_ins("FAILURE", count, 10));
        let of = |outcome: &rulectl::pipeline::Outcome| (outcome.finding.id, outcome.finding.rule);
        received.outcomes.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(ids(5), ids(7));
    assert_eq!(ids(5), ids(500));
    assert_eq!(ids(5).len(), 1);
}

#[test]
fn findings_come_by_last_hit_then_rule_then_group() {
    let policy = policy_of(&correlation(TWO_IN_TEN_MINUTES));
    let burst = |account: &str, first, second| {
        vec![
            sign_in(account, "FAILURE", first),
            sign_in(account, "FAILURE", second),
        ]
    };
    let events = [
        burst("zoe", 0, 10),
        burst("bob", 1, 10),
        burst("amy", 5, 20),
        burst("dan", 2, 9),
    ]
    .concat();
    let received = check(
        &policy,
        "four accounts",
        &events,
        &["many 2/1: Correlated"; 4],
    );
    let order: Vec<_> = findings(&received)
        .iter()
        .map(|finding| finding.group["actor.id"].clone())
        .collect();
    assert_eq!(order, ["dan", "bob", "zoe", "amy"].map(user_id));
}

#[test]
fn single_event_findings_merge_only_where_suppression_is_declared() {
    let rule = detection("{eventType: user.session.start}", "s");
    let merged = format!(
        "{rule}rulectl: {{suppress: 10m, group-by: [actor.id], summary: '{{count}} in {{span}}'}}\n"
    );
    let events = [
        sign_in("alice", "SUCCESS", 0),
        sign_in("bob", "SUCCESS", 1),
        sign_in("alice", "SUCCESS", 600),
        sign_in("alice", "SUCCESS", 1_201),
    ];
    check(
        &policy_of(&rule),
        "each alone",
        &events,
        &["seen 1/1: seen"; 4],
    );
    check(
        &policy_of(&merged),
        "merged",
        &events,
        &[
            "seen 1/1: 1 in 0s",
            "seen 2/2: 2 in 10m",
            "seen 1/1: 1 in 0s",
        ],
    );
}

#[test]
fn what_is_promoted_leads_to_a_plan_and_what_is_not_stops_with_a_reason() {
    let received = run(
        &small(),
        &[
            sign_ins("FAILURE", 5, 10),
            vec![
                from_place(SYDNEY, "SUCCESS", 0),
                from_place(NEW_YORK, "SUCCESS", 60),
            ],
        ]
        .concat(),
    );
    let shown: Vec<_> = received
        .outcomes
        .iter()
        .map(|outcome| {
            let steps = outcome
                .response
                .as_ref()
                .and_then(|response| response.plan.as_ref())
                .map(|plan| plan.steps.len());
            (
                outcome.finding.finding_type.as_str(),
                outcome.promotion.promoted,
                steps,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("FAILED_LOGIN_BURST", false, None),
            ("IMPOSSIBLE_TRAVEL", true, Some(7))
        ]
    );
    let reasons = &received.outcomes[0].promotion.reasons;
    assert_eq!(
        reasons,
        &[
            "score 0.42 is under promotion.threshold 0.60",
            "severity medium is not in promotion.severities [high, critical]"
        ]
    );
}
