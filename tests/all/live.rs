//! Events as they come: watermarks, lateness, silence, the clock, and the same run again.

use std::collections::BTreeMap;
use std::io;
use std::sync::LazyLock;

use proptest::prelude::*;
use rulectl::detect::{Finding, Heading, Match, Status};
use rulectl::event::{Nanos, Time};
use rulectl::geo::Databases;
use rulectl::okta::Mapping;
use rulectl::pipeline::{
    Advance, Came, Counts, DetectSink, Evidence, Late, Live, LiveSink, Rejected, Settings,
    detect_again,
};
use rulectl::policy::Policy;
use rulectl::redact::Secrets;
use rulectl::source::{Limits, Reader};
use serde_json::Value;

use crate::harness::{lines, memory, policy_of, program, run, sign_in, with};

/// A burst, an account that never comes back after a failure, and a rule of one event.
const RULES: &str = "\
title: Burst
name: burst
correlation:
  type: event_count
  rules: [failed]
  group-by: [actor.alternateId]
  timespan: 10m
  condition: {gte: 3}
  generate: true
---
title: Never came back
name: gave_up
correlation:
  type: absent
  rules: [failed, signed_in]
  group-by: [actor.alternateId]
  timespan: 5m
---
title: Failed
name: failed
logsource: {product: okta}
detection:
  s: {outcome.result: FAILURE}
  condition: s
---
title: Signed in
name: signed_in
logsource: {product: okta}
detection:
  s: {outcome.result: SUCCESS}
  condition: s
";

static POLICY: LazyLock<Policy> = LazyLock::new(|| policy_of(RULES));

/// What holds one event.
const SMALL: Limits = Limits {
    chunk: 4 << 10,
    record: 4 << 10,
};

const SETTINGS: Settings = Settings {
    mapping: Mapping::Okta,
    since: None,
    until: None,
    strict: false,
    threads: 1,
    databases: Databases::NONE,
    evidence: None,
};

/// What happens: an event comes, or nothing does, at so many seconds after ten by the clock.
enum Step {
    Comes(Value, i64),
    Silence(i64),
}
use Step::{Comes, Silence};

/// What was told, in its order.
#[derive(Default)]
struct Told {
    findings: Vec<Finding>,
    matches: usize,
    advances: Vec<Advance>,
    late: Vec<Late>,
    evidence: Evidence,
    counts: Counts,
}

impl DetectSink for Told {
    fn found(&mut self, _: &Heading, _: &Match) -> io::Result<()> {
        self.matches += 1;
        Ok(())
    }

    fn finding(&mut self, finding: Finding) -> io::Result<()> {
        self.findings.push(finding);
        Ok(())
    }

    fn reject(&mut self, rejected: &Rejected) -> io::Result<()> {
        panic!("rejected: {rejected:?}")
    }

    fn evidence(&mut self, evidence: Evidence) -> io::Result<()> {
        self.evidence.append(evidence);
        Ok(())
    }
}

impl LiveSink for Told {
    fn advanced(&mut self, advance: Advance) -> io::Result<()> {
        self.advances.push(advance);
        Ok(())
    }

    fn late(&mut self, late: &Late) -> io::Result<()> {
        self.late.push(late.clone());
        Ok(())
    }
}

impl Told {
    /// `TITLE STATUS COUNT` of each line that tells a finding of a correlation.
    fn shown(&self) -> Vec<String> {
        let of_correlations = self.findings.iter().filter(|f| f.rule_title != "Failed");
        of_correlations
            .map(|f| format!("{} {:?} {}", f.rule_title, f.status, f.count))
            .collect()
    }

    fn closed(&self) -> BTreeMap<String, Finding> {
        let closed = self.findings.iter().filter(|f| f.status == Status::Closed);
        let told = closed.map(|f| (f.id.to_string(), f.clone()));
        told.collect()
    }
}

/// The wall clock, so many seconds after ten.
fn clock(seconds: i64) -> Time {
    const TEN: i64 = 1_772_445_600;
    Time((TEN + seconds) * Nanos::SECOND.0)
}

