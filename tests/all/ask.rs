//! Questions about the tenant: what is asked, what is answered, and that nothing is invented.
//!
//! Most tests ask a tenant in memory, whose answers are written below; some ask the emulated one,
//! through the process that `rulectl ask` starts.

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

use rulectl::ask::{
    Answer, Asking, End, Fetch, Fetched, Limits, Matching, Plan, Request, Source, Unanswered,
    Verdict, Wanted, check, execute, match_question, plan_of, verify,
};
use rulectl::detect::Lists;
use rulectl::diag::Problems;
use rulectl::event::{Digest, Time};
use rulectl::okta::client::{Operation, Registry};
use rulectl::policy::{self, Policy};
use rulectl::tenant::{self, Options, Scenario};
use rulectl::tools::{Select, Tool, decode_tools, drift, drift_of_rows, import};
use serde_json::{Value, json};

use crate::harness::{program, root};

static POLICY: LazyLock<Policy> = LazyLock::new(|| policy::load(&root()).policy.unwrap());

fn now() -> Time {
    Time::parse("2026-03-10T12:00:00Z").unwrap()
}

/// A tenant in memory.
#[derive(Clone, Default)]
struct Memory {
    /// Pages of at most so many rows; no limit where it is 0.
    page: usize,
    /// Requests to a path that ends in this fail in this way.
    fails: Option<(&'static str, Unanswered)>,
    /// Values that are gone from every row: JSON Pointers.
    gone: Vec<&'static str>,
    /// What was sent.
    sent: Vec<(String, Vec<(String, String)>)>,
}

fn user(number: usize, login: &str, status: &str, last_login: Value) -> Value {
    let kind = if number == 3 {
        json!("Contractor")
    } else {
        Value::Null
    };
    json!({
        "id": format!("00u0000000000000000{number}"), "status": status, "lastLogin": last_login,
        "created": "2025-01-01T00:00:00.000Z", "passwordChanged": null,
        "profile": {"login": login, "email": login, "department": "IT", "userType": kind},
    })
}

static USERS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    vec![
        user(
            1,
            "ann@example.com",
            "ACTIVE",
            json!("2026-03-09T08:00:00.000Z"),
        ),
        user(
            2,
            "bob@example.com",
            "ACTIVE",
            json!("2025-11-01T08:00:00.000Z"),
        ),
        user(3, "cy@example.com", "ACTIVE", Value::Null),
        user(
            4,
            "=dee@example.com",
            "SUSPENDED",
            json!("2026-03-01T08:00:00.000Z"),
        ),
        user(
            5,
            "eve@example.com",
            "LOCKED_OUT",
            json!("2026-03-10T08:00:00.000Z"),
        ),
    ]
});

const APP: &str = "0oa00000000000000001";

fn list(path: &str, query: &[(String, String)]) -> Option<Value> {
    let of = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let by_id = |id: &str| {
        USERS
            .iter()
            .find(|user| user["id"] == id || user["profile"]["login"] == id)
    };
    let segments: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
    Some(match segments.as_slice() {
        ["users"] => {
            let status = of("search").and_then(|search| search.split('"').nth(1));
            let users = USERS.iter().filter(|user| status.is_none_or(|status| user["status"] == status));
            Value::Array(users.cloned().collect())
        }
        ["users", id] => by_id(id)?.clone(),
        ["users", id, "factors"] => match by_id(id)?["id"].as_str()?.ends_with('1') {
            true => json!([{"id": "f1", "factorType": "push", "provider": "OKTA", "status": "ACTIVE", "created": "2026-01-01T00:00:00.000Z"}]),
            false => json!([]),
        },
        ["users", id, "roles"] => json!([{"id": format!("r{id}"), "label": "Super Administrator", "type": "SUPER_ADMIN", "status": "ACTIVE", "assignmentType": "USER", "created": "2026-01-01T00:00:00.000Z"}]),
        ["iam", "assignees", "users"] => json!({"value": USERS.iter().take(3).map(|user| json!({"id": user["id"]})).collect::<Vec<_>>()}),
        ["apps"] => {
            let apps = [("GitHub", 1), ("GitLab", 2), ("Slack", 3)].map(|(label, number)| {
                json!({"id": format!("0oa0000000000000000{number}"), "label": label, "status": "ACTIVE", "signOnMode": "SAML_2_0", "created": "2025-01-01T00:00:00.000Z"})
            });
            let q = of("q").unwrap_or_default().to_lowercase();
            Value::Array(apps.into_iter().filter(|app| app["label"].as_str().unwrap().to_lowercase().starts_with(&q)).collect())
        }
        ["apps", APP, "users"] => Value::Array(USERS.iter().take(4).map(|user| json!({
            "id": user["id"], "scope": "GROUP", "status": "ACTIVE", "created": "2025-02-01T00:00:00.000Z", "credentials": {"userName": user["profile"]["login"]},
        })).collect()),
        ["apps", _, "users"] => json!([]),
        ["groups"] => json!([{"id": "00g00000000000000001", "type": "OKTA_GROUP", "profile": {"name": "IT"}}]),
        ["groups", _, "users"] => Value::Array(USERS.iter().take(2).cloned().collect()),
        ["logs"] => json!([
            {"uuid": "e1", "published": "2026-03-09T08:00:00.000Z", "eventType": "user.authentication.auth_via_mfa", "actor": {"id": "00u00000000000000001", "alternateId": "ann@example.com"}, "client": {"geographicalContext": {"country": "Norway"}}, "target": [{"type": "AppInstance", "id": APP, "displayName": "GitHub"}]},
            {"uuid": "e2", "published": "2026-03-08T08:00:00.000Z", "eventType": "user.authentication.auth_via_mfa", "actor": {"id": "00u00000000000000001", "alternateId": "ann@example.com"}, "client": null, "target": null},
        ]),
        _ => return None,
    })
}

