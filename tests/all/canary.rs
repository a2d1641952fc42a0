//! Nothing secret comes to light, whatever the model's endpoint does: canaries stand in the
//! environment, in `.env`, in a file of the key and in the secret fields of events, and are looked
//! for in everything that a run asks, writes and says.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rulectl::lab::hostile::{Arsenal, load_arsenal};
use rulectl::okta::place;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{lines, program, root, small_folder};
use crate::scripted::{Act, Scripted, answer, completion};

/// The key of the model: the one secret that goes to the endpoint, in one header.
const KEY: &str = "sk-Zq7canaryKeyM4x9Wv2Lr8";

/// Other secrets of whoever runs the program.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("OKTA_API_TOKEN", "00Hx3canaryTokenPq8Td5Ys1"),
    ("OKTA_ORG", "Jw6canaryOrgBn0Fe3Kt9Vu1"),
    ("AWS_SECRET_ACCESS_KEY", "Vt9canaryAwsKc2Gm7Fd4Xh5"),
    ("RULECTL_UNKNOWN", "Nb3canaryOtherQs6Zl1Rj8"),
];

/// What else stands in `.env`.
const DOTENV: &str = "Ce5canaryDotenvUy0Hk9Ap2";

/// Fields that `[audit] secret` names, with what stands in them.
const FIELDS: [(&str, &str); 3] = [
    ("debugContext.debugData.url", "Lo4canaryUrlSv7Ei1Mx6"),
    ("debugContext.debugData.dtHash", "Gz8canaryHashWf2Nc5Tb0"),
    ("actor.detailEntry", "Yd1canaryDetailRk3Vp9Jq7"),
];

/// So many characters of a canary in a row are found by accident in nothing.
const TELLING: usize = 8;

/// Where the key of the model stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    Environment,
    Dotenv,
    File,
}

/// A folder with a policy, a log and settings, with canaries in all of them.
fn folder(server: &Scripted, key: Place) -> TempDir {
    let folder = small_folder();
    let path = |name: &str| folder.path().join(name);
    let routing = fs::read_to_string(path("routing.toml")).expect("a file");
    let names: Vec<&str> = FIELDS.iter().map(|(path, _)| *path).collect();
    fs::write(
        path("routing.toml"),
        format!("{routing}\n[audit]\nsecret = {names:?}\n"),
    )
    .expect("written");
    let mut problems = rulectl::diag::Problems::default();
    let Arsenal { mut events, .. } =
        load_arsenal(&root().join("fixtures/injection"), &mut problems);
    for event in &mut events {
        for (path, canary) in FIELDS {
            place(event, path, canary.into());
        }
    }
    fs::write(path("events.ndjson"), lines(&events)).expect("written");
    let mut settings = format!(
        "[llm]\nbase_url = \"{}\"\nmodel = \"small\"\nretries = 1\ntimeout = \"2s\"\n",
        server.base_url()
    );
    let mut dotenv = format!("DATABASE_PASSWORD={DOTENV}\nOKTA_API_TOKEN={DOTENV}\n");
    match key {
        Place::Environment => {}
        Place::Dotenv => dotenv += &format!("LLM_API_KEY={KEY}\n"),
        Place::File => {
            fs::write(path("key"), format!("{KEY}\n")).expect("written");
            settings += "api_key_file = \"key\"\n";
        }
    }
    fs::write(path("rulectl.toml"), settings).expect("written");
    fs::write(path(".env"), dotenv).expect("written");
    folder
}

/// The program in a folder, with canaries in its environment.
fn run(folder: &Path, key: Place, words: &[&str]) -> (Option<i32>, Vec<u8>) {
    let mut command = program();
    command.current_dir(folder).args(words);
    command.envs(ENVIRONMENT);
    if matches!(key, Place::Environment) {
        command.env("LLM_API_KEY", KEY);
    }
    let ended = command.output().expect("it runs");
    (ended.status.code(), [ended.stdout, ended.stderr].concat())
}

