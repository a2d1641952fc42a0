//! The client of a model's endpoint, on good days and on each of the bad ones.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use rulectl::llm::{
    About, Budget, Endpoint, Failure, Finish, Message, Model as _, Reply, Request, Role, Settings,
    Usage,
};
use rulectl::redact::Secret;
use serde_json::{Value, json};

use crate::scripted::{Act, Scripted, answer, completion};

/// What no error, log or record may show.
const CANARY: &str = "sk-canary-0f3a9c51d2";

fn settings(base_url: &str) -> Settings {
    Settings {
        key: Some(Secret::new(CANARY.to_owned())),
        pause: Duration::from_millis(1),
        rest: Duration::ZERO,
        max_reply_bytes: 64 << 10,
        ..Settings::new(base_url, "small-model")
    }
}

fn endpoint(server: &Scripted) -> Endpoint {
    Endpoint::new(settings(&server.base_url())).expect("an endpoint")
}

fn request() -> Request {
    let message = |role, content: &str| Message {
        role,
        content: content.to_owned(),
    };
    Request {
        prompt: rulectl::event::Digest::of(b"a prompt"),
        context: Value::Null,
        slot: "risk".to_owned(),
        messages: vec![
            message(Role::System, "You score a finding."),
            message(Role::User, "Five failures."),
        ],
        schema: json!({"type": "object", "required": ["severity"]}),
        max_tokens: 50,
        timeout: Duration::from_secs(20),
    }
}

fn within(timeout: Duration) -> Request {
    Request {
        timeout,
        ..request()
    }
}

#[test]
fn a_reply_comes_as_it_was_said() {
    let server = Scripted::new([Act::says(" {\"severity\": \"high\"}\n")]);
    let endpoint = endpoint(&server);
    let reply = endpoint.ask(&request()).expect("a reply");
    let expected = Reply {
        text: " {\"severity\": \"high\"}\n".to_owned(),
        finish: Finish::Stop,
        model: "scripted-1".to_owned(),
        usage: Usage {
            prompt_tokens: 7,
            completion_tokens: 3,
        },
    };
    assert_eq!(reply, expected);
    let about = About {
        host: format!("127.0.0.1:{}", server.port),
        model: "small-model".to_owned(),
        temperature: Some(0.0),
        recorded: false,
    };
    assert_eq!(endpoint.about(), about);
}

#[test]
fn what_is_sent_is_what_the_protocol_asks_for() {
    let server = Scripted::new([Act::says("{}")]);
    endpoint(&server).ask(&request()).expect("a reply");
    let seen = server.seen();
    assert!(
        seen[0].starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "{}",
        seen[0]
    );
    assert!(
        seen[0].contains(&format!("authorization: Bearer {CANARY}\r\n")),
        "the key goes to the endpoint"
    );
    let expected = json!({
        "model": "small-model",
        "temperature": 0.0,
        "max_tokens": 50,
        "n": 1,
        "stream": false,
        "messages": [
            {"role": "system", "content": "You score a finding."},
            {"role": "user", "content": "Five failures."},
        ],
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "risk",
            "strict": true,
            "schema": {"type": "object", "required": ["severity"]},
        }},
    });
    assert_eq!(server.bodies(), [expected]);
}

/// What the endpoint does, and the sentence that says so; `HOST` stands for host and port.
struct BadDay {
    act: Act,
    /// Long where the endpoint itself ends the call.
    timeout: Duration,
    sentence: &'static str,
}

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);

fn bad_day(act: Act, sentence: &'static str) -> BadDay {
    BadDay {
        act,
        timeout: LONG,
        sentence,
    }
}

fn never_done(act: Act) -> BadDay {
    BadDay {
        act,
        timeout: SHORT,
        sentence: "the model at `HOST` gave no reply within 300ms",
    }
}

fn head(more: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{more}").into_bytes()
}

fn ok(body: &Value) -> Act {
    Act::json("200 OK", body)
}

