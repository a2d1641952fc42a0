//! What a model answered, recorded and said again: the same bytes, and what is missing is told.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use rulectl::event::Digest;
use rulectl::llm::{About, Failure, Finish, Message, Model, Reply, Request, Role, Usage};
use rulectl::recording::{Of, Recording, RecordingModel, ReplayingModel};
use serde_json::{Value, json};

use crate::harness::{log, program, small_folder};
use crate::scripted::{Act, Scripted, completion};

/// What no recording and no record may hold.
const CANARY: &str = "sk-canary-77aa02c1";

fn said(role: Role, content: &str) -> Message {
    Message {
        role,
        content: content.to_owned(),
    }
}

fn request() -> Request {
    Request {
        slot: "risk".to_owned(),
        prompt: Digest::of(b"a prompt"),
        context: json!({"finding": {"count": 7, "description": "7 failed logins"}, "agents": []}),
        messages: vec![said(Role::System, "rules"), said(Role::User, "score")],
        schema: json!({"type": "object"}),
        max_tokens: 300,
        timeout: Duration::from_secs(30),
    }
}

/// The request that repairs a reply.
fn repairing(reply: &str) -> Request {
    let mut request = request();
    request.messages.push(said(Role::Assistant, reply));
    request.messages.push(said(Role::User, "it was refused"));
    request
}

fn of(model: &str, temperature: Option<f64>) -> Of {
    Of {
        model: model.to_owned(),
        temperature,
    }
}

fn reply(text: &str) -> Reply {
    Reply {
        text: text.to_owned(),
        finish: Finish::Stop,
        model: "fake-1".to_owned(),
        usage: Usage::default(),
    }
}

/// Answers each call with another text, after a while; nothing to a context that is `null`.
#[derive(Default)]
struct Fickle(AtomicUsize);

impl Model for &'static Fickle {
    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        let turn = self.0.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(2));
        if request.context.is_null() {
            return Err(Failure::Recorded("it is down".to_owned()));
        }
        Ok(reply(&format!("{} {turn}", request.context)))
    }

    fn about(&self) -> About {
        About {
            host: "10.1.2.3:8080".to_owned(),
            model: "fake".to_owned(),
            temperature: Some(0.0),
            recorded: false,
        }
    }
}

fn fickle() -> &'static Fickle {
    Box::leak(Box::default())
}

fn recording_to(file: &Path, model: &'static Fickle) -> RecordingModel {
    let earlier = Recording::read(file).unwrap_or_else(|_| Recording::new(of("fake", Some(0.0))));
    RecordingModel::new(Box::new(model), earlier, file).expect("a folder")
}

/// What a recording of these requests has to say to another.
fn replayed(
    recorded: &[Request],
    asked: &Request,
    configured: Option<&Of>,
) -> Result<Reply, Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("slots.jsonl");
    let model = recording_to(&file, fickle());
    for request in recorded {
        model.ask(request).expect("a reply");
    }
    model.write().expect("written");
    let recording = Recording::read(&file).expect("a recording");
    ReplayingModel::new(recording, configured, 4).ask(asked)
}

#[test]
fn each_part_of_a_key_that_changed_is_named() {
    type Change = fn(&mut Request);
    let cases: [(&str, Change, &str); 11] = [
        ("nothing", |_| {}, ""),
        ("the time", |r| r.timeout = Duration::from_secs(1), ""),
        (
            "the slot",
            |r| r.slot = "plan".to_owned(),
            "differs in the slot: none is recorded for `plan`",
        ),
        (
            "the prompt",
            |r| r.prompt = Digest::of(b"another"),
            "differs in the prompt (it was a98310efb4de, and is ae448ac86c4e)",
        ),
        (
            "a field",
            |r| r.context["finding"]["count"] = 8.into(),
            "differs in the context: `finding.count`",
        ),
        (
            "fields",
            |r| r.context = json!({"finding": {"count": 8, "description": "7 failed logins"}, "agents": [1], "guardrails": []}),
            "differs in the context: `agents`, `finding.count`, `guardrails`",
        ),
        (
            "the schema",
            |r| r.schema = json!({}),
            "differs in the schema of the reply",
        ),
        (
            "the limit",
            |r| r.max_tokens = 200,
            "differs in `max_tokens` (it was 300, and is 200)",
        ),
        (
            "a repair",
            |r| *r = repairing("x"),
            "differs in the repair: only the first request is recorded",
        ),
        (
            "several",
            |r| {
                r.schema = json!({});
                r.max_tokens = 1;
            },
            "differs in the schema of the reply; in `max_tokens` (it was 300, and is 1)",
        ),
        (
            "what deceives",
            |r| r.context = json!({"finding": {"count": 7, "description": "7 failed logins", "\u{202e}x\u{1b}[2J": 1}, "agents": []}),
            "differs in the context: `finding.\\u{202e}x\\u{1b}[2J`",
        ),
    ];
    for (name, change, expected) in cases {
        let mut asked = request();
        change(&mut asked);
        match replayed(&[request()], &asked, None) {
            Ok(_) => assert_eq!(expected, "", "{name}"),
            Err(failure) => {
                let told = failure.to_string();
                assert!(!expected.is_empty(), "{name}: {told}");
                assert!(told.contains(expected), "{name}: {told}");
            }
        }
    }
}