fn follow(policy: &Policy, lateness: Nanos, steps: &[Step]) -> Told {
    follow_with(policy, SETTINGS, lateness, steps)
}

fn follow_with(policy: &Policy, settings: Settings, lateness: Nanos, steps: &[Step]) -> Told {
    let mut told = Told::default();
    let names = vec!["live".to_owned()];
    let mut live = Live::new(&policy.detector, settings, names, lateness);
    take(&mut live, steps, &mut told);
    told.counts = live.finish(&mut told).expect("a sink in memory");
    told
}

fn take(live: &mut Live<'_>, steps: &[Step], told: &mut Told) {
    for step in steps {
        match step {
            Comes(event, at) => {
                let input = memory(lines(std::slice::from_ref(event)).into_bytes());
                for chunk in Reader::with_limits(vec![input], SMALL) {
                    let chunk = chunk.expect("text at hand");
                    live.take(&chunk, clock(*at), told)
                        .expect("a sink in memory");
                }
            }
            Silence(at) => live.tick(clock(*at), told).expect("a sink in memory"),
        }
    }
}

fn two_minutes() -> Nanos {
    Nanos(120 * Nanos::SECOND.0)
}

fn failed(account: &str, seconds: i64) -> Value {
    sign_in(account, "FAILURE", seconds)
}

#[test]
fn what_comes_within_the_lateness_counts_in_whatever_order_and_what_is_later_is_listed() {
    let policy = &*POLICY;
    let steps = [
        Comes(failed("ann", 100), 100),
        Comes(failed("ann", 0), 101), // late by less than two minutes
        Comes(failed("ann", 50), 102),
        Comes(failed("bob", 400), 400), // the watermark is at 280
        Comes(failed("ann", 280), 401), // at the watermark: too late
        Comes(failed("ann", 281), 402),
    ];
    let told = follow(policy, two_minutes(), &steps);
    let late: Vec<_> = told.late.iter().map(|late| late.published).collect();
    assert_eq!(late, [clock(280)]);
    assert_eq!(told.late[0].event_id.as_deref(), Some("ann-FAILURE-280"));
    assert_eq!(told.counts.late, 1);
    let all_six = told.findings.iter().filter(|f| f.rule_title == "Failed");
    assert_eq!(all_six.count(), 6, "a late event meets single-event rules");
    let bursts: Vec<_> = told
        .shown()
        .into_iter()
        .filter(|f| f.starts_with("Burst"))
        .collect();
    assert_eq!(bursts, ["Burst Open 3", "Burst Closed 4"]);
}

#[test]
fn a_silent_source_goes_on_with_the_clock_and_what_was_waited_for_fires() {
    let policy = &*POLICY;
    let quiet = [Comes(failed("ann", 0), 1), Silence(419)];
    assert_eq!(
        follow(policy, two_minutes(), &quiet)
            .counts
            .correlation
            .pending,
        1
    );
    let over = [Comes(failed("ann", 0), 1), Silence(420)];
    let told = follow(policy, two_minutes(), &over);
    assert_eq!(
        told.shown(),
        ["Never came back Open 1", "Never came back Closed 1"]
    );
    // A clock that is set back takes nothing back.
    let stepped = [
        Comes(failed("ann", 0), 1),
        Silence(420),
        Silence(-9_000),
        Comes(failed("ann", 400), -9_000),
    ];
    let told = follow(policy, two_minutes(), &stepped);
    assert!(told.late.is_empty());
    let marks: Vec<_> = told
        .advances
        .iter()
        .map(|advance| advance.watermark)
        .collect();
    assert_eq!(marks, [clock(-120), clock(300)]);
}