fn page(kind: &str, body: &str) -> Act {
    let headers = vec![format!("content-type: {kind}")];
    Act::Answer("200 OK", headers, body.to_owned())
}

fn bad_days() -> Vec<(&'static str, BadDay)> {
    let no_choice = |choices: Value| ok(&json!({"model": "m", "choices": choices}));
    let full = answer("200 OK", &[], &completion("{}").to_string());
    vec![
        ("never answers", never_done(Act::Hang)),
        (
            "byte by byte",
            never_done(Act::Drip(
                full.clone().into_bytes(),
                Duration::from_millis(20),
            )),
        ),
        (
            "an error byte by byte",
            never_done(Act::Drip(
                answer("401 Unauthorized", &[], &" ".repeat(500)).into_bytes(),
                Duration::from_millis(5),
            )),
        ),
        (
            "endless",
            bad_day(
                Act::Endless(head("\r\n{\"choices\": [ ")),
                "the answer of the model at `HOST` is longer than 65536 bytes",
            ),
        ),
        (
            "endless in chunks",
            bad_day(
                Act::Raw(
                    [
                        head("transfer-encoding: chunked\r\n\r\n"),
                        b"8000\r\n".to_vec(),
                        vec![b' '; 0x8000],
                        b"\r\n8001\r\n".to_vec(),
                        vec![b' '; 0x8001],
                    ]
                    .concat(),
                ),
                "the answer of the model at `HOST` is longer than 65536 bytes",
            ),
        ),
        (
            "endless headers",
            bad_day(
                Act::Endless(head("x-more: a")),
                "the model at `HOST` broke off: message head is too large",
            ),
        ),
        (
            "an endless error",
            bad_day(
                Act::Endless(b"HTTP/1.1 400 Bad Request\r\n\r\n ".to_vec()),
                "the model at `HOST` answered with status 400",
            ),
        ),
        (
            "huge",
            bad_day(
                Act::Raw(head(&format!(
                    "content-length: 99999999999\r\n\r\n{}",
                    " ".repeat(70_000)
                ))),
                "the answer of the model at `HOST` is longer than 65536 bytes",
            ),
        ),
        (
            "closes half way",
            bad_day(
                Act::Raw(full.as_bytes()[..full.len() - 40].to_vec()),
                "the model at `HOST` broke off: the connection ended before the answer",
            ),
        ),
        (
            "closes at once",
            bad_day(
                Act::Raw(Vec::new()),
                "the model at `HOST` broke off: connection closed before message completed",
            ),
        ),
        (
            "speaks something else",
            bad_day(
                Act::Raw(b"220 mail.example.com ESMTP\r\n".to_vec()),
                "the model at `HOST` broke off: invalid HTTP version parsed",
            ),
        ),
        (
            "a web page",
            bad_day(
                page(
                    "text/html; charset=utf-8",
                    "<!doctype html><title>Welcome</title>",
                ),
                "the model at `HOST` answered with a web page instead of a chat completion",
            ),
        ),
        (
            "a web page that says it is JSON",
            bad_day(
                page("application/json", "\n<html></html>"),
                "the model at `HOST` answered with a web page instead of a chat completion",
            ),
        ),
        (
            "events",
            bad_day(
                page("text/event-stream", "data: {}\n\n"),
                "the model at `HOST` answered with a stream of events instead of a chat completion",
            ),
        ),
        (
            "nothing",
            bad_day(
                page("application/json", ""),
                "the model at `HOST` answered with nothing instead of a chat completion",
            ),
        ),
        (
            "half of JSON",
            bad_day(
                page("application/json", "{\"choices\": ["),
                "the model at `HOST` answered with something that is not JSON instead of a chat completion",
            ),
        ),
        (
            "other JSON",
            bad_day(
                ok(&json!({"ok": true})),
                "the model at `HOST` answered with JSON without `choices` instead of a chat completion",
            ),
        ),
        (
            "JSON of other types",
            bad_day(
                ok(&json!({"choices": "none"})),
                "the model at `HOST` answered with JSON of another shape instead of a chat completion",
            ),
        ),
        (
            "JSON that says a key twice",
            bad_day(
                page("application/json", "{\"choices\": [], \"choices\": []}"),
                "the model at `HOST` answered with JSON of another shape instead of a chat completion",
            ),
        ),
        (
            "deep JSON",
            bad_day(
                page(
                    "application/json",
                    &format!("{{\"x\": {}", "[".repeat(60_000)),
                ),
                "the model at `HOST` answered with something that is not JSON instead of a chat completion",
            ),
        ),
        (
            "an error that says it is well",
            bad_day(
                ok(&json!({"error": {"message": "no credit"}})),
                "the model at `HOST` answered with the error “no credit” instead of a chat completion",
            ),
        ),
        (
            "no choice",
            bad_day(
                no_choice(json!([])),
                "the model at `HOST` answered with no choice, or with several instead of a chat completion",
            ),
        ),
        (
            "a choice without a message",
            bad_day(
                no_choice(json!([{}])),
                "the model at `HOST` answered with a choice without a message instead of a chat completion",
            ),
        ),
        (
            "no text",
            bad_day(
                no_choice(json!([{"message": {"content": null}}])),
                "the model at `HOST` answered with a message without text instead of a chat completion",
            ),
        ),
        (
            "a refusal",
            bad_day(
                no_choice(json!([{"message": {"content": null, "refusal": "I cannot"}}])),
                "the model at `HOST` answered with a refusal of the model instead of a chat completion",
            ),
        ),
        (
            "bad request",
            bad_day(
                Act::error("400 Bad Request", "no such\u{1b}[31m key"),
                "the model at `HOST` answered with status 400: “no such\\u{1b}[31m key”",
            ),
        ),
        (
            "context overflow",
            bad_day(
                Act::error(
                    "400 Bad Request",
                    "This model's maximum context length is 4096 tokens",
                ),
                "the request is longer than the context of the model at `HOST`: “This model's maximum context length is 4096 tokens”",
            ),
        ),
        (
            "context overflow of llama.cpp",
            bad_day(
                Act::json(
                    "400 Bad Request",
                    &json!({"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error", "n_ctx": 8192}}),
                ),
                "the request is longer than the context of the model at `HOST`: “too long”",
            ),
        ),
        (
            "a key that is wrong",
            bad_day(
                Act::error("401 Unauthorized", &format!("wrong: {CANARY}")),
                "the model at `HOST` answered with status 401: it does not accept the key; set `LLM_API_KEY`",
            ),
        ),
        (
            "a key that may not",
            bad_day(
                Act::error("403 Forbidden", "no"),
                "the model at `HOST` answered with status 403: it does not accept the key; set `LLM_API_KEY`",
            ),
        ),
        (
            "no such page",
            bad_day(
                Act::Answer("404 Not Found", Vec::new(), "<h1>nginx</h1>".to_owned()),
                "the model at `HOST` answered with status 404; check the base URL, which mostly ends in `/v1`, and the name of the model",
            ),
        ),
        (
            "a redirect",
            bad_day(
                Act::Answer(
                    "302 Found",
                    vec!["location: http://127.0.0.1:9/?key=1".to_owned()],
                    String::new(),
                ),
                "the model at `HOST` answered with status 302: redirects are not followed; set the base URL to where it leads",
            ),
        ),
        (
            "ill, three times",
            bad_day(
                Act::error("500 Internal Server Error", "out of memory"),
                "the model at `HOST` answered with status 500, 3 times: “out of memory”",
            ),
        ),
        (
            "busy, three times",
            bad_day(
                Act::error("429 Too Many Requests", "slow down"),
                "the model at `HOST` answered with status 429, 3 times: “slow down”",
            ),
        ),
        (
            "busy for an hour",
            bad_day(
                Act::Answer(
                    "429 Too Many Requests",
                    vec!["retry-after: 3600".to_owned()],
                    String::new(),
                ),
                "the model at `HOST` answered with status 429",
            ),
        ),
        (
            "repeats the key in a reply",
            bad_day(
                Act::says(&format!("{{\"rationale\": \"{CANARY}\"}}")),
                "the answer of the model at `HOST` repeats the key, so that it is not read",
            ),
        ),
        (
            "repeats the key in an error",
            bad_day(
                Act::error("400 Bad Request", &format!("Bearer {CANARY} is wrong")),
                "the model at `HOST` answered with status 400: “what it says holds a part of the key, and is not shown”",
            ),
        ),
        (
            "repeats a part of the key",
            bad_day(
                Act::error("409 Conflict", "Bearer canary-0f3****"),
                "the model at `HOST` answered with status 409: “what it says holds a part of the key, and is not shown”",
            ),
        ),
        (
            "repeats the key in an error that says it is well",
            bad_day(
                ok(&json!({"error": CANARY})),
                "the model at `HOST` answered with the error “what it says holds a part of the key, and is not shown” instead of a chat completion",
            ),
        ),
    ]
}

