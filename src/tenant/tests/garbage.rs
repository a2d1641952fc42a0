//! Requests that nobody means: none stops the tenant, and none is answered with a failure of its
//! own.

use super::*;
use crate::tenant::seed::Seed;

#[test]
fn no_request_stops_it() {
    let bench = Bench::new(plain());
    for request in [
        &b"\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /api/v1/logs HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"POST /oauth2/v1/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\n\xff\xfe%",
        b"GET /api/v1/logs HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: \xff\xff\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(bench.tenant.address()).unwrap();
        let _ = stream.write_all(request);
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
    assert_eq!(bench.get("/api/v1/logs").status, 200);
}

#[test]
fn drawn_requests_are_answered_or_refused() {
    let bench = Bench::new(plain());
    bench
        .tenant
        .persist((0..20).map(|number| event(number, 10)).collect());
    let seed = Seed(99);
    let paths = [
        "logs",
        "users",
        "users/me",
        "groups",
        "apps",
        "policies",
        "iam/roles",
        "%00",
        "..%2f..",
        "users/%ff",
        "",
    ];
    let names = [
        "since",
        "until",
        "after",
        "filter",
        "q",
        "limit",
        "sortOrder",
        "search",
        "type",
        "%",
    ];
    let values = [
        "",
        "0",
        "1000",
        "-1",
        "99999999999999999999",
        "((((",
        "not not not",
        "a eq \"",
        "a pr and",
        "2026-13-45T99:99:99Z",
        "9999-12-31T23:59:59Z",
        "-262143-01-01T00:00:00Z",
        "%",
        "%zz",
        "AAAA",
        "DESCENDING",
        "eventType eq \"x\" and (",
        "\u{1F980}",
        "outcome.result eq 1e999",
        "x eq null",
        "_____",
        "0001-01-01",
    ];
    for turn in 0..600 {
        let turn = turn.to_string();
        let pick = |what: &str, of: &[&'static str]| {
            let place = seed.number(&[what, &turn], of.len() as u64);
            of[place as usize]
        };
        let value = |what: &str| crate::tenant::wire::encoded(pick(what, &values));
        let target = format!(
            "/api/v1/{}?{}={}&{}={}",
            pick("path", &paths),
            pick("first", &names),
            value("one"),
            pick("second", &names),
            pick("raw", &["1", "%", "%2", "+", "&&", "=="])
        );
        let method = pick(
            "method",
            &[
                "GET", "GET", "GET", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE",
            ],
        );
        let token = format!("SSWS {TOKEN}");
        let authorization = pick(
            "who",
            &[
                "",
                "SSWS",
                "Bearer x",
                "DPoP x.y.z",
                "Basic eDp5",
                "ok",
                "ok",
                "ok",
            ],
        );
        let authorization = if authorization == "ok" {
            token.as_str()
        } else {
            authorization
        };
        let reply = bench.ask(
            method,
            &target,
            &[("authorization", authorization), ("dpop", "e30.e30.e30")],
            "",
        );
        assert!(
            matches!(reply.status, 200 | 400 | 401 | 403 | 404 | 405),
            "{method} {target}: {}",
            reply.status
        );
    }
    let deep = "(".repeat(3000);
    assert_eq!(
        bench.get(&format!("/api/v1/logs?filter={deep}")).code(),
        "E0000053"
    );
    let nots = "not+".repeat(10_000);
    assert_eq!(
        bench.get(&format!("/api/v1/logs?filter={nots}")).code(),
        "E0000053"
    );
    assert_eq!(bench.get("/api/v1/logs").status, 200);
}

#[test]
fn all_faults_at_once_stop_nothing() {
    use crate::tenant::faults::ALL;
    let bench = Bench::new(plain());
    bench
        .tenant
        .persist((0..20).map(|number| event(number, 10)).collect());
    let slow = ["no-answer", "huge-json", "slow-body"];
    for kind in ALL.iter().filter(|kind| !slow.contains(&kind.name())) {
        bench
            .tenant
            .set_fault(format!("{}=0.3", kind.name()).parse().unwrap());
    }
    let token = format!("SSWS {TOKEN}");
    for path in [
        "/api/v1/logs?limit=3",
        "/api/v1/users",
        "/.well-known/okta-organization",
        "/api/v1/policies",
    ] {
        for _ in 0..60 {
            bench.ask(
                "GET",
                path,
                &[("authorization", &token), ("accept-encoding", "gzip")],
                "",
            );
            bench.ask(
                "POST",
                "/oauth2/v1/token",
                &[("dpop", "x")],
                "grant_type=client_credentials",
            );
        }
    }
    bench.tenant.clear_faults();
    assert_eq!(bench.get("/api/v1/logs").items().len(), 20);
    let struck: std::collections::BTreeSet<String> = bench
        .tenant
        .requests()
        .into_iter()
        .flat_map(|seen| seen.faults)
        .collect();
    assert!(struck.len() >= 14, "{struck:?}");
}
