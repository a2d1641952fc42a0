//! Every type of correlation: timelines that just hit and just miss.

use serde_json::{Value, json};

use crate::harness::{Received, at, event, policy_of, run, with};

/// `CORRELATIONS` beside detections `a` to `e`: an event satisfies those whose
/// letters stand in its message.
fn rules(correlations: &str) -> String {
    let detections = ["a", "b", "c", "d", "e"].map(|letter| {
        format!(
            "---\ntitle: Letter {letter}\nname: {letter}\nlogsource: {{product: okta}}\ndetection:\n  s: {{displayMessage|contains: {letter}}}\n  condition: s\n"
        )
    });
    format!("{correlations}{}", detections.concat())
}

/// A correlation of one line, grouped by account over ten minutes unless it says otherwise.
fn rule(correlation: &str) -> String {
    let mut text = format!("title: X\nname: x\ncorrelation:\n  {correlation}\n");
    for (key, value) in [("group-by", "[actor.id]"), ("timespan", "10m")] {
        if !correlation.contains(key) {
            text.push_str(&format!("  {key}: {value}\n"));
        }
    }
    text.replace("; ", "\n  ")
}

/// Events as `LETTERS@SECONDS`, with `=VALUE` for the value, `/WHO` for the
/// account and `~ADDRESS` for the address; the value is JSON or else a text.
fn timeline(text: &str) -> Vec<Value> {
    text.split_whitespace()
        .enumerate()
        .map(|(turn, word)| moment(turn, word))
        .collect()
}

fn moment(turn: usize, word: &str) -> Value {
    let (word, address) = word.split_once('~').unwrap_or((word, "192.0.2.1"));
    let (word, who) = word.split_once('/').unwrap_or((word, "ann"));
    let (word, value) = match word.split_once('=') {
        Some((word, value)) => {
            let text = || json!(value);
            (
                word,
                Some(serde_json::from_str(value).unwrap_or_else(|_| text())),
            )
        }
        None => (word, None),
    };
    let (letters, seconds) = word.split_once('@').expect("LETTERS@SECONDS");
    let event = event([
        ("uuid", format!("{turn}").into()),
        ("eventType", "user.session.start".into()),
        ("displayMessage", letters.into()),
        ("published", at(seconds.parse().expect("seconds"), 0)),
        ("actor.id", who.into()),
        ("client.ipAddress", address.into()),
    ]);
    match value {
        Some(value) => with(event, [("debugContext.debugData.risk", value)]),
        None => event,
    }
}

/// Runs events in two orders, which must not matter, and compares the findings:
/// `RULE COUNT/HITS REASON`.
#[track_caller]
fn check(rules: &str, events: Vec<Value>, expected: &[&str]) -> Received {
    let policy = policy_of(rules);
    let received = run(&policy, &events);
    let shown: Vec<String> = received
        .outcomes
        .iter()
        .map(|outcome| {
            let finding = &outcome.finding;
            let name = finding.rule_name.as_deref().unwrap_or("?");
            let reason = finding.reasons.join(", ");
            format!("{name} {}/{} {reason}", finding.count, finding.hits)
        })
        .collect();
    assert_eq!(shown, expected, "{rules}");
    let reversed: Vec<Value> = events.into_iter().rev().collect();
    assert_eq!(
        run(&policy, &reversed).outcomes,
        received.outcomes,
        "{rules}, reversed"
    );
    received
}

#[track_caller]
fn check_all(cases: &[(&str, &str, &[&str])]) {
    for (correlation, events, expected) in cases {
        check(&rules(&rule(correlation)), timeline(events), expected);
    }
}

#[test]
fn distinct_values_are_counted() {
    let count =
        "type: value_count; rules: [a]; condition: {field: debugContext.debugData.risk, gte: 3}";
    let two = "type: value_count; rules: [a]; condition: {field: [debugContext.debugData.risk, client.ipAddress], gte: 3}";
    let range = "type: value_count; rules: [a]; condition: {field: debugContext.debugData.risk, gt: 1, lt: 3}";
    let three = "x 3/1 3 values of `debugContext.debugData.risk` within 10m, where gte 3 is asked";
    #[rustfmt::skip]
    check_all(&[
        (count, "a@0=x a@1=y a@2=z", &[three]),
        (count, "a@0=x a@1=y a@2=X a@3=Y", &[]),
        (count, "a@0=1 a@1=2 a@2=\"2\"", &[]),
        (count, "a@0=x a@1=y a@600=z", &[]),
        (count, "a@0=x a@1=y a@599=z", &[three]),
        (count, "a@0=x a@1=x a@599=y a@600=z", &["x 3/1 3 values of `debugContext.debugData.risk` within 10m, where gte 3 is asked"]),
        (count, "a@0=x a@1=y a@2 a@3=null a@4=z", &[three]),
        (count, "a@0=x a@1=y a@2=z/bob", &[]),
        (count, "a@0=[\"x\",\"y\"] a@1=z", &["x 2/1 3 values of `debugContext.debugData.risk` within 10m, where gte 3 is asked"]),
        (count, "a@0=x a@1=y a@2=z a@3=z a@4", &["x 4/2 3 values of `debugContext.debugData.risk` within 10m, where gte 3 is asked"]),
        (two, "a@0=x a@1=x~192.0.2.2 a@2=y", &["x 3/1 3 values of `debugContext.debugData.risk` and `client.ipAddress` within 10m, where gte 3 is asked"]),
        (two, "a@0=x a@1=x~192.0.2.2 a@2=X a@3~192.0.2.3", &[]),
        (range, "a@0=x a@1=y a@2=z", &["x 2/1 2 values of `debugContext.debugData.risk` within 10m, where gt 1 and lt 3 is asked"]),
    ]);
}