/// Each ends within the time of the call, with a sentence that says what happened.
#[test]
fn a_bad_day_costs_one_bounded_wait() {
    for (name, day) in bad_days() {
        let server = Scripted::new([day.act]);
        let failure = endpoint(&server).ask(&within(day.timeout));
        let failure = failure.expect_err(name);
        let host = format!("127.0.0.1:{}", server.port);
        assert_eq!(
            failure.to_string().replace(&host, "HOST"),
            day.sentence,
            "{name}"
        );
        let all = format!("{failure} {failure:?}");
        assert!(
            !all.contains(CANARY) && !all.contains("Bearer"),
            "{name}: {all}"
        );
    }
}

#[test]
fn a_long_reason_is_cut() {
    let server = Scripted::new([Act::error("400 Bad Request", &"ä".repeat(5_000))]);
    let failure = endpoint(&server).ask(&request()).expect_err("refused");
    let sentence = failure.to_string();
    assert_eq!(sentence.matches('ä').count(), 200);
    assert!(sentence.ends_with("ä…”"), "{sentence}");
}

#[test]
fn a_provider_that_is_down_is_said_to_be() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let endpoint = Endpoint::new(settings(&format!("http://127.0.0.1:{port}/v1"))).unwrap();
    let failure = endpoint.ask(&request()).expect_err("nobody listens");
    let sentence = format!("the model at `127.0.0.1:{port}` cannot be reached: connection refused");
    assert_eq!(failure.to_string(), sentence);
}