#[test]
fn an_event_from_the_future_makes_no_other_late_by_more_than_five_minutes() {
    let policy = &*POLICY;
    let steps = [
        Comes(failed("ann", 90_000), 0),
        Comes(failed("ann", 181), 1),
        Comes(failed("ann", 182), 2),
        Comes(failed("ann", 183), 3),
        Comes(failed("ann", 10), 4),
    ];
    let told = follow(policy, two_minutes(), &steps);
    assert_eq!((told.counts.ahead, told.counts.late), (1, 1));
    let bursts: Vec<_> = told
        .shown()
        .into_iter()
        .filter(|f| f.starts_with("Burst"))
        .collect();
    assert_eq!(bursts, ["Burst Open 3", "Burst Closed 3"]);
}

#[test]
fn an_event_from_the_future_decides_nothing_at_the_end() {
    let policy = &*POLICY;
    let steps = [
        Comes(failed("ann", 0), 1),
        Comes(failed("bob", 9_000_000), 2),
    ];
    let told = follow(policy, two_minutes(), &steps);
    assert_eq!(told.shown(), [""; 0], "ann may still come back");
    assert_eq!(told.counts.correlation.pending, 1);
    assert_eq!(told.counts.evicted, 1, "nobody saw bob's event");
}

#[test]
fn a_second_copy_within_a_day_counts_once_and_a_later_one_is_an_event() {
    let policy = &*POLICY;
    let copy = failed("ann", 0);
    let steps = [
        Comes(copy.clone(), 0),
        Comes(copy.clone(), 1),
        Comes(failed("bob", 86_300), 86_300),
        Comes(copy.clone(), 86_301),
        Comes(failed("bob", 86_600), 86_600),
        Comes(copy.clone(), 86_601),
    ];
    let told = follow(policy, two_minutes(), &steps);
    // Each copy is of one rule and met once a record.
    assert_eq!(told.counts.correlation.duplicates, 2);
    assert_eq!(told.late.len(), 1, "the last copy is an event, and late");
}

