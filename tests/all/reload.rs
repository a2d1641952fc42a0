//! A live run whose policy changes all the while, a third of the time into something broken:
//! no event is lost, nothing is decided by a mixed policy, and what is wrong is told at once.
//!
//! `RULECTL_RELOADS` and `RULECTL_RELOAD_EVENTS` say how many there are, for the long run of
//! `.ci/run`, and `RULECTL_RELOAD_PROGRAM` which program; then an error must be told within a second.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rulectl::policy;
use serde_json::Value;

use crate::harness::{lay_over, lines, load, program, root, sign_in, with};

/// Every so many events one is a marker, for which two rules have a finding each.
const MARKED: usize = 50;

/// How long is waited for what must come.
const LONG: Duration = Duration::from_secs(60);

/// How a file is left that is broken.
const BROKEN: [&str; 9] = [
    "truncated",
    "empty",
    "half a character",
    "CRLF",
    "a link to nowhere",
    "deleted",
    "no YAML",
    "a list that is missing",
    "an id twice",
];

fn asked(name: &str, usual: usize) -> usize {
    let asked = std::env::var(name).ok();
    asked.map_or(usual, |text| text.parse().expect("a number"))
}

#[test]
fn a_policy_that_changes_all_the_while_loses_no_event_and_is_never_mixed() {
    let (reloads, events) = (
        asked("RULECTL_RELOADS", 27),
        asked("RULECTL_RELOAD_EVENTS", 20_000),
    );
    let site = Site::new();
    let mut run = Run::begin(&site.folder, &[]);
    let (token, tokens) = channel();
    let mut input = run.child.stdin.take().expect("a pipe");
    let share = events / reloads;
    let writer = thread::spawn(move || {
        let mut next = 0;
        // A share comes while each change is made, and the rest behind the last.
        while tokens.recv().is_ok() {
            for number in next..next + share {
                input.write_all(&event(number)).expect("it reads");
            }
            next += share;
        }
        for number in next..events {
            input.write_all(&event(number)).expect("it reads");
        }
    });
    let mut slowest = BTreeMap::new();
    let (mut version, mut active) = (0, site.digest());
    for number in 0..reloads {
        token.send(()).expect("it writes");
        let what = if number % 3 == 2 {
            let how = BROKEN[number / 3 % BROKEN.len()];
            site.breaks(how, version);
            how
        } else {
            version += 1;
            site.saves(version, number % 2 == 0);
            "a change"
        };
        let (verdict, took) = run.is_told(what, &site, &mut active);
        let slowest = slowest.entry((verdict, what)).or_insert(Duration::ZERO);
        *slowest = took.max(*slowest);
    }
    drop(token);
    writer.join().expect("it has written");
    run.ends();
    site.holds(events);
    if std::env::var_os("RULECTL_RELOADS").is_some() {
        tell(&format!("{reloads} changes, {events} events; told within"));
        for ((verdict, what), took) in &slowest {
            tell(&format!("  {took:>10.3?}  {verdict:?}: {what}"));
        }
        let mut rejected = slowest
            .iter()
            .filter(|((verdict, _), _)| *verdict == Verdict::Rejected);
        assert!(rejected.all(|(_, took)| *took < Duration::from_secs(1)));
    }
}

/// The program that is tried.
fn followed() -> OsString {
    let asked = std::env::var_os("RULECTL_RELOAD_PROGRAM");
    asked.unwrap_or_else(|| program().get_program().to_owned())
}

#[expect(clippy::print_stdout, reason = "the figures of a long run")]
fn tell(figures: &str) {
    println!("{figures}");
}

/// Event `number` of the stream: a marker, or one of few accounts' failures.
fn event(number: usize) -> Vec<u8> {
    let seconds = i64::try_from(number / 20).expect("a small number");
    let event = if number.is_multiple_of(MARKED) {
        let event = sign_in(&format!("m{number}"), "SUCCESS", seconds);
        with(event, [("eventType", "user.session.end".into())])
    } else {
        sign_in(&format!("a{}", number % 7), "FAILURE", seconds)
    };
    let uuid = format!("event-{number}");
    format!("{}\n", with(event, [("uuid", uuid.into())])).into_bytes()
}

