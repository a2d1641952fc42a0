//! Lists and single things: complete, by pages, and unchanged by any request.

use super::*;

fn built_in() -> Bench {
    let mut scenario = Scenario::built_in(7);
    scenario.tokens = plain().tokens;
    scenario.tokens[0].user = Some(scenario.users[0].login.clone());
    scenario.rate_limits = plain().rate_limits;
    Bench::new(scenario)
}

#[test]
fn pages_hold_every_item_once() {
    let bench = built_in();
    for (list, least) in [
        ("/api/v1/users?", 38),
        ("/api/v1/users?search=status+pr&", 42),
        ("/api/v1/groups?", 10),
        ("/api/v1/apps?", 12),
        ("/api/v1/devices?", 20),
        ("/api/v1/zones?", 3),
        ("/api/v1/policies?type=ACCESS_POLICY&", 2),
        ("/api/v1/behaviors?", 4),
    ] {
        let whole = bench.pages(&format!("{list}limit=200"), 9).concat();
        assert!(whole.len() >= least, "{list}: {}", whole.len());
        for limit in [1, 3, 7] {
            let pages = bench.pages(&format!("{list}limit={limit}"), 99);
            assert!(
                pages
                    .iter()
                    .all(|page| page.len() <= limit && !page.is_empty()),
                "{list}"
            );
            assert_eq!(pages.concat(), whole, "{list}limit={limit}");
        }
    }
}

#[test]
fn everything_that_is_named_is_there() {
    let bench = built_in();
    let people = bench.pages("/api/v1/users?search=status+pr", 9).concat();
    let mut paths: Vec<String> = [
        "users/me",
        "org",
        "iam/roles",
        "iam/assignees/users",
        "api-tokens",
        "idps",
        "authorizationServers",
        "authorizationServers/default/scopes",
        "authorizationServers/default/policies",
        "eventHooks",
        "logStreams",
        "trustedOrigins",
        "domains",
    ]
    .map(str::to_owned)
    .to_vec();
    for user in &people {
        let id = user["id"].as_str().unwrap();
        let login = user["profile"]["login"].as_str().unwrap();
        paths.extend(
            ["groups", "appLinks", "factors", "roles", "clients"]
                .map(|kind| format!("users/{id}/{kind}")),
        );
        paths.push(format!("users/{login}"));
    }
    for (list, kinds) in [
        ("groups", &["users", "apps", "roles"][..]),
        ("apps", &["users", "groups"]),
    ] {
        for item in bench.get(&format!("/api/v1/{list}")).items() {
            let id = item["id"].as_str().unwrap();
            paths.push(format!("{list}/{id}"));
            paths.extend(kinds.iter().map(|kind| format!("{list}/{id}/{kind}")));
        }
    }
    for path in &paths {
        let reply = bench.get(&format!("/api/v1/{path}"));
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    }
    let statuses: std::collections::BTreeSet<&str> = people
        .iter()
        .filter_map(|user| user["status"].as_str())
        .collect();
    assert_eq!(statuses.len(), 6, "{statuses:?}");
    let assigned = bench.get("/api/v1/apps?q=git").items()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let scopes = bench.get(&format!("/api/v1/apps/{assigned}/users")).items();
    for by in ["USER", "GROUP"] {
        assert!(scopes.iter().any(|user| user["scope"] == by), "{by}");
    }
}

#[test]
fn lists_are_searched() {
    let bench = built_in();
    let encode = crate::tenant::wire::encoded;
    for (target, count) in [
        ("/api/v1/users?q=ali".to_owned(), 1),
        (
            format!("/api/v1/users?search={}", encode("status eq \"SUSPENDED\"")),
            2,
        ),
        (
            format!(
                "/api/v1/users?filter={}",
                encode("status eq \"deprovisioned\"")
            ),
            3,
        ),
        (
            format!(
                "/api/v1/users?search={}",
                encode("profile.department eq \"IT\" and status eq \"ACTIVE\"")
            ),
            3,
        ),
        (format!("/api/v1/groups?q={}", "eng"), 1),
        (
            format!("/api/v1/zones?filter={}", encode("usage eq \"BLOCKLIST\"")),
            2,
        ),
    ] {
        assert_eq!(bench.get(&target).items().len(), count, "{target}");
    }
    let id = bench.get("/api/v1/users/me").json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let apps = bench
        .get(&format!(
            "/api/v1/apps?filter={}",
            encode(&format!("user.id eq \"{id}\""))
        ))
        .items();
    assert!(apps.len() > 1);
    let before = format!(
        "/api/v1/users?search={}",
        encode("lastLogin lt \"2026-01-01T00:00:00.000Z\"")
    );
    let before = bench.get(&before).items();
    assert!(
        before
            .iter()
            .all(|user| user["lastLogin"].as_str().unwrap() < "2026")
    );
}

#[test]
fn what_is_not_there_is_refused_and_nothing_changes() {
    let bench = built_in();
    let before = bench.get("/api/v1/users?limit=200").text();
    let token = format!("SSWS {TOKEN}");
    for (method, target, status, code) in [
        ("GET", "/api/v1/users/00uNobodyNobodyNobod", 404, "E0000007"),
        ("GET", "/api/v1/nothing", 404, "E0000007"),
        ("GET", "/api/v1/policies", 400, "E0000001"),
        ("GET", "/api/v1/users?limit=0", 400, "E0000001"),
        ("GET", "/api/v1/users?search=x", 400, "E0000031"),
        (
            "GET",
            "/api/v1/users?after=200u3des4afA47rYJu1d7",
            400,
            "E0000031",
        ),
        ("POST", "/api/v1/users", 403, "E0000006"),
        ("DELETE", "/api/v1/users/me", 403, "E0000006"),
        ("PUT", "/api/v1/zones/x", 403, "E0000006"),
        ("OPTIONS", "/api/v1/users", 405, "E0000022"),
    ] {
        let reply = bench.ask(method, target, &[("authorization", &token)], "");
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (status, code),
            "{method} {target}"
        );
    }
    let other = bench
        .get("/api/v1/groups?limit=1")
        .next(&bench.tenant.origin())
        .unwrap();
    let moved = other.replace("/groups", "/users");
    assert_eq!(
        bench.get(&moved).code(),
        "E0000031",
        "a cursor of another list"
    );
    assert_eq!(bench.get("/api/v1/users?limit=200").text(), before);
    let seen = bench.tenant.requests();
    assert_eq!(seen.iter().filter(|seen| seen.method != "GET").count(), 4);
    assert!(!format!("{seen:?}").contains(TOKEN));
}
