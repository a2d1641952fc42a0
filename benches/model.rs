//! How many findings a minute a model scores: `cargo bench --bench model`.
//!
//! The model is a stub on loopback that answers each call after 50 ms, so that so many calls at
//! once are answered at 20 times as many a second at the most. Each row is a whole process: `run`
//! over a log of bursts of failed sign-ins, of which each is a finding with one call of the model.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "without its material there is nothing to measure, and figures are for stdout"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What the stub takes for an answer.
const LATENCY: Duration = Duration::from_millis(50);

fn main() {
    let base_url = stub();
    println!("| calls at once | findings | findings/min | of what the stub could | peak memory |");
    println!("|--:|--:|--:|--:|--:|");
    for (concurrency, findings, words) in [
        (1, 100, &[][..]),
        (8, 1_000, &[]),
        (8, 1_000, &["--no-audit"]),
        (32, 1_000, &[]),
        (32, 10_000, &[]),
    ] {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let log = folder.path().join("log.ndjson");
        fs::write(&log, bursts(findings)).expect("written");
        let begun = Instant::now();
        let mut child = start(folder.path(), &base_url, concurrency, words);
        let peak = peak(&mut child);
        let took = begun.elapsed().as_secs_f64();
        check(folder.path(), findings);
        #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
        let rate = findings as f64 / took;
        let most = f64::from(concurrency) / LATENCY.as_secs_f64();
        println!(
            "| {concurrency}{} | {findings} | {:.0} | {:.0} % | {} MB |",
            words
                .first()
                .map_or(String::new(), |word| format!(", `{word}`")),
            rate * 60.0,
            100.0 * rate / most,
            peak / 1024,
        );
    }
}

/// Five failed sign-ins of each of so many accounts.
fn bursts(accounts: usize) -> String {
    let mut log = String::new();
    for at in 0..accounts * 5 {
        let (account, second) = (at / 5, at % 5);
        let minute = account % 600;
        let event = json!({
            "uuid": format!("{at:08x}-0000-4000-8000-000000000000"),
            "eventType": "user.session.start",
            "published": format!("2026-03-02T{:02}:{:02}:0{second}Z", 8 + minute / 60, minute % 60),
            "actor": {"id": format!("00u{account:017}"), "alternateId": format!("u{account}@example.com")},
            "outcome": {"result": "FAILURE", "reason": "INVALID_CREDENTIALS"},
        });
        let _ = writeln!(log, "{event}");
    }
    log
}

fn start(folder: &Path, base_url: &str, concurrency: u32, words: &[&str]) -> Child {
    let policy = env!("CARGO_MANIFEST_DIR");
    let mut program = Command::new(env!("CARGO_BIN_EXE_rulectl"));
    program
        .current_dir(folder)
        .args(["run", "--events", "log.ndjson", "--policy", policy])
        .args([
            "--slots",
            "live",
            "--llm-model",
            "stub",
            "--llm-base-url",
            base_url,
        ])
        .args(["--llm-concurrency", &concurrency.to_string()])
        .args([
            "--llm-budget-calls",
            "1000000",
            "--llm-budget-tokens",
            "1000000000",
        ])
        .args(words)
        .stdout(Stdio::null());
    program.spawn().expect("it runs")
}

/// The highest peak of memory that a process shows until it ends, in KiB.
fn peak(child: &mut Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("a process").is_none() {
        let shown = fs::read_to_string(&status).unwrap_or_default();
        let line = shown.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kilobytes.unwrap_or(0));
        thread::sleep(Duration::from_millis(5));
    }
    peak
}

/// Every finding was scored by the stub.
fn check(folder: &Path, findings: usize) {
    let run = fs::read(folder.join("data/run.json")).expect("a run");
    let run: Value = serde_json::from_slice(&run).expect("JSON");
    let filled = run.pointer("/slots/risk/filled").and_then(Value::as_u64);
    assert_eq!(filled, Some(findings as u64), "{run}");
}

/// Answers each request after a while, on connections that stay open; gives where it is.
fn stub() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Its end is that of the connection.
            thread::spawn(move || answer_all(&stream));
        }
    });
    format!("http://{address}/v1")
}

fn answer_all(stream: &TcpStream) -> Option<()> {
    // What is small is sent at once.
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let body = request(&mut reader)?;
        let text = reply(&body);
        let completion = json!({
            "model": "stub",
            "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 300, "completion_tokens": 50},
        })
        .to_string();
        thread::sleep(LATENCY);
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{completion}",
            completion.len()
        );
        let mut stream = stream;
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

fn request(reader: &mut BufReader<&TcpStream>) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

/// A risk that promotes nothing, and a route without an agent.
fn reply(body: &Value) -> String {
    let slot = body.pointer("/response_format/json_schema/name");
    let reply = match slot.and_then(Value::as_str) {
        Some("risk") => {
            json!({"severity": "medium", "likelihood": 60, "impact": 75, "rationale": "as it seems"})
        }
        _ => json!({"steps": []}),
    };
    reply.to_string()
}
