//! Text that an attacker wrote into a log: shown as what it is, never acted upon.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use rulectl::visible::is_deceptive;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    Received, lay_over, lines, policy_of, program, root, run, sign_in, small, user_id, with,
};

/// Each is put into every field that an attacker can choose.
#[rustfmt::skip]
const TEXTS: [(&str, &str); 12] = [
    ("colour", "\u{1b}[31mred\u{1b}[0m"),
    ("title and clipboard", "\u{1b}]0;owned\u{7}\u{1b}]52;c;cm0gLXJm\u{7}"),
    ("cursor", "\u{1b}[2J\u{1b}[1;1H\r\u{8}\u{8}all is well"),
    ("C1 controls", "\u{9b}31m\u{90}q\u{9c}\u{85}\u{7f}"),
    ("bidi", "evil\u{202e}moc.elpmaxe\u{202c}\u{2066}x\u{2069}\u{200f}\u{61c}"),
    ("invisible", "ad\u{200b}min\u{ad}\u{feff}\u{2060}\u{e0041}\u{115f}\u{3164}"),
    ("new lines", "one\ntwo\r\nthree\u{2028}four\u{2029}five\u{b}six\u{c}seven"),
    ("shell", "';$(touch pwned)`touch pwned`;\"|&>pwned #\\"),
    ("quotes", "'\"\\''\"'\"'%27%22${OKTA_API_TOKEN}"),
    ("holes", "{userId}{count}{{ finding.description }}{a.actor.id}"),
    ("JSON", "\"},{\"id\":\"00000000-0000-0000-0000-000000000000\""),
    ("options", "--data=@/etc/passwd -o /dev/null\u{0}--"),
];

/// A journey that cannot be and a burst, of an account whose every text is hostile.
fn events(text: &str) -> Vec<Value> {
    let dressed = |event: Value, country: &str| {
        with(
            event,
            [
                ("actor.alternateId", text.into()),
                ("actor.displayName", text.into()),
                ("client.userAgent.rawUserAgent", text.into()),
                ("client.ipAddress", text.into()),
                ("client.geographicalContext.city", text.into()),
                (
                    "client.geographicalContext.country",
                    format!("{country}{text}").into(),
                ),
                ("outcome.reason", text.into()),
            ],
        )
    };
    let mut events: Vec<Value> = (0..6)
        .map(|turn| dressed(sign_in("mallory", "FAILURE", turn), "A"))
        .collect();
    events.push(dressed(sign_in("mallory", "SUCCESS", 60), "A"));
    events.push(dressed(sign_in("mallory", "SUCCESS", 120), "B"));
    // Ids are text too.
    let last = json!({"eventType": text, "uuid": text, "published": text, text: text});
    events.push(last);
    events
}

/// A run over one hostile text after the other, with rejects, and what it left.
struct Ran {
    folder: TempDir,
    streams: Vec<(String, Vec<u8>)>,
}

impl Ran {
    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn records(&self, artifact: &str) -> Vec<Value> {
        let text =
            fs::read_to_string(self.data().join(format!("{artifact}.jsonl"))).expect("an artifact");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a record"))
            .collect()
    }
}

static RAN: LazyLock<Ran> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("events.ndjson");
    let mut text: Vec<u8> = Vec::new();
    for (day, (_, hostile)) in TEXTS.iter().enumerate() {
        let moved = events(hostile).into_iter().map(|event| {
            let time = event["published"]
                .as_str()
                .unwrap_or_default()
                .replace("2026-03-02", &format!("2026-03-{:02}", day + 2));
            let uuid = format!("{hostile}-{}", event["uuid"].as_str().unwrap_or_default());
            with(event, [("published", time.into()), ("uuid", uuid.into())])
        });
        text.extend(lines(&moved.collect::<Vec<_>>()).into_bytes());
        text.extend(format!("not JSON {}\n", hostile.replace(['\n', '\r'], " ")).into_bytes());
    }
    fs::write(&log, text).expect("written");
    let data = folder.path().join("data");
    let mut streams = Vec::new();
    let mut keep = |words: &[&str]| {
        let ran = program()
            .arg("--data")
            .arg(&data)
            .args(words)
            .output()
            .expect("it runs");
        assert!(
            ran.status.code().is_some_and(|code| code <= 1),
            "{words:?}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        streams.push((format!("stdout of {words:?}"), ran.stdout));
        streams.push((format!("stderr of {words:?}"), ran.stderr));
    };
    let log = log.display().to_string();
    for format in ["text", "json", "ndjson"] {
        keep(&["run", "--format", format, "--events", &log]);
        for what in ["findings", "incidents", "plans", "commands"] {
            keep(&["show", what, "--format", format]);
        }
        keep(&["show", "--format", format]);
        for finding in fs::read_to_string(data.join("findings.jsonl"))
            .expect("findings")
            .lines()
        {
            let finding: Value = serde_json::from_str(finding).expect("a finding");
            keep(&[
                "show",
                "finding",
                finding["id"].as_str().expect("an id"),
                "--format",
                format,
            ]);
        }
    }
    Ran { folder, streams }
});

