//! The System Log: what is told, in which order, and on which page.

use std::collections::BTreeSet;

use super::*;
use crate::tenant::log::{Log, Written};
use crate::tenant::scenario::{LateSettings, LaterSettings, LogSettings, Release, Span};
use crate::tenant::seed::Seed;

fn with_events(events: Vec<Value>) -> Bench {
    let bench = Bench::new(plain());
    bench.tenant.persist(events);
    bench
}

#[test]
fn polling_is_ordered_by_persistence_and_bounded_by_publishing() {
    // persisted 0, 1, 2, 3; published 3, 1, 0, 2
    let bench = with_events(vec![event(0, 20), event(1, 40), event(2, 10), event(3, 60)]);
    assert_eq!(numbers(&bench.get("/api/v1/logs").items()), [0, 1, 2, 3]);
    let bounded = "/api/v1/logs?since=2026-03-02T09:00:00Z&until=2026-03-02T10:00:00Z";
    assert_eq!(numbers(&bench.get(bounded).items()), [3, 1, 0, 2]);
    let descending = bench.get("/api/v1/logs?sortOrder=DESCENDING");
    assert_eq!(numbers(&descending.items()), [2, 0, 1, 3]);
    assert_eq!(descending.links().len(), 1, "what descends ends");
}

#[test]
fn a_polling_page_always_has_a_next_link_and_an_empty_one_goes_on() {
    let bench = Bench::new(plain());
    let empty = bench.get("/api/v1/logs?limit=2");
    assert_eq!(empty.items().len(), 0);
    assert_eq!(empty.links().len(), 2, "self and next, apart");
    let next = empty.next(&bench.tenant.origin()).unwrap();
    assert!(!next.contains("since="));
    bench
        .tenant
        .persist(vec![event(0, 5), event(1, 3000), event(2, 1)]);
    let page = bench.get(&next);
    assert_eq!(numbers(&page.items()), [0, 1], "late ones, too");
    let next = page.next(&bench.tenant.origin()).unwrap();
    assert_eq!(numbers(&bench.get(&next).items()), [2]);
    assert_eq!(
        numbers(&bench.get(&next).items()),
        [2],
        "a link can be followed again"
    );
}

#[test]
fn a_bounded_request_ends_and_misses_what_is_late() {
    let bench = with_events(
        (0..5)
            .map(|number| event(number, 100 - number as i64))
            .collect(),
    );
    let target = "/api/v1/logs?since=2026-03-02T09:00:00Z&until=2026-03-02T10:00:00Z&limit=2";
    let first = bench.get(target);
    assert_eq!(numbers(&first.items()), [0, 1]);
    // published within the bounds, persisted after the first page was asked for
    bench.tenant.persist(vec![event(9, 98)]);
    let next = first.next(&bench.tenant.origin()).unwrap();
    let rest = bench.pages(&next, 9);
    assert_eq!(
        rest.iter().map(numbers).collect::<Vec<_>>(),
        [vec![2, 3], vec![4]]
    );
    let again: Vec<Vec<Value>> = bench.pages(target, 9);
    assert_eq!(
        numbers(again.iter().flatten()),
        [0, 1, 2, 9, 3, 4],
        "a new request has it"
    );
}

#[test]
fn a_page_that_is_just_full_is_the_last() {
    let bench = with_events((0..4).map(|number| event(number, 9)).collect());
    let pages = bench.pages("/api/v1/logs?until=2026-03-02T10:00:00Z&limit=2", 9);
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn nothing_is_lost_or_doubled_whatever_the_limit() {
    let events = || {
        (0..97)
            .map(|number| event(number, 1 + (number as i64 * 37) % 89))
            .collect::<Vec<_>>()
    };
    let all: BTreeSet<usize> = (0..97).collect();
    for limit in [1, 2, 3, 7, 50, 96, 97, 98, 1000] {
        let bench = with_events(events());
        for target in [
            format!("/api/v1/logs?limit={limit}"),
            format!("/api/v1/logs?limit={limit}&until=2026-03-02T10:00:00Z"),
            format!("/api/v1/logs?limit={limit}&sortOrder=DESCENDING"),
        ] {
            let pages = bench.pages(&target, 97 / limit + 1);
            let told = numbers(pages.iter().flatten());
            assert_eq!(told.len(), 97, "{target}");
            assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), all, "{target}");
        }
    }
}