/// Every file below a folder, unpacked.
fn files(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
            continue;
        }
        let mut bytes = fs::read(&path).expect("a file");
        if path.extension().is_some_and(|kind| kind == "zst") {
            let mut unpacked = Vec::new();
            let mut reader = zstd::Decoder::new(bytes.as_slice()).expect("zstd");
            reader.read_to_end(&mut unpacked).expect("zstd");
            bytes = unpacked;
        }
        found.push((path, bytes));
    }
}

/// The first telling part of a canary that stands in some bytes.
fn part_of(canary: &str, bytes: &[u8]) -> Option<String> {
    let mut parts = canary.as_bytes().windows(TELLING);
    let found = parts.find(|part| memchr::memmem::find(bytes, part).is_some())?;
    Some(String::from_utf8_lossy(found).into_owned())
}

fn canaries() -> impl Iterator<Item = &'static str> {
    let others = ENVIRONMENT.iter().chain(&FIELDS).map(|(_, canary)| *canary);
    [KEY, DOTENV].into_iter().chain(others)
}

/// Asserts that no canary stands in some bytes.
#[track_caller]
fn nothing_in(what: &str, bytes: &[u8]) {
    for canary in canaries() {
        let part = part_of(canary, bytes);
        assert_eq!(part, None, "{what} holds a part of {canary}");
    }
}

/// A reply that is accepted in the slot that a request is for.
fn good(request: &str, commentary: &str) -> String {
    let reply = if request.contains("\"name\":\"risk\"") {
        json!({"severity": "low", "likelihood": 1, "impact": 1, "rationale": commentary})
    } else if request.contains("\"name\":\"route\"") {
        json!({"phase": "", "steps": [{"agent_name": "planner_agent", "reason": commentary, "when": ""}], "notes": commentary})
    } else if request.contains("\"name\":\"notification\"") {
        json!({"channel": "chat", "subject": "s", "body": format!("b{commentary}")})
    } else {
        json!({"overall_goal": commentary, "steps": [{"step_id": "notify_user", "rationale": commentary, "dependencies": [], "requires_human_approval": false}]})
    };
    reply.to_string()
}

type Doing = fn(&str) -> Act;

fn ok(body: &Value) -> Act {
    Act::json("200 OK", body)
}

/// All of the key in a form that a reader undoes.
fn escaped() -> String {
    KEY.chars()
        .map(|letter| format!("\\u{:04x}", u32::from(letter)))
        .collect()
}

/// What an endpoint may do, each thing with the key that it was sent where it can be put.
#[rustfmt::skip]
const DOINGS: [(&str, Doing); 15] = [
    ("answers well", |request| Act::says(&good(request, "routine"))),
    ("says the key", |request| Act::says(&good(request, KEY))),
    ("says the key in escapes", |request| Act::says(&good(request, "KEY").replace("KEY", &escaped()))),
    ("says the key beside the reply", |request| Act::says(&format!("{} {KEY}", good(request, "")))),
    ("is a model of that name", |request| { let mut said = completion(&good(request, "x")); said["model"] = KEY.into(); ok(&said) }),
    ("ends for that reason", |request| { let mut said = completion(&good(request, "x")); said["choices"][0]["finish_reason"] = KEY.into(); ok(&said) }),
    ("does not know the key", |_| Act::error("401 Unauthorized", &format!("Incorrect API key provided: {KEY}"))),
    ("tells a part of the key", |_| Act::error("403 Forbidden", &format!("no access with {}***", &KEY[..12]))),
    ("echoes the headers", |request| Act::error("400 Bad Request", request)),
    ("has too little context", |_| Act::error("400 Bad Request", &format!("maximum context length is 7 for {KEY}"))),
    ("is busy", |_| Act::error("429 Too Many Requests", &format!("slow down, Bearer {KEY}"))),
    ("fails", |_| Act::Answer("500 Internal Server Error", vec![format!("x-key: {KEY}")], format!("panic at {KEY}"))),
    ("shows a page", |_| Act::Answer("200 OK", vec!["content-type: text/html".to_owned()], format!("<html>{KEY}</html>"))),
    ("leads elsewhere", |_| Act::Answer("302 Found", vec![format!("location: http://127.0.0.1:9/{KEY}")], String::new())),
    ("breaks off", |request| { let whole = answer("200 OK", &[], &completion(&good(request, KEY)).to_string()); Act::Raw(whole.as_bytes()[..whole.len() - 20].to_vec()) }),
];