#[test]
fn numbers_are_summed_and_averaged() {
    let sum =
        "type: value_sum; rules: [a]; condition: {field: debugContext.debugData.risk, gt: 10}";
    let avg =
        "type: value_avg; rules: [a]; condition: {field: debugContext.debugData.risk, gte: 2.5}";
    let below =
        "type: value_sum; rules: [a]; condition: {field: debugContext.debugData.risk, lte: -1.5}";
    #[rustfmt::skip]
    check_all(&[
        (sum, "a@0=4 a@1=6", &[]),
        (sum, "a@0=4 a@1=6.5", &["x 2/1 a sum of `debugContext.debugData.risk` of 10.5 within 10m, where gt 10 is asked"]),
        (sum, "a@0=4 a@1=\"6.5\" a@2=much a@3=true a@4", &["x 2/1 a sum of `debugContext.debugData.risk` of 10.5 within 10m, where gt 10 is asked"]),
        (sum, "a@0=4 a@600=7", &[]),
        (sum, "a@0=9 a@1=-9 a@2=9", &[]),
        (sum, "a@0=nan a@1=inf a@2=1e300", &[]),
        (avg, "a@0=2 a@1=3", &["x 2/1 an average of `debugContext.debugData.risk` of 2.5 within 10m, where gte 2.5 is asked"]),
        (avg, "a@0=2 a@1=2.9", &[]),
        (avg, "a@0=0 a@1=2 a@600=3", &["x 2/1 an average of `debugContext.debugData.risk` of 2.5 within 10m, where gte 2.5 is asked"]),
        (below, "a@0=-1 a@1=-0.5", &["x 2/1 a sum of `debugContext.debugData.risk` of -1.5 within 10m, where lte -1.5 is asked"]),
    ]);
}

#[test]
fn percentiles_are_of_nearest_rank() {
    let median = "type: value_percentile; rules: [a]; condition: {field: debugContext.debugData.risk, gte: 5}";
    let half =
        "type: value_median; rules: [a]; condition: {field: debugContext.debugData.risk, gte: 5}";
    let high = "type: value_percentile; rules: [a]; condition: {field: debugContext.debugData.risk, percentile: 99.9, gte: 5}";
    #[rustfmt::skip]
    check_all(&[
        (median, "a@0=1 a@1=5", &[]),
        (median, "a@0=1 a@1=5 a@2=9", &["x 3/1 percentile 50 of `debugContext.debugData.risk` at 5 within 10m, where gte 5 is asked"]),
        (median, "a@0=1 a@1=2 a@600=5 a@601=6", &["x 2/1 percentile 50 of `debugContext.debugData.risk` at 5 within 10m, where gte 5 is asked"]),
        (half, "a@0=1 a@1=5", &[]),
        (half, "a@0=1 a@1=5 a@2=9", &["x 3/1 a median of `debugContext.debugData.risk` of 5 within 10m, where gte 5 is asked"]),
        (half, "a@0=9 a@1=8 a@600=4 a@601=3", &["x 2/2 a median of `debugContext.debugData.risk` of 9 within 10m, where gte 5 is asked"]),
        (high, "a@0=1 a@1=4.9", &[]),
        (high, "a@0=1 a@1=2 a@2=5", &["x 3/1 percentile 99.9 of `debugContext.debugData.risk` at 5 within 10m, where gte 5 is asked"]),
    ]);
}

#[test]
fn rules_meet_in_a_window() {
    let both = "type: temporal; rules: [a, b]";
    let two = "type: temporal; rules: [a, b, c]; condition: {gte: 2}";
    let without = "type: temporal; rules: [a, b, c]; condition: a and b and not c";
    let either = "type: temporal; rules: [a, b, c]; condition: a and (b or c)";
    let quantified = "type: temporal; rules: [a, b, c]; condition: all of them";
    #[rustfmt::skip]
    check_all(&[
        (both, "a@0 b@1", &["x 2/1 all of a, b within 10m"]),
        (both, "b@0 a@1", &["x 2/1 all of a, b within 10m"]),
        (both, "a@0 b@599", &["x 2/1 all of a, b within 10m"]),
        (both, "a@0 b@600", &[]),
        (both, "a@0 b@0", &["x 2/1 all of a, b within 10m"]),
        (both, "a@0 a@1 a@2", &[]),
        (both, "a@0 a@1 b@2 b@3", &["x 4/2 all of a, b within 10m"]),
        (both, "a@0 b@1/bob", &[]),
        (both, "a@0/ANN b@1", &["x 2/1 all of a, b within 10m"]),
        (both, "ab@0", &["x 1/1 all of a, b within 10m"]),
        (both, "ab@0 a@599 a@1199", &["x 2/2 all of a, b within 10m"]),
        (two, "a@0 a@1 c@2", &["x 3/1 gte 2 of a, b, c within 10m"]),
        (two, "a@0 a@1", &[]),
        (without, "a@0 b@1", &["x 2/1 a and b and not c within 10m"]),
        (without, "a@0 c@1 b@2", &[]),
        (without, "abc@0", &[]),
        (without, "c@0 a@1 b@600", &["x 2/1 a and b and not c within 10m"]),
        (either, "a@0 c@1", &["x 2/1 a and (b or c) within 10m"]),
        (either, "b@0 c@1", &[]),
        (quantified, "a@0 b@1", &[]),
        (quantified, "a@0 b@1 c@2", &["x 3/1 all of them within 10m"]),
    ]);
}