/// A policy folder that changes.
struct Site {
    folder: tempfile::TempDir,
    policy: PathBuf,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let policy = folder.path().join("policy");
        lay_over(&root().join("tests/diagnostics/good"), &policy);
        fs::remove_file(policy.join("rules/sign_in.yml")).expect("removed");
        fs::create_dir(policy.join("versions")).expect("a folder");
        let site = Self { folder, policy };
        site.saves(0, true);
        site
    }

    fn digest(&self) -> String {
        load(&self.policy).digest.to_string()
    }

    /// The files of a version; each says in which one it is.
    fn files(version: usize) -> [(&'static str, String); 4] {
        let tools = fs::read_to_string(root().join("tests/diagnostics/good/tools.yaml"));
        let routing = fs::read_to_string(root().join("tests/diagnostics/good/routing.toml"));
        let steady = format!(
            "title: Steady v{version}\nname: steady\nlevel: high\ncorrelation: {{type: event_count, rules: [failed], group-by: [actor.alternateId], timespan: 1m, condition: {{gte: 40}}}}\nrulectl: {{suppress: 2m, user: actor.id}}\n---\ntitle: Failed\nname: failed\nlogsource: {{product: okta}}\ndetection: {{s: {{outcome.result: FAILURE}}, condition: s}}\n---\ntitle: Marker v{version}\nname: marker\nlevel: low\nlogsource: {{product: okta}}\ndetection: {{s: {{eventType: user.session.end}}, condition: s}}\n"
        );
        let changing = format!(
            "title: Changing v{version}\nname: changing\nlevel: low\nlogsource: {{product: okta}}\ndetection: {{s: {{eventType: user.session.end}}, n: {{uuid: v{version}}}, condition: s and not n}}\n"
        );
        [
            (
                "tools.yaml",
                tools
                    .expect("read")
                    .replace("Read the account", &format!("v{version} read the account")),
            ),
            (
                "routing.toml",
                routing.expect("read").replace(
                    "Every later decision",
                    &format!("v{version} every later decision"),
                ),
            ),
            ("rules/steady.yml", steady),
            ("rules/changing.yml", changing),
        ]
    }

    /// A version is checked out file by file, or saved as an editor does; one rule is a link that is swapped.
    fn saves(&self, version: usize, in_place: bool) {
        for name in ["rules/twin.yml", "rules/listed.yml"] {
            let _ = fs::remove_file(self.policy.join(name));
        }
        for (name, text) in Self::files(version) {
            let path = self.policy.join(name);
            if in_place && name != "rules/changing.yml" {
                fs::write(&path, text).expect("written");
                continue;
            }
            let beside = self.policy.join("versions").join(format!(
                "{version}-{}",
                Path::new(name).file_name().expect("a name").display()
            ));
            fs::write(&beside, text).expect("written");
            if name == "rules/changing.yml" {
                self.links(&beside);
            } else {
                fs::rename(&beside, &path).expect("moved");
            }
        }
    }

    fn links(&self, target: &Path) {
        let beside = self.policy.join("rules/.changing");
        symlink(target, &beside).expect("a link");
        fs::rename(&beside, self.policy.join("rules/changing.yml")).expect("moved");
    }

    fn breaks(&self, how: &str, version: usize) {
        let path = self.policy.join("rules/steady.yml");
        let [_, _, (_, text), _] = Self::files(version);
        let write = |bytes: &[u8]| fs::write(&path, bytes).expect("written");
        match how {
            "truncated" => write(&text.as_bytes()[..text.len() / 2]),
            // Of rules that would be a policy without them.
            "empty" => fs::write(self.policy.join("routing.toml"), "").expect("written"),
            "half a character" => write(&[text.as_bytes(), b"# caf\xc3"].concat()),
            "CRLF" => write(text.replace('\n', "\r\n").as_bytes()),
            "a link to nowhere" => self.links(Path::new("nowhere.yml")),
            "deleted" => fs::remove_file(self.policy.join("routing.toml")).expect("removed"),
            "no YAML" => write(format!("{text}broken: [\n").as_bytes()),
            "a list that is missing" => {
                let listed = "title: Listed\nname: listed\nlogsource: {product: okta}\ndetection: {s: {actor.id|expand: '%nowhere%'}, condition: s}\n";
                fs::write(self.policy.join("rules/listed.yml"), listed).expect("written");
            }
            "an id twice" => {
                fs::write(self.policy.join("rules/twin.yml"), text).expect("written");
            }
            _ => panic!("nothing is broken by {how}"),
        }
    }

    /// What a generation says in each of its files.
    fn archived(&self, digest: &str, name: &str) -> String {
        let archive = self.folder.path().join("data/policies");
        fs::read_to_string(archive.join(digest).join(name)).expect("an archived file")
    }

    fn records(&self, name: &str) -> Vec<Value> {
        let path = self.folder.path().join(format!("data/{name}.jsonl"));
        let text = fs::read_to_string(path).expect("an artifact");
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("a record"))
            .collect()
    }

    /// Nothing is lost, and everything is of the policy that it names.
    fn holds(&self, events: usize) {
        let run = fs::read_to_string(self.folder.path().join("data/run.json")).expect("a run");
        let run: Value = serde_json::from_str(&run).expect("a record");
        assert_eq!(run["counts"]["events"], events);
        assert_eq!(run["counts"]["rejected"], 0);
        let findings = self.records("findings");
        let of = |name: &str| -> BTreeSet<String> {
            let of = findings
                .iter()
                .filter(|finding| finding["rule_name"] == name);
            let ids: Vec<String> = of
                .map(|finding| finding["okta_event_ids"][0].to_string())
                .collect();
            let distinct: BTreeSet<String> = ids.iter().cloned().collect();
            assert_eq!(distinct.len(), ids.len(), "an event twice for {name}");
            distinct
        };
        let markers: BTreeSet<String> = (0..events)
            .step_by(MARKED)
            .map(|number| format!("\"event-{number}\""))
            .collect();
        for name in ["marker", "changing"] {
            let missing: Vec<String> = markers.difference(&of(name)).cloned().collect();
            assert!(missing.is_empty(), "no finding of {name}: {missing:?}");
            assert_eq!(of(name).len(), markers.len());
        }
        assert!(!of("steady").is_empty());
        let mut texts = BTreeMap::new();
        for (artifact, key, file) in [
            ("findings", "rule_title", "rules"),
            ("incidents", "title", "rules"),
            ("commands", "description", "tools.yaml"),
        ] {
            let mut checked = 0;
            for record in self.records(artifact) {
                let (said, digest) = (record[key].as_str(), record["policy"].as_str());
                let (said, digest) = (said.expect("a text"), digest.expect("a digest"));
                let Some(version) = said.split_whitespace().find(|word| word.starts_with('v'))
                else {
                    continue; // what says nothing of a version
                };
                let text = texts.entry((digest.to_owned(), file)).or_insert_with(|| {
                    let read = |name: &str| self.archived(digest, name);
                    match file {
                        "rules" => ["rules/steady.yml", "rules/changing.yml"]
                            .map(read)
                            .concat(),
                        name => read(name),
                    }
                });
                assert!(text.contains(said), "{artifact}: {said}, and not {version}");
                checked += 1;
            }
            assert!(checked > 0, "{artifact} say their version");
        }
        // Each decision is made again under the generation that it names.
        let output = Command::new(followed())
            .args(["replay", "--data"])
            .arg(self.folder.path().join("data"))
            .output()
            .expect("it runs");
        let (told, said) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert_eq!(output.status.code(), Some(0), "{told}{said}");
    }
}