impl Fetch for Memory {
    fn fetch(
        &mut self,
        tool: &Tool,
        request: &Request,
        next: Option<&str>,
    ) -> Result<Fetched, Unanswered> {
        let call = request.call(tool).expect("a value stands in the path");
        self.sent
            .push((call.path().to_owned(), request.query.clone()));
        if let Some((path, fails)) = &self.fails
            && call.path().ends_with(path)
        {
            return Err(fails.clone());
        }
        let path = call.path().replace("%40", "@").replace("%3D", "=");
        let Some(mut found) = list(&path, &request.query) else {
            return Err(Unanswered::NotFound("404".to_owned()));
        };
        let begin: usize = next.map_or(0, |next| next.parse().unwrap());
        let mut after = None;
        if let Value::Array(items) = &mut found {
            if self.page > 0 && items.len() > begin + self.page {
                after = Some((begin + self.page).to_string());
            }
            let end = if self.page > 0 {
                (begin + self.page).min(items.len())
            } else {
                items.len()
            };
            *items = items[begin..end].to_vec();
            for item in items.iter_mut() {
                for gone in &self.gone {
                    let (above, key) = gone.rsplit_once('/').unwrap();
                    if let Some(Value::Object(map)) = item.pointer_mut(above) {
                        map.remove(key);
                    }
                }
            }
        }
        Ok(Fetched {
            body: serde_json::to_vec(&found).unwrap(),
            next: after,
        })
    }
}

/// A question's answer, with what proves it.
struct Answered {
    plan: Plan,
    answer: Answer,
    bodies: BTreeMap<String, Vec<u8>>,
    lists: Lists,
    limits: Limits,
}

impl Answered {
    fn asking(&self) -> Asking<'_> {
        Asking {
            catalogue: &POLICY.tools,
            lists: &self.lists,
            limits: self.limits,
            now: now(),
        }
    }

    fn wrong(&self, answer: &Answer) -> Vec<String> {
        verify(&self.plan, &self.asking(), answer, &|sha256| {
            self.bodies.get(sha256).cloned()
        })
    }
}

fn answered_within(wanted: &Wanted, memory: &mut Memory, lists: Lists, limits: Limits) -> Answered {
    let plan = plan_of(wanted, &POLICY.tools).unwrap();
    let asking = Asking {
        catalogue: &POLICY.tools,
        lists: &lists,
        limits,
        now: now(),
    };
    let (answer, bodies) = execute(&plan, &asking, memory);
    let bodies = bodies
        .into_iter()
        .flatten()
        .map(|body| (Digest::of(&body).to_string(), body));
    let answered = Answered {
        plan,
        answer,
        bodies: bodies.collect(),
        lists,
        limits,
    };
    let wrong = answered.wrong(&answered.answer);
    assert_eq!(
        wrong,
        Vec::<String>::new(),
        "{wanted:?} {:?}",
        answered.answer
    );
    answered
}

fn wanted(question: &str) -> Wanted {
    match match_question(question, &POLICY.tools, &[], None) {
        Matching::Certain(matched) => matched.wanted,
        other => panic!("{question}: {other:?}"),
    }
}

fn steps(steps: Value) -> Wanted {
    Wanted::Plan { steps }
}

