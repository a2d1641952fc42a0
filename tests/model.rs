//! Contracts that hold with a real model behind a real endpoint: `tests/llm/start-local-llm.sh`
//! starts one and prints its address, which `RULECTL_MODEL` gives to
//! `cargo test --test model -- --test-threads=1`. What the model thinks is nobody's business here:
//! each reply is either valid, by a second look at it, or refused with a reason.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

#[allow(dead_code, reason = "most of it is for the other tests")]
#[path = "all/harness.rs"]
mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rulectl::ask::Deciding;
use rulectl::audit::{Body, body, read};
use rulectl::llm::{Endpoint, Failure, Finish, Message, Model as _, Request, Role, Settings};
use rulectl::record::Said;
use rulectl::slots::{Asked, fill};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{load, log, program, root, small_folder};

/// The only model that the address is expected to have.
const MODEL: &str = "smollm2-135m-instruct";

fn base_url() -> String {
    std::env::var("RULECTL_MODEL").expect(
        "set RULECTL_MODEL to the base URL that tests/llm/start-local-llm.sh prints: these tests are about a real model",
    )
}

fn endpoint() -> Endpoint {
    Endpoint::new(Settings::new(&base_url(), MODEL)).expect("an endpoint")
}

fn request(content: &str) -> Request {
    Request {
        slot: "risk".to_owned(),
        prompt: rulectl::event::Digest::of(b"a prompt"),
        context: Value::Null,
        messages: vec![Message {
            role: Role::User,
            content: content.to_owned(),
        }],
        schema: json!({
            "type": "object",
            "required": ["words"],
            "properties": {"words": {"type": "array", "minItems": 300, "items": {"type": "string"}}},
        }),
        max_tokens: 5,
        timeout: Duration::from_secs(120),
    }
}

/// The small policy with time for a slow machine, and short replies; risks are repaired.
fn patient_folder() -> TempDir {
    let folder = small_folder();
    let limits = regex::Regex::new("(?m)^limits: .*$").unwrap();
    for prompt in fs::read_dir(folder.path().join("prompts")).unwrap() {
        let path = prompt.unwrap().path();
        let repair = u32::from(path.ends_with("risk.md"));
        let given = format!("limits: {{max_tokens: 100, timeout: 110s, repair: {repair}}}");
        let text = fs::read_to_string(&path).unwrap();
        let text = limits.replace(&text, given.as_str());
        fs::write(&path, &*text).unwrap();
    }
    folder
}

fn run(folder: &Path, words: &[&str]) -> Output {
    let mut program = program();
    program.current_dir(folder).args(["run", "--events"]);
    program.arg(log("demo-day.ndjson")).args(words);
    program.output().expect("it runs")
}