#[test]
fn the_hostile_events_do_lead_to_findings_and_commands() {
    let ran = &*RAN;
    assert_eq!(ran.records("findings").len(), 2 * TEXTS.len());
    assert_eq!(ran.records("incidents").len(), TEXTS.len());
    assert_eq!(ran.records("rejects").len(), TEXTS.len());
    let descriptions: BTreeSet<String> = ran
        .records("findings")
        .iter()
        .map(|finding| finding["description"].to_string())
        .collect();
    assert!(descriptions.len() > TEXTS.len(), "{descriptions:?}");
}

/// Neither a stream nor an artifact holds a character that could move a cursor, hide or reorder what is read.
#[test]
fn nothing_that_is_written_can_deceive() {
    let ran = &*RAN;
    let mut written: Vec<(String, Vec<u8>)> = ran
        .streams
        .iter()
        .map(|(name, bytes)| (name.clone(), bytes.clone()))
        .collect();
    for entry in fs::read_dir(ran.data()).expect("the data folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            written.push((
                path.file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned(),
                fs::read(&path).expect("bytes"),
            ));
        }
    }
    assert!(written.len() > 100, "{}", written.len());
    for (name, bytes) in written {
        let text = String::from_utf8(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found: BTreeSet<char> = text
            .chars()
            .filter(|c| is_deceptive(*c) && *c != '\n')
            .collect();
        assert!(found.is_empty(), "{name} holds {found:?}");
    }
}

