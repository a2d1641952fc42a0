//! Every fault once: what reaches the other side.

use flate2::read::GzDecoder;

use super::*;
use crate::tenant::faults::{ALL, Fault};

fn struck(fault: &str) -> Bench {
    let bench = Bench::new(plain());
    bench
        .tenant
        .persist((0..5).map(|number| event(number, 10)).collect());
    bench.tenant.set_fault(fault.parse().unwrap());
    bench
}

fn names(bench: &Bench) -> Vec<String> {
    bench
        .tenant
        .requests()
        .into_iter()
        .flat_map(|seen| seen.faults)
        .collect()
}

#[test]
fn every_name_is_read_and_written() {
    for kind in ALL {
        let fault: Fault = kind.name().parse().unwrap();
        let again: Fault = fault.to_string().parse().unwrap();
        assert!(
            fault == again || fault.to_string().contains("hostile"),
            "{fault}"
        );
    }
    for (text, written) in [
        ("server-error=0.25", "server-error=0.25"),
        ("hostile-next=metadata", "hostile-next=metadata:1"),
        ("hostile-next=0.5", "hostile-next=0.5"),
        ("hostile-next=loop:0.5", "hostile-next=loop:0.5"),
        ("slow-body=5ms", "slow-body=5ms:1"),
        ("slow-body=0.5", "slow-body=20ms:0.5"),
        ("clock-skew=-30", "clock-skew=-30:1"),
        ("expired-token=3", "expired-token=3:1"),
    ] {
        assert_eq!(text.parse::<Fault>().unwrap().to_string(), written);
    }
    for text in [
        "",
        "storm",
        "server-error=2",
        "server-error=x",
        "hostile-next=nowhere",
        "slow-body=fast:1",
        "server-error=1:1",
    ] {
        assert!(text.parse::<Fault>().is_err(), "{text}");
    }
}

#[test]
fn statuses_come_with_the_headers_that_belong_to_them() {
    let reset = NOW / SECOND;
    for (fault, status, limit, remaining, told) in [
        (
            "rate-limit-storm",
            429,
            Some("1000000"),
            Some("0"),
            Some(reset + 2),
        ),
        (
            "rate-limit-without-reset",
            429,
            Some("1000000"),
            Some("0"),
            None,
        ),
        (
            "concurrency-limit",
            429,
            Some("0"),
            Some("0"),
            Some(reset + 60),
        ),
        (
            "revoked-scope",
            403,
            Some("1000000"),
            Some("999999"),
            Some(reset + 60),
        ),
    ] {
        let bench = struck(fault);
        let reply = bench.get("/api/v1/logs");
        let header = |name: &str| reply.header(&format!("x-rate-limit-{name}"));
        let reset = header("reset").map(|reset| reset.parse::<i64>().unwrap());
        assert_eq!(
            (reply.status, header("limit"), header("remaining"), reset),
            (status, limit, remaining, told),
            "{fault}"
        );
        assert_eq!(names(&bench), [fault]);
        bench.tenant.clear_faults();
        assert_eq!(bench.get("/api/v1/logs").status, 200, "{fault}");
    }
}

#[test]
fn servers_fail_in_turn() {
    let bench = struck("server-error");
    let replies: Vec<Reply> = (0..4).map(|_| bench.get("/api/v1/logs")).collect();
    assert_eq!(
        replies.iter().map(|reply| reply.status).collect::<Vec<_>>(),
        [500, 502, 503, 504]
    );
    let own = |reply: &Reply| reply.header("x-okta-request-id").is_some();
    assert!(own(&replies[0]) && !replies[1..].iter().any(own));
    assert_eq!(replies[0].code(), "E0000009");
    assert!(
        replies[1].text().starts_with("<html>")
            && replies[1].header("content-type") == Some("text/html")
    );
}

