//! The organization that is built in: some 40 people of a small company, what they use, and who
//! administers it. Who of them is a contractor is nowhere said.

mod security;

use serde_json::{Map, Value, json};

use super::{
    App, AuthorizationServer, Domain, EventHook, Factor, Group, LogSettings, LogStream, Moment,
    Role, Scenario, Token, TrustedOrigin, User,
};
use crate::tenant::seed::Seed;

/// People: given name, family name, department, title.
const PEOPLE: [(&str, &str, &str, &str); 42] = [
    ("Alice", "Moreau", "Security", "Head of Security"),
    ("Bob", "Tanaka", "IT", "Systems Administrator"),
    ("Carol", "Okafor", "IT", "Help Desk Lead"),
    ("Dan", "Weiss", "IT", "Help Desk Agent"),
    ("Erin", "Castillo", "Security", "Security Analyst"),
    ("Frank", "Lindqvist", "Engineering", "Engineering Manager"),
    ("Grace", "Adeyemi", "Engineering", "Staff Engineer"),
    ("Heidi", "Novak", "Engineering", "Software Engineer"),
    ("Ivan", "Petrov", "Engineering", "Software Engineer"),
    ("Judy", "Hansen", "Engineering", "Software Engineer"),
    ("Karl", "Brandt", "Engineering", "Site Reliability Engineer"),
    ("Lena", "Rossi", "Engineering", "Software Engineer"),
    ("Mallory", "Quinn", "Engineering", "Data Engineer"),
    ("Niaj", "Rahman", "Engineering", "Software Engineer"),
    ("Olivia", "Chen", "Engineering", "Intern"),
    ("Peggy", "Dubois", "Sales", "Head of Sales"),
    ("Quentin", "Marsh", "Sales", "Account Executive"),
    ("Rupert", "Stein", "Sales", "Account Executive"),
    ("Sybil", "Nakamura", "Sales", "Sales Engineer"),
    ("Trent", "Alvarez", "Sales", "Account Executive"),
    ("Uma", "Iyer", "Finance", "Chief Financial Officer"),
    ("Victor", "Lang", "Finance", "Controller"),
    ("Wendy", "Sato", "Finance", "Accountant"),
    ("Xavier", "Pons", "Finance", "Accountant"),
    ("Yara", "Haddad", "People", "Head of People"),
    ("Zoe", "Klein", "People", "Recruiter"),
    ("Aaron", "Boyd", "People", "Recruiter"),
    ("Beth", "Larsen", "Support", "Head of Support"),
    ("Cyrus", "Amin", "Support", "Support Engineer"),
    ("Dora", "Vega", "Support", "Support Engineer"),
    ("Elias", "Wolf", "Support", "Support Engineer"),
    ("Fatima", "Noor", "Marketing", "Head of Marketing"),
    ("Gustav", "Ek", "Marketing", "Designer"),
    ("Hana", "Kim", "Marketing", "Writer"),
    ("Igor", "Markov", "Engineering", "Software Engineer"),
    ("Jana", "Cerny", "Engineering", "Software Engineer"),
    ("Kofi", "Mensah", "Support", "Support Engineer"),
    ("Liam", "Byrne", "Sales", "Account Executive"),
    ("Mira", "Shah", "Engineering", "Software Engineer"),
    ("Noel", "Fontaine", "Finance", "Accountant"),
    ("Oscar", "Reyes", "Marketing", "Intern"),
    ("Paula", "Horn", "Sales", "Account Executive"),
];

/// Those whose status is not `ACTIVE`, by their place among the people.
const STATUSES: [(usize, &str); 8] = [
    (14, "STAGED"),
    (17, "SUSPENDED"),
    (23, "LOCKED_OUT"),
    (26, "DEPROVISIONED"),
    (33, "RECOVERY"),
    (36, "SUSPENDED"),
    (39, "DEPROVISIONED"),
    (41, "DEPROVISIONED"),
];