#[test]
fn what_is_ill_for_a_moment_is_asked_again() {
    let server = Scripted::new([
        Act::error("503 Service Unavailable", "loading"),
        Act::Answer(
            "429 Too Many Requests",
            vec!["retry-after: 0".to_owned()],
            String::new(),
        ),
        Act::says("{}"),
    ]);
    let reply = endpoint(&server).ask(&request());
    assert_eq!(reply.map(|reply| reply.text), Ok("{}".to_owned()));
    assert_eq!(server.seen().len(), 3);
}

/// The pause that the endpoint asks for is made, where the call has the time.
#[test]
fn retry_after_is_obeyed() {
    let busy = Act::Answer(
        "429 Too Many Requests",
        vec!["retry-after: 1".to_owned()],
        String::new(),
    );
    let server = Scripted::new([busy, Act::says("{}")]);
    let begin = Instant::now();
    endpoint(&server).ask(&request()).expect("a reply");
    assert!(
        begin.elapsed() >= Duration::from_secs(1),
        "it was asked again too soon"
    );
}

/// An endpoint without `response_format` is found out once for each slot.
#[test]
fn what_refuses_a_schema_is_asked_by_instruction() {
    let server = Scripted::answering(|_, request| match request.contains("response_format") {
        true => Act::error("400 Bad Request", "response_format is not supported"),
        false => Act::says("{}"),
    });
    let endpoint = endpoint(&server);
    for _ in 0..2 {
        endpoint.ask(&request()).expect("a reply");
    }
    let bodies = server.bodies();
    let has_format: Vec<_> = bodies
        .iter()
        .map(|b| b.get("response_format").is_some())
        .collect();
    assert_eq!(has_format, [true, false, false]);
    let system = bodies[2]["messages"][0]["content"]
        .as_str()
        .expect("a text");
    let expected = "You score a finding.\n\nAnswer with exactly one JSON value that satisfies this JSON Schema, without any text before or after it and without a code fence:\n{\"required\":[\"severity\"],\"type\":\"object\"}";
    assert_eq!(system, expected);
}

