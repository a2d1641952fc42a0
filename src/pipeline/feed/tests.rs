use super::*;
use crate::geo::Databases;
use crate::okta::Mapping;
use crate::source::{Limits, Reject};

fn settings() -> Settings {
    Settings {
        mapping: Mapping::Auto,
        since: None,
        until: None,
        strict: false,
        threads: 1,
        databases: Databases::NONE,
        evidence: None,
    }
}

fn input(name: &str, text: &str) -> Input {
    Input::Memory {
        name: name.to_owned(),
        bytes: text.as_bytes().into(),
    }
}

/// A feed whose chunks have so many bytes.
fn feed(inputs: Vec<Input>, chunk: usize) -> Feed {
    let limits = Limits {
        chunk,
        ..Limits::default()
    };
    Feed {
        ahead: VecDeque::new(),
        reader: Reader::with_limits(inputs, limits),
        taken: None,
    }
}

/// A line for each event type, a second apart.
fn events(types: &[&str]) -> String {
    let line = |(at, event_type): (usize, &&str)| {
        let (minute, second) = (at / 60 % 60, at % 60);
        format!(
            "{{\"eventType\":\"{event_type}\",\"published\":\"2026-03-02T00:{minute:02}:{second:02}Z\"}}\n"
        )
    };
    types.iter().enumerate().map(line).collect()
}

/// Count, times, and each type with how often it came.
fn shown(summary: &Summary) -> String {
    let times = [summary.first_seen, summary.last_seen];
    let times = times.map(|time| time.map_or_else(|| "-".to_owned(), |time| time.to_string()));
    let types: Vec<String> = summary
        .event_types
        .iter()
        .map(|frequent| format!("{} {}", frequent.event_type, frequent.count))
        .collect();
    format!(
        "{}, {}, {}",
        summary.count,
        times.join(" to "),
        types.join(" ")
    )
}

#[test]
fn the_first_events_are_summed_up() {
    let cut = Settings {
        since: Some(crate::okta::parse_time("2026-03-02T00:00:01Z").expect("a time")),
        ..settings()
    };
    let hook = r#"{"eventType":"com.okta.event_hook","data":{"events":[{"eventType":"x"},{"eventType":"y"}]}}"#;
    let lines = events(&["b", "a", "b", "a", "c"]);
    let junk = format!("{{}}\nnot JSON\n{lines}");
    let cases = [
        ("", settings(), "0, - to -, "),
        (
            &lines,
            settings(),
            "5, 2026-03-02T00:00:00Z to 2026-03-02T00:00:04Z, a 2 b 2 c 1",
        ),
        (
            &lines,
            cut,
            "4, 2026-03-02T00:00:01Z to 2026-03-02T00:00:04Z, a 2 b 1 c 1",
        ),
        (hook, settings(), "2, - to -, x 1 y 1"),
        (
            &junk,
            settings(),
            "6, 2026-03-02T00:00:00Z to 2026-03-02T00:00:04Z, a 2 b 2 c 1",
        ),
    ];
    for (text, settings, expected) in cases {
        let mut feed = feed(vec![input("in", text)], 1 << 20);
        assert_eq!(shown(&feed.summary(&settings)), expected, "{text}");
    }
}

#[test]
fn at_most_twenty_types_are_told_and_none_is_long() {
    let names: Vec<String> = (0..30).map(|n| format!("type{n:02}")).collect();
    let mut types: Vec<&str> = names.iter().map(String::as_str).collect();
    let long = "x".repeat(10_000);
    types.extend(["type29", &long, &long]);
    let mut feed = feed(vec![input("in", &events(&types))], 1 << 20);
    let summary = feed.summary(&settings());
    assert_eq!(summary.event_types.len(), TYPES);
    let first: Vec<&str> = summary.event_types[..3]
        .iter()
        .map(|frequent| frequent.event_type.as_str())
        .collect();
    assert_eq!((first[0], first[2]), ("type29", "type00"));
    assert!(first[1].len() < 600, "{}", first[1].len());
}

