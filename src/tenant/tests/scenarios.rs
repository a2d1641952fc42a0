//! Scenario files: read, refused, and the one that is built in.

use super::*;
use crate::tenant::TenantError;

#[test]
fn a_file_says_what_a_tenant_holds() {
    let yaml = "
org: Small
engine: classic
tokens: [{name: t, value: abc, expires: +1h}]
users:
  - {login: a@x.example, first_name: A, last_login: -3d, profile: {department: IT}}
  - {login: b@x.example, status: SUSPENDED}
groups: [{name: G, members: [a@x.example]}]
apps: [{name: slack, label: Slack, groups: [G], users: [b@x.example]}]
factors: [{user: a@x.example, type: push}]
roles: [{user: a@x.example, type: SUPER_ADMIN}]
rate_limits: {window: 10, buckets: {/api/v1/apps: 3}}
log: {duplicates: 0.01, late: {share: 0.02, most: 90s}, later: {share: 0.001, by: 2h}, release: as_time_goes_on}
faults: ['clock-skew=-30']
";
    let bench = Bench::new(Scenario::read(yaml).unwrap());
    let ask = |target: &str| bench.ask("GET", target, &[("authorization", "SSWS abc")], "");
    assert_eq!(
        ask("/.well-known/okta-organization").json()["pipeline"],
        "v1"
    );
    let user = ask("/api/v1/users/a@x.example").json();
    assert_eq!(user["lastLogin"], "2026-02-27T10:00:00.000Z");
    assert_eq!(user["profile"]["department"], "IT");
    let id = user["id"].as_str().unwrap();
    assert!(id.starts_with("00u") && id.len() == 20, "{id}");
    assert_eq!(
        ask(&format!("/api/v1/users/{id}/factors")).items()[0]["factorType"],
        "push"
    );
    assert_eq!(
        ask("/api/v1/users/a@x.example/appLinks").items()[0]["label"],
        "Slack"
    );
    assert_eq!(ask("/api/v1/apps").header("x-rate-limit-limit"), Some("3"));
    assert_eq!(
        ask("/api/v1/apps").header("date"),
        Some("Mon, 02 Mar 2026 09:59:30 GMT")
    );
    bench.advance(3600);
    assert_eq!(
        ask("/api/v1/apps").code(),
        "E0000011",
        "the token has expired"
    );
}

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    for (yaml, told) in [
        ("users:\n  - login: a\n    lastlogin: -3d\n", "line 3"),
        (
            "users:\n  - login: a\n    last_login: yesterday\n",
            "yesterday",
        ),
        ("log: {release: soon}\n", "soon"),
        ("engine: idx\n", "idx"),
    ] {
        let error = Scenario::read(yaml).unwrap_err().to_string();
        assert!(error.contains(told), "{yaml}: {error}");
    }
    for (yaml, told) in [
        (
            "groups: [{name: G, members: [nobody]}]",
            "the group `G` names the user `nobody`",
        ),
        (
            "roles: [{type: SUPER_ADMIN}]",
            "needs either a `user` or a `group`",
        ),
        (
            "clients: [{client_id: c}]",
            "the key of client `c` is missing",
        ),
        ("faults: [storm]", "there is no fault `storm`"),
        ("faults: ['clock-skew=x']", "`x` does not fit `clock-skew`"),
        (
            "log: {files: [nowhere.ndjson]}",
            "`nowhere.ndjson` cannot be read",
        ),
    ] {
        let error = start(Scenario::read(yaml).unwrap(), Options::default())
            .err()
            .unwrap();
        assert!(error.to_string().contains(told), "{yaml}: {error}");
    }
    let listen = "192.0.2.1:0".parse().unwrap();
    let error = start(
        plain(),
        Options {
            listen,
            ..Options::default()
        },
    )
    .err();
    assert!(matches!(error, Some(TenantError::NotLoopback(_))));
}

#[test]
fn the_built_in_one_is_the_same_for_the_same_seed() {
    let bytes = |seed: u64| {
        let clock = Arc::new(AtomicI64::new(NOW));
        let options = Options {
            seed,
            clock: Clock::Manual(Arc::clone(&clock)),
            ..Options::default()
        };
        let tenant = start(Scenario::built_in(seed), options).unwrap();
        let bench = Bench { tenant, clock };
        let token = format!("SSWS {}", bench.tenant.token().unwrap());
        let ask = |path: &str| {
            bench
                .ask("GET", path, &[("authorization", &token)], "")
                .text()
        };
        let whole = [
            "/api/v1/users",
            "/api/v1/apps",
            "/api/v1/logs?limit=1000",
            "/api/v1/groups",
        ]
        .map(ask)
        .concat();
        whole.replace(&bench.tenant.origin(), "")
    };
    let one = bytes(1);
    assert!(one == bytes(1) && one != bytes(2));
    assert!(!one.to_lowercase().contains("contractor"));
}

#[test]
fn the_example_of_the_documentation_is_one() {
    let source = include_str!("../scenario/mod.rs");
    let example = source
        .split("//! ```")
        .nth(1)
        .unwrap()
        .trim_start_matches("yaml\n");
    let lines = example
        .lines()
        .map(|line| line.strip_prefix("//! ").unwrap_or_default());
    let scenario = Scenario::read(&lines.collect::<Vec<_>>().join("\n")).unwrap();
    assert_eq!((scenario.users.len(), scenario.faults.len()), (2, 2));
}
