//! A rule file.

use std::collections::BTreeSet;

use rulectl::detect::{
    Accessors, Detector, Lists, Match, Windows, apply_filters, decode_accessors, decode_filter,
    decode_rule, is_accessors, is_filter,
};
use rulectl::diag::Problems;
use rulectl::document::parse_yaml_documents;
use rulectl::okta::{Mapping, Records};
use rulectl::render::{problems_as_text, problems_as_values};
use rulectl::visible::is_deceptive;

/// What rules are asked of: a few events like Okta's, one of them in an odd shape.
const EVENTS: [&str; 5] = [
    r#"{"actor":{"alternateId":"alice@example.com","id":"00u1","type":"User"},"client":{"geographicalContext":{"country":"Germany","geolocation":{"lat":52.5,"lon":13.4}},"ipAddress":"10.1.2.3"},"debugContext":{"debugData":{"risk":"{level=HIGH}"}},"eventType":"user.session.start","outcome":{"reason":null,"result":"FAILURE"},"published":"2026-03-02T10:00:00.000Z","target":[{"alternateId":"x","id":"1"},{"id":"2"}],"uuid":"e1"}"#,
    r#"{"actor":{"alternateId":"alice@example.com","id":"00u1","type":"User"},"client":{"geographicalContext":{"country":"Japan","geolocation":{"lat":35.7,"lon":139.7}},"ipAddress":"2001:db8::1"},"eventType":"user.session.start","outcome":{"result":"SUCCESS"},"published":"2026-03-02T10:01:00.000Z","uuid":"e2"}"#,
    r#"{"actor":{"alternateId":"Bob@example.com","id":"00u2"},"displayMessage":"Max sign in attempts exceeded","eventType":"user.mfa.factor.deactivate","n":4.5,"published":"2026-03-02T10:01:00.000Z","severity":"WARN","target":[]}"#,
    r#"{"actor":{"alternateId":"Bob@example.com","id":"00u2"},"displayMessage":"*","eventType":"policy.rule.update","n":-0,"published":"2026-03-03T10:01:00.000Z","securityContext":{"isProxy":true}}"#,
    r#"{"actor":[],"client":"none","eventType":["user.session.start",{}],"outcome":{"result":{"result":[[null]]}},"published":17,"target":{"id":["a","a"]}}"#,
];

/// What rules may name: texts, one of them a network, and networks with what they are called.
const LISTS: [(&str, &str); 2] = [
    ("list.txt", "alice*\nbob?\n10.0.0.0/8\n# none\n4"),
    (
        "offices.csv",
        "# kind: networks\nnetwork,site\n10.1.0.0/16,Berlin\n",
    ),
];

/// A file is read or reported, whatever it holds; what is reported can be shown, and rules that
/// are right can be asked of events.
pub fn rule(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut problems = Problems::default();
    let file = problems.add_file("rules/rule.yml", text);
    let mut lists = Lists::default();
    for (path, text) in LISTS {
        let file = problems.add_file(path, text);
        lists.add(path, file, text, &mut problems);
    }
    let mut accessors = Accessors::default();
    let (mut rules, mut filters, mut broken) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (place, document) in parse_yaml_documents(file, text, &mut problems)
        .iter()
        .enumerate()
    {
        let errors = problems.counts().0;
        if is_accessors(document) {
            decode_accessors(document, &mut accessors, &mut problems);
            continue;
        }
        let read = if is_filter(document) {
            let filter = decode_filter(document, &lists, &mut problems);
            filter.map(|filter| filters.push(filter))
        } else {
            let rule = decode_rule(document, "rules/rule.yml", place, &lists, &mut problems);
            rule.map(|rule| rules.push(rule))
        };
        if read.is_none() {
            assert!(problems.counts().0 > errors, "not read, and nothing said");
            broken.insert(place.to_string());
        }
    }
    apply_filters(&filters, &mut rules, &broken, &mut problems);
    let mut detector = Detector::compile(&rules, &broken, &mut problems);
    detector.read_inside(&accessors);
    show(&problems);
    if !problems.has_errors() {
        run(&detector);
    }
}

/// Problems show nothing raw, and stand where there is text.
pub fn show(problems: &Problems) {
    let text = problems_as_text(problems, false);
    let deceptive = |c: &char| *c != '\n' && is_deceptive(*c);
    assert_eq!(text.chars().find(deceptive), None, "{text}");
    let values = serde_json::to_value(problems_as_values(problems));
    assert!(values.is_ok());
    for problem in problems.sorted() {
        let whole = problems.text(problem.span.file);
        let (start, end) = (problem.span.start as usize, problem.span.end as usize);
        assert!(
            start <= end && end <= whole.len(),
            "{problem:?} stands outside of the file"
        );
    }
}

/// Matches and findings can be made and written.
fn run(detector: &Detector) {
    let mut records = Records::new(Mapping::Okta, detector.wanted());
    let mut scratch = detector.scratch();
    let mut matches: Vec<Match> = Vec::new();
    for event in EVENTS {
        let read = records.read(event.as_bytes(), &mut |event, _| {
            detector.scan(&mut scratch, event, &mut matches);
        });
        assert_eq!(read, Ok(()), "{event}");
    }
    matches.sort_by(Match::compare);
    let mut windows = Windows::new(detector);
    let mut findings = Vec::new();
    let last = matches.iter().filter_map(|found| found.time).max();
    for found in matches.into_iter().filter(|found| found.time.is_some()) {
        findings.extend(windows.advance(detector, found));
    }
    let finished: Result<_, std::convert::Infallible> = windows.finish(detector, last, |finding| {
        findings.push(finding);
        Ok(())
    });
    assert!(finished.is_ok());
    assert!(serde_json::to_string(&findings).is_ok());
    let orders: Vec<_> = findings.iter().map(|finding| finding.order()).collect();
    assert!(orders.is_sorted(), "findings come in their order");
}