/// Sign-ins of few accounts, out of order by less than two minutes.
fn sign_ins() -> impl Strategy<Value = Vec<Value>> {
    let one = (0..3_usize, any::<bool>(), 0..3_000_i64, 0..119_i64);
    proptest::collection::vec(one, 0..60).prop_map(|mut events| {
        events.sort_by_key(|(_, _, published, delay)| published + delay);
        let event = |(turn, (who, failed, published, _)): (usize, (usize, bool, i64, i64))| {
            let result = if failed { "FAILURE" } else { "SUCCESS" };
            let event = sign_in(["ann", "bob", "cid"][who], result, published);
            with(event, [("uuid", turn.to_string().into())])
        };
        events.into_iter().enumerate().map(event).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Where nothing comes too late, live findings are those of the finished log.
    #[test]
    fn live_findings_are_those_of_the_log(events in sign_ins(), ticks in any::<bool>()) {
        let policy = &*POLICY;
        let mut steps = Vec::new();
        for event in &events {
            let published = event["published"].as_str().expect("a text");
            let at = rulectl::okta::parse_time(published).expect("a time").since(clock(0)).0 / Nanos::SECOND.0;
            steps.push(Comes(event.clone(), at));
            if ticks {
                steps.push(Silence(at));
            }
        }
        let told = follow(policy, two_minutes(), &steps);
        prop_assert_eq!(told.counts.late, 0);
        let finished = run(policy, &events);
        let expected: BTreeMap<_, _> = finished.outcomes.iter().map(|o| (o.finding.id.to_string(), o.finding.clone())).collect();
        prop_assert_eq!(told.closed(), expected);
    }

    /// What was kept tells the same again, without the input and the clock.
    #[test]
    fn a_recorded_run_repeats(events in sign_ins(), pauses in proptest::collection::vec(0..200_i64, 60), is_secret in any::<bool>()) {
        let policy = &*POLICY;
        let mut now = 0;
        let mut steps = Vec::new();
        for (event, pause) in events.iter().zip(pauses) {
            now += pause;
            steps.extend([Silence(now), Comes(event.clone(), now)]);
        }
        let secrets = Secrets::new(is_secret.then_some("actor.displayName"));
        let settings = Settings { evidence: Some(secrets), ..SETTINGS };
        let first = follow_with(policy, settings, two_minutes(), &steps);
        let mut second = Told::default();
        let kept = first.evidence.lines.clone();
        let came = Came::Live { generation: 0, state: None, ended: true };
        detect_again(&policy.detector, &mut [Ok(kept)].into_iter(), &came, &SETTINGS, &mut second).expect("evidence");
        prop_assert_eq!(&first.findings, &second.findings);
        prop_assert_eq!((&first.late, &first.advances), (&second.late, &second.advances));
    }

    /// The same of input that has an end.
    #[test]
    fn a_finished_run_repeats(events in sign_ins()) {
        let policy = &*POLICY;
        let settings = Settings { evidence: Some(Secrets::default()), ..SETTINGS };
        let mut first = Told::default();
        let input = vec![memory(lines(&events).into_bytes())];
        let (counts, _) = rulectl::pipeline::detect(&policy.detector, input, &settings, &mut first, &|_| {}).expect("a sink in memory");
        let mut second = Told::default();
        let kept = first.evidence.lines.clone();
        let came = Came::Finite(counts.last);
        detect_again(&policy.detector, &mut [Ok(kept)].into_iter(), &came, &SETTINGS, &mut second).expect("evidence");
        prop_assert_eq!(&first.findings, &second.findings);
    }
}

/// The same steps with a break before one of them: what was told before it, and after it.
fn follow_in_two(before: &Policy, after: &Policy, steps: &[Step], at: usize) -> Told {
    let names = || vec!["live".to_owned()];
    let mut told = Told::default();
    let mut live = Live::new(&before.detector, SETTINGS, names(), two_minutes());
    take(&mut live, &steps[..at], &mut told);
    let saved = live.save();
    let clock = steps[..at].iter().rev().find_map(|step| match step {
        Comes(_, at) => Some(clock(*at)),
        Silence(_) => None,
    });
    let live = Live::new(&after.detector, SETTINGS, names(), two_minutes());
    let (mut live, _) = live
        .restore(&saved, clock.unwrap_or(self::clock(0)))
        .expect("what was saved");
    take(&mut live, &steps[at..], &mut told);
    told.counts = live.finish(&mut told).expect("a sink in memory");
    told
}

/// Rules that change the numbers of all others, and find nothing.
const OTHERS: &str = "\
title: Other
name: other
logsource: {product: okta}
detection:
  s: {client.ipAddress: none}
  condition: s
---
title: Other burst
name: other_burst
correlation:
  type: event_count
  rules: [other]
  group-by: [client.zone, client.ipAddress]
  timespan: 10m
  condition: {gte: 3}
---
";

static SHIFTED: LazyLock<Policy> = LazyLock::new(|| policy_of(&format!("{OTHERS}{RULES}")));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A run that was interrupted, and goes on with what it kept, tells what one run tells.
    #[test]
    fn a_run_in_two_tells_what_one_tells(events in sign_ins(), at in 0..100_usize) {
        let steps: Vec<Step> = events
            .iter()
            .map(|event| {
                let published = event["published"].as_str().expect("a text");
                let at = rulectl::okta::parse_time(published).expect("a time").since(clock(0)).0 / Nanos::SECOND.0;
                Comes(event.clone(), at)
            })
            .collect();
        let whole = follow(&POLICY, two_minutes(), &steps);
        let at = at * steps.len() / 100;
        for after in [&*POLICY, &*SHIFTED] {
            let parts = follow_in_two(&POLICY, after, &steps, at);
            prop_assert_eq!(&whole.findings, &parts.findings);
            prop_assert_eq!((&whole.late, &whole.advances), (&parts.late, &parts.advances));
            prop_assert_eq!(whole.counts.correlation.pending, parts.counts.correlation.pending);
        }
    }
}

/// What came last in time came before the cut.
#[test]
fn the_end_is_that_of_the_newest_event_wherever_the_run_was_cut() {
    let steps = [Comes(failed("ann", 3), 3), Comes(failed("ann", 2), 3)];
    let whole = follow(&POLICY, two_minutes(), &steps);
    for at in 0..=steps.len() {
        let parts = follow_in_two(&POLICY, &POLICY, &steps, at);
        assert_eq!(whole.advances, parts.advances, "cut at {at}");
    }
}

/// Runs `detect --follow --state` over these events: the lines, and what is said of them.
fn program_with_state(
    folder: &std::path::Path,
    state: &str,
    events: &[Value],
) -> (Vec<Value>, String) {
    let output = program()
        .args(["detect", "--follow", "--events", "-", "--rules"])
        .arg(folder.join("rules.yml"))
        .arg("--state")
        .arg(folder.join(state))
        .write_stdin(lines(events))
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8_lossy(&output.stdout);
    let told = told
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    (
        told.collect(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn two_logs_in_two_runs_with_state_tell_what_one_run_over_both_tells() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yml"), RULES).expect("written");
    let events: Vec<Value> = [0, 10, 500, 505, 510, 4_000, 4_010, 4_500, 4_590, 9_000]
        .map(|at| failed("ann", at))
        .to_vec();
    let (whole, _) = program_with_state(folder.path(), "whole.state", &events);
    for at in 0..=events.len() {
        let state = format!("{at}.state");
        let (mut parts, first) = program_with_state(folder.path(), &state, &events[..at]);
        assert!(!first.contains("restored"), "{first}");
        let (rest, second) = program_with_state(folder.path(), &state, &events[at..]);
        assert!(second.starts_with("restored: burst, gave_up\n"), "{second}");
        parts.extend(rest);
        assert_eq!(parts, whole, "cut at {at}");
    }
    assert!(
        whole.iter().any(|line| line["status"] == "closed"),
        "{whole:?}"
    );
}

#[test]
fn a_state_is_said_to_be_of_other_rules_or_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rules.yml");
    std::fs::write(&rules, RULES).expect("written");
    let burst: Vec<Value> = [0, 10, 20, 300].map(|at| failed("ann", at)).to_vec();
    program_with_state(folder.path(), "state", &burst);
    let other = RULES
        .replace("{gte: 3}", "{gte: 4}")
        .replace("name: gave_up", "name: given_up");
    std::fs::write(&rules, other).expect("written");
    let (_, said) = program_with_state(folder.path(), "state", &[]);
    let expected = "restored: no rule
begins anew: burst, which does something else now; 1 open finding lost
let go: gave_up, which is gone
begins anew: given_up, which the state does not know
";
    assert!(said.starts_with(expected), "{said}");
    let state = folder.path().join("state");
    std::fs::write(&state, "{}").expect("written");
    let output = program()
        .args(["detect", "--follow", "--events", "-", "--rules"])
        .arg(&rules)
        .arg("--state")
        .arg(&state)
        .write_stdin("")
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("it is not a state that rulectl saved; move it away to begin anew"),
        "{said}"
    );
    assert_eq!(std::fs::read(&state).expect("kept"), b"{}");
}

#[cfg(unix)]
#[test]
fn a_program_that_is_told_to_stop_keeps_its_state() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yml"), RULES).expect("written");
    let mut child = Command::new(program().get_program())
        .args([
            "detect",
            "--follow",
            "--events",
            "-",
            "--rules",
            "rules.yml",
            "--state",
            "state",
        ])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut input = child.stdin.take().expect("a pipe");
    input
        .write_all(lines(&[failed("ann", 0)]).as_bytes())
        .expect("written");
    input.flush().expect("written");
    // Its first line says that it listens, and that the event was looked at.
    let mut first = String::new();
    let mut output = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut output, &mut first).expect("a line");
    assert!(first.contains("\"Failed\""), "{first}");
    let told = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(told.expect("kill").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    drop(input);
    let (told, said) = program_with_state(
        folder.path(),
        "state",
        &[failed("ann", 10), failed("ann", 20), failed("ann", 900)],
    );
    assert!(said.starts_with("restored: burst, gave_up\n"), "{said}");
    assert!(
        told.iter()
            .any(|line| line["title"] == "Burst" && line["count"] == 3),
        "{told:?}"
    );
}