#[test]
fn rules_meet_in_their_order() {
    let two = "type: temporal_ordered; rules: [a, b]";
    let three = "type: temporal_ordered; rules: [a, b, c]";
    let again = "type: temporal_ordered; rules: [a, b, a]";
    #[rustfmt::skip]
    check_all(&[
        (two, "a@0 b@1", &["x 2/1 a, then b within 10m"]),
        (two, "b@0 a@1", &[]),
        (two, "b@0 a@1 b@2", &["x 3/1 a, then b within 10m"]),
        (two, "a@0 b@599", &["x 2/1 a, then b within 10m"]),
        (two, "a@0 b@600", &[]),
        (two, "a@0 a@300 b@700", &["x 2/1 a, then b within 10m"]),
        (two, "ab@0", &[]),
        (two, "ab@0 ab@1", &["x 2/1 a, then b within 10m"]),
        (two, "a@0 b@1/bob", &[]),
        (three, "a@0 c@1 b@2 c@3", &["x 4/1 a, then b, then c within 10m"]),
        (three, "a@0 c@1 b@2", &[]),
        (three, "a@0 b@1 a@500 c@602", &[]),
        (three, "a@0 b@1 a@500 b@501 c@602", &["x 3/1 a, then b, then c within 10m"]),
        (again, "a@0 b@1", &[]),
        (again, "a@0 b@1 a@2", &["x 3/1 a, then b, then a within 10m"]),
        (again, "a@0 b@0", &[]),
        (again, "b@0 a@0 a@0", &["x 3/1 a, then b, then a within 10m"]),
        (two, "ab@0 ab@0", &["x 2/1 a, then b within 10m"]),
        (three, "ab@0 bc@0", &[]),
        (three, "ab@0 bc@0 ab@0", &["x 3/1 a, then b, then c within 10m"]),
        (three, "ab@0 ab@0 c@1", &["x 3/1 a, then b, then c within 10m"]),
        (three, "a@0 c@1 bc@1", &["x 3/1 a, then b, then c within 10m"]),
        (three, "a@0 bc@1 c@599 c@600", &["x 3/1 a, then b, then c within 10m"]),
        (three, "c@0 ab@1 ab@1", &[]),
        (three, "a@0 b@600 c@600", &[]),
    ]);
}

/// Whichever of two events has the lesser digest.
#[test]
fn events_of_one_instant_are_in_any_order_of_rules_and_in_that_of_digests_in_a_row() {
    let accounts = 0..40;
    let both: Vec<String> = accounts.map(|n| format!("a@0/{n} b@0/{n}")).collect();
    let found = |correlation: &str| {
        let policy = policy_of(&rules(&rule(correlation)));
        run(&policy, &timeline(&both.join(" "))).outcomes.len()
    };
    assert_eq!(found("type: temporal_ordered; rules: [a, b]"), 40);
    assert_eq!(found("type: temporal_ordered; rules: [b, a]"), 40);
    let row = |rules: &str| {
        found(&format!(
            "type: repeat_until; rules: {rules}; condition: {{gte: 1}}"
        ))
    };
    let (one, other) = (row("[a, b]"), row("[b, a]"));
    assert!(one > 0 && other > 0, "{one} and {other}");
    assert_eq!(one + other, 40, "each event has a place in one row");
}

/// Many events of one instant, of which a row needs few.
#[test]
fn many_events_of_one_instant_are_not_compared_with_each_other() {
    let policy = policy_of(&rules(&rule("type: temporal_ordered; rules: [a, b, c, d]")));
    let others: Vec<String> = (0..2_000)
        .map(|n| format!("{}@0", ["ab", "bd", "a", "da"][n % 4]))
        .collect();
    let (none, one) = (others.join(" "), format!("{} c@0", others.join(" ")));
    assert_eq!(run(&policy, &timeline(&none)).outcomes.len(), 0);
    let received = run(&policy, &timeline(&one));
    assert_eq!(
        received.outcomes[0].finding.last_seen,
        received.outcomes[0].finding.first_seen
    );
}