/// An endpoint that knows the newer name of the limit alone is found out once, for all slots; and
/// that it takes no schema either.
#[test]
fn what_refuses_max_tokens_is_asked_by_the_newer_name() {
    let server = Scripted::answering(|_, request| {
        let has = |word: &str| request.contains(&format!("\"{word}\""));
        if has("max_tokens") {
            let said = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.";
            return Act::error("400 Bad Request", said);
        }
        if has("response_format") {
            return Act::error("400 Bad Request", "no response_format");
        }
        Act::says("{}")
    });
    let endpoint = endpoint(&server);
    let other = Request {
        slot: "plan".to_owned(),
        ..request()
    };
    for request in [&request(), &request(), &other] {
        endpoint.ask(request).expect("a reply");
    }
    let manner = |body: &Value| {
        let limit = ["max_tokens", "max_completion_tokens"].map(|key| body.get(key).cloned());
        (limit, body.get("response_format").is_some())
    };
    let older = [Some(json!(50)), None];
    let newer = [None, Some(json!(50))];
    let expected = [
        (older, true),
        (newer.clone(), true),
        (newer.clone(), false),
        (newer.clone(), false),
        // The schema of another slot may be one that it takes.
        (newer.clone(), true),
        (newer, false),
    ];
    let found: Vec<_> = server.bodies().iter().map(manner).collect();
    assert_eq!(found, expected);
}

/// A 400 for another reason says nothing of `response_format`.
#[test]
fn a_refusal_of_everything_is_not_taken_for_one_of_the_schema() {
    let server = Scripted::new([
        Act::error("400 Bad Request", "no"),
        Act::error("400 Bad Request", "no"),
        Act::says("{}"),
    ]);
    let endpoint = endpoint(&server);
    endpoint.ask(&request()).expect_err("refused");
    endpoint.ask(&request()).expect("a reply");
    assert!(server.bodies()[2].get("response_format").is_some());
}

#[test]
fn what_servers_bend_is_understood() {
    let with = |key: &str, value: Value| {
        let mut body = completion("{}");
        body["choices"][0][key] = value;
        ok(&body)
    };
    let cases = [
        (with("finish_reason", json!("length")), Finish::Length),
        (with("finish_reason", json!("")), Finish::Stop),
        (with("finish_reason", Value::Null), Finish::Stop),
        (
            with("finish_reason", json!("content\nfilter")),
            Finish::Other("content\\u{a}filter".to_owned()),
        ),
        (with("logprobs", json!({"any": [1]})), Finish::Stop),
        (
            ok(&json!({"choices": [{"message": {"content": "{}"}}]})),
            Finish::Stop,
        ),
    ];
    for (act, expected) in cases {
        let server = Scripted::new([act]);
        let reply = endpoint(&server).ask(&request()).expect("a reply");
        assert_eq!(reply.finish, expected);
        assert_eq!(reply.text, "{}");
    }
}