/// What goes wrong is said while events come, and not only at the end: the first of a kind,
/// and again at each power of ten.
#[test]
fn what_goes_wrong_is_told_while_events_come() {
    use std::io::{BufRead as _, Write as _};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().expect("a folder");
    let rules = format!(
        "{RULES}---\ntitle: Judged\nname: judged\nid: 00000000-0000-4000-8000-000000000009\ncorrelation:\n  type: script\n  rules: [failed]\n  timespan: 1m\n  condition: {{function: x.rhai#judge}}\n"
    );
    std::fs::create_dir(folder.path().join("rules")).expect("a folder");
    std::fs::write(folder.path().join("rules/rules.yml"), rules).expect("written");
    let script = "fn judge(window) { throw \"odd\" }";
    std::fs::write(folder.path().join("rules/x.rhai"), script).expect("written");
    let mut child = Command::new(program().get_program())
        .args(["detect", "--follow", "--events", "-", "--rules", "rules"])
        .args(["--state", "state"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut input = child.stdin.take().expect("a pipe");
    let stderr = child.stderr.take().expect("a pipe");
    let mut said = std::io::BufReader::new(stderr)
        .lines()
        .map(|line| line.expect("a line"));
    let mut tell = |events: &[Value]| {
        input.write_all(lines(events).as_bytes()).expect("written");
        input.flush().expect("written");
    };
    // The second event brings the watermark to the first, and the third is too late.
    tell(&[failed("ann", 0), failed("ann", 4_000), failed("ann", 30)]);
    let first = [said.next(), said.next()].map(|line| line.expect("it is said at once"));
    assert_eq!(first[0], "warning: 1 event too late for windows so far");
    let why = "rules/x.rhai#judge for judged, first: rules/x.rhai:1:20: odd";
    assert_eq!(first[1], format!("warning: so far 1 failure of {why}"));
    let late: Vec<Value> = (31..51).map(|at| failed("ann", at)).collect();
    tell(&late);
    let next = said.next().expect("it is said again");
    assert!(
        next.ends_with("events too late for windows so far"),
        "{next}"
    );
    drop(input);
    let rest: Vec<String> = said.collect();
    assert!(
        rest.iter()
            .any(|line| line.contains("21 too late for windows")),
        "{rest:?}"
    );
    assert!(
        rest.contains(&format!("warning: 1 failure of {why}")),
        "{rest:?}"
    );
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn the_program_follows_standard_input_and_writes_a_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let [rules, journal] = ["rules.yml", "journal.ndjson"].map(|name| folder.path().join(name));
    std::fs::write(&rules, RULES).expect("written");
    let events = [
        failed("ann", 0),
        failed("ann", 10),
        failed("ann", 20),
        failed("ann", 4_000),
        failed("ann", 30),
    ];
    let output = program()
        .args(["detect", "--follow", "--events", "-", "--rules"])
        .arg(&rules)
        .arg("--journal")
        .arg(&journal)
        .write_stdin(lines(&events))
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let lines = |bytes: &[u8]| -> Vec<Value> {
        let text = String::from_utf8_lossy(bytes);
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    };
    let told = lines(&output.stdout);
    let bursts: Vec<_> = told
        .iter()
        .filter(|line| line["title"] == "Burst")
        .collect();
    let statuses: Vec<_> = bursts
        .iter()
        .map(|line| line["status"].as_str().expect("a status"))
        .collect();
    assert_eq!(statuses, ["open", "closed"]);
    assert_eq!(bursts[0]["id"], bursts[1]["id"]);
    let matches = told.iter().filter(|line| line["title"] == "Failed");
    assert_eq!(matches.count(), 5, "a late event is a match all the same");
    let journal = lines(&std::fs::read(&journal).expect("a journal"));
    assert!(
        journal[0]["advance"]["watermark"].is_string(),
        "{journal:?}"
    );
    let late: Vec<_> = journal.iter().filter_map(|line| line.get("late")).collect();
    assert_eq!(late.len(), 1);
    assert_eq!(late[0]["event_id"], "ann-FAILURE-30");
}

/// [`RULES`] where the burst is another, and nothing else.
static CHANGED: LazyLock<Policy> =
    LazyLock::new(|| policy_of(&format!("{OTHERS}{}", RULES.replace("gte: 3", "gte: 2"))));

/// [`RULES`] without the burst, and with a new rule like it.
static RENAMED: LazyLock<Policy> =
    LazyLock::new(|| policy_of(&RULES.replace("name: burst", "name: many")));

/// Two policies, the second from one of the steps on: what was told under each.
fn hand_over(before: &Policy, after: &Policy, steps: &[Step], at: usize) -> (Told, Told) {
    let settings = Settings {
        evidence: Some(Secrets::default()),
        ..SETTINGS
    };
    let of = |policy, generation| {
        let names = vec!["live".to_owned()];
        Live::new(policy, settings.clone(), names, two_minutes()).under(generation)
    };
    let (mut first, mut second) = (Told::default(), Told::default());
    let mut live = of(&before.detector, 1);
    take(&mut live, &steps[..at], &mut first);
    let saved = live.save_for_successor();
    let leaving = before.detector.leaving(&after.detector);
    live.leave(leaving, &mut first).expect("a sink in memory");
    let live = of(&after.detector, 2).restore(&saved, clock(0));
    let (mut live, _) = live.expect("what was saved");
    take(&mut live, &steps[at..], &mut second);
    second.counts = live.finish(&mut second).expect("a sink in memory");
    // What was recorded of either says the same again.
    for (policy, generation, state, told) in [
        (before, 1, None, &first),
        (after, 2, Some((saved.as_slice(), clock(0))), &second),
    ] {
        let came = Came::Live {
            generation,
            state,
            ended: false,
        };
        let mut again = Told::default();
        let mut evidence = [Ok(told.evidence.lines.clone())].into_iter();
        let detector = &policy.detector;
        detect_again(detector, &mut evidence, &came, &SETTINGS, &mut again).expect("evidence");
        assert_eq!(told.findings, again.findings, "generation {generation}");
    }
    (first, second)
}

/// The closed findings of one rule or of all others, whoever opened them.
fn closed_of<'t>(told: impl IntoIterator<Item = &'t Told>, burst: bool) -> Vec<Finding> {
    let closed = told
        .into_iter()
        .flat_map(|told| told.closed().into_values());
    let mut closed: Vec<Finding> = closed
        .filter(|finding| (finding.rule_title == "Burst") == burst)
        .collect();
    for finding in &mut closed {
        finding.opened_generation = None;
    }
    closed.sort_by_key(|finding| finding.id);
    closed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Under another policy, the rules that do the same go on as if nothing had been. A rule that
    /// does not has seen what came before, and what it is then sees what comes after: no event
    /// is decided twice or not at all.
    #[test]
    fn each_event_is_decided_by_one_version_of_each_rule(events in sign_ins(), at in 0..100_usize) {
        let steps: Vec<Step> = events
            .iter()
            .map(|event| {
                let published = event["published"].as_str().expect("a text");
                let at = rulectl::okta::parse_time(published).expect("a time").since(clock(0)).0 / Nanos::SECOND.0;
                Comes(event.clone(), at)
            })
            .collect();
        let at = at * steps.len() / 100;
        let whole = follow(&POLICY, two_minutes(), &steps);
        let begin = follow(&POLICY, two_minutes(), &steps[..at]);
        for after in [&*POLICY, &*CHANGED, &*RENAMED] {
            let (first, second) = hand_over(&POLICY, after, &steps, at);
            prop_assert_eq!(closed_of([&first, &second], false), closed_of([&whole], false));
            if std::ptr::eq(after, &*POLICY) {
                prop_assert_eq!(closed_of([&first, &second], true), closed_of([&whole], true));
            } else {
                let rest = follow(after, two_minutes(), &steps[at..]);
                prop_assert_eq!(closed_of([&first], true), closed_of([&begin], true));
                prop_assert_eq!(closed_of([&second], true), closed_of([&rest], true));
            }
        }
    }
}

#[test]
fn a_finding_names_the_generation_that_opened_it() {
    let at = |seconds| Comes(failed("ann", seconds), seconds);
    let steps = [at(0), at(10), at(20), at(200), at(210), at(1200)];
    let (first, second) = hand_over(&POLICY, &SHIFTED, &steps, 4);
    let of_burst = |told: &Told| -> Vec<(Status, Option<u64>)> {
        let bursts = told.findings.iter().filter(|f| f.rule_title == "Burst");
        bursts.map(|f| (f.status, f.opened_generation)).collect()
    };
    assert_eq!(of_burst(&first), [(Status::Open, None)]);
    assert_eq!(of_burst(&second), [(Status::Closed, Some(1))]);
    let (first, second) = hand_over(&POLICY, &RENAMED, &steps, 4);
    let expected = [(Status::Open, None), (Status::Closed, None)];
    assert_eq!(of_burst(&first), expected);
    assert_eq!(of_burst(&second), []);
}

#[cfg(unix)]
#[test]
fn a_file_that_grows_is_followed_through_its_rotation() {
    use std::io::{BufRead as _, Write as _};
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yml"), RULES).expect("written");
    let [log, old] = ["log", "log.1"].map(|name| folder.path().join(name));
    std::fs::write(&log, lines(&[failed("ann", 0)])).expect("written");
    let mut child = Command::new(program().get_program())
        .args(["detect", "--follow", "--tail", "--events", "log"])
        .args(["--rules", "rules.yml"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let stdout = child.stdout.take().expect("a pipe");
    let mut told = std::io::BufReader::new(stdout).lines();
    let mut next = |what: &str| {
        let line = told.next().expect("a line").expect("a line");
        assert!(line.contains(what), "{line}");
    };
    next("ann-FAILURE-0");
    let append = |path: &std::path::Path, text: &[u8]| {
        let file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(path);
        file.expect("a file").write_all(text).expect("written");
    };
    let second = lines(&[failed("ann", 10)]);
    let (begin, end) = second.as_bytes().split_at(40);
    append(&log, begin);
    append(&log, end);
    next("ann-FAILURE-10");
    std::fs::rename(&log, &old).expect("moved");
    append(&log, lines(&[failed("ann", 20)]).as_bytes());
    next("ann-FAILURE-20");
    std::fs::write(&log, lines(&[failed("bob", 30)])).expect("written");
    next("bob-FAILURE-30");
    let stopped = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(stopped.expect("kill").success());
    // The end is that of the newest event: the burst opens and closes.
    next("\"status\":\"open\"");
    next("\"status\":\"closed\"");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_file_that_grows_is_no_standard_input() {
    let output = program()
        .args([
            "detect", "--follow", "--tail", "--rules", "rules", "--events", "-",
        ])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("`--tail` is for a file"), "{said}");
}

#[test]
fn a_compressed_file_does_not_grow_at_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    // The name says nothing, the content does.
    for (name, bytes, said) in [
        ("log.gz", &[0x1f, 0x8b, 8, 0][..], "compressed with gzip"),
        ("log", &[0x28, 0xb5, 0x2f, 0xfd][..], "compressed with zstd"),
    ] {
        std::fs::write(folder.path().join(name), bytes).expect("written");
        for command in [&["run"][..], &["detect", "--rules", "rules"]] {
            let mut program = program();
            let words = ["--follow", "--tail", "--events"];
            let program = program.args(command).args(words);
            let output = program.arg(folder.path().join(name)).output();
            let output = output.expect("it runs");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(3), "{command:?}: {told}");
            assert!(told.contains(said), "{command:?}: {told}");
        }
    }
}