#[test]
fn bodies_end_early() {
    let bench = struck("reset-mid-body");
    let reply = bench.get("/api/v1/logs");
    assert!(reply.status == 200 && !reply.whole && !reply.body.is_empty());
    let bench = struck("truncated-gzip");
    let token = format!("SSWS {TOKEN}");
    let ask = || {
        bench.ask(
            "GET",
            "/api/v1/logs",
            &[
                ("authorization", &token),
                ("accept-encoding", "br, gzip;q=0.9"),
            ],
            "",
        )
    };
    let unpacked = |reply: &Reply| std::io::read_to_string(GzDecoder::new(reply.body.as_slice()));
    let reply = ask();
    assert!(
        reply.whole
            && reply.header("content-encoding") == Some("gzip")
            && unpacked(&reply).is_err()
    );
    bench.tenant.clear_faults();
    let text = unpacked(&ask()).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&text)
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        5
    );
}

#[test]
fn bodies_are_not_what_was_promised() {
    let bench = struck("malformed-json");
    let broken: Vec<Reply> = (0..2).map(|_| bench.get("/api/v1/logs")).collect();
    assert!(
        broken
            .iter()
            .all(|reply| reply.status == 200 && reply.json().is_null())
    );
    assert!(broken[0].text().starts_with('[') && broken[1].text().starts_with("<!DOCTYPE"));
    let bench = struck("shape-drift");
    let drifted: Vec<Value> = (0..4).map(|_| bench.get("/api/v1/logs").json()).collect();
    assert!(drifted[0][0]["uuid"].is_object());
    assert!(
        drifted[1][0]
            .as_object()
            .unwrap()
            .values()
            .any(Value::is_null)
    );
    assert!(drifted[2][0]["newInThisRelease"].is_object());
    assert!(drifted[3]["value"].is_array());
    let bench = struck("wrong-content-type");
    assert_eq!(
        bench.get("/api/v1/logs").header("content-type"),
        Some("text/html;charset=UTF-8")
    );
}

#[test]
fn a_huge_body_is_json() {
    let bench = struck("huge-json");
    let reply = bench.get("/api/v1/logs");
    assert!(
        reply.whole && reply.body.len() > 64 << 20,
        "{}",
        reply.body.len()
    );
    assert!(reply.body.starts_with(b"[{\"uuid\"") && reply.body.ends_with(b"x\"}]"));
}

#[test]
fn a_slow_body_drips_and_no_answer_is_none() {
    let bench = struck("slow-body=1ms");
    bench.tenant.core().log = Default::default();
    bench.tenant.persist(vec![json!({ "uuid": "event-1" })]);
    let begun = std::time::Instant::now();
    let reply = bench.get("/api/v1/logs");
    assert_eq!(numbers(&reply.items()), [1]);
    assert!(begun.elapsed() >= Duration::from_millis(reply.body.len() as u64 - 1));
    let bench = struck("no-answer");
    let mut stream = TcpStream::connect(bench.tenant.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(150)))
        .unwrap();
    stream
        .write_all(b"GET /api/v1/logs HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    assert!(
        stream.read(&mut [0; 1]).is_err(),
        "neither bytes nor an end"
    );
    assert_eq!(bench.tenant.requests()[0].status, 0);
}