/// The words that ask the model of an address.
fn live(base_url: &str) -> [&str; 8] {
    let concurrency = ["--llm-concurrency", "2"];
    let [name, count] = concurrency;
    let model = ["--llm-model", MODEL];
    let [model, named] = model;
    [
        "--slots",
        "live",
        "--llm-base-url",
        base_url,
        model,
        named,
        name,
        count,
    ]
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn records(folder: &Path, artifact: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(format!("data/{artifact}.jsonl"))).expect("a run");
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn verified(folder: &Path) {
    let mut verify = program();
    verify.current_dir(folder).args(["audit", "verify"]);
    verify.assert().code(0);
}

/// The whole demo day: the run ends well, its audit verifies, each fill is valid or refused, and
/// every outcome is within the bounds of the run without a model.
#[test]
fn the_demo_day_is_filled_within_bounds() {
    let (folder, clean) = (patient_folder(), patient_folder());
    let without = run(clean.path(), &[]);
    assert_eq!(without.status.code(), Some(0), "{}", said(&without));
    let with = run(folder.path(), &live(&base_url()));
    assert_eq!(with.status.code(), Some(0), "{}", said(&with));
    verified(folder.path());
    check_fills(folder.path());
    check_risks(folder.path(), clean.path());
    check_routes_and_plans(folder.path());
}

/// Looks at every reply again: what was accepted satisfies the schema that was sent, and what was
/// not has a reason.
fn check_fills(folder: &Path) {
    let audit = folder.join("data/audit");
    let mut slots: BTreeMap<String, usize> = BTreeMap::new();
    for record in read(&audit).expect("an audit") {
        let record = record.expect("a record");
        if record.kind != "slot" {
            continue;
        }
        let slot = record.body["slot"].as_str().expect("a slot");
        *slots.entry(slot.to_owned()).or_default() += 1;
        let blob: Body = serde_json::from_value(record.body["blob"].clone()).expect("a body");
        let calls = body(&audit, &blob).expect("kept");
        let calls: Vec<Said> = serde_json::from_slice(&calls).expect("calls");
        let told = record.body["calls"].as_array().expect("calls");
        assert!(matches!(calls.len(), 1 | 2), "{calls:?}");
        for (call, told) in calls.iter().zip(told) {
            let reply = call.reply.as_ref().expect("the endpoint is well");
            if let Some(why) = told["refused"].as_str() {
                assert!(!why.is_empty());
                continue;
            }
            assert_eq!(reply.finish, Finish::Stop);
            let value: Value = serde_json::from_str(&reply.text).expect("JSON and nothing else");
            assert!(
                jsonschema::is_valid(&call.request.schema, &value),
                "{value}"
            );
        }
        let last = &told[told.len() - 1]["refused"];
        assert_eq!(
            *last, record.body["refused"],
            "of two calls the last one counts"
        );
    }
    let expected = ["notification", "plan", "risk", "route"]
        .map(str::to_owned)
        .into();
    assert_eq!(slots.keys().cloned().collect::<BTreeSet<_>>(), expected);
}

fn check_risks(folder: &Path, clean: &Path) {
    let before = records(clean, "risks");
    let after = records(folder, "risks");
    assert_eq!(before.len(), after.len());
    let rank = |risk: &Value| {
        let known = ["low", "medium", "high", "critical"];
        known
            .iter()
            .position(|known| risk["severity"] == **known)
            .expect("a severity")
    };
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before["finding_id"], after["finding_id"]);
        assert!(rank(after) >= rank(before), "{after}");
        assert!(
            after["score"].as_f64() >= before["score"].as_f64(),
            "{after}"
        );
        assert!((0.0..=1.0).contains(&after["score"].as_f64().expect("a score")));
        let promoted = |risk: &Value| risk["promotion"]["promoted"] == true;
        assert!(promoted(after) || !promoted(before), "{after}");
        for whose in after["provenance"]
            .as_object()
            .expect("provenance")
            .values()
        {
            let known = ["default", "model", "floored", "refused"];
            assert!(known.iter().any(|known| whose == known), "{whose}");
        }
    }
}

fn check_routes_and_plans(folder: &Path) {
    let policy = load(folder);
    for route in records(folder, "routes") {
        let rails = policy.routing.guardrails.iter();
        let (_, rails) = rails
            .into_iter()
            .find(|(context, _)| route["context"] == context.as_str())
            .expect("a context");
        let agents: BTreeSet<&str> = route["steps"]
            .as_array()
            .expect("steps")
            .iter()
            .map(|step| step["agent_name"].as_str().expect("a name"))
            .collect();
        assert!(
            agents
                .iter()
                .all(|agent| rails.allow.iter().any(|known| known == agent)),
            "{route}"
        );
        assert!(
            rails
                .require
                .iter()
                .all(|agent| agents.contains(agent.as_str())),
            "{route}"
        );
    }
    let declared = fs::read_to_string(folder.join("routing.toml")).unwrap();
    let declared: toml::Table = toml::from_str(&declared).unwrap();
    let has = |list: &str, id: &str| {
        let known = declared["plan"][list].as_array().expect("a list");
        known.iter().any(|known| known.as_str() == Some(id))
    };
    let plans = records(folder, "plans");
    assert!(plans.len() >= 4, "every incident is planned for");
    for step in plans
        .iter()
        .flat_map(|plan| plan["steps"].as_array().expect("steps"))
    {
        let id = step["step_id"].as_str().expect("an id");
        assert!(has("steps", id), "{step}");
        assert!(
            !has("approval", id) || step["requires_human_approval"] == true,
            "{step}"
        );
    }
}