/// Every record with its input and line, what is none, and how many inputs failed.
type HandedOn = (Vec<(u32, u64, Vec<u8>)>, Vec<Reject>, usize);

fn handed_on(feed: Feed) -> HandedOn {
    let (mut records, mut rejects, mut errors) = (Vec::new(), Vec::new(), 0);
    for (chunk, _) in feed {
        let Ok(chunk) = chunk else {
            errors += 1;
            continue;
        };
        let of_chunk = chunk.records();
        records.extend(
            of_chunk.map(|record| (record.place.input, record.place.line, record.bytes.to_vec())),
        );
        rejects.extend(chunk.rejects().iter().cloned());
    }
    (records, rejects, errors)
}

/// Some limits that are reached soon.
const FEW: Most = Most {
    events: 100,
    records: 300,
    text: 20_000,
};

#[test]
fn nothing_is_lost_and_the_cut_is_the_same_in_chunks_of_any_size() {
    let types: Vec<String> = (0..400).map(|n| format!("t{}", n % 7)).collect();
    let types: Vec<&str> = types.iter().map(String::as_str).collect();
    let many = events(&types);
    let blank = " ".repeat(700).repeat(40);
    // A comma is missing between two of them, and none is of the time range.
    let old = "{\"published\":\"2026-03-01T00:00:00Z\"}\n";
    let broken = format!("[{}]", old.repeat(200));
    let settings = Settings {
        since: Some(crate::okta::parse_time("2026-03-02T00:00:00Z").expect("a time")),
        ..settings()
    };
    let long = many.replace("t3\"", &format!("t3\",\"x\":\"{blank}\""));
    let inputs = |order: [&str; 3]| {
        let mut inputs = vec![Input::File("no/such/file".into())];
        inputs.extend(order.map(|text| input("in", text)));
        inputs
    };
    let cases = [
        ([many.as_str(), broken.as_str(), "0"], 100),
        (["0 0", &broken, &many], 97),
        ([&broken[..old.len() * 3], &many, ""], 100),
        ([&long, "", &many], 4),
        ([&blank, &many, ""], 0),
    ];
    for (order, count) in cases {
        let untouched = handed_on(feed(inputs(order), 1 << 20));
        assert_eq!(untouched.2, 1);
        let mut first = None;
        for chunk in [90, 1000, 1 << 20] {
            let mut feed = feed(inputs(order), chunk);
            let summary = feed.look(&settings, FEW);
            assert_eq!(summary.count, count, "{chunk} {:.40}", order[0]);
            assert_eq!(*first.get_or_insert_with(|| summary.clone()), summary);
            assert!(handed_on(feed) == untouched, "{chunk} {:.40}", order[0]);
        }
    }
}

#[test]
fn what_is_read_ahead_is_bounded() {
    let dated = "{\"eventType\":\"a\",\"published\":\"2026-03-02T00:00:00Z\"}\n".repeat(1000);
    let outside = Settings {
        until: Some(crate::event::Time(0)),
        ..settings()
    };
    let broken = format!("[{}]", dated.get(..40_000).expect("text"));
    let long = dated.replace("\"a\"", &format!("\"{}\"", "a".repeat(5000)));
    let cases = [
        (&dated, settings(), 100..120),
        (&dated, outside.clone(), 300..320),
        (&broken, outside, 300..320),
        (&long, settings(), 2..8),
    ];
    for (text, settings, expected) in cases {
        let mut feed = feed(vec![input("in", text)], 500);
        feed.look(&settings, FEW);
        let chunks = feed.ahead.iter();
        let chunks = chunks.filter_map(|(chunk, _)| chunk.as_ref().ok());
        let held: usize = chunks
            .clone()
            .map(|chunk| chunk.records().count() + chunk.rejects().len())
            .sum();
        assert!(expected.contains(&held), "{held} of {text:.40}");
        let text: u64 = chunks.map(Chunk::bytes).sum();
        assert!(text < 26_000, "{text}");
    }
}