#[test]
fn the_nearest_request_is_the_one_that_is_compared() {
    let with = |count: u64, description: &str| Request {
        context: json!({"finding": {"count": count, "description": description}, "agents": []}),
        ..request()
    };
    let recorded = [
        with(1, "x"),
        with(2, "y"),
        with(9, "9 failed logins"),
        repairing("x"),
    ];
    let told = |asked: &Request| {
        replayed(&recorded, asked, None)
            .expect_err("missing")
            .to_string()
    };
    assert!(
        told(&with(2, "x")).ends_with("`finding.count`"),
        "{}",
        told(&with(2, "x"))
    );
    let far = told(&with(9, "z"));
    assert!(far.ends_with("`finding.description`"), "{far}");
    let other = Request {
        prompt: Digest::of(b"another"),
        ..with(2, "y")
    };
    assert!(told(&other).contains("in the prompt ("), "{}", told(&other));
    let repair = told(&repairing("y"));
    assert!(
        repair.ends_with("the repair: another reply is to be repaired, or for other reasons"),
        "{repair}"
    );
    let first = told(&request());
    assert!(
        first.ends_with("the repair: only one is recorded"),
        "{first}"
    );
}

#[test]
fn another_model_is_no_recorded_one() {
    let cases = [
        (of("fake", Some(0.0)), ""),
        (
            of("other", Some(0.0)),
            "differs in the model (it was `fake`, and is `other`)",
        ),
        (
            of("fake", Some(0.7)),
            "differs in the temperature (it was 0.0, and is 0.7)",
        ),
        (
            of("fake", None),
            "differs in the temperature (it was 0.0, and is none)",
        ),
        (
            of("o", None),
            "differs in the model (it was `fake`, and is `o`); in the temperature (it was 0.0, and is none)",
        ),
    ];
    for (configured, expected) in cases {
        match replayed(&[request()], &request(), Some(&configured)) {
            Ok(_) => assert_eq!(expected, "", "{configured}"),
            Err(failure) => assert!(
                failure.to_string().ends_with(expected) && !expected.is_empty(),
                "{failure}"
            ),
        }
    }
}

#[test]
fn what_is_missing_is_counted_by_its_reason() {
    let recording = Recording::new(of("fake", None));
    let model = ReplayingModel::new(recording, None, 1);
    for slot in ["risk", "plan", "risk"] {
        let asked = Request {
            slot: slot.to_owned(),
            ..request()
        };
        model.ask(&asked).expect_err("nothing is recorded");
    }
    let missing: Vec<(String, u64)> = model
        .missing()
        .into_iter()
        .map(|missing| (missing.slot, missing.requests))
        .collect();
    assert_eq!(missing, [("plan".to_owned(), 1), ("risk".to_owned(), 2)]);
    assert!(model.about().recorded);
}