#[test]
fn parameters_that_cannot_be_are_refused() {
    let bench = with_events(vec![event(0, 1)]);
    let foreign = {
        let other = Options {
            seed: 8,
            clock: Clock::Manual(Arc::clone(&bench.clock)),
            ..Options::default()
        };
        let other = Bench {
            tenant: start(plain(), other).unwrap(),
            clock: Arc::clone(&bench.clock),
        };
        let next = other
            .get("/api/v1/logs")
            .next(&other.tenant.origin())
            .unwrap();
        next.split("after=").nth(1).unwrap().to_owned()
    };
    let own = bench
        .get("/api/v1/logs")
        .next(&bench.tenant.origin())
        .unwrap();
    let own = own.split("after=").nth(1).unwrap().to_owned();
    let many = ["w"; 11].join("+");
    let long = "w".repeat(41);
    for (query, code) in [
        ("limit=1001", "E0000001"),
        ("limit=-1", "E0000001"),
        ("limit=x", "E0000001"),
        ("since=yesterday", "E0000001"),
        ("until=x", "E0000001"),
        ("sortOrder=UP", "E0000001"),
        ("since=2025-08-01T00:00:00Z", "E0000053"),
        (
            "since=2026-03-02T10:00:00Z&until=2026-03-01T10:00:00Z",
            "E0000001",
        ),
        ("after=1627500044869_1", "E0000031"),
        (&format!("after={foreign}"), "E0000031"),
        (
            &format!("after={own}&since=2026-03-01T00:00:00Z"),
            "E0000001",
        ),
        ("filter=eventType", "E0000053"),
        ("filter=eventType+eq+user", "E0000053"),
        ("filter=published+gt+%222026-01-01T00:00:00Z%22", "E0000053"),
        ("filter=event_type+eq+%22x%22", "E0000053"),
        ("filter=debugContext.debugData.url+co+%22x%22", "E0000031"),
        ("filter=target%5Bid+eq+%22x%22%5D", "E0000053"),
        (&format!("q={many}"), "E0000001"),
        (&format!("q={long}"), "E0000001"),
    ] {
        let reply = bench.get(&format!("/api/v1/logs?{query}"));
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (400, code),
            "{query}: {}",
            reply.text()
        );
        let body = reply.json();
        for key in ["errorCode", "errorSummary", "errorLink", "errorId"] {
            assert!(body[key].is_string(), "{query}: {key}");
        }
        assert!(
            body["errorCauses"][0]["errorSummary"].is_string(),
            "{query}"
        );
    }
    assert_eq!(bench.get("/api/v1/logs?limit=0").items().len(), 0);
}

#[test]
fn filters_and_keywords_choose() {
    let bench = with_events((0..6).map(|number| event(number, 10)).collect());
    let encode = crate::tenant::wire::encoded;
    for (filter, chosen) in [
        ("eventType eq \"user.session.start\"", vec![0, 2, 4]),
        ("eventType ne \"user.session.start\"", vec![1, 3, 5]),
        ("eventType ew \"end\" and target.id eq \"t3\"", vec![3]),
        ("target.id eq \"t1\" or target.id eq \"t2\"", vec![1, 2]),
        (
            "target.id eq \"t1\" or target.id eq \"t2\" and eventType sw \"user.session.s\"",
            vec![1, 2],
        ),
        (
            "not (actor.alternateId co \"user5\") and eventType ew \"end\"",
            vec![1, 3],
        ),
        ("uuid gt \"event-3\"", vec![4, 5]),
        ("uuid le \"event-1\"", vec![0, 1]),
        ("outcome.result pr", vec![]),
        ("actor.displayName pr", vec![0, 1, 2, 3, 4, 5]),
    ] {
        let reply = bench.get(&format!("/api/v1/logs?filter={}", encode(filter)));
        assert_eq!(
            numbers(&reply.items()),
            chosen,
            "{filter}: {}",
            reply.text()
        );
    }
    for (q, chosen) in [
        ("T4", vec![4]),
        ("anna", vec![0, 1, 2, 3, 4, 5]),
        ("anna-maria t2", vec![2]),
        ("ann", vec![]),
    ] {
        let reply = bench.get(&format!("/api/v1/logs?q={}", encode(q)));
        assert_eq!(numbers(&reply.items()), chosen, "{q}");
    }
}