/// A run against an endpoint, and everything in which a canary could stand.
fn nothing_comes_to_light(doing: &'static str, act: Doing, key: Place) {
    let server = Scripted::answering(move |_, request| act(request));
    let folder = folder(&server, key);
    let words = ["run", "--events", "events.ndjson", "--slots", "live"];
    let (code, said) = run(folder.path(), key, &words);
    assert!(
        matches!(code, Some(0 | 2)),
        "{doing}: {code:?} {}",
        String::from_utf8_lossy(&said)
    );
    nothing_in(
        &format!("what `run` says where the endpoint {doing}"),
        &said,
    );
    let mut found = Vec::new();
    files(&folder.path().join("data"), &mut found);
    assert!(
        found
            .iter()
            .any(|(path, _)| path.ends_with("findings.jsonl")),
        "{found:?}"
    );
    for (path, bytes) in &found {
        nothing_in(
            &format!("{} where the endpoint {doing}", path.display()),
            bytes,
        );
    }
    let masked = found
        .iter()
        .filter(|(_, bytes)| memchr::memmem::find(bytes, b"***").is_some());
    assert!(masked.count() > 0, "the audit keeps the events, masked");
    for words in [&["show"][..], &["audit", "export"], &["show", "plans"]] {
        let (_, said) = run(folder.path(), key, words);
        nothing_in(
            &format!("what `{words:?}` says where the endpoint {doing}"),
            &said,
        );
    }
    let seen = server.seen();
    assert!(!seen.is_empty(), "{doing}: the endpoint was asked");
    for request in seen {
        let (with, without): (Vec<&str>, Vec<&str>) = request
            .lines()
            .partition(|line| line.to_lowercase().starts_with("authorization:"));
        assert_eq!(with.len(), 1, "the key goes into one header");
        assert!(
            with[0].ends_with(&format!("Bearer {KEY}")),
            "the key is the one that was given"
        );
        nothing_in(
            &format!("a request where the endpoint {doing}"),
            without.join("\n").as_bytes(),
        );
    }
}

#[test]
fn nothing_secret_comes_to_light_whatever_the_endpoint_does() {
    std::thread::scope(|scope| {
        for (at, (doing, act)) in DOINGS.into_iter().enumerate() {
            let key = [Place::Environment, Place::Dotenv, Place::File][at % 3];
            scope.spawn(move || nothing_comes_to_light(doing, act, key));
        }
    });
}

/// A setting that is wrong is told without what is secret in it or beside it.
#[test]
fn nothing_secret_stands_in_what_is_said_of_wrong_settings() {
    let server = Scripted::new([Act::says("{}")]);
    let cases = [
        format!("[llm]\nbase_url = \"http://u:{KEY}@127.0.0.1:9/v1\"\nmodel = \"m\"\n"),
        format!(
            "[llm]\nbase_url = \"http://127.0.0.1:9/v1\"\nmodel = \"m\"\napi_key = \"{KEY}\"\n"
        ),
        format!(
            "[llm]\nbase_url = \"http://127.0.0.1:9/v1\"\nmodel = \"m\"\nproxy = \"http://u:{KEY}@h:1\"\n"
        ),
    ];
    for settings in cases {
        let folder = folder(&server, Place::Environment);
        fs::write(folder.path().join("rulectl.toml"), &settings).expect("written");
        let words = ["run", "--events", "events.ndjson", "--slots", "live"];
        let (code, said) = run(folder.path(), Place::Environment, &words);
        assert_eq!(code, Some(3), "{}", String::from_utf8_lossy(&said));
        nothing_in(&settings, &said);
    }
}

/// The search finds what it looks for, also in a part.
#[test]
fn a_canary_is_found() {
    for canary in canaries() {
        let end = canary.len();
        let text = format!("xx{}yy", &canary[end - TELLING - 1..end - 1]);
        assert!(part_of(canary, text.as_bytes()).is_some(), "{canary}");
        assert_eq!(part_of(canary, b"nothing of it"), None);
    }
}