#[test]
fn links_are_hostile() {
    let port = |bench: &Bench| bench.tenant.address().port();
    for (kind, wanted) in [
        ("other-host", "https://tenant.attacker.example/api/v1/logs?"),
        ("http", "http://tenant.okta.example/"),
        ("https-other-port", "https://127.0.0.1:OTHER/api/v1/logs?"),
        ("metadata", "http://169.254.169.254/"),
        ("localhost", "http://localhost:PORT/api/v1/logs?"),
        ("userinfo", "http://127.0.0.1:PORT@attacker.example/"),
        ("crlf", "%0D%0AX-Injected"),
        ("loop", "http://127.0.0.1:PORT/api/v1/logs?limit=2>"),
        (
            "endless-empty",
            "http://127.0.0.1:PORT/api/v1/logs?limit=2&page=0>",
        ),
        (
            "other-path",
            "http://127.0.0.1:PORT/api/v1/users?limit=200>",
        ),
        ("scheme-relative", "<//attacker.example/"),
        ("not-a-url", "<:::"),
        ("too-long", "AAAAAAAAAAAA"),
    ] {
        for fault in ["hostile-next", "hostile-redirect"] {
            let bench = struck(&format!("{fault}={kind}"));
            let wanted = wanted
                .replace("PORT", &port(&bench).to_string())
                .replace("OTHER", &(port(&bench) ^ 1).to_string());
            let reply = bench.get("/api/v1/logs?limit=2");
            let next = reply
                .links()
                .into_iter()
                .find(|link| link.contains("\"next\""));
            let told = match fault {
                "hostile-next" => next.unwrap().to_owned(),
                _ => format!("<{}>", reply.header("location").unwrap()),
            };
            assert!(
                told.contains(&wanted),
                "{fault}={kind}: {}",
                &told[..told.len().min(200)]
            );
            assert_eq!(
                reply.status,
                if fault == "hostile-next" { 200 } else { 302 }
            );
            if kind == "too-long" {
                assert!(told.len() > 100_000);
            }
        }
    }
    let bench = struck("hostile-next=endless-empty");
    let pages = bench.pages("/api/v1/logs?limit=2", 20);
    assert!(pages.len() == 20 && pages.iter().all(Vec::is_empty));
}

#[test]
fn links_are_written_in_other_ways() {
    let bench = struck("comma-links");
    let reply = bench.get("/api/v1/logs");
    assert_eq!(reply.links().len(), 1);
    assert!(
        reply.links()[0].contains("rel=\"self\", <") && reply.links()[0].ends_with("rel=\"next\"")
    );
    let bench = struck("duplicate-link");
    assert_eq!(bench.get("/api/v1/logs").links().len(), 3);
}

#[test]
fn a_token_wears_out_and_a_clock_is_wrong() {
    let bench = struck("expired-token=2");
    let statuses: Vec<u16> = (0..4).map(|_| bench.get("/api/v1/logs").status).collect();
    assert_eq!(statuses, [200, 200, 401, 401]);
    let bench = struck("clock-skew=90");
    assert_eq!(
        bench.get("/api/v1/logs").header("date"),
        Some("Mon, 02 Mar 2026 10:01:30 GMT")
    );
}

#[test]
fn draws_are_the_same_for_the_same_requests() {
    let statuses = || {
        let bench = struck("server-error=0.3");
        (0..40)
            .map(|_| bench.get("/api/v1/logs").status)
            .collect::<Vec<_>>()
    };
    let one = statuses();
    assert_eq!(one, statuses());
    let failed = one.iter().filter(|status| **status >= 500).count();
    assert!((4..=20).contains(&failed), "{failed}");
}

#[test]
fn the_request_log_has_no_secrets() {
    let path = std::env::temp_dir().join(format!("tenant-requests-{}.ndjson", std::process::id()));
    let options = Options {
        request_log: Some(path.clone()),
        ..Options::default()
    };
    let tenant = start(plain(), options).unwrap();
    let bench = Bench {
        tenant,
        clock: Arc::default(),
    };
    bench.get("/api/v1/logs?limit=3");
    bench.ask(
        "POST",
        "/oauth2/v1/token",
        &[],
        "grant_type=client_credentials&client_assertion=a-planted-secret",
    );
    drop(bench);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        !text.contains(TOKEN) && !text.contains("a-planted-secret"),
        "{text}"
    );
    assert!(
        lines[0]["url"]
            .as_str()
            .unwrap()
            .ends_with("/api/v1/logs?limit=3")
    );
    assert_eq!(lines[0]["response_body"], "[]");
    assert_eq!(lines[1]["status"], 400);
}