/// What a schema says of numbers is not enforced by this server, and this model does say what is
/// out of range: that is refused, and the model is shown why.
#[test]
fn a_score_out_of_range_is_refused_and_repaired_once() {
    let folder = small_folder();
    let prompt = "---
slot: risk
limits: {max_tokens: 60, timeout: 110s, repair: 1}
context: [finding.description]
schema:
  type: object
  additionalProperties: false
  required: [score]
  properties:
    score: {type: number, minimum: 0, maximum: 1}
---
Score the risk from 0 to 100. {{ finding.description }}
";
    fs::write(folder.path().join("prompts/risk.md"), prompt).unwrap();
    let policy = load(folder.path());
    let endpoint = endpoint();
    let ask = |description: &str| {
        let context = json!({"finding": {"description": description}});
        fill(&policy.prompts["risk"], &context, &endpoint, &|_| Ok(()))
    };
    let all = [
        ask("A critical breach: 97 of 100."),
        ask("The score is 85."),
        ask("Three of four experts said 60."),
    ];
    let is_score = |asked: &&Asked| {
        let first = asked.calls[0].refused.as_deref();
        first.is_some_and(|why| why.starts_with("/score: "))
    };
    let wrong: Vec<&Asked> = all.iter().filter(is_score).collect();
    assert!(!wrong.is_empty(), "none was out of range: {all:?}");
    for asked in wrong {
        assert_eq!(asked.calls.len(), 2);
        let [first, second] = [&asked.calls[0], &asked.calls[1]];
        let [.., answered, complaint] = &second.request.messages[..] else {
            panic!("no turns of a repair: {:?}", second.request.messages);
        };
        let reply = first.outcome.as_ref().expect("a reply");
        assert_eq!(
            (answered.role, &answered.content),
            (Role::Assistant, &reply.text)
        );
        assert!(
            complaint
                .content
                .contains(first.refused.as_deref().unwrap()),
            "{complaint:?}"
        );
    }
    for asked in &all {
        match &asked.accepted {
            Some(reply) => assert!((0.0..=1.0).contains(&reply["score"].as_f64().unwrap())),
            None => assert!(asked.refused.as_deref().is_some_and(|why| !why.is_empty())),
        }
    }
}

#[test]
fn a_reply_that_is_cut_off_is_refused() {
    let reply = endpoint()
        .ask(&request("Count to a thousand."))
        .expect("a reply");
    assert_eq!(reply.finish, Finish::Length);
    let folder = small_folder();
    let path = folder.path().join("prompts/risk.md");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace(
        "max_tokens: 300, timeout: 30s",
        "max_tokens: 3, timeout: 110s",
    );
    fs::write(&path, text).unwrap();
    let policy = load(folder.path());
    let asked = fill(
        &policy.prompts["risk"],
        &json!({}),
        &endpoint(),
        &|_| Ok(()),
    );
    assert_eq!(asked.accepted, None);
    assert_eq!(
        asked.calls.len(),
        2,
        "it may repair it, and is cut off again"
    );
    let why = "the reply was cut off after 3 tokens";
    assert_eq!(asked.refused.as_deref(), Some(why));
}

#[test]
fn what_is_longer_than_the_context_is_a_failure_of_its_own() {
    let failure = endpoint().ask(&request(&"word ".repeat(9_000)));
    let failure = failure.expect_err("it does not fit");
    assert!(
        matches!(failure, Failure::ContextOverflow { .. }),
        "{failure}"
    );
}

#[test]
fn a_second_is_a_second() {
    let long = Request {
        max_tokens: 2_000,
        timeout: Duration::from_secs(1),
        ..request("Write three hundred words.")
    };
    let begun = Instant::now();
    let failure = endpoint().ask(&long).expect_err("no reply in time");
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    assert!(matches!(failure, Failure::TimedOut { .. }), "{failure}");
}