#[test]
fn values_are_new_where_the_history_has_none() {
    let new = "type: first_seen; rules: [a]; condition: {field: debugContext.debugData.risk, warm-up: 2m}; timespan: 5m";
    let whole = "type: first_seen; rules: [a]; condition: {field: debugContext.debugData.risk}";
    let first = "type: first_seen; rules: [a]; condition: {field: debugContext.debugData.risk, warm-up: 0s}";
    let two = "type: first_seen; rules: [a]; condition: {field: [debugContext.debugData.risk, client.ipAddress], warm-up: 1m}";
    let x = "x 1/1 a value of `debugContext.debugData.risk` that was not seen in the 5m before";
    let whole_x =
        "x 1/1 a value of `debugContext.debugData.risk` that was not seen in the 10m before";
    #[rustfmt::skip]
    check_all(&[
        (new, "a@0=x a@120=y", &[x]),
        (new, "a@0=x a@119=y", &[]),
        (new, "a@0=x a@119=y a@121=Y", &[]),
        (new, "a@0=x a@120=x", &[]),
        (new, "a@0=x a@200=z a@120=x a@400=x", &["x 1/1 a value of `debugContext.debugData.risk` that was not seen in the 5m before"]),
        (new, "a@0=x a@10=y a@200=y a@309=x", &[x]),
        (new, "a@0=x a@10=y a@200=y a@299=x", &[]),
        (new, "a@0=x a@10=y a@200=y a@300=x", &[x]),
        (new, "a@0=x a@300=y", &[]),
        (new, "a@0=x a@299=y", &[x]),
        (new, "a@0=x/bob a@1=x a@120=y", &[]),
        (new, "a@0=x a@1 a@120", &[]),
        (new, "a@0 a@1=x a@120=y", &[]),
        (new, "a@0=x a@120=[\"x\",\"y\"]", &[x]),
        (whole, "a@0=x a@599=y", &[]),
        (whole, "a@0=x a@300=x a@599=y", &[]),
        (whole, "a@0=x a@300=x a@600=y", &[whole_x]),
        (first, "a@0=x", &[whole_x]),
        (first, "a@0=x a@1=x a@2=y", &["x 2/2 a value of `debugContext.debugData.risk` that was not seen in the 10m before"]),
        (two, "a@0=x a@60=x~192.0.2.2", &["x 1/1 a value of `debugContext.debugData.risk` and `client.ipAddress` that was not seen in the 10m before"]),
        (two, "a@0=x a@10=y a@60=X", &[]),
    ]);
}

#[test]
fn what_nothing_follows_is_a_hit_when_the_wait_is_over() {
    let absent = "type: absent; rules: [a, b]";
    let either = "type: absent; rules: [a, b, c]";
    let silent = "type: absent; rules: [a, a]";
    let x = "x 1/1 no b within 10m after a";
    #[rustfmt::skip]
    check_all(&[
        (absent, "a@0 z@600", &[x]),
        (absent, "a@0 z@599", &[]),
        (absent, "a@0 b@1 z@900", &[]),
        (absent, "a@0 b@600 z@900", &[]),
        (absent, "a@0 b@601", &[x]),
        (absent, "b@0 a@1 z@900", &[x]),
        (absent, "a@0 b@0 z@900", &[x]),
        (absent, "ab@0 z@900", &[x]),
        (absent, "a@0 ab@300 z@900", &[x]),
        (absent, "a@0 b@1/bob z@900", &[x]),
        (absent, "a@0 a@10 a@20 z@900", &["x 3/3 no b within 10m after a"]),
        (absent, "a@0 a@10 a@20 b@15 z@900", &[x]),
        (absent, "a@0 a@601 z@2000", &["x 1/1 no b within 10m after a", x]),
        (either, "a@0 c@1 z@900", &[]),
        (either, "a@0 y@1 z@900", &["x 1/1 no b or c within 10m after a"]),
        (silent, "a@0 a@300 a@900 z@1499", &[]),
        (silent, "a@0 a@300 a@900 z@1500", &["x 1/1 no a within 10m after a"]),
        (silent, "a@0 a@601", &["x 1/1 no a within 10m after a"]),
    ]);
    let policy = rules(&rule(absent));
    let received = check(&policy, timeline("a@0 a@700 z@900"), &[x]);
    assert_eq!(received.counts.correlation.pending, 1);
    let finding = &received.outcomes[0].finding;
    assert_eq!(json!(finding.created_at), at(600, 0));
    assert_eq!(json!(finding.last_seen), at(0, 0));
}

#[test]
fn an_absence_is_an_event_of_others_when_the_wait_is_over() {
    let absent = "---\ntitle: Missing\nname: missing\ncorrelation:\n  type: absent\n  rules: [a, b]\n  group-by: [actor.id]\n  timespan: 10m\n";
    let then =
        "type: temporal_ordered; rules: [missing, c]; timespan: 5m; generate: true; group-by: []";
    let twice = "type: absent; rules: [missing, c]";
    let missing = "missing 1/1 no b within 10m after a";
    #[rustfmt::skip]
    let cases: [(&str, &str, &[&str]); 7] = [
        (then, "a@0 c@601", &[missing, "c 1/1 s: displayMessage|contains: c", "x 2/1 missing, then c within 5m"]),
        (then, "a@0 c@600 z@900", &[missing, "c 1/1 s: displayMessage|contains: c", "x 2/1 missing, then c within 5m"]),
        (then, "a@0 c@599 z@900", &["c 1/1 s: displayMessage|contains: c", missing]),
        (then, "a@0 c@900", &[missing, "c 1/1 s: displayMessage|contains: c"]),
        (twice, "a@0 c@500 z@1200", &["x 1/1 no c within 10m after missing"]),
        (twice, "a@0 c@601 z@1200", &[]),
        (twice, "a@0 z@1199", &[]),
    ];
    for (outer, events, expected) in cases {
        check(
            &rules(&format!("{}{absent}", rule(outer))),
            timeline(events),
            expected,
        );
    }
}