/// A model that answers differently each time, asked by many threads in many orders.
#[test]
fn an_equal_request_gets_the_same_answer_whoever_asks_and_when() {
    const THREADS: usize = 8;
    const REQUESTS: usize = 12;
    let asked = |number: usize| Request {
        context: json!({"finding": {"count": number}}),
        ..request()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("deep/in/slots.jsonl");
    let fickle = fickle();
    let model = recording_to(&file, fickle);
    let heard: Mutex<BTreeMap<usize, Vec<String>>> = Mutex::default();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (model, heard) = (&model, &heard);
            scope.spawn(move || {
                for turn in 0..2 * REQUESTS {
                    let number = (turn * (2 * thread + 1)) % REQUESTS;
                    let reply = model.ask(&asked(number)).expect("a reply");
                    heard
                        .lock()
                        .unwrap()
                        .entry(number)
                        .or_default()
                        .push(reply.text);
                }
            });
        }
    });
    model.write().expect("written");
    let heard = heard.into_inner().unwrap();
    assert_eq!(heard.len(), REQUESTS);
    for (number, texts) in &heard {
        assert!(
            texts.iter().all(|text| text == &texts[0]),
            "{number}: {texts:?}"
        );
    }
    assert_eq!(fickle.0.load(Ordering::SeqCst), REQUESTS);

    let replaying = ReplayingModel::new(Recording::read(&file).expect("a recording"), None, 8);
    for (number, texts) in &heard {
        assert_eq!(
            replaying.ask(&asked(*number)).expect("a reply").text,
            texts[0]
        );
    }
    // Added to, what is there is neither asked again nor changed.
    let before = fs::read_to_string(&file).expect("a file");
    let again = recording_to(&file, fickle);
    for number in (0..REQUESTS).rev() {
        again.ask(&asked(number)).expect("a reply");
    }
    again.write().expect("written");
    assert_eq!(fs::read_to_string(&file).expect("a file"), before);
    assert_eq!(fickle.0.load(Ordering::SeqCst), REQUESTS);
    let order = before.lines().skip(1).map(|line| {
        let entry: Value = serde_json::from_str(line).expect("JSON");
        entry["context"].to_string()
    });
    assert!(order.is_sorted(), "{before}");
}

#[test]
fn a_call_without_a_reply_is_counted_and_not_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("slots.jsonl");
    let fickle = fickle();
    let model = recording_to(&file, fickle);
    let nothing = Request {
        context: Value::Null,
        ..request()
    };
    for asked in [&nothing, &request(), &nothing] {
        let is_null = asked.context.is_null();
        assert_eq!(model.ask(asked).is_err(), is_null);
    }
    assert_eq!(model.counts(), (1, 2));
    // It is asked again: the next answer may be one.
    assert_eq!(fickle.0.load(Ordering::SeqCst), 3);
    model.write().expect("written");
    let text = fs::read_to_string(&file).expect("a file");
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(
        !text.contains("10.1.2.3") && !text.contains("it is down"),
        "{text}"
    );
}

const HEADER: &str =
    "{\"format\":\"rulectl-recording\",\"model\":\"m\",\"temperature\":null,\"version\":1}";