/// A server of its own is killed when it has answered twice. The run ends soon, with its defaults.
#[test]
fn a_model_that_is_killed_half_way_costs_no_finding() {
    let mut server = Server::start();
    let (folder, clean) = (patient_folder(), patient_folder());
    let without = run(clean.path(), &[]);
    assert_eq!(without.status.code(), Some(0), "{}", said(&without));
    let mut running = Command::new(program().get_program())
        .current_dir(folder.path())
        .args(["run", "--events"])
        .arg(log("demo-day.ndjson"))
        .args(live(&server.base_url()))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    server.wait_for_replies(2, &mut running);
    server.kill();
    let begun = Instant::now();
    let output = running.wait_with_output().expect("it ends");
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("error: slots filled: "), "{said}");
    assert!(
        said.contains(&format!("the model at `127.0.0.1:{}` ", server.port)),
        "{said}"
    );
    verified(folder.path());
    let run = fs::read_to_string(folder.path().join("data/run.json")).unwrap();
    let run: Value = serde_json::from_str(&run).unwrap();
    let failed: u64 = run["slots"]
        .as_object()
        .unwrap()
        .values()
        .map(|slot| slot["failed"].as_u64().unwrap())
        .sum();
    assert!(failed > 0, "{run}");
    check_risks(folder.path(), clean.path());
    check_routes_and_plans(folder.path());
    let refused = |risk: &Value| risk["provenance"]["severity"] == "refused";
    assert!(records(folder.path(), "risks").iter().any(refused));
}

/// A server that this test started, on a port of its own.
struct Server {
    port: u16,
    pid: Option<u32>,
}

impl Server {
    fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().unwrap().port();
        drop(free);
        let started = Self::script("start", port);
        let told = String::from_utf8(started.stdout).unwrap();
        let pid = told
            .split_whitespace()
            .find_map(|word| word.strip_prefix("pid="));
        let pid = pid.and_then(|pid| pid.parse().ok());
        Self {
            port,
            pid: Some(pid.unwrap_or_else(|| panic!("{told}"))),
        }
    }

    fn script(word: &str, port: u16) -> Output {
        let script = root().join("tests/llm/start-local-llm.sh");
        let output = Command::new(script)
            .arg(word)
            .env("LLM_PORT", port.to_string())
            .output()
            .expect("the script runs");
        assert!(output.status.success(), "{output:?}");
        output
    }

    fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// What the server has said so far, in tokens.
    fn tokens(&self) -> Option<u64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let ask = "GET /metrics HTTP/1.1\r\nhost: model\r\nconnection: close\r\n\r\n";
        stream.write_all(ask.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let counted = answer
            .lines()
            .find_map(|line| line.strip_prefix("llamacpp:tokens_predicted_total "));
        counted?.trim().parse().ok()
    }

    /// Waits until the count of tokens has grown so often: it does when a reply is whole.
    fn wait_for_replies(&self, replies: usize, running: &mut std::process::Child) {
        let mut seen = BTreeSet::new();
        let end = Instant::now() + Duration::from_secs(100);
        while seen.len() <= replies {
            assert!(Instant::now() < end, "{seen:?} tokens after 100 s");
            assert_eq!(running.try_wait().unwrap(), None, "the run ended before");
            seen.extend(self.tokens());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn kill(&mut self) {
        if let Some(pid) = self.pid.take() {
            let killed = Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .status();
            assert!(killed.expect("kill").success());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // It forgets the pid.
        Self::script("stop", self.port);
    }
}

/// A question of which no form is certain: what the model says is of the schema that was made for
/// the question, and it is asked only where a form accounts for that.
#[test]
fn a_question_is_chosen_for_or_refused() {
    let policy = load(&root());
    let mut prompt = policy.prompts["ask"].clone();
    prompt.limits.timeout = Duration::from_secs(120);
    let endpoint = endpoint();
    let deciding = Deciding {
        catalogue: &policy.tools,
        after: &[],
        only: &[],
        settings: policy.ask,
        granted: None,
        model: Some((&prompt, &endpoint)),
    };
    let decided = deciding.decide("who could possibly open the GitHub app at night");
    let asked = decided.asked.expect("no form is certain");
    assert_eq!(decided.by, "model");
    let reply = asked
        .accepted
        .unwrap_or_else(|| panic!("{:?}", asked.refused));
    let choice = reply["choice"].as_object().expect("one choice");
    assert!(
        ["tool", "steps", "refuse"]
            .iter()
            .any(|key| choice.contains_key(*key))
    );
    let refused = decided
        .outcome
        .expect_err("nothing accounts for `possibly` and `night`");
    assert!(!refused.why.is_empty());
}