/// A record is one line, and reads back as what the log said.
#[test]
fn artifacts_keep_the_text_as_it_was() {
    let seen: BTreeSet<String> = RAN
        .records("findings")
        .iter()
        .filter_map(|finding| {
            finding["group"]["actor.alternateId"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    let wanted: BTreeSet<String> = TEXTS.iter().map(|(_, text)| (*text).to_owned()).collect();
    assert_eq!(seen, wanted);
    let ids = RAN
        .records("findings")
        .iter()
        .filter(|finding| finding["id"] == "00000000-0000-0000-0000-000000000000")
        .count();
    assert_eq!(ids, 0, "a text cannot become a field");
}

/// A `curl` that prints its words, one a line, and nothing else on the path.
fn fake_curl(folder: &Path) -> PathBuf {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).expect("a folder");
    let curl = bin.join("curl");
    fs::write(&curl, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").expect("written");
    fs::set_permissions(&curl, fs::Permissions::from_mode(0o755)).expect("executable");
    bin
}

/// What a shell makes of a command: the words that `curl` gets.
#[track_caller]
fn words(command: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let bin = fake_curl(folder.path());
    let shell = |words: &[&str]| {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(words)
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", &bin);
        let ran = shell
            .env("OKTA_ORG_URL", "https://example.okta.com")
            .env("OKTA_API_TOKEN", "tok en'\"")
            .output()
            .expect("a shell");
        assert!(
            ran.status.success() && ran.stderr.is_empty(),
            "{command}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        String::from_utf8(ran.stdout).expect("UTF-8")
    };
    assert_eq!(shell(&["-n", "-c", command]), "", "{command}");
    let out = shell(&["-c", command]);
    let left: Vec<_> = fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["bin"], "{command} left something behind");
    out.lines().map(str::to_owned).collect()
}

#[test]
fn every_command_is_one_curl_whatever_the_log_says() {
    let commands = RAN.records("commands");
    assert!(commands.len() >= TEXTS.len());
    let id = user_id("mallory");
    let mut seen = BTreeSet::new();
    for command in &commands {
        let text = command["command"].as_str().expect("a text");
        assert!(seen.insert(command["id"].to_string()), "an id twice");
        let words = words(text);
        let method = words.get(2).map(String::as_str).unwrap_or_default();
        assert_eq!(command["read_only"], (method == "GET"), "{text}");
        assert_eq!(
            words.get(..2).unwrap_or_default(),
            ["--globoff", "-X"],
            "{text}"
        );
        assert_eq!(
            words.get(3..7).unwrap_or_default(),
            [
                "-H",
                "Authorization: SSWS tok en'\"",
                "-H",
                "Accept: application/json"
            ],
            "{text}"
        );
        let url = words.last().expect("a URL");
        assert!(
            url.starts_with("https://example.okta.com/api/v1/")
                && url.is_ascii()
                && !url.contains([' ', '"', '\'', '{']),
            "{url}"
        );
        assert!(url.contains(&id), "{url}");
        assert!(
            TEXTS.iter().all(|(_, hostile)| !text.contains(hostile)),
            "{text}"
        );
    }
}

/// The exact words of each shipped template, for an account with a well-formed id.
#[test]
fn commands_say_exactly_what_is_meant() {
    let received = run(&small(), &events("eve"));
    let base = "https://example.okta.com/api/v1";
    let id = user_id("mallory");
    let filter = "actor.id%20eq%20%22".to_owned() + id.as_str() + "%22";
    #[rustfmt::skip]
    let expected = [
        format!("--globoff -X GET … {base}/logs?filter={filter}&since=2026-03-02T10%3A01%3A00Z&sortOrder=ASCENDING&limit=1000"),
        format!("--globoff -X GET … {base}/logs?filter=eventType%20eq%20%22user.session.start%22%20and%20{filter}&limit=200&sortOrder=DESCENDING"),
        format!("--globoff -X DELETE … {base}/users/{id}/sessions?oauthTokens=true"),
        format!("--globoff -X POST … {base}/users/{id}/lifecycle/reset_password?sendEmail=true"),
        format!("--globoff -X POST … {base}/users/{id}/lifecycle/reset_factors"),
        format!("--globoff -X POST … -H Content-Type: application/json -d {{\"factorType\":\"push\",\"provider\":\"OKTA\"}} {base}/users/{id}/factors"),
    ];
    let heads = " -H Authorization: SSWS tok en'\" -H Accept: application/json ";
    let shown: Vec<String> = commands(&received)
        .iter()
        .map(|command| words(command).join(" ").replace(heads, " … "))
        .collect();
    assert_eq!(shown, expected);
}

fn commands(received: &Received) -> Vec<String> {
    let responses = received
        .outcomes
        .iter()
        .filter_map(|outcome| outcome.response.as_ref());
    responses
        .flat_map(|response| &response.commands)
        .map(|command| command.command.clone())
        .collect()
}

#[test]
fn an_id_fills_a_command_only_when_it_is_well_formed() {
    let good = user_id("mallory");
    let long = format!("{good}0");
    let cases: [(&str, bool); 14] = [
        (&good, true),
        ("00uABCDEFGHIJKLMNOPQ", true),
        (&long, false),
        ("00u1", false),
        ("", false),
        ("0oa1234567890abcdefg", false),
        ("00U1234567890abcdefg", false),
        ("00u1234567890abcde/x", false),
        ("00u1234567890abcde'x", false),
        ("00u1234567890abcd\n;x", false),
        ("00u1234567890abcdéxy", false),
        ("00u../../../../../..", false),
        ("{userId}", false),
        ("unknown", false),
    ];
    let policy = small();
    for (id, fills) in cases {
        let events: Vec<Value> = events("eve")
            .into_iter()
            .map(|event| with(event, [("actor.id", id.into())]))
            .collect();
        let received = run(&policy, &events);
        let commands: Vec<_> = received
            .outcomes
            .iter()
            .filter_map(|outcome| outcome.response.as_ref())
            .flat_map(|response| &response.commands)
            .collect();
        assert!(!commands.is_empty(), "{id:?}");
        for command in commands {
            let text = &command.command;
            assert_eq!(text.contains("{userId}"), !fills, "{id:?}: {text}");
            assert_eq!(text.contains(&good), id == good, "{id:?}: {text}");
            assert_eq!(
                command.notes.contains("fill in {userId} by hand"),
                !fills,
                "{id:?}: {}",
                command.notes
            );
        }
    }
}

/// To curl braces are a list: `/users/{userId}` asks for `/users/userId`, which Okta reads as a login.
#[test]
fn a_hole_that_is_left_open_is_not_a_request() {
    let events: Vec<Value> = events("eve")
        .into_iter()
        .map(|event| with(event, [("actor.id", "unknown".into())]))
        .collect();
    let commands = commands(&run(&small(), &events));
    let expanded: Vec<&String> = commands
        .iter()
        .filter(|command| {
            let words = words(command);
            words.last().is_some_and(|url| url.contains('{'))
                && !words.iter().any(|word| word == "-g" || word == "--globoff")
        })
        .collect();
    assert!(expanded.is_empty(), "{expanded:#?}");
}

/// A file may be named by a stranger and found by a glob.
#[test]
fn names_of_files_cannot_deceive() {
    for (_, text) in TEXTS {
        let folder = tempfile::tempdir().expect("a folder");
        let name = text.replace(['/', '\0'], "_") + ".ndjson";
        fs::write(
            folder.path().join(name),
            [&[0x1f, 0x8b][..], b"cut off"].concat(),
        )
        .expect("written");
        fs::write(
            folder.path().join("good.ndjson"),
            lines(&[sign_in("alice", "SUCCESS", 0)]) + "{}}\n",
        )
        .expect("written");
        let data = folder.path().join("data");
        let glob = folder.path().join("*.ndjson");
        let ran = program()
            .arg("run")
            .arg("--data")
            .arg(&data)
            .arg("--events")
            .arg(&glob)
            .output()
            .expect("it runs");
        assert_eq!(
            ran.status.code(),
            Some(2),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        let written = [
            ran.stdout,
            ran.stderr,
            fs::read(data.join("run.json")).expect("a run"),
            fs::read(data.join("rejects.jsonl")).expect("rejects"),
        ]
        .concat();
        let written = String::from_utf8(written).expect("UTF-8");
        let found: BTreeSet<char> = written
            .chars()
            .filter(|c| is_deceptive(*c) && *c != '\n')
            .collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

/// A quarter of a megabyte in every field is found like any other text, and is not carried around.
#[test]
fn huge_values_are_clipped_and_stay_apart() {
    let huge = |last: char| "x".repeat(1 << 18) + last.to_string().as_str();
    let two = [
        events(&huge('a')),
        events(&huge('b'))
            .into_iter()
            .map(|event| with(event, [("actor.id", user_id("trent").into())]))
            .collect(),
    ]
    .concat();
    let received = run(&small(), &two);
    assert_eq!(
        received.outcomes.len(),
        4,
        "two bursts and two journeys: their accounts differ in the last character"
    );
    let text = serde_json::to_string(&received.outcomes).expect("JSON");
    assert!(text.len() < 200_000, "{} bytes of results", text.len());
}

/// The policy folder may be a stranger's too: a pull request is checked before it is trusted.
#[test]
fn a_policy_cannot_deceive_either() {
    for (name, text) in TEXTS {
        let folder = tempfile::tempdir().expect("a folder");
        lay_over(&root().join("tests/diagnostics/good"), folder.path());
        let quoted = serde_json::to_string(text).expect("JSON");
        let rule = format!(
            "title: {quoted}\n{quoted}: x\nlevel: {quoted}\nlogsource: {{product: {quoted}}}\ndetection: {{s: {{{quoted}: {quoted}}}, condition: {quoted}}}\n# {}\n",
            text.replace(['\0', '\n', '\r', '\u{b}', '\u{c}'], " ")
        );
        fs::write(folder.path().join("rules/hostile.yml"), &rule).expect("written");
        let routing = format!("{quoted} = {quoted}\n[promotion]\nseverities = [{quoted}]\n");
        fs::write(folder.path().join("routing.toml"), routing).expect("written");
        for format in ["text", "json"] {
            let checked = program()
                .current_dir(folder.path())
                .args(["check", "--format", format])
                .output()
                .expect("it runs");
            assert_eq!(checked.status.code(), Some(2), "{name}");
            let out = String::from_utf8(checked.stdout).expect("UTF-8");
            let found: BTreeSet<char> = out
                .chars()
                .filter(|c| is_deceptive(*c) && *c != '\n')
                .collect();
            assert!(found.is_empty(), "{name}, {format}: {found:?}");
        }
    }
}

/// A rule's own texts reach findings and reasons.
#[test]
fn a_rule_with_a_hostile_title_still_prints_one_line() {
    let title = serde_json::to_string(TEXTS[0].1).expect("JSON");
    let policy = policy_of(&format!(
        "title: {title}\nauthor: {title}\nlogsource: {{product: okta}}\ndetection: {{s: {{eventType: user.session.start}}, condition: s}}\n"
    ));
    let received = run(&policy, &[sign_in("alice", "SUCCESS", 0)]);
    let line = rulectl::visible::json(&received.outcomes).expect("JSON");
    assert_eq!(line.chars().filter(|c| is_deceptive(*c)).count(), 0);
}