#[test]
fn a_budget_of_calls_counts_retries() {
    let server = Scripted::new([Act::error("500 Internal Server Error", ""), Act::says("{}")]);
    let budget = Budget {
        calls: 2,
        tokens: 1_000_000,
    };
    let endpoint = Endpoint::new(Settings {
        budget,
        ..settings(&server.base_url())
    })
    .unwrap();
    endpoint
        .ask(&request())
        .expect("a reply at the second call");
    let spent = Failure::BudgetSpent {
        limit: 2,
        of: "calls",
    };
    assert_eq!(endpoint.ask(&request()), Err(spent));
    assert_eq!(server.seen().len(), 2);
}

/// What a call may take is set aside before; what the endpoint counts takes its place.
#[test]
fn a_budget_of_tokens_is_never_passed() {
    // A request sets 59 tokens aside (50 of the reply, 34 bytes at four a token), and costs 10.
    let cases = [(58, 0), (59, 1), (68, 1), (69, 2), (79, 3)];
    for (tokens, replies) in cases {
        let server = Scripted::new([Act::says("{}")]);
        let budget = Budget { calls: 100, tokens };
        let endpoint = Endpoint::new(Settings {
            budget,
            ..settings(&server.base_url())
        })
        .unwrap();
        let asked = (0..5).map(|_| endpoint.ask(&request()));
        assert_eq!(
            asked.filter(Result::is_ok).count(),
            replies,
            "{tokens} tokens"
        );
        assert_eq!(server.seen().len(), replies, "{tokens} tokens");
    }
}

/// With one call at a time, who waits is told that it was for its turn.
#[test]
fn no_more_calls_than_allowed_at_once() {
    let server = Scripted::new([Act::Hang]);
    let endpoint = Endpoint::new(Settings {
        concurrency: 1,
        ..settings(&server.base_url())
    })
    .unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| endpoint.ask(&within(Duration::from_secs(4))));
        while server.seen().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let second = endpoint.ask(&within(Duration::from_secs(1)));
        let second = second.expect_err("no turn");
        assert!(
            second
                .to_string()
                .ends_with("within 1s: as many calls as are allowed at once had not ended"),
            "{second}"
        );
        assert_eq!(server.seen().len(), 1);
        first.join().unwrap().expect_err("no reply");
    });
}

/// As many calls at once as are allowed, and each gets its reply.
#[test]
fn calls_are_made_side_by_side() {
    // The endpoint answers none of them before there are three.
    let three = Barrier::new(3);
    let server = Scripted::answering(move |turn, _| {
        three.wait();
        Act::says(&turn.to_string())
    });
    let endpoint = Endpoint::new(Settings {
        concurrency: 3,
        ..settings(&server.base_url())
    })
    .unwrap();
    let mut texts: Vec<usize> = std::thread::scope(|scope| {
        let ask = |_| scope.spawn(|| endpoint.ask(&request()));
        let asking: Vec<_> = (0..12).map(ask).collect();
        let replies = asking.into_iter().map(|ask| ask.join().unwrap());
        replies
            .map(|reply| reply.expect("a reply").text.parse().unwrap())
            .collect()
    });
    texts.sort_unstable();
    assert_eq!(texts, (0..12).collect::<Vec<_>>());
}

#[test]
fn a_declared_proxy_is_gone_through() {
    let server = Scripted::new([Act::says("{}")]);
    let endpoint = Endpoint::new(Settings {
        proxy: Some(format!("http://127.0.0.1:{}", server.port)),
        ..settings("http://model.invalid/v1")
    })
    .unwrap();
    endpoint.ask(&request()).expect("a reply");
    let seen = server.seen();
    let line = "POST http://model.invalid/v1/chat/completions HTTP/1.1";
    assert_eq!(seen[0].lines().next(), Some(line));
}