#[test]
fn a_row_goes_on_until_its_end() {
    let until = "type: repeat_until; rules: [a, b]; condition: {gte: 3}";
    let few = "type: repeat_until; rules: [a, b]; condition: {lt: 3}";
    let three = "x 4/1 3 events of a before b within 10m, where gte 3 is asked";
    #[rustfmt::skip]
    check_all(&[
        (until, "a@0 a@1 a@2 b@3", &[three]),
        (until, "a@0 a@1 b@3", &[]),
        (until, "a@0 a@1 a@2", &[]),
        (until, "a@0 a@1 b@2 a@3 b@4", &[]),
        (until, "a@0 a@1 a@2 b@3 b@4", &[three]),
        (until, "a@0 a@1 a@2 b@3 a@4 a@5 a@6 b@7", &["x 8/2 3 events of a before b within 10m, where gte 3 is asked"]),
        (until, "a@0 a@1 a@2 y@3 b@4", &[three]),
        (until, "a@0 a@1 a@2 b@600", &[]),
        (until, "a@0 a@1 a@2 b@599", &[three]),
        (until, "a@0 a@1 a@2 b@3/bob", &[]),
        (until, "a@0 a@1 ab@2", &[]),
        (until, "a@0 a@1 a@2 ab@3 a@4 a@5 b@6", &[three]),
        (few, "b@0", &[]),
        (few, "a@0 b@601", &[]),
        (few, "a@0 b@1", &["x 2/1 1 event of a before b within 10m, where lt 3 is asked"]),
        (few, "a@0 a@1 a@2 b@3", &[]),
    ]);
}

#[test]
fn a_ratio_is_of_two_counts() {
    let half = "type: ratio; rules: [a, b]; condition: {gt: 0.5, at-least: 4}";
    let more = "type: ratio; rules: [a, b, c]; condition: {gte: 2}";
    let little = "type: ratio; rules: [a, b]; condition: {lt: 0.3, at-least: 4}";
    let x = "x 4/1 0.750 events of a on each of b within 10m, where gt 0.5 is asked";
    #[rustfmt::skip]
    check_all(&[
        (half, "ab@0 ab@1 ab@2 b@3", &[x]),
        (half, "ab@0 ab@1 b@2 b@3", &[]),
        (half, "ab@0 ab@1 ab@2", &[]),
        (half, "b@0 ab@1 ab@2 ab@600", &[]),
        (half, "b@0 ab@1 ab@2 ab@599", &[x]),
        (half, "ab@0 ab@1 ab@2/bob b@3", &[]),
        (more, "a@0 a@1", &[]),
        (more, "a@0 a@1 c@2", &["x 3/1 2.000 events of a on each of b or c within 10m, where gte 2 is asked"]),
        (more, "a@0 c@1 b@2", &[]),
        (little, "b@0 b@1 b@2 b@3", &["x 4/1 0.000 events of a on each of b within 10m, where lt 0.3 is asked"]),
        (little, "ab@0 b@1 b@2 b@3", &["x 4/1 0.250 events of a on each of b within 10m, where lt 0.3 is asked"]),
        (little, "ab@0 ab@1 b@2 b@3", &[]),
    ]);
}

/// What is asked of a pair is asked of texts; see `docs/semantics.md`.
#[test]
fn pairs_are_asked_like_events() {
    let pair = |search: &str| {
        format!(
            "type: consecutive; rules: [a]; condition: {{pair: {{s: {{{search}}}, condition: s}}}}"
        )
        .replace("VALUE", "debugContext.debugData.risk")
    };
    #[rustfmt::skip]
    let cases: [(&str, &str, bool); 31] = [
        ("a.VALUE: x, b.VALUE: y", "a@0=x a@1=Y", true),
        ("a.VALUE: x, b.VALUE: y", "a@0=y a@1=x", false),
        ("a.VALUE: x, b.VALUE: y", "a@0=x a@1=z a@2=y", false),
        ("a.VALUE: x, b.VALUE: y", "a@0=x b@1=z a@2=y", true),
        ("a.VALUE: x, b.VALUE: y", "a@0=x a@599=y", true),
        ("a.VALUE: x, b.VALUE: y", "a@0=x a@600=y", false),
        ("a.VALUE: x, b.VALUE: y", "a@0=x a@1=y/bob", false),
        ("a.VALUE|fieldref: b.VALUE", "a@0=x a@1=X", true),
        ("a.VALUE|fieldref|cased: b.VALUE", "a@0=x a@1=X", false),
        ("a.VALUE|fieldref|neq: b.VALUE", "a@0=x a@1=X", false),
        ("a.VALUE|fieldref|neq: b.VALUE", "a@0=x a@1", true),
        ("a.VALUE|fieldref: b.VALUE", "a@0=[\"x\",\"y\"] a@1=[\"z\",\"y\"]", true),
        ("b.VALUE|fieldref|startswith: a.VALUE", "a@0=x a@1=xy", true),
        ("b.VALUE|fieldref|startswith: a.VALUE", "a@0=xy a@1=x", false),
        ("b.VALUE|fieldref: b.client.ipAddress", "a@0 a@1=192.0.2.1", true),
        ("a.VALUE: null, b.VALUE|exists: true", "a@0 a@1=x", true),
        ("a.VALUE: null, b.VALUE|exists: true", "a@0=null a@1=x", true),
        ("a.VALUE|exists: true", "a@0=null a@1=x", false),
        ("b.VALUE: 1", "a@0 a@1=1.0", true),
        ("b.VALUE: 1", "a@0 a@1=\"1\"", true),
        ("b.VALUE: 1", "a@0 a@1=2", false),
        ("b.VALUE: true", "a@0 a@1=true", true),
        ("b.VALUE|gte: 5", "a@0=1 a@1=5.5", true),
        ("b.VALUE|gte: 5", "a@0=9 a@1=4", false),
        ("b.VALUE|contains|all: ['a', 'c']", "a@0 a@1=abc", true),
        ("b.VALUE|contains|all: ['a', 'd']", "a@0 a@1=abc", false),
        ("b.VALUE|re: '^a.c$'", "a@0 a@1=abc", true),
        ("b.VALUE|re: '^A.c$'", "a@0 a@1=abc", false),
        ("b.VALUE|hour: 22", "a@0 a@1=2026-03-03T00:30:00+02:00", true),
        ("a.client.ipAddress|cidr: 10.0.0.0/8, b.client.ipAddress|cidr|neq: 10.0.0.0/8", "a@0~10.1.2.3 a@1~192.0.2.1", true),
        ("a.client.ipAddress|cidr: 10.0.0.0/8, b.client.ipAddress|cidr|neq: 10.0.0.0/8", "a@0~10.1.2.3 a@1~10.2.2.2", false),
    ];
    for (search, events, expected) in cases {
        let policy = policy_of(&rules(&rule(&pair(search))));
        let outcomes = run(&policy, &timeline(events)).outcomes;
        let found = outcomes
            .iter()
            .any(|outcome| outcome.finding.rule_name.as_deref() == Some("x"));
        assert_eq!(found, expected, "{search}: {events}");
    }
    let either = "type: consecutive; rules: [a]; condition: {pair: {one: {b.debugContext.debugData.risk: x}, two: {b.debugContext.debugData.risk: y, a.debugContext.debugData.risk: x}, condition: one or two}}";
    #[rustfmt::skip]
    check_all(&[
        (either, "a@0 a@1=x", &["x 2/1 one: b.debugContext.debugData.risk: x"]),
        (either, "a@0=x a@1=y", &["x 2/1 two: b.debugContext.debugData.risk: y, a.debugContext.debugData.risk: x"]),
        (either, "a@0=x a@1=x a@2=y a@3=y", &["x 3/2 one: b.debugContext.debugData.risk: x"]),
        (either, "a@0=x", &[]),
    ]);
    // One that names a missing list never fires, and is still known by its name.
    let unlisted = rule(&pair("b.VALUE|expand: '%no_such_list%'"));
    let outer =
        rule("type: temporal; rules: [x, b]; condition: b").replace("name: x", "name: outer");
    check(
        &rules(&format!("{unlisted}---\n{outer}")),
        timeline("a@0 a@1 b@2"),
        &["outer 1/1 b within 10m"],
    );
}