#[test]
fn the_policy_is_loaded_again_where_a_signal_asks_for_it() {
    let site = Site::new();
    let run = Run::begin(&site.folder, &["--state", "state"]);
    run.signal("-HUP");
    run.says("the policy is that of generation 1");
    site.breaks("no YAML", 0);
    run.says("is not activated: generation 1 goes on");
    run.signal("-HUP");
    run.says("error[RL0010]");
    run.says("is not activated: generation 1 goes on");
    run.signal("-TERM");
    run.ends();
}

#[test]
fn a_finding_that_stays_open_is_of_the_policy_that_told_it() {
    let site = Site::new();
    let mut run = Run::begin(&site.folder, &["--state", "state"]);
    let mut input = run.child.stdin.take().expect("a pipe");
    input
        .write_all(lines(&burst()).as_bytes())
        .expect("it reads");
    run.tells("Open");
    site.saves(1, true);
    run.says(&format!("generation 2 decides: policy {}", site.digest()));
    run.signal("-TERM");
    run.ends();
    drop(input);
    let findings = site.records("findings");
    let bursts = findings
        .iter()
        .filter(|finding| finding["rule_name"] == "steady");
    let told: Vec<_> = bursts
        .map(|burst| {
            let title = burst["rule_title"].as_str().expect("a title");
            (
                title,
                burst["status"].as_str(),
                burst["generation"].as_u64(),
            )
        })
        .collect();
    assert_eq!(told, [("Steady v0", Some("open"), Some(1))]);
    let run = fs::read_to_string(site.folder.path().join("data/run.json")).expect("a run");
    assert!(run.contains("\"generation\":2"), "{run}");
}

#[test]
fn a_finding_of_two_generations_is_one_finding_of_the_audit() {
    let site = Site::new();
    let mut run = Run::begin(&site.folder, &[]);
    let mut input = run.child.stdin.take().expect("a pipe");
    input
        .write_all(lines(&burst()).as_bytes())
        .expect("it reads");
    run.tells("Open");
    site.saves(1, true);
    run.says(&format!("generation 2 decides: policy {}", site.digest()));
    drop(input);
    run.ends();
    let findings = site.records("findings");
    let opened: Vec<_> = findings
        .iter()
        .map(|finding| (&finding["generation"], &finding["opened_generation"]))
        .collect();
    assert_eq!(opened.last(), Some(&(&2.into(), &1.into())), "{findings:?}");
    let routes = site.records("routes");
    let of_run = routes
        .iter()
        .filter(|route| route["context"] == "raw_events");
    let of_run: Vec<_> = of_run.map(|route| &route["generation"]).collect();
    assert_eq!(of_run, [2]);
    let output = Command::new(followed())
        .args(["diff", "generation:1", "policy", "--audits", "data"])
        .current_dir(site.folder.path())
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let expected = format!("{} recorded finding", findings.len());
    assert!(told.contains(&expected), "{told}");
}