/// What other programs read from the environment is neither used nor sent. The variable makes
/// this test the process that asks, in such an environment.
#[test]
fn the_environment_of_other_programs_is_not_looked_at() {
    const ASKS: &str = "RULECTL_TEST_ASKS";
    if let Ok(base_url) = std::env::var(ASKS) {
        let endpoint = Endpoint::new(Settings {
            key: None,
            ..settings(&base_url)
        });
        endpoint.unwrap().ask(&request()).expect("a reply");
        return;
    }
    let server = Scripted::new([Act::says("{}")]);
    let mut asks = Command::new(std::env::current_exe().unwrap());
    asks.args([
        "--exact",
        "llm::the_environment_of_other_programs_is_not_looked_at",
    ])
    .env(ASKS, server.base_url());
    for proxy in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        asks.env(proxy, "http://127.0.0.1:9");
    }
    for name in ["API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "BASE_URL"] {
        asks.env(format!("OPENAI_{name}"), CANARY);
    }
    let output = asks.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert!(!seen[0].contains(CANARY), "{}", seen[0]);
    assert!(
        !seen[0].to_lowercase().contains("authorization"),
        "{}",
        seen[0]
    );
}

/// A run over many findings waits for a dead endpoint three times, not at each of them.
#[test]
fn what_fails_again_and_again_is_left_alone() {
    let server = Scripted::new([Act::error("401 Unauthorized", "")]);
    let endpoint = Endpoint::new(Settings {
        rest: Duration::from_secs(3600),
        ..settings(&server.base_url())
    })
    .unwrap();
    let last = (0..50).map(|_| endpoint.ask(&request())).last();
    let left = Failure::LeftAlone {
        host: format!("127.0.0.1:{}", server.port),
        times: 3,
    };
    assert_eq!(last, Some(Err(left)));
    assert_eq!(server.seen().len(), 3);
}

/// The settings' time is a limit for all prompts.
#[test]
fn no_prompt_waits_longer_than_the_settings_allow() {
    let server = Scripted::new([Act::Hang]);
    let endpoint = Endpoint::new(Settings {
        timeout: SHORT,
        ..settings(&server.base_url())
    })
    .unwrap();
    let failure = endpoint
        .ask(&within(Duration::from_secs(1 << 40)))
        .expect_err("no reply");
    assert!(failure.to_string().ends_with("within 300ms"), "{failure}");
}

/// A reply that comes too late is nobody's.
#[test]
fn a_late_reply_is_not_the_next_one() {
    let late = Act::Late(Duration::from_millis(600), completion("late").to_string());
    let server = Scripted::new([late, Act::says("next")]);
    let endpoint = endpoint(&server);
    endpoint.ask(&within(SHORT)).expect_err("too late");
    let reply = endpoint.ask(&request()).expect("a reply");
    assert_eq!(reply.text, "next");
}

#[test]
fn settings_that_nothing_can_be_asked_with_are_refused() {
    let url = |base_url: &str| Settings {
        base_url: base_url.to_owned(),
        ..settings("")
    };
    let key = |key: &str| Settings {
        key: Some(Secret::new(key.to_owned())),
        ..settings("http://127.0.0.1:1/v1")
    };
    let cases = [
        (url(""), "the base URL"),
        (url("localhost:1234"), "the base URL"),
        (url("file:///etc/passwd"), "the base URL"),
        (url("http://me:sk-canary@h/v1"), "the base URL"),
        (url("http://h/v1?key=sk-canary"), "the base URL"),
        (key("sk-canary\nx"), "the key"),
        (
            Settings {
                proxy: Some("::".to_owned()),
                ..url("http://h/v1")
            },
            "the proxy",
        ),
    ];
    for (settings, expected) in cases {
        let shown = format!("{settings:?}");
        let error = Endpoint::new(settings).err().expect(&shown);
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("sk-canary"));
    }
}

#[test]
fn a_key_prints_as_stars() {
    let secret = Secret::new(CANARY.to_owned());
    assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    assert!(!format!("{:?}", settings("http://h/v1")).contains("canary"));
}