/// Applications: Okta's name, label, mode, the groups that have it, how many people besides.
const APPS: [(&str, &str, &str, &[&str], usize); 12] = [
    ("githubcloud", "GitHub", "SAML_2_0", &["Engineering"], 3),
    ("salesforce", "Salesforce", "SAML_2_0", &["Sales"], 2),
    (
        "amazon_aws",
        "AWS Production",
        "SAML_2_0",
        &["Platform Admins"],
        4,
    ),
    ("slack", "Slack", "SAML_2_0", &["Everyone"], 0),
    ("google", "Google Workspace", "SAML_2_0", &["Everyone"], 0),
    (
        "jira_onprem",
        "Jira",
        "SAML_2_0",
        &["Engineering", "Support"],
        1,
    ),
    ("zendesk", "Zendesk", "SAML_2_0", &["Support"], 1),
    ("workday", "Workday", "SAML_2_0", &["People"], 2),
    ("netsuite", "NetSuite", "SAML_2_0", &["Finance"], 1),
    ("datadog", "Datadog", "SAML_2_0", &["Engineering"], 0),
    ("bookmark", "Intranet", "BOOKMARK", &["Everyone"], 0),
    (
        "oidc_client",
        "Deployment Service",
        "OPENID_CONNECT",
        &[],
        0,
    ),
];