/// An answer in a line: its verdict, and the values of its rows.
fn told(answer: &Answer) -> String {
    let verdict = match &answer.verdict {
        Verdict::Rows => "rows".to_owned(),
        Verdict::Empty { nothing_from } => format!("none from {nothing_from:?}"),
        Verdict::Incomplete { why } => format!("INCOMPLETE {why}"),
        Verdict::Unknown { code, .. } => format!("not known: {code}"),
    };
    let rows = answer.rows.iter().map(|row| {
        let cells = row.cells.iter().map(|cell| match &cell.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        cells.collect::<Vec<_>>().join(" ")
    });
    format!("{verdict} | {}", rows.collect::<Vec<_>>().join("; "))
}

fn contractors() -> Lists {
    let mut lists = Lists::default();
    let mut problems = Problems::default();
    let text = "# who works for others\nbob@example.com\n";
    let file = problems.add_file("rules/lists/contractors.txt", text);
    lists.add("contractors.txt", file, text, &mut problems);
    assert!(!problems.has_errors());
    lists
}

#[test]
fn operators_say_what_follows_from_the_answers_and_nothing_else() {
    let select = |step: Value| steps(json!([{"users": {"call": "list_users"}}, {"rows": step}]));
    let whole = Memory::default;
    let paged = || Memory {
        page: 2,
        ..Memory::default()
    };
    let cut = || Memory {
        fails: Some(("/logs", Unanswered::Cut("429".to_owned()))),
        ..Memory::default()
    };
    let rows: Vec<(Wanted, Memory, Lists, &str)> = vec![
        (
            wanted("which active users have GitHub access via app assignment"),
            whole(),
            Lists::default(),
            "rows | 00u00000000000000001 ann@example.com ACTIVE GROUP ACTIVE; 00u00000000000000002 bob@example.com ACTIVE GROUP ACTIVE; 00u00000000000000003 cy@example.com ACTIVE GROUP ACTIVE",
        ),
        (
            wanted("which active users have GitHub access via app assignment"),
            paged(),
            Lists::default(),
            "rows | 00u00000000000000001 ann@example.com ACTIVE GROUP ACTIVE; 00u00000000000000002 bob@example.com ACTIVE GROUP ACTIVE; 00u00000000000000003 cy@example.com ACTIVE GROUP ACTIVE",
        ),
        (
            wanted("who has access to Nonsuch"),
            whole(),
            Lists::default(),
            "not known: not_found | ",
        ),
        (
            wanted("who has access to Slack"),
            whole(),
            Lists::default(),
            "none from [1] | ",
        ),
        (
            wanted("list users with role = admin and lastLogin > 30 days"),
            whole(),
            Lists::default(),
            "rows | bob@example.com Super Administrator USER ACTIVE 2025-11-01T08:00:00.000Z; cy@example.com Super Administrator USER ACTIVE null",
        ),
        (
            wanted("show mfa status for contractors"),
            whole(),
            contractors(),
            "rows | bob@example.com ACTIVE null null null",
        ),
        (
            wanted("show mfa status for contractors"),
            whole(),
            Lists::default(),
            "rows | cy@example.com ACTIVE null null null",
        ),
        (
            wanted("show mfa status for contractors"),
            Memory {
                gone: vec!["/profile/userType"],
                ..whole()
            },
            Lists::default(),
            "not known: no_attribute | ",
        ),
        (
            wanted("which contractors have no mfa"),
            whole(),
            contractors(),
            "rows | 00u00000000000000002 bob@example.com ACTIVE 2025-11-01T08:00:00.000Z",
        ),
        (
            wanted("how many users are suspended"),
            whole(),
            Lists::default(),
            "rows | 1",
        ),
        (
            wanted("how many users are there of each status"),
            whole(),
            Lists::default(),
            "rows | ACTIVE 3; LOCKED_OUT 1; SUSPENDED 1",
        ),
        (
            wanted("which users have not signed in for 30 days"),
            whole(),
            Lists::default(),
            "rows | 00u00000000000000003 cy@example.com ACTIVE null 2025-01-01T00:00:00.000Z IT; 00u00000000000000002 bob@example.com ACTIVE 2025-11-01T08:00:00.000Z 2025-01-01T00:00:00.000Z IT",
        ),
        (
            wanted("who has access to GitHub and has not used mfa in 30 days"),
            whole(),
            Lists::default(),
            "rows | 00u00000000000000002 bob@example.com 2025-11-01T08:00:00.000Z; 00u00000000000000003 cy@example.com null",
        ),
        // Nothing follows from what may be behind the end.
        (
            wanted("who has access to GitHub and has not used mfa in 30 days"),
            cut(),
            Lists::default(),
            "not known: incomplete | ",
        ),
        (
            wanted("from which countries did ann@example.com sign in in the last 30 days"),
            whole(),
            Lists::default(),
            "rows | Norway 1 2026-03-09T08:00:00.000Z; null 1 2026-03-08T08:00:00.000Z",
        ),
        (
            wanted("from which countries did ann@example.com sign in in the last 30 days"),
            cut(),
            Lists::default(),
            "not known: incomplete | ",
        ),
        (
            wanted("list users"),
            Memory {
                fails: Some(("/users", Unanswered::Failed("500".to_owned()))),
                ..whole()
            },
            Lists::default(),
            "not known: failed | ",
        ),
        (
            wanted("list users"),
            Memory {
                fails: Some(("/users", Unanswered::NotFound("404".to_owned()))),
                ..whole()
            },
            Lists::default(),
            "not known: not_found | ",
        ),
        // A column that the registry has and the answer has not.
        (
            wanted("list users"),
            Memory {
                gone: vec!["/status"],
                ..whole()
            },
            Lists::default(),
            "not known: drift | ",
        ),
        (
            select(
                json!({"from": "users", "filter": {"last_login|exists": false}, "select": ["login"]}),
            ),
            whole(),
            Lists::default(),
            "rows | cy@example.com",
        ),
        (
            select(
                json!({"from": "users", "filter": {"login|contains": "EVE"}, "select": {"who": "login"}}),
            ),
            whole(),
            Lists::default(),
            "rows | eve@example.com",
        ),
        (
            select(
                json!({"from": "users", "filter": {"login|without": ["ann", "BOB", "cy@"]}, "select": ["login"]}),
            ),
            whole(),
            Lists::default(),
            "rows | =dee@example.com; eve@example.com",
        ),
        (
            select(
                json!({"from": "users", "filter": {"status|not": "active"}, "select": ["status"]}),
            ),
            whole(),
            Lists::default(),
            "rows | SUSPENDED; LOCKED_OUT",
        ),
        (
            select(
                json!({"from": "users", "filter": {"last_login|after": "2026-03-09T08:00:00Z"}, "sort": "-last_login", "limit": 1, "select": ["login"]}),
            ),
            whole(),
            Lists::default(),
            "rows | eve@example.com",
        ),
        (
            steps(
                json!([{"one": {"call": "list_users", "with": {"status": "SUSPENDED"}}}, {"two": {"call": "list_users", "with": {"status": "LOCKED_OUT"}}}, {"rows": {"union": ["one", "two"], "select": ["status"]}}]),
            ),
            whole(),
            Lists::default(),
            "rows | SUSPENDED; LOCKED_OUT",
        ),
        (
            steps(
                json!([{"users": {"call": "list_users"}}, {"factors": {"call": "list_user_factors", "each": "users", "with": {"userId": "$users.id"}, "keep": ["login"]}}, {"rows": {"semi_join": "users", "with": "factors", "on": {"login": "login"}, "select": ["login"]}}]),
            ),
            whole(),
            Lists::default(),
            "rows | ann@example.com",
        ),
        // Several where one is meant, and a value that its parameter does not take.
        (
            steps(
                json!([{"app": {"call": "list_apps", "with": {"q": "Git"}, "expect": "one"}}, {"rows": {"call": "list_app_users", "with": {"appId": "$app.id"}}}]),
            ),
            whole(),
            Lists::default(),
            "not known: ambiguous | ",
        ),
        (
            steps(
                json!([{"users": {"call": "list_users"}}, {"rows": {"call": "get_group", "each": "users", "with": {"groupId": "$users.login"}}}]),
            ),
            whole(),
            Lists::default(),
            "not known: parameter | ",
        ),
    ];
    for (wanted, mut memory, lists, expected) in rows {
        let answered = answered_within(&wanted, &mut memory, lists, Limits::default());
        assert_eq!(
            told(&answered.answer),
            expected,
            "{wanted:?} {:?}",
            answered.answer.verdict
        );
    }
}

#[test]
fn what_is_cut_short_is_never_a_count_and_never_none() {
    let limits = |calls, pages, rows| Limits {
        calls,
        pages,
        rows,
        ..Limits::default()
    };
    let factors = json!([{"users": {"call": "list_users"}}, {"rows": {"call": "list_user_factors", "each": "users", "with": {"userId": "$users.id"}, "keep": ["login"], "select": ["login", "factor_type"]}}]);
    let anti = json!([{"users": {"call": "list_users"}}, {"factors": {"call": "list_user_factors", "each": "users", "with": {"userId": "$users.id"}, "keep": ["login"]}}, {"rows": {"anti_join": "users", "with": "factors", "on": {"login": "login"}}}]);
    let rows: [(Wanted, Limits, &str); 7] = [
        (
            wanted("list suspended users"),
            limits(9, 1, 99),
            "rows | 00u00000000000000004 =dee@example.com SUSPENDED 2026-03-01T08:00:00.000Z 2025-01-01T00:00:00.000Z IT null =dee@example.com null",
        ),
        (
            wanted("how many users are there of each status"),
            limits(9, 1, 99),
            "not known: incomplete | ",
        ),
        (
            wanted("which users have never signed in"),
            limits(9, 1, 99),
            "not known: incomplete | ",
        ),
        (
            steps(factors.clone()),
            limits(2, 9, 99),
            "INCOMPLETE a question makes at most 2 calls | ann@example.com push",
        ),
        (steps(anti), limits(2, 9, 99), "not known: incomplete | "),
        (
            steps(
                json!([{"users": {"call": "list_users"}}, {"rows": {"from": "users", "sort": "login", "limit": 1}}]),
            ),
            limits(9, 1, 99),
            "not known: incomplete | ",
        ),
        (
            steps(factors),
            limits(9, 9, 2),
            "INCOMPLETE only the first 4 rows were read | ann@example.com push",
        ),
    ];
    for (wanted, limits, expected) in rows {
        let mut memory = Memory {
            page: 2,
            ..Memory::default()
        };
        let answered = answered_within(&wanted, &mut memory, Lists::default(), limits);
        assert_eq!(
            told(&answered.answer),
            expected,
            "{wanted:?} {limits:?} {:?}",
            answered.answer.verdict
        );
    }
}

/// The questions whose answers are changed below: of every kind.
fn kinds() -> Vec<Answered> {
    let questions = [
        "which active users have GitHub access via app assignment",
        "who has access to Slack",
        "list users with role = admin and lastLogin > 30 days",
        "how many users are suspended",
        "how many users are there of each status",
        "who has access to GitHub and has not used mfa in 30 days",
        "from which countries did ann@example.com sign in in the last 30 days",
        "show mfa status for contractors",
        "list users",
    ];
    let answered = questions.into_iter().map(|question| {
        let mut memory = Memory {
            page: 3,
            ..Memory::default()
        };
        answered_within(
            &wanted(question),
            &mut memory,
            Lists::default(),
            Limits::default(),
        )
    });
    let mut all: Vec<Answered> = answered.collect();
    let factors = json!([{"users": {"call": "list_users"}}, {"rows": {"call": "list_user_factors", "each": "users", "with": {"userId": "$users.id"}, "keep": ["login"]}}]);
    let limits = Limits {
        calls: 2,
        ..Limits::default()
    };
    all.push(answered_within(
        &steps(factors),
        &mut Memory::default(),
        Lists::default(),
        limits,
    ));
    all
}

/// One change of an answer: which kind, and where.
fn changed(answer: &Answer, kind: usize, at: usize, by: usize) -> Answer {
    let mut answer = answer.clone();
    let rows = answer.rows.len().max(1);
    let columns = answer.columns.len().max(1);
    let calls = answer.calls.len().max(1);
    let (row, column, call) = (at % rows, by % columns, at % calls);
    let cell = answer
        .rows
        .get_mut(row)
        .and_then(|row| row.cells.get_mut(column));
    match kind % 14 {
        // A value.
        0 => {
            if let Some(cell) = cell {
                cell.value = match &cell.value {
                    Value::Number(number) => json!(number.as_i64().unwrap_or_default() + 1),
                    Value::String(text) => json!(format!("{text}x")),
                    _ => json!("ann@example.com"),
                };
            }
        }
        // A value of another row, with its source.
        1 => {
            let other = answer
                .rows
                .get((row + 1) % rows)
                .and_then(|row| row.cells.get(column))
                .cloned();
            if let (Some(cell), Some(other)) = (
                answer
                    .rows
                    .get_mut(row)
                    .and_then(|row| row.cells.get_mut(column)),
                other,
            ) {
                *cell = other;
            }
        }
        // A source.
        2 => {
            if let Some(cell) = cell {
                match &mut cell.source {
                    Source::Response(place) | Source::Absent(place) => place.pointer.push_str("/0"),
                    Source::Derived { of, .. } => {
                        of.pop();
                    }
                }
            }
        }
        3 => {
            if let Some(cell) = cell {
                let operator = "sum".to_owned();
                cell.source = Source::Derived {
                    operator,
                    of: Vec::new(),
                };
            }
        }
        // Rows.
        4 if !answer.rows.is_empty() => {
            answer.rows.remove(row);
        }
        5 if !answer.rows.is_empty() => {
            let again = answer.rows[row].clone();
            answer.rows.insert(by % rows, again);
        }
        6 if rows > 1 => answer.rows.swap(row, (row + 1 + by % (rows - 1)) % rows),
        7 => {
            if let Some(row) = answer.rows.get_mut(row) {
                row.of.clear();
            }
        }
        // Columns.
        8 => {
            if let Some(name) = answer.columns.get_mut(column) {
                name.push('x');
            }
        }
        9 if columns > 1 => answer.columns.swap(column, (column + 1) % columns),
        // What is said of all of them.
        10 => {
            answer.verdict = match &answer.verdict {
                Verdict::Rows => Verdict::Incomplete {
                    why: "x".to_owned(),
                },
                _ => Verdict::Rows,
            };
        }
        11 => {
            answer.rows.clear();
            answer.verdict = Verdict::Empty {
                nothing_from: vec![at % calls],
            };
        }
        // Calls.
        12 => {
            if let Some(call) = answer.calls.get_mut(call) {
                match by % 4 {
                    0 => call.request.push('x'),
                    1 => call.rows += 1,
                    2 => call.pages.clear(),
                    _ => {
                        call.end = End::Failed {
                            why: "x".to_owned(),
                        }
                    }
                }
            }
        }
        _ => {
            answer.calls.pop();
        }
    }
    answer
}

#[test]
fn every_change_of_an_answer_is_caught() {
    let answers = kinds();
    let mut caught = BTreeMap::new();
    for answered in &answers {
        for kind in 0..14 {
            for at in 0..5 {
                for by in 0..8 {
                    let changed = changed(&answered.answer, kind, at, by);
                    if changed == answered.answer {
                        continue;
                    }
                    let wrong = answered.wrong(&changed);
                    assert!(!wrong.is_empty(), "{kind} {at} {by}: {changed:?}");
                    *caught.entry(kind).or_insert(0) += 1;
                }
            }
        }
    }
    assert_eq!(caught.len(), 14, "{caught:?}");
    let all: usize = caught.values().sum();
    assert!(all >= 2_000, "{all}");
}

#[test]
fn other_bytes_are_no_proof() {
    for answered in &mut kinds() {
        let digests: Vec<String> = answered.bodies.keys().cloned().collect();
        for digest in digests {
            let body = answered.bodies[&digest].clone();
            for other in [Vec::new(), b"[]".to_vec(), [body.as_slice(), b" "].concat()] {
                if other == body {
                    continue;
                }
                answered.bodies.insert(digest.clone(), other);
                assert!(!answered.wrong(&answered.answer).is_empty());
            }
            answered.bodies.insert(digest, body);
        }
    }
}

/// Numbers that are the same in every run.
struct Drawn(u64);

impl Drawn {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// What no request may hold: nobody asked for it.
const EVIL: [&str; 16] = [
    "../../iam/roles",
    "evil.example",
    "http://169.254.169.254/latest",
    "GitHub\" or status pr or id eq \"",
    "zzz\r\nX-Evil: 1",
    "zzz\u{0}",
    "%2e%2e%2fzzz",
    "zzz/lifecycle/deactivate",
    "//evil.example/api",
    "zzz?expand=*",
    "mallory@evil.example",
    "zzzzzzzzzzzzzzzzzzzz",
    "DEPROVISIONED",
    "$users.zzz",
    "-77d",
    "{zzz}",
];

const ASKED: &str =
    "which suspended users in IT have access to GitHub or ann@example.com in 30 days";

/// Words of the question, and of the registry.
const GROUNDED: [&str; 6] = [
    "GitHub",
    "ann@example.com",
    "suspended",
    "SUSPENDED",
    "IT",
    "30",
];

fn hostile_value(drawn: &mut Drawn) -> Value {
    match drawn.below(12) {
        0..=4 => json!(drawn.of(&EVIL)),
        5..=7 => json!(drawn.of(&GROUNDED)),
        8 => json!(30),
        9 => json!(777_777),
        10 => json!([drawn.of(&EVIL)]),
        _ => json!({"$ref": drawn.of(&EVIL)}),
    }
}

fn hostile_params(drawn: &mut Drawn, names: &[String]) -> Value {
    let mut params = serde_json::Map::new();
    for name in names {
        if drawn.below(3) > 0 {
            params.insert(name.clone(), hostile_value(drawn));
        }
    }
    if drawn.below(8) == 0 {
        params.insert(
            (*drawn.of(&["method", "url", "host", "headers", "__proto__"])).to_owned(),
            hostile_value(drawn),
        );
    }
    params.into()
}

fn names_of(name: &str) -> Vec<String> {
    let catalogue = &POLICY.tools;
    let params = match (catalogue.recipe(name), catalogue.tool(name)) {
        (Some(recipe), _) => &recipe.params,
        (None, Some(tool)) => &tool.params,
        (None, None) => return vec!["userId".to_owned(), "q".to_owned()],
    };
    params.iter().map(|param| param.name.clone()).collect()
}

fn hostile_plan(drawn: &mut Drawn) -> Wanted {
    let tools: Vec<&str> = POLICY
        .tools
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    let recipes: Vec<&str> = POLICY
        .tools
        .recipes
        .iter()
        .map(|recipe| recipe.name.as_str())
        .collect();
    let strange = [
        "delete_user",
        "lock_account",
        "POST /api/v1/users",
        "http://evil.example",
        "list_users; rm",
        "",
    ];
    let tool = |drawn: &mut Drawn| match drawn.below(6) {
        0 => (*drawn.of(&strange)).to_owned(),
        1 => "list_users".to_owned(),
        _ => (*drawn.of(&tools)).to_owned(),
    };
    if drawn.below(2) == 0 {
        let name = if drawn.below(3) == 0 {
            (*drawn.of(&recipes)).to_owned()
        } else {
            tool(drawn)
        };
        let params = hostile_params(drawn, &names_of(&name));
        return Wanted::Call {
            params: serde_json::from_value(params).unwrap(),
            tool: name,
            by_form: Vec::new(),
            after: None,
        };
    }
    let mut steps = vec![
        json!({"users": {"call": "list_users", "with": hostile_params(drawn, &["status".to_owned()])}}),
    ];
    for number in 0..1 + drawn.below(3) {
        let name = tool(drawn);
        let with = hostile_params(drawn, &names_of(&name));
        let step = match drawn.below(6) {
            0 => json!({"call": name, "with": with}),
            1 => {
                json!({"call": "get_user", "each": "users", "with": {"userId": "$users.id"}, "post": "x"})
            }
            2 => {
                json!({"call": "list_user_factors", "each": "users", "with": {"userId": *drawn.of(&["$users.id", "$users.login", "$users.zzz", "zzz"])}})
            }
            3 => json!({"from": "users", "filter": {"login": hostile_value(drawn)}}),
            4 => {
                json!({"anti_join": "users", "with": "users", "on": {"id": "id"}, "sort": hostile_value(drawn)})
            }
            _ => json!({"call": name, "with": with, "delete": "/api/v1/users"}),
        };
        steps.push(json!({format!("s{number}"): step}));
    }
    Wanted::Plan {
        steps: steps.into(),
    }
}

#[test]
fn no_hostile_plan_reaches_beyond_the_registry_and_the_question() {
    let operations = POLICY.tools.tools.iter();
    let registry = Registry::new(
        operations
            .map(|tool| Operation::get(&tool.path, &tool.rate_limit, ""))
            .collect(),
    );
    let (mut drawn, mut refused, mut asked) = (Drawn(11), BTreeMap::new(), 0);
    for _ in 0..10_000 {
        let wanted = hostile_plan(&mut drawn);
        let (_, outcome) = check(ASKED, &wanted, &POLICY.tools, None, &Limits::default());
        let plan = match outcome {
            Ok(plan) => plan,
            Err(why) => {
                *refused.entry(why.code).or_insert(0) += 1;
                continue;
            }
        };
        let mut memory = Memory::default();
        let lists = Lists::default();
        let asking = Asking {
            catalogue: &POLICY.tools,
            lists: &lists,
            limits: Limits::default(),
            now: now(),
        };
        execute(&plan, &asking, &mut memory);
        for (path, query) in &memory.sent {
            asked += 1;
            assert!(registry.permits("GET", path), "{wanted:?}: {path}");
            let all = format!("{path} {query:?}");
            let all = all.replace("%40", "@").replace("%20", " ");
            for evil in EVIL.iter().chain(&["zzz", "evil", "77"]) {
                assert!(!all.contains(evil), "{wanted:?}: {all}");
            }
        }
    }
    // Each check has something to do, and some plans pass them all.
    for code in ["unknown_tool", "parameter", "ungrounded"] {
        assert!(
            refused.get(code).is_some_and(|count| *count > 300),
            "{refused:?}"
        );
    }
    assert!(asked > 300, "{asked} {refused:?}");
}

/// The owner's questions, through the whole program, against the emulated tenant.
#[test]
fn the_program_answers_keeps_and_repeats() {
    let folder = tempfile::tempdir().unwrap();
    let tenant = tenant::start(Scenario::built_in(1), Options::default()).unwrap();
    let token = tenant.token().unwrap();
    let said = |words: &[&str], with_tenant: bool| {
        let mut command = program();
        command
            .arg("--data")
            .arg(folder.path().join("data"))
            .args(words)
            .current_dir(root());
        if with_tenant {
            command
                .env("OKTA_ORG_URL", tenant.origin())
                .env("OKTA_API_TOKEN", &token)
                .env("OKTA_ALLOW_PRIVATE", "true");
        }
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let talk = String::from_utf8(output.stderr).unwrap();
        assert!(
            !text.contains(&token) && !talk.contains(&token),
            "{text}{talk}"
        );
        (text, talk, output.status.code().unwrap())
    };
    let (text, _, code) = said(
        &[
            "ask",
            "List users with role = admin and lastLogin > 30 days",
        ],
        true,
    );
    assert!(
        text.contains("2 rows") && text.contains("Help Desk Administrator"),
        "{text}"
    );
    assert_eq!(code, 0);
    let (text, _, code) = said(
        &[
            "ask",
            "Which active users have GitHub access via app assignment?",
            "--format",
            "json",
        ],
        true,
    );
    let record: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (record["answer"]["rows"].as_array().unwrap().len(), code),
        (13, 0)
    );
    assert_eq!(
        record["answer"]["calls"][0]["request"],
        "GET /api/v1/apps?limit=200&q=GitHub"
    );
    let (text, _, code) = said(&["ask", "Show MFA status for contractors"], true);
    assert!(
        text.starts_with("I don't know (no_attribute)")
            && text.contains("GET /api/v1/users?limit=200: 39 rows"),
        "{text}"
    );
    assert_eq!(code, 1);
    let (text, talk, code) = said(&["ask", "list groups"], false);
    assert!(
        text.is_empty() && talk.contains("not sent: GET /api/v1/groups?limit=1000"),
        "{text}{talk}"
    );
    assert_eq!(code, 3);
    // A recorded answer is shown again without a network, and holds as long as its bytes do.
    let id = record["id"].as_str().unwrap();
    let (again, _, code) = said(&["replay", id, "--format", "json"], false);
    assert_eq!(
        (serde_json::from_str::<Value>(&again).unwrap(), code),
        (record.clone(), 0)
    );
    // What the emulated tenant answers is what Okta's description says.
    let (text, _, code) = said(&["tools", "check", "--question", id], false);
    assert!(
        code == 0 && text.contains("0 tools to look at") || text == "no tool differs\n",
        "{text}"
    );
    let (_, talk, code) = said(&["ask", "--repeat", id], true);
    assert!(talk.contains(&format!("the same rows as {id}")), "{talk}");
    assert_eq!(code, 0);
    let path = folder.path().join(format!("data/questions/{id}.json"));
    let kept = fs::read_to_string(&path).unwrap();
    fs::write(&path, kept.replace("dan.weiss", "eve.weiss")).unwrap();
    let (text, talk, code) = said(&["replay", id], false);
    assert!(
        text.is_empty() && talk.contains("does not follow from what was recorded"),
        "{text}{talk}"
    );
    assert_eq!(code, 1);
    let (text, _, code) = said(&["replay", "q-000000000000"], false);
    assert_eq!((text.as_str(), code), ("", 3));
    let (text, _, _) = said(&["ask", "--history"], false);
    assert_eq!(text.lines().count(), 4, "{text}");
    let (text, _, _) = said(
        &[
            "audit",
            "verify",
            "--data",
            folder.path().join("data/questions").to_str().unwrap(),
        ],
        false,
    );
    assert!(text.contains("whole") || text.contains("verif"), "{text}");
}

#[test]
fn answers_that_are_not_as_described_are_told() {
    let tool = POLICY.tools.tool("list_apps").unwrap();
    let schema = fs::read_to_string(root().join("schemas/responses/Application.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let row = json!({"id": "a", "label": "GitHub", "status": "ACTIVE", "signOnMode": "SAML_2_0", "created": "2025-01-01T00:00:00.000Z", "_links": {"x": {"y": 1}}});
    let told = |change: &dyn Fn(&mut Value)| {
        let mut row = row.clone();
        change(&mut row);
        drift_of_rows(tool, &schema, &[row])
    };
    assert_eq!(told(&|_| {}), None);
    let new = told(&|row| row["accessibility"] = json!({"wholly": {"new": 1}})).unwrap();
    assert_eq!(
        (new.new, new.is_alarming),
        (
            vec![
                "/accessibility/wholly".to_owned(),
                "/accessibility/wholly/new".to_owned()
            ],
            true
        )
    );
    let other = told(&|row| row["label"] = json!(7)).unwrap();
    assert_eq!(other.gone, ["/label"]);
    let gone = told(&|row| drop(row.as_object_mut().unwrap().remove("status"))).unwrap();
    assert!(
        gone.is_alarming && gone.what[0].contains("`status` is missing in 1 of 1 rows"),
        "{gone:?}"
    );
    // Null is no type of its own.
    assert_eq!(told(&|row| row["label"] = Value::Null), None);
}

#[test]
fn a_newer_description_is_compared_path_by_path() {
    let path = |row: Value| {
        json!({"paths": {"/api/v1/zones": {"get": {"operationId": "listNetworkZones", "summary": "Zones", "security": [{"oauth2": ["okta.networkZones.read"]}],
        "parameters": [{"name": "after", "in": "query"}, {"name": "limit", "in": "query", "schema": {"maximum": 200}}],
        "responses": {"200": {"content": {"application/json": {"schema": {"type": "array", "items": row}}}}}}}}})
    };
    let text = |kind: &str| json!({"type": kind});
    let row = json!({"type": "object", "properties": {"id": text("string"), "name": text("string"), "size": text("integer")}});
    let before = path(row.clone());
    let imported = import(&before, &[Select::parse("list*").unwrap()]);
    assert_eq!(
        imported.tools["list_network_zones"],
        "  list_network_zones:\n    description: Zones\n    get: /api/v1/zones\n    scopes: [okta.networkZones.read]\n    query: {limit: 200}\n    pages: link\n    columns: {id: /id?, name: /name?, size: /size?}\n    response: {$ref: schemas/responses/listNetworkZones.json}\n    imported: true\n"
    );
    let file = format!(
        "commands: {{}}\ntools:\n{}",
        imported.tools["list_network_zones"]
    );
    let mut problems = Problems::default();
    let id = problems.add_file("tools.yaml", &file);
    let node = rulectl::document::parse_yaml(id, &file, &mut problems).unwrap();
    let catalogue = decode_tools(&node, None, &mut problems);
    assert!(!problems.has_errors());
    let schema = |_: &str| imported.schemas.values().next().cloned();
    assert_eq!(drift(&catalogue, &before, &schema), []);
    let mut without = row.clone();
    without["properties"]
        .as_object_mut()
        .unwrap()
        .remove("size");
    let told = drift(&catalogue, &path(without), &schema);
    assert!(told[0].is_alarming && told[0].gone == ["/size"], "{told:?}");
    let mut more = row;
    more["properties"]["more"] = text("string");
    let told = drift(&catalogue, &path(more), &schema);
    assert_eq!(
        (told[0].is_alarming, told[0].new.as_slice()),
        (false, ["/more".to_owned()].as_slice())
    );
    let told = drift(&catalogue, &json!({"paths": {}}), &schema);
    assert_eq!(told[0].what, ["GET /api/v1/zones is gone"]);
}

#[test]
fn what_a_service_app_may_not_ask_is_disabled_and_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n";
    fs::write(folder.path().join("key.pem"), pem).unwrap();
    let said = |words: &[&str]| {
        let output = program()
            .arg("--data")
            .arg(folder.path().join("data"))
            .args(words)
            .current_dir(root())
            .env("OKTA_ORG_URL", "https://acme.okta.com")
            .env("OKTA_CLIENT_ID", "0oa1")
            .env("OKTA_PRIVATE_KEY_FILE", folder.path().join("key.pem"))
            .env("OKTA_SCOPES", "okta.logs.read okta.users.read")
            .output()
            .unwrap();
        let talk = String::from_utf8(output.stderr).unwrap();
        (
            String::from_utf8(output.stdout).unwrap(),
            talk,
            output.status.code().unwrap(),
        )
    };
    let (text, talk, code) = said(&["tools", "list"]);
    assert_eq!(code, 0, "{talk}");
    let line = |name: &str| {
        text.lines()
            .find(|line| line.split_whitespace().nth(1) == Some(name))
            .unwrap()
    };
    assert!(
        line("list_groups").ends_with("disabled: okta.groups.read was not granted"),
        "{text}"
    );
    assert!(!line("list_users").contains("disabled") && !line("sign_ins").contains("disabled"));
    assert!(line("app_users_without_mfa").ends_with("disabled: okta.apps.read was not granted"));
    let (text, talk, code) = said(&["ask", "list groups"]);
    assert!(
        text.starts_with("refused (scope)") && text.contains("not sent: GET /api/v1/groups"),
        "{text}{talk}"
    );
    assert_eq!(code, 1);
}
