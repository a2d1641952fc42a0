//! Rate limits, by a clock that the test turns.

use super::*;

fn rates(reply: &Reply) -> (u16, String, String, i64) {
    let header = |name: &str| reply.header(name).unwrap_or("none").to_owned();
    let reset = header("x-rate-limit-reset").parse().unwrap_or(0);
    (
        reply.status,
        header("x-rate-limit-limit"),
        header("x-rate-limit-remaining"),
        reset,
    )
}

#[test]
fn a_window_begins_with_its_first_request() {
    let mut scenario = plain();
    scenario
        .rate_limits
        .buckets
        .insert("/api/v1/logs".to_owned(), 2);
    let bench = Bench::new(scenario);
    bench.advance(7);
    let reset = NOW / SECOND + 67;
    let logs = || rates(&bench.get("/api/v1/logs"));
    assert_eq!(logs(), (200, "2".into(), "1".into(), reset));
    bench.advance(30);
    assert_eq!(logs(), (200, "2".into(), "0".into(), reset));
    assert_eq!(logs(), (429, "2".into(), "0".into(), reset));
    assert_eq!(bench.get("/api/v1/logs").code(), "E0000047");
    assert_eq!(bench.get("/api/v1/users").status, 200, "another bucket");
    bench.advance(29);
    assert_eq!(logs().0, 429);
    bench.advance(1);
    assert_eq!(logs(), (200, "2".into(), "1".into(), reset + 60));
}

#[test]
fn too_many_at_the_same_time_are_told_so() {
    let mut scenario = plain();
    scenario.rate_limits.concurrency = 2;
    let bench = Bench::new(scenario);
    bench.tenant.set_fault("no-answer".parse().unwrap());
    let held: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(bench.tenant.address()).unwrap();
            stream
                .write_all(b"GET /api/v1/logs HTTP/1.1\r\nhost: x\r\n\r\n")
                .unwrap();
            stream
        })
        .collect();
    let mut turns = 0;
    while bench.tenant.requests().len() < 2 && turns < 500 {
        std::thread::yield_now();
        std::thread::sleep(Duration::from_millis(2));
        turns += 1;
    }
    bench.tenant.clear_faults();
    let reply = bench.get("/api/v1/logs");
    assert_eq!(
        rates(&reply),
        (429, "0".into(), "0".into(), NOW / SECOND + 60)
    );
    drop(held);
}