/// Seconds, latitude if there is one, and country.
type Place<'p> = (i64, Option<f64>, &'p str);

fn placed(event: Value, latitude: Option<f64>, country: &str) -> Value {
    let event = with(
        event,
        [("client.geographicalContext.country", country.into())],
    );
    match latitude {
        Some(latitude) => with(
            event,
            [
                (
                    "client.geographicalContext.geolocation.lat",
                    latitude.into(),
                ),
                ("client.geographicalContext.geolocation.lon", json!(5)),
            ],
        ),
        None => event,
    }
}

/// Events without coordinates make hits by their countries, and hide none between those that have some.
#[test]
fn what_lies_between_two_places_does_not_part_them() {
    let condition = "travel: {latitude: client.geographicalContext.geolocation.lat, longitude: client.geographicalContext.geolocation.lon, LIMITS}, without_coordinates: {country: client.geographicalContext.country, within: 1m}";
    let rule_of = |limits: &str| {
        let condition = condition.replace("LIMITS", limits);
        rule(&format!(
            "type: consecutive; rules: [a]; condition: {{{condition}}}"
        ))
    };
    let events = |places: &[Place<'_>]| -> Vec<Value> {
        let moments = places.iter().enumerate();
        moments
            .map(|(turn, (seconds, latitude, country))| {
                placed(moment(turn, &format!("a@{seconds}")), *latitude, country)
            })
            .collect()
    };
    let (here, far) = (Some(0.0), Some(10.0));
    let by_country = "x 2/1 France to Chile in 1s, within 1m";
    #[rustfmt::skip]
    let cases: [(&str, &[Place<'_>], &[&str]); 8] = [
        ("faster_than_kmh: 9000", &[(0, here, ""), (100, None, "France"), (101, None, "Chile"), (400, far, "")], &["x 3/2 France to Chile in 1s, within 1m"]),
        ("faster_than_kmh: 9000", &[(0, here, ""), (100, None, "France"), (101, None, "Chile"), (500, far, "")], &[by_country]),
        ("faster_than_kmh: 9000", &[(0, None, "France"), (1, here, ""), (1, None, "Chile")], &[by_country]),
        ("at_least_km: 1000", &[(0, here, ""), (599, far, "")], &["x 2/1 1112 km in 9m 59s, at least 1000 km within 10m"]),
        ("at_least_km: 1200", &[(0, here, ""), (599, far, "")], &[]),
        ("at_least_km: 1000", &[(0, here, ""), (600, far, "")], &[]),
        ("at_least_km: 1000, within: 1m", &[(0, here, ""), (60, far, "")], &["x 2/1 1112 km in 1m, at least 1000 km within 1m"]),
        ("at_least_km: 1000, within: 1m", &[(0, here, ""), (61, far, "")], &[]),
    ];
    for (limits, places, expected) in cases {
        check(&rules(&rule_of(limits)), events(places), expected);
    }
}

#[test]
fn rules_are_correlated_by_what_they_say_of_themselves() {
    let said = |name: &str, rest: &str| {
        format!(
            "---\ntitle: Rule {name}\nname: {name}\n{rest}\nlogsource: {{product: okta}}\ndetection:\n  s: {{displayMessage|contains: {name}}}\n  condition: s\n"
        )
    };
    let rules = |outer: &str| {
        [
            rule(outer),
            said("a", "level: high\ntags: [attack.t1110]\nrulectl: {user: actor.id, finding_type: GUESS}"),
            said("b", "level: low\ntags: [attack.t1621]\nrulectl: {user: debugContext.debugData.risk}"),
            said("c", "level: high"),
            "---\ntitle: Feeds\nname: fed\nlevel: high\nlogsource: {product: okta}\ndetection:\n  s: {displayMessage|contains: d}\n  condition: s\n".to_owned(),
            "---\ntitle: Pair\nname: pair\nlevel: high\nrulectl: {user: actor.id}\ncorrelation: {type: event_count, rules: [fed], group-by: [actor.id], timespan: 10m, condition: {gte: 2}}\n".to_owned(),
        ]
        .concat()
    };
    let of = |rules: &str, group: &str| {
        format!(
            "type: value_count; rules: {rules}; group-by: [{group}]; condition: {{field: rulectl.rule, gte: 2}}"
        )
    };
    let high = of("{level: high}", "rulectl.user");
    let any = of("{level: [high, low]}", "rulectl.user");
    let tagged = of("{tag: 'attack.t1*'}", "actor.id");
    let typed = "type: event_count; rules: {finding_type: guess, level: high}; condition: {gte: 2}";
    let named = of("[a, b]", "rulectl.user");
    #[rustfmt::skip]
    let cases: [(&str, &str, bool); 14] = [
        (&any, "a@0/ann b@1=ann/x", true),
        (&any, "a@0/ann b@1=bob/ann", false),
        (&any, "a@0/ann a@1/ann", false),
        (&any, "a@0/ann c@1/ann", false),
        (&any, "ab@0=ann/ann", true),
        (&any, "ab@0=bob/ann", false),
        (&high, "a@0/ann d@1/ann d@2/ann", true),
        (&high, "a@0/ann d@1/ann", false),
        (&high, "a@0/ann b@1=ann/x", false),
        (&tagged, "a@0 b@1", true),
        (&tagged, "a@0 c@1", false),
        (typed, "a@0 a@1", true),
        (typed, "a@0 c@1", false),
        (&named, "a@0/ann b@599=ANN/x", true),
    ];
    for (outer, events, expected) in cases {
        let outcomes = run(&policy_of(&rules(outer)), &timeline(events)).outcomes;
        let names: Vec<_> = outcomes
            .iter()
            .filter_map(|outcome| outcome.finding.rule_name.as_deref())
            .collect();
        assert_eq!(names.contains(&"x"), expected, "{outer}: {events}");
        assert!(!names.contains(&"fed"), "{outer}: {events}");
        // What is selected keeps its findings, and what is named does not.
        assert_eq!(
            names.contains(&"a"),
            events.starts_with('a') && outer != named,
            "{outer}: {events}"
        );
    }
}

#[test]
fn aliases_name_a_field_for_each_rule() {
    let alias = "type: temporal; rules: [a, b]; group-by: [who]; aliases: {who: {a: actor.id, b: debugContext.debugData.risk}}";
    let summed = "type: value_count; rules: [a, b]; condition: {field: who, gte: 3}; group-by: [client.ipAddress]; aliases: {who: {a: actor.id, b: debugContext.debugData.risk}}";
    #[rustfmt::skip]
    check_all(&[
        (alias, "a@0/ann b@1=ann/x", &["x 2/1 all of a, b within 10m"]),
        (alias, "a@0/ann b@1=bob/ann", &[]),
        (alias, "a@0/ann b@1=Ann/x", &["x 2/1 all of a, b within 10m"]),
        (alias, "ab@0=ann/ann", &["x 1/1 all of a, b within 10m"]),
        (alias, "ab@0=bob/ann", &[]),
        (alias, "a@0/ann b@1", &[]),
        (summed, "a@0/ann a@1=ann/bob b@2=eve/x", &["x 3/1 3 values of `who` within 10m, where gte 3 is asked"]),
        (summed, "a@0/ann a@1/bob b@2=bob/x", &[]),
    ]);
    let policy = rules(&rule(alias).replace(
        "\ncorrelation:",
        "\nrulectl: {summary: 'of {who}', metadata: [who], user: who}\ncorrelation:",
    ));
    let received = check(
        &policy,
        timeline("a@0/ann b@1=ann/x"),
        &["x 2/1 all of a, b within 10m"],
    );
    let finding = &received.outcomes[0].finding;
    assert_eq!(finding.description, "of ann");
    assert_eq!(finding.group["who"], "ann");
    assert_eq!(finding.metadata["who"], ["ann"]);
    assert_eq!(finding.user_id.as_deref(), Some("ann"));
}

#[test]
fn correlations_are_correlated() {
    let burst = "---\ntitle: Burst\nname: burst\ncorrelation:\n  type: event_count\n  rules: [a]\n  group-by: [actor.id]\n  timespan: 10m\n  condition: {gte: 3}\n";
    let chain = |outer: &str| rules(&format!("{}{burst}", rule(outer)));
    let then = "type: temporal_ordered; rules: [burst, b]";
    let many = "type: event_count; rules: [burst]; timespan: 1h; condition: {gte: 2}";
    let spread = "type: value_count; rules: [burst]; group-by: [client.ipAddress]; condition: {field: actor.id, gte: 2}";
    let kept = "type: temporal_ordered; rules: [burst, b]; generate: true";
    let b3 = "burst 3/1 3 events within 10m, where gte 3 is asked";
    #[rustfmt::skip]
    let cases: [(&str, &str, &[&str]); 11] = [
        (then, "a@0 a@1 a@2 b@3", &["x 2/1 burst, then b within 10m"]),
        (then, "a@0 a@1 b@3", &[]),
        (then, "a@0 a@1 a@2 b@601", &["x 2/1 burst, then b within 10m"]),
        (then, "a@0 a@1 a@2 b@602", &[]),
        (then, "a@0 a@1 ab@2", &[]),
        (then, "a@0 a@1 a@2 b@3/bob", &[]),
        (many, "a@0 a@1 a@2", &[]),
        (many, "a@0 a@1 a@2 a@3", &["x 2/1 2 events within 1h, where gte 2 is asked"]),
        (spread, "a@0 a@1 a@2 a@3/bob a@4/bob", &[]),
        (spread, "a@0 a@1 a@2 a@3/bob a@4/bob a@5/bob", &["x 2/1 2 values of `actor.id` within 10m, where gte 2 is asked"]),
        (kept, "a@0 a@1 a@2 b@3", &[b3, "x 2/1 burst, then b within 10m", "b 1/1 s: displayMessage|contains: b"]),
    ];
    for (outer, events, expected) in cases {
        check(&chain(outer), timeline(events), expected);
    }
}

/// What an inner correlation groups by has one value in each of its hits, though the event has more.
#[test]
fn a_hit_has_the_values_of_its_group() {
    let inner = "---\ntitle: Twice\nname: twice\ncorrelation:\n  type: event_count\n  rules: [a]\n  group-by: [target.id]\n  timespan: 10m\n  condition: {gte: 2}\n";
    let outer =
        rule("type: event_count; rules: [twice]; group-by: [target.id]; condition: {gte: 1}");
    let aimed = |seconds: i64, targets: Value| {
        with(moment(0, &format!("a@{seconds}")), [("target", targets)])
    };
    let events = vec![
        aimed(0, json!([{"id": "g"}, {"id": "h"}])),
        aimed(1, json!([{"id": "h"}, {"id": "i"}])),
    ];
    let received = check(
        &rules(&format!("{outer}{inner}")),
        events,
        &["x 1/1 1 event within 10m, where gte 1 is asked"],
    );
    assert_eq!(received.outcomes[0].finding.group["target.id"], "h");
    // Two groups of one event are one event where they are not told apart, the first of them.
    for (first, expected) in [
        ("h", &[] as &[&str]),
        (
            "g",
            &["x 2/1 2 values of `target.id` within 10m, where gte 2 is asked"],
        ),
    ] {
        let outer = rule(
            "type: value_count; rules: [twice]; group-by: []; condition: {field: target.id, gte: 2}",
        );
        let events = vec![
            aimed(0, json!([{"id": "g"}, {"id": "h"}])),
            aimed(1, json!([{"id": "h"}])),
            aimed(2, json!([{"id": first}, {"id": "h"}])),
        ];
        check(&rules(&format!("{outer}{inner}")), events, expected);
    }
}

#[test]
fn an_outer_correlation_may_stand_before_an_alias_of_an_inner_one() {
    let inner = "---\ntitle: Met\nname: met\ncorrelation:\n  type: temporal\n  rules: [a, b]\n  group-by: [who]\n  timespan: 10m\n  aliases: {who: {a: actor.id, b: debugContext.debugData.risk}}\n";
    let by_name = "type: event_count; rules: [met]; group-by: [who]; condition: {gte: 2}";
    let aliased = "type: temporal_ordered; rules: [met, c]; group-by: [account]; aliases: {account: {met: who, c: client.ipAddress}}";
    #[rustfmt::skip]
    let cases: [(&str, &str, &[&str]); 4] = [
        (by_name, "a@0/ann b@1=ann/x b@2=ann/y", &["x 2/1 2 events within 10m, where gte 2 is asked"]),
        (by_name, "a@0/ann b@1=ann/x b@2=bob/ann", &[]),
        (aliased, "a@0/ann b@1=ann/x c@2/y~ann", &["x 2/1 met, then c within 10m"]),
        (aliased, "a@0/ann b@1=ann/x c@2/ann", &[]),
    ];
    for (outer, events, expected) in cases {
        check(
            &rules(&format!("{}{inner}", rule(outer))),
            timeline(events),
            expected,
        );
    }
}

#[test]
fn hits_of_every_type_become_findings_alike() {
    let settings = "rulectl: {suppress: 1m, summary: '{count} of {hits} in {span}', metadata: [client.ipAddress], user: actor.id}\n";
    let text = format!("{}{settings}", rule("type: temporal; rules: [a, b]"));
    let received = check(
        &rules(&text),
        timeline("a@0 b@10~192.0.2.2 a@70 b@131"),
        &[
            "x 3/2 all of a, b within 10m",
            "x 4/1 all of a, b within 10m",
        ],
    );
    let finding = &received.outcomes[0].finding;
    assert_eq!(finding.description, "3 of 2 in 1m 10s");
    assert_eq!(
        finding.metadata["client.ipAddress"],
        ["192.0.2.1", "192.0.2.2"]
    );
    assert_eq!(finding.user_id.as_deref(), Some("ann"));
    assert_eq!(finding.okta_event_ids, ["0", "1", "2"]);
}