/// The scenario.
pub fn scenario(seed: Seed) -> Scenario {
    let users: Vec<User> = (0..PEOPLE.len())
        .filter_map(|place| user(seed, place))
        .collect();
    let groups = groups();
    Scenario {
        org: "Example Robotics".to_owned(),
        tokens: tokens(),
        factors: factors(seed, &users),
        apps: apps(seed),
        roles: roles(),
        policies: security::policies(),
        zones: security::zones(),
        devices: security::devices(&users),
        idps: security::idps(),
        authorization_servers: vec![AuthorizationServer {
            name: "default".to_owned(),
            audiences: vec!["api://default".to_owned()],
            scopes: owned(&["orders.read", "orders.write", "robots.control"]),
            policies: owned(&["Default Policy"]),
        }],
        event_hooks: vec![EventHook {
            name: "Security Events".to_owned(),
            url: "https://hooks.robotics.example/okta".to_owned(),
            events: owned(&["user.account.lock", "user.lifecycle.suspend"]),
            status: None,
        }],
        behaviors: security::behaviors(),
        log_streams: vec![LogStream {
            name: "Archive".to_owned(),
            status: None,
        }],
        trusted_origins: vec![TrustedOrigin {
            name: "Customer portal".to_owned(),
            origin: "https://portal.robotics.example".to_owned(),
            scopes: owned(&["CORS", "REDIRECT"]),
        }],
        domains: vec![Domain {
            domain: "login.robotics.example".to_owned(),
        }],
        log: LogSettings {
            built_in: true,
            ..LogSettings::default()
        },
        users,
        groups,
        ..Scenario::default()
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn login(place: usize) -> String {
    let Some((first, last, ..)) = PEOPLE.get(place) else {
        return String::new();
    };
    format!(
        "{}.{}@robotics.example",
        first.to_lowercase(),
        last.to_lowercase()
    )
}

fn logins(of: impl Fn(usize, &str) -> bool) -> Vec<String> {
    let people = PEOPLE.iter().enumerate();
    let chosen = people.filter(|(place, (_, _, department, _))| of(*place, department));
    chosen.map(|(place, _)| login(place)).collect()
}

fn status(place: usize) -> Option<&'static str> {
    let known = STATUSES.iter().find(|(held, _)| *held == place);
    known.map(|(_, status)| *status)
}

/// The last sign-in is up to 120 days ago; one in nine never signed in, and who is staged did not.
fn user(seed: Seed, place: usize) -> Option<User> {
    let (first, last, department, title) = PEOPLE.get(place)?;
    let login = login(place);
    let draw = |what: &str, below: u64| {
        i64::try_from(seed.number(&["user", &login, what], below)).unwrap_or(0)
    };
    let hours = match place % 3 {
        0 => draw("hours", 120 * 24),
        _ => draw("hours", 48),
    };
    let never = status(place) == Some("STAGED") || place % 17 == 13;
    let mut profile = Map::new();
    let mut say = |name: &str, value: Value| profile.insert(name.to_owned(), value);
    say("department", json!(department));
    say("title", json!(title));
    say("organization", json!("Example Robotics"));
    say("employeeNumber", json!(format!("{}", 1000 + place)));
    say("mobilePhone", Value::Null);
    say("locale", json!("en_US"));
    Some(User {
        first_name: (*first).to_owned(),
        last_name: (*last).to_owned(),
        status: status(place).map(str::to_owned),
        created: Some(Moment::days_ago(150 + draw("created", 900))),
        last_login: (!never)
            .then(|| Moment::FromStart(-(hours + 1) * 3600 * crate::tenant::time::SECOND)),
        status_changed: status(place).map(|_| Moment::days_ago(2 + draw("changed", 60))),
        password_changed: Some(Moment::days_ago(1 + draw("password", 140))),
        profile,
        id: None,
        login,
    })
}

fn groups() -> Vec<Group> {
    let not_gone = |place: usize| status(place) != Some("DEPROVISIONED");
    let everyone = Group {
        name: "Everyone".to_owned(),
        description: "All users in your organization".to_owned(),
        kind: Some("BUILT_IN".to_owned()),
        members: logins(|place, _| not_gone(place)),
        id: None,
    };
    let departments = [
        "Engineering",
        "Sales",
        "Finance",
        "People",
        "Support",
        "Marketing",
        "IT",
    ];
    let departments = departments.into_iter().map(|name| Group {
        name: name.to_owned(),
        description: format!("The {name} department"),
        members: logins(|place, department| department == name && not_gone(place)),
        ..Group::default()
    });
    let admins = [
        (
            "Platform Admins",
            "Who may change production",
            vec![1, 5, 6, 10],
        ),
        (
            "MFA Exempt",
            "Who need no second factor for a while",
            vec![12, 19],
        ),
    ];
    let admins = admins
        .into_iter()
        .map(|(name, description, members)| Group {
            name: name.to_owned(),
            description: description.to_owned(),
            members: members.into_iter().map(login).collect(),
            ..Group::default()
        });
    [everyone]
        .into_iter()
        .chain(departments)
        .chain(admins)
        .collect()
}

fn apps(seed: Seed) -> Vec<App> {
    let app = |(name, label, mode, groups, besides): &(&str, &str, &str, &[&str], usize)| {
        let chosen = (0..*besides).map(|number| {
            let words = ["app", label, &number.to_string()];
            seed.number(&words, 13)
        });
        let mut users: Vec<String> = chosen
            .filter_map(|place| usize::try_from(place).ok())
            .map(login)
            .collect();
        users.sort();
        users.dedup();
        App {
            name: (*name).to_owned(),
            label: (*label).to_owned(),
            sign_on_mode: Some((*mode).to_owned()),
            groups: owned(groups),
            users,
            ..App::default()
        }
    };
    APPS.iter().map(app).collect()
}

/// Most have a phone; some a key; a few nothing at all.
fn factors(seed: Seed, users: &[User]) -> Vec<Factor> {
    let mut factors = Vec::new();
    for user in users.iter().filter(|user| user.status.is_none()) {
        let drawn = seed.number(&["factor", &user.login], 10);
        let kinds: &[&str] = match drawn {
            0 => &[],
            1 => &["sms"],
            2 | 3 => &["push", "token:software:totp", "webauthn"],
            4 => &["token:software:totp", "sms"],
            5 => &["webauthn"],
            _ => &["push", "token:software:totp"],
        };
        factors.extend(kinds.iter().map(|kind| Factor {
            user: user.login.clone(),
            kind: (*kind).to_owned(),
            ..Factor::default()
        }));
    }
    factors
}

fn roles() -> Vec<Role> {
    let by_user = [
        (0, "SUPER_ADMIN", None),
        (1, "SUPER_ADMIN", None),
        (4, "READ_ONLY_ADMIN", None),
        (5, "ORG_ADMIN", None),
        (3, "HELP_DESK_ADMIN", None),
        (24, "CUSTOM", Some("Lifecycle Operator")),
    ];
    let by_user = by_user.into_iter().map(|(place, kind, label)| Role {
        user: Some(login(place)),
        kind: kind.to_owned(),
        label: label.map(str::to_owned),
        group: None,
    });
    let help_desk = Role {
        group: Some("IT".to_owned()),
        kind: "HELP_DESK_ADMIN".to_owned(),
        ..Role::default()
    };
    by_user.chain([help_desk]).collect()
}

fn tokens() -> Vec<Token> {
    let token = |name: &str, place: usize, days: i64| Token {
        name: name.to_owned(),
        user: Some(login(place)),
        created: Some(Moment::days_ago(days)),
        ..Token::default()
    };
    vec![token("rulectl", 0, 4), token("hr-sync", 1, 212)]
}