/// A burst of failures that is open, and its end not in sight: the watermark is two minutes behind
/// the last of these.
fn burst() -> Vec<Value> {
    let failures = (0..60).map(|number| sign_in("ann", "FAILURE", number / 2));
    let events = failures.chain([sign_in("bob", "SUCCESS", 160)]);
    let numbered = (0..).zip(events);
    numbered
        .map(|(number, event): (u32, _)| with(event, [("uuid", number.to_string().into())]))
        .collect()
}

#[test]
fn a_policy_that_detects_nothing_keeps_what_is_open_for_the_next() {
    let site = Site::new();
    let mut run = Run::begin(&site.folder, &["--state", "state"]);
    let mut input = run.child.stdin.take().expect("a pipe");
    let mut send = |account: &str, seconds: i64| {
        let event = sign_in(account, "SUCCESS", seconds);
        let event = with(event, [("eventType", "user.session.end".into())]);
        input
            .write_all(lines(&[event]).as_bytes())
            .expect("it reads");
    };
    send("ann", 0);
    let path = site.policy.join("routing.toml");
    let routing = fs::read_to_string(&path).expect("read");
    let blind = routing.replacen("\"detector_agent\"]", "]", 2);
    fs::write(&path, blind).expect("written");
    run.says("the route of generation 2 leaves detection out");
    site.saves(1, true);
    run.says(&format!("decides: policy {}", site.digest()));
    send("bob", 200);
    run.tells("finding");
    run.signal("-TERM");
    run.ends();
    let findings = site.records("findings");
    assert!(!findings.is_empty());
    assert!(
        findings.iter().all(|finding| finding["generation"] != 2),
        "{findings:?}"
    );
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Rejected,
    Decides,
    Same,
}

/// The program, and what it says.
struct Run {
    child: Child,
    said: Receiver<(Instant, String)>,
    /// The file of what it tells.
    told: PathBuf,
}

impl Run {
    fn begin(folder: &tempfile::TempDir, more: &[&str]) -> Self {
        let told = fs::File::create(folder.path().join("told")).expect("a file");
        let mut child = Command::new(followed())
            .args(["run", "--follow", "--events", "-", "--policy", "policy"])
            .args(more)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(told)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let (say, said) = channel();
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        thread::spawn(move || {
            for line in stderr.lines() {
                let _ = say.send((Instant::now(), line.expect("a line")));
            }
        });
        let told = folder.path().join("told");
        let run = Self { child, said, told };
        // What changes from here on is one for the run to see.
        run.says("generation 1 decides");
        run
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }

    /// Waits until a line says this on stderr.
    fn says(&self, what: &str) {
        let mut said = String::new();
        while let Ok((_, line)) = self.said.recv_timeout(LONG) {
            if line.contains(what) {
                return;
            }
            said.extend([line.as_str(), "\n"]);
        }
        panic!("`{what}` is not said:\n{said}");
    }

    /// Waits until this is told on stdout.
    fn tells(&self, what: &str) {
        let end = Instant::now() + LONG;
        let told = || fs::read_to_string(&self.told).expect("what was told");
        while !told().contains(what) {
            assert!(Instant::now() < end, "`{what}` is not told:\n{}", told());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it is told what came of a change, and says how long that took.
    fn is_told(&self, what: &str, site: &Site, active: &mut String) -> (Verdict, Duration) {
        let changed = Instant::now();
        let loaded = policy::load(&site.policy).policy;
        let (verdict, expected) = match &loaded {
            None => (Verdict::Rejected, "is not activated".to_owned()),
            Some(policy) if policy.digest.to_string() == *active => {
                (Verdict::Same, "is that of".to_owned())
            }
            Some(policy) => (
                Verdict::Decides,
                format!("decides: policy {}", policy.digest),
            ),
        };
        if let Some(policy) = loaded {
            *active = policy.digest.to_string();
        }
        let mut said = String::new();
        loop {
            let line = self.said.recv_timeout(LONG);
            let Ok((at, line)) = line else {
                panic!("{what}: `{expected}` is not said:\n{said}")
            };
            if line.contains(&expected) {
                return (verdict, at.saturating_duration_since(changed));
            }
            said.extend([line.as_str(), "\n"]);
        }
    }

    fn ends(mut self) {
        let status = self.child.wait().expect("it ends");
        let said: Vec<String> = self.said.iter().map(|(_, line)| line).collect();
        assert_eq!(status.code(), Some(0), "{said:?}");
    }
}