#[test]
fn old_events_are_silently_absent() {
    let bench = with_events(vec![event(0, 91 * 86_400), event(1, 89 * 86_400)]);
    let all = bench.get("/api/v1/logs?since=2025-10-01T00:00:00Z");
    assert_eq!(numbers(&all.items()), [1]);
    let week = bench.get("/api/v1/logs?sortOrder=DESCENDING");
    assert_eq!(week.items().len(), 0, "without since, seven days");
}

#[test]
fn a_clock_releases_what_was_persisted_by_then() {
    let mut scenario = plain();
    scenario.log.release = Release::AsTimeGoesOn;
    let bench = Bench::new(scenario);
    let settings = LogSettings {
        release: Release::AsTimeGoesOn,
        later: Some(LaterSettings {
            share: 0.3,
            by: Span(30 * SECOND),
        }),
        ..LogSettings::default()
    };
    let events: Vec<Value> = (0..50)
        .map(|number| event(number, -(number as i64)))
        .collect();
    bench.tenant.core().log = Log::new(
        events.iter().map(Written::of).collect(),
        &settings,
        Seed(7),
        NOW,
    );
    let mut told = Vec::new();
    let mut target = "/api/v1/logs?limit=10".to_owned();
    for _ in 0..30 {
        let page = bench.get(&target);
        told.extend(numbers(&page.items()));
        target = page.next(&bench.tenant.origin()).unwrap();
        bench.advance(3);
    }
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 50);
    assert_eq!(told.len(), 50);
    assert!(!told.is_sorted(), "those that are late come after");
    bench.clock.store(NOW, Ordering::SeqCst);
    assert_eq!(bench.tenant.log_persisted(), 50, "what was told stays told");
}

#[test]
fn some_are_late_and_some_come_twice() {
    let settings = LogSettings {
        duplicates: 0.1,
        late: Some(LateSettings {
            share: 0.2,
            most: Span(90 * SECOND),
        }),
        ..LogSettings::default()
    };
    let events: Vec<Value> = (0..2000)
        .map(|number| event(number, 2000 - number as i64))
        .collect();
    let log = Log::new(
        events.iter().map(Written::of).collect(),
        &settings,
        Seed(3),
        NOW,
    );
    let entries = log.entries();
    assert!((2150..2250).contains(&entries.len()), "{}", entries.len());
    assert!(entries.is_sorted_by_key(|entry| entry.persisted));
    let late = entries
        .iter()
        .filter(|entry| entry.persisted > entry.published)
        .count();
    assert!((500..700).contains(&late), "{late}");
    let bound =
        |entry: &&crate::tenant::log::Entry| entry.persisted - entry.published > 90 * SECOND;
    assert_eq!(entries.iter().filter(bound).count(), 0);
}

#[test]
fn events_are_told_as_they_were_written() {
    let text =
        r#"{ "uuid":"a\u0041",  "published" : "2026-03-01T10:00:00.500Z", "n": 1.50, "n2":1e3 }"#;
    let path = std::env::temp_dir().join(format!("tenant-events-{}.ndjson", std::process::id()));
    std::fs::write(
        &path,
        format!("{text}\n\n{{\"uuid\":\"b\"}}\n{{\"published\":7}}\n"),
    )
    .unwrap();
    let mut scenario = plain();
    scenario.log.files = vec![path.clone()];
    let bench = Bench::new(scenario.clone());
    assert!(bench.get("/api/v1/logs").text().contains(text));
    assert_eq!(bench.get("/api/v1/logs").items().len(), 3);
    scenario.log.shift_to_now = true;
    let moved = text.replace("2026-03-01T10:00:00.500Z", "2026-03-02T10:00:00.000Z");
    assert!(
        Bench::new(scenario.clone())
            .get("/api/v1/logs")
            .text()
            .contains(&moved)
    );
    std::fs::write(&path, "{\"uuid\":\"b\"}\n[1]\n").unwrap();
    let error = start(scenario, Options::default())
        .err()
        .unwrap()
        .to_string();
    std::fs::remove_file(&path).unwrap();
    assert!(error.contains("line 2"), "{error}");
}