/// A line that is right.
fn entry() -> String {
    let digest = Digest::of(b"x");
    json!({
        "slot": "risk", "prompt": digest, "context": {}, "schema": digest, "max_tokens": 5,
        "reply": {"text": "{}", "finish": "stop", "model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
    })
    .to_string()
}

#[test]
fn broken_lines_are_all_told_with_their_places() {
    let expected = "expected the first line of a recording, such as {\"format\":\"rulectl-recording\",\"model\":\"NAME\",\"temperature\":0.0,\"version\":1}";
    let good = entry();
    let cases = [
        (String::new(), vec![(1, expected)]),
        ("\u{0}\u{ff}".to_owned(), vec![(1, expected)]),
        ("{\"version\":1}".to_owned(), vec![(1, expected)]),
        (good.clone(), vec![(1, expected)]),
        (
            HEADER.replace(":1}", ":2}"),
            vec![(
                1,
                "the recording has version 2 of the format, and this program reads version 1",
            )],
        ),
        (
            HEADER.replace("\"m\"", "7"),
            vec![(1, "invalid type: integer `7`, expected a string")],
        ),
        (
            HEADER.replace("\"model\":\"m\",", ""),
            vec![(1, "missing field `model`")],
        ),
        (
            HEADER.replace("{", "{\"key\":\"x\","),
            vec![(1, "unknown field `key`")],
        ),
        (
            format!(
                "{HEADER}\n{good}\n{{\n\n{}\n{}",
                good.replace("\"slot\"", "\"slit\""),
                &good[..50]
            ),
            vec![
                (3, "the line is cut off"),
                (5, "unknown field `slit`"),
                (6, "the line is cut off"),
            ],
        ),
        (
            format!("{HEADER}\n{good}\n{good}\n"),
            vec![(3, "the same request as on a line above")],
        ),
        (
            format!("{HEADER}\n[]"),
            vec![(2, "expected a recorded reply")],
        ),
        (
            format!("{HEADER}\n{}", good.replace("\"stop\"", "7")),
            vec![(2, "expected a recorded reply")],
        ),
        (
            format!(
                "{HEADER}\n{}",
                good.replace(&Digest::of(b"x").to_string(), "abc")
            ),
            vec![(2, "`abc` is not a SHA-256 digest of 64 hexadecimal digits")],
        ),
        (
            format!("{HEADER}\n{}{}", "[".repeat(10_000), "]".repeat(10_000)),
            vec![(2, "expected a recorded reply")],
        ),
    ];
    for (text, expected) in cases {
        let wrong = Recording::parse(text.as_bytes()).expect_err(&text);
        assert_eq!(wrong.len(), expected.len(), "{text}: {wrong:?}");
        for (wrong, (line, holds)) in wrong.iter().zip(expected) {
            assert_eq!(wrong.line, line, "{text}");
            assert!(wrong.what.contains(holds), "{text}: {}", wrong.what);
        }
    }
    let whole =
        Recording::parse(format!("{HEADER}\n\n{good}\n \n").as_bytes()).expect("a recording");
    assert_eq!((whole.len(), whole.of()), (1, &of("m", None)));
}

/// A request that a log and a prompt might make.
fn any_request() -> impl Strategy<Value = Request> {
    let texts = (
        "[a-c\u{202e}\"\\\\ü\n]{0,4}",
        0..3_u64,
        prop::option::of("[ab\u{7}]{0,2}"),
    );
    (texts, 0..2_u8, 1..3_u32).prop_map(|((text, count, repair), prompt, max_tokens)| {
        let base = repair.map_or_else(request, |reply| repairing(&reply));
        Request {
            context: json!({"finding": {"description": text, "count": count}}),
            prompt: Digest::of(&[prompt]),
            max_tokens,
            ..base
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    /// Whatever is asked, in whatever order and from whatever was recorded before: what is said
    /// again is what was said.
    #[test]
    fn what_was_recorded_is_said_again(requests in prop::collection::vec(any_request(), 1..12), text in "\\PC{0,8}", cut in 0..12_usize) {
        let said = |request: &Request| reply(&format!("{text}\u{1b}\u{2028}{:?}", request));
        let mut recording = Recording::new(of(&text, Some(0.1 + 0.2)));
        let (first, then) = requests.split_at(cut.min(requests.len()));
        for request in first {
            recording.insert(rulectl::recording::Key::of(request), said(request));
        }
        let mut recording = Recording::parse(recording.text().unwrap().as_bytes()).unwrap();
        for request in then {
            recording.insert(rulectl::recording::Key::of(request), said(request));
        }
        let written = recording.text().unwrap();
        let read = Recording::parse(written.as_bytes()).unwrap();
        prop_assert_eq!(&read, &recording);
        prop_assert_eq!(read.text().unwrap(), written);
        let model = ReplayingModel::new(read, Some(&of(&text, Some(0.1 + 0.2))), 1);
        for request in &requests {
            prop_assert_eq!(model.ask(request), Ok(said(request)));
        }
        prop_assert_eq!(model.missing(), vec![]);
    }

    /// Bytes that were changed or cut are a recording, or are told with lines that are there.
    #[test]
    fn what_is_damaged_is_read_or_told(damage in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 0..4), cut in 0.0..1.5_f64) {
        let mut bytes = format!("{HEADER}\n{}\n", entry()).into_bytes();
        for (place, byte) in damage {
            let at = (place * bytes.len() as f64) as usize;
            bytes[at] = byte;
        }
        bytes.truncate((cut * bytes.len() as f64) as usize);
        let lines = bytes.split(|byte| *byte == b'\n').count();
        match Recording::parse(&bytes) {
            Ok(recording) => {
                let written = recording.text().unwrap();
                prop_assert_eq!(Recording::parse(written.as_bytes()).unwrap(), recording);
            }
            Err(wrong) => {
                prop_assert!(!wrong.is_empty() && wrong.iter().all(|wrong| (1..=lines).contains(&wrong.line)));
            }
        }
    }
}

/// An endpoint that is good at some slots, has some replies refused, and does not repair all.
fn endpoint() -> Scripted {
    Scripted::answering(|_, request| {
        let (_, body) = request.split_once("\r\n\r\n").expect("a body");
        let body: Value = serde_json::from_str(body).expect("JSON");
        let is_repair = body["messages"].as_array().expect("turns").len() > 2;
        let prompt = body["messages"][1]["content"].as_str().expect("a prompt");
        Act::says(&answer_to(prompt, is_repair))
    })
}

fn answer_to(prompt: &str, is_repair: bool) -> String {
    let risk = |severity: &str, likelihood: i32| json!({"severity": severity, "likelihood": likelihood, "impact": 90, "rationale": "as it is told"});
    let answer = if prompt.starts_with("You score") {
        match () {
            () if prompt.contains("alice") => risk("critical", 95),
            () if prompt.contains("dana") && !is_repair => return "I would say: high".to_owned(),
            () if prompt.contains("camille") => risk("medium", 400),
            () => risk("low", 10),
        }
    } else if prompt.starts_with("You plan") {
        json!({"overall_goal": "Contain it", "steps": [
            {"step_id": "notify_user", "rationale": "first of all"},
            {"step_id": "collect_auth_logs", "rationale": "then"},
        ]})
    } else {
        json!({"steps": [{"agent_name": "planner_agent", "reason": "a plan"}]})
    };
    answer.to_string()
}

fn run(folder: &Path, data: &str, words: &str) -> Output {
    let mut command = program();
    command
        .current_dir(folder)
        .env("LLM_API_KEY", CANARY)
        .args(["run", "--data", data, "--events"])
        .arg(log("demo-day.ndjson"))
        .args(words.split_whitespace());
    command.output().expect("it runs")
}

fn rulectl(folder: &Path, words: &str) -> Output {
    let mut command = program();
    command.current_dir(folder).args(words.split_whitespace());
    command.output().expect("it runs")
}

#[track_caller]
fn check(output: &Output, exit: i32, holds: &str) -> String {
    let out = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    let err = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    assert_eq!(output.status.code(), Some(exit), "{out}{err}");
    assert!(
        format!("{out}{err}").contains(holds),
        "no `{holds}` in {out}{err}"
    );
    err
}

/// Records the demo day in a folder: `slots.jsonl`, and the data folder `recorded`.
fn recorded(folder: &Path) -> Scripted {
    let server = endpoint();
    let words = format!(
        "--slots record --recording slots.jsonl --llm-model small --llm-base-url {}",
        server.base_url()
    );
    let ran = run(folder, "recorded", &words);
    check(&ran, 0, "the recording `slots.jsonl` has ");
    server
}

fn artifacts(data: &Path) -> BTreeMap<String, String> {
    let names = [
        "findings",
        "risks",
        "routes",
        "incidents",
        "plans",
        "commands",
    ];
    names
        .map(|name| {
            let file = data.join(name).with_extension("jsonl");
            (
                name.to_owned(),
                fs::read_to_string(file).expect("an artifact"),
            )
        })
        .into()
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[test]
fn a_recorded_run_is_replayed_with_no_model_and_leaves_the_same_bytes() {
    let folder = small_folder();
    let path = folder.path();
    let server = recorded(path);
    let calls = server.seen().len();
    drop(server);
    let mut left = Vec::new();
    for (data, concurrency) in [("left-1", 1), ("left-8", 8), ("left-3", 3)] {
        let words =
            format!("--slots replay --recording slots.jsonl --llm-concurrency {concurrency}");
        let ran = run(path, data, &words);
        check(&ran, 0, "");
        let stdout = String::from_utf8(ran.stdout)
            .expect("UTF-8")
            .replace(data, "DATA");
        left.push((stdout, artifacts(&path.join(data))));
    }
    assert!(left.iter().all(|other| *other == left[0]));
    // What was decided is what was decided with the model, but for where it came from.
    let (with, without) = (artifacts(&path.join("recorded")), &left[0].1);
    for (name, text) in &with {
        let said = text.replace(":\"model\"", ":\"recorded\"");
        assert_eq!(&said, &without[name], "{name}");
    }
    for word in ["\"recorded\"", "\"floored\"", "\"refused\""] {
        assert!(
            without["risks"].contains(word),
            "no {word} in {}",
            without["risks"]
        );
    }
    // A repair is an entry of its own, and the run asked nothing twice.
    let recording = fs::read_to_string(path.join("slots.jsonl")).expect("a recording");
    assert_eq!(recording.lines().count(), 1 + calls);
    assert!(recording.contains("\"repair\":"));
    for data in ["recorded", "left-1"] {
        check(
            &rulectl(path, &format!("replay --data {data}")),
            0,
            "came out the same",
        );
        for file in files(&path.join(data)) {
            let bytes = fs::read(&file).expect("a file");
            assert!(
                !String::from_utf8_lossy(&bytes).contains(CANARY),
                "{}",
                file.display()
            );
        }
    }
    assert!(!recording.contains(CANARY) && !recording.contains("127.0.0.1"));
}

#[test]
fn the_mode_and_the_file_may_stand_in_the_configuration() {
    let folder = small_folder();
    let path = folder.path();
    let server = endpoint();
    let settings = |mode: &str, file: &str| {
        let llm = format!(
            "[llm]\nbase_url = \"{}\"\nmodel = \"small\"\n",
            server.base_url()
        );
        fs::write(
            path.join("rulectl.toml"),
            format!("{llm}[slots]\nmode = \"{mode}\"\n{file}"),
        )
        .expect("written");
    };
    settings("record", "");
    check(
        &run(path, "a", ""),
        0,
        "the recording `./fixtures/recordings/slots.jsonl` has ",
    );
    settings("replay", "");
    check(&run(path, "b", ""), 0, "");
    settings("replay", "recording = \"elsewhere.jsonl\"\n");
    check(
        &run(path, "c", ""),
        4,
        "there is no recording `./elsewhere.jsonl`; `--slots record` makes one",
    );
    check(
        &run(path, "d", "--recording fixtures/recordings/slots.jsonl"),
        0,
        "",
    );
    check(&run(path, "e", "--slots default"), 0, "");
}

#[test]
fn what_a_recording_lacks_ends_the_run_as_inconclusive() {
    let folder = small_folder();
    let path = folder.path();
    drop(recorded(path));
    let risk = fs::read_to_string(path.join("prompts/risk.md")).expect("a prompt");
    fs::write(
        path.join("prompts/risk.md"),
        risk.replace("at most two", "at most three"),
    )
    .expect("written");
    let missed = run(
        path,
        "missed",
        "--slots replay --recording slots.jsonl --llm-concurrency 8",
    );
    let err = check(&missed, 4, "differs in the prompt (it was ");
    let kinds = err
        .lines()
        .filter(|line| line.contains(" requests of slot "));
    let kinds: Vec<&str> = kinds.collect();
    assert_eq!(kinds.len(), 1, "{err}");
    assert!(
        kinds[0].starts_with(
            "warning: 6 requests of slot `risk`, in `slots.jsonl`: no reply is recorded"
        ),
        "{err}"
    );
    let risks = artifacts(&path.join("missed"))["risks"].clone();
    assert_eq!(risks.lines().count(), 6);
    assert!(
        risks
            .lines()
            .all(|line| line.contains("\"severity\":\"refused\"")
                && line.contains("differs in the prompt")),
        "{risks}"
    );
    // What was not answered then is not answered in its replay: that came out the same.
    check(
        &rulectl(path, "replay --data missed"),
        0,
        "came out the same",
    );
    let other = run(
        path,
        "other",
        "--slots replay --recording slots.jsonl --llm-model big",
    );
    check(
        &other,
        4,
        "differs in the model (it was `small`, and is `big`)",
    );
    let gone = run(path, "gone", "--slots replay --recording nowhere.jsonl");
    check(&gone, 4, "there is no recording `nowhere.jsonl`");
    assert!(!path.join("gone").exists(), "nothing was run");
}

#[test]
fn a_recording_that_is_not_whole_is_not_run_with() {
    let folder = small_folder();
    let path = folder.path();
    let server = recorded(path);
    let file = path.join("slots.jsonl");
    let whole = fs::read_to_string(&file).expect("a recording");
    let record = format!(
        "--recording slots.jsonl --llm-base-url {} --slots record --llm-model",
        server.base_url()
    );
    let calls = server.seen().len();
    check(
        &run(path, "other", &format!("{record} big")),
        3,
        "the recording `slots.jsonl` is of model `small` at temperature 0.0, and model `big` at temperature 0.0 is configured; name another file",
    );
    fs::write(&file, whole.replacen("\"slot\":", "\"\u{1b}slot\":", 2)).expect("written");
    for words in [
        "--slots replay --recording slots.jsonl",
        &format!("{record} small"),
    ] {
        let err = check(
            &run(path, "broken", words),
            2,
            "slots.jsonl:2: expected a recorded reply",
        );
        assert!(
            err.contains("slots.jsonl:3: ") && err.lines().count() == 2,
            "{err}"
        );
        assert!(!err.contains('\u{1b}'), "{err}");
    }
    assert_eq!(server.seen().len(), calls, "nothing was asked");
    assert!(!path.join("broken").exists(), "nothing was run");
    fs::remove_file(&file).expect("removed");
    fs::create_dir(&file).expect("a folder");
    check(
        &run(path, "broken", "--slots replay --recording slots.jsonl"),
        2,
        "the recording `slots.jsonl` cannot be read",
    );
}

/// The file is kept also where the run breaks, and what got no reply is said.
#[test]
fn what_was_recorded_is_kept_however_the_run_ends() {
    let folder = small_folder();
    let path = folder.path();
    let day = fs::read_to_string(log("demo-day.ndjson")).expect("the demo day");
    fs::write(path.join("day.ndjson"), format!("{day}no event\n")).expect("written");
    let server = Scripted::answering(|_, request| {
        if request.contains("You plan") {
            return Act::error("400 Bad Request", "too much");
        }
        Act::says("{}")
    });
    let words = format!(
        "run --strict --events day.ndjson --slots record --recording slots.jsonl --llm-model small --llm-base-url {}",
        server.base_url()
    );
    let ran = rulectl(path, &words);
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    assert!(path.join("slots.jsonl").exists());
    let words = words.replace("--strict", "");
    let err = check(
        &rulectl(path, &words),
        2,
        " calls got no reply: the recording lacks what they asked, and `--slots replay` will miss it",
    );
    assert!(err.contains("the recording `slots.jsonl` has "), "{err}");
    let replayed = rulectl(
        path,
        "run --events day.ndjson --slots replay --recording slots.jsonl",
    );
    check(&replayed, 4, "of slot `plan`");
}

#[test]
fn a_run_that_is_killed_keeps_what_it_had_recorded() {
    let folder = small_folder();
    let path = folder.path();
    let late = Duration::from_millis(400);
    let server = Scripted::answering(move |_, _| Act::Late(late, completion("{}").to_string()));
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_rulectl"))
        .current_dir(path)
        .args([
            "run",
            "--slots",
            "record",
            "--recording",
            "slots.jsonl",
            "--events",
        ])
        .arg(log("demo-day.ndjson"))
        .args([
            "--llm-model",
            "small",
            "--llm-concurrency",
            "1",
            "--llm-base-url",
        ])
        .arg(server.base_url())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it runs");
    let file = path.join("slots.jsonl");
    while !file.exists() {
        assert_eq!(child.try_wait().expect("a child"), None, "it ended before");
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    let kept = Recording::read(&file).expect("a whole recording");
    let calls = server.seen().len();
    assert!(
        !kept.is_empty() && kept.len() <= calls,
        "{} of {calls}",
        kept.len()
    );
}

#[test]
fn an_audit_answers_as_the_model_did_and_says_what_it_cannot() {
    let folder = small_folder();
    let path = folder.path();
    drop(recorded(path));
    let replayed = rulectl(path, "replay --data recorded --format json");
    check(&replayed, 0, "");
    let report: Value = serde_json::from_slice(&replayed.stdout).expect("JSON");
    let all = report["runs"][0]["recorded"].as_u64().expect("a number");
    assert_eq!(report["runs"][0]["same"], all);

    // A policy that asks the same has the same answers.
    let under = |name: &str, change: &dyn Fn(&Path)| {
        let other = path.join(name);
        for part in ["rules", "prompts"] {
            crate::harness::lay_over(&path.join(part), &other.join(part));
        }
        for file in ["routing.toml", "tools.yaml"] {
            fs::copy(path.join(file), other.join(file)).expect("copied");
        }
        change(&other);
        rulectl(
            path,
            &format!("replay --data recorded --format json --under {name}"),
        )
    };
    let changed = |file: &str, from: &'static str, to: &'static str| {
        let file = file.to_owned();
        move |folder: &Path| {
            let file = folder.join(&file);
            let text = fs::read_to_string(&file).expect("a file");
            assert!(text.contains(from));
            fs::write(&file, text.replacen(from, to, 1)).expect("written");
        }
    };
    let threshold = changed("routing.toml", "threshold  = 0.6\n", "threshold  = 0.61\n");
    check(
        &under("threshold", &threshold),
        1,
        "score 0.42 is under promotion.threshold 0.61",
    );
    let prompt = changed("prompts/plan.md", "You plan", "Plan");
    let output = under("prompt", &prompt);
    check(
        &output,
        4,
        "slot `plan`, 5 requests, the first: no reply is recorded for this request; the nearest that is recorded differs in the prompt (it was ",
    );
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let run = &report["runs"][0];
    // Five plans, and the commands and drafts that rest on them.
    assert_eq!(
        (run["same"].as_u64(), run["different"].as_u64()),
        (Some(all - 15), Some(0)),
        "{run}"
    );
    let limit = changed("prompts/route.md", "max_tokens: 800", "max_tokens: 801");
    check(
        &under("limit", &limit),
        4,
        "in `max_tokens` (it was 800, and is 801)",
    );

    // Without the bodies nothing can be said.
    let blobs = files(&path.join("recorded/audit/blobs"));
    for blob in blobs {
        fs::remove_file(blob).expect("removed");
    }
    check(
        &rulectl(path, "replay --data recorded"),
        4,
        "is gone: it was pruned, or its file was removed",
    );
}

#[test]
fn a_finding_is_shown_with_what_a_model_was_asked() {
    let folder = small_folder();
    let path = folder.path();
    drop(recorded(path));
    for words in [
        "show finding bb6b76a4 --data recorded",
        "replay bb6b76a4 --data recorded",
    ] {
        let output = rulectl(path, words);
        check(&output, 0, "What a model was asked");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let (_, asked) = text
            .split_once("What a model was asked")
            .expect("a section");
        let places = [
            "risk      record ",
            ", two calls, the second to repair the first; accepted",
            "prompt    ",
            "dana.whitfield@example.com",
            "reply     I would say: high",
            "refused   ",
            "reply     {\"impact\":90,",
        ];
        let mut rest = asked;
        for place in places {
            let found = rest.split_once(place);
            rest = found.unwrap_or_else(|| panic!("no `{place}` in {rest}")).1;
        }
    }
    let output = rulectl(path, "replay bb6b76a4 --data recorded --format json");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["slots"][0]["slot"], "risk");
    assert_eq!(
        told["slots"][0]["said"][0]["reply"]["text"],
        "I would say: high"
    );
    let kinds: Vec<&Value> = told["decisions"]
        .as_array()
        .expect("decisions")
        .iter()
        .map(|decision| &decision["kind"])
        .collect();
    assert_eq!(kinds, ["finding", "risk"]);
    let refused = rulectl(path, "show finding 66a1f9cd --data recorded");
    check(&refused, 0, "; refused: ");
    let none = run(path, "none", "");
    check(&none, 0, "");
    let quiet = rulectl(path, "show finding bb6b76a4 --data none");
    assert!(!String::from_utf8_lossy(&quiet.stdout).contains("What a model was asked"));
}
