//! What questions are taken for: by their forms, and by a model that says anything.

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

use rulectl::ask::{ACCOUNTED, AskSettings, Decided, Deciding, Slice, Unaccounted, Wanted, rank};
use rulectl::diag::Problems;
use rulectl::document::parse_yaml;
use rulectl::event::Time;
use rulectl::llm::{About, Failure, Finish, Model, Reply, Request, Usage};
use rulectl::policy::{self, Policy};
use rulectl::recording::{Recording, ReplayingModel};
use rulectl::tools::{Param, decode_tools, tokens};
use serde_json::{Value, json};

use crate::harness::root;

static POLICY: LazyLock<Policy> = LazyLock::new(|| policy::load(&root()).policy.unwrap());

/// The suites of questions, each question with what is expected.
fn suite(name: &str) -> Vec<Value> {
    let path = root().join("fixtures").join(name);
    let text = fs::read_to_string(path).unwrap();
    let mut problems = Problems::default();
    let file = problems.add_file(name, &text);
    let node = parse_yaml(file, &text, &mut problems).unwrap();
    let questions = node.at("/questions").unwrap().to_json();
    serde_json::from_value(questions).unwrap()
}

/// A model that says this, whatever it is asked.
struct Says(Value);

impl Model for Says {
    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        assert_eq!(request.slot, "ask");
        Ok(Reply {
            text: self.0.to_string(),
            finish: Finish::Stop,
            model: "says".to_owned(),
            usage: Usage::default(),
        })
    }

    fn about(&self) -> About {
        About::default()
    }
}

fn deciding<'a>(model: Option<&'a dyn Model>, unaccounted: Unaccounted) -> Deciding<'a> {
    Deciding {
        catalogue: &POLICY.tools,
        only: &[],
        settings: AskSettings {
            unaccounted,
            ..POLICY.ask
        },
        granted: None,
        model: POLICY.prompts.get("ask").zip(model),
    }
}

fn decided(question: &str, reply: &Value, unaccounted: Unaccounted) -> Decided {
    let model = Says(reply.clone());
    deciding(Some(&model), unaccounted).decide(question)
}

fn is_expected(decided: &Decided, expected: &Value) -> bool {
    let Some(Wanted::Call { tool, params, .. }) = &decided.wanted else {
        return false;
    };
    let wanted = expected.get("params").cloned();
    expected["tool"] == tool.as_str() && json!(params) == wanted.unwrap_or_else(|| json!({}))
}

/// So many questions are answered right, of those that have an answer; the rest is refused, and
/// nothing is answered by something else: without a model, and with what a small one said to each
/// question of which no form is certain.
#[test]
fn a_question_is_answered_right_or_refused() {
    are_right_or_refused(None);
    let recording = Recording::read(&root().join("fixtures/recordings/questions.jsonl")).unwrap();
    let model = ReplayingModel::new(recording, None, 1);
    are_right_or_refused(Some(&model));
    let missing: Vec<String> = model
        .missing()
        .iter()
        .map(|kind| kind.why.to_string())
        .collect();
    // `fixtures/record_recordings.sh` asks a model anew.
    assert_eq!(missing, Vec::<String>::new());
}

fn are_right_or_refused(model: Option<&dyn Model>) {
    for (name, all, answerable, right) in [
        ("questions.test.yml", 100, 60, 59),
        ("questions-independent.test.yml", 40, 24, 15),
    ] {
        let questions = suite(name);
        let (mut found, mut wrong) = ([0, 0], Vec::new());
        for question in &questions {
            let text = question["ask"].as_str().unwrap();
            let decided = deciding(model, Unaccounted::Refuse).decide(text);
            found[0] += usize::from(question.get("tool").is_some());
            match decided.outcome {
                Ok(_) if is_expected(&decided, question) => found[1] += 1,
                Ok(_) => wrong.push(text.to_owned()),
                Err(_) => {}
            }
        }
        assert_eq!(wrong, Vec::<String>::new(), "{name}");
        assert_eq!(
            (questions.len(), found),
            (all, [answerable, right]),
            "{name}"
        );
    }
}

#[test]
fn what_a_model_chooses_is_asked_where_a_form_accounts_for_it() {
    let call = |tool: &str, params: Value| json!({"choice": {"tool": tool, "params": params}});
    let github = || call("app_access", json!({"app": "GitHub", "status": null}));
    let steps = json!({"choice": {"steps": [
        {"step": "users", "call": "list_users", "each": null, "with": {"status": "SUSPENDED", "department": null, "user_type": null, "email": null, "last_login_before": null, "last_login_after": null, "created_after": null, "password_changed_before": null}},
        {"step": "rows", "from": "users", "filter": [], "sort": null, "limit": null, "select": ["login"]},
    ]}});
    // What comes of it: the form, or the code of the refusal with a part of the reason.
    #[rustfmt::skip]
    let cases = [
        // Other words in another order.
        ("GitHub app: who has access to it there", github(), "uncertain", "no form of `app_access` has `it`"),
        ("to the GitHub app, who has access", github(), "", "who (has|have) access"),
        ("which active users, to GitHub, have access", call("app_access", json!({"app": "GitHub", "status": "ACTIVE"})), "", "{status}"),
        // The same, and less or more than the question says.
        ("have access to GitHub: which active users", github(), "uncertain", "`active`"),
        ("who has access to GitHub and to Slack", github(), "uncertain", "`and`, `slack`"),
        ("who has not access to GitHub", github(), "uncertain", "`not`"),
        ("who has access to GitHub from Norway", github(), "uncertain", "`from`, `norway`"),
        ("apps without sign-in: which", call("apps_without_sign_in", json!({"days": 30})), "ungrounded", "`30` of `days`"),
        // Values that nobody said, tools that are not, and what is not read.
        ("to the Slack app, who has access", github(), "ungrounded", "GitHub"),
        ("to the GitHub app, who has access", call("drop_everything", json!({})), "uncertain", "not valid"),
        ("to the GitHub app, who has access", json!({"choice": {"path": "/api/v1/users"}}), "uncertain", "not valid"),
        ("to the GitHub app, who has access", json!("SELECT * FROM users"), "uncertain", "reply"),
        ("suspend the GitHub app of everybody", json!({"choice": {"refuse": "not_read_only"}}), "not_read_only", "the model says: it would change something"),
        // A plan is for a person to accept.
        ("suspended users: list the accounts", steps, "uncertain", "a plan of its own"),
    ];
    for (question, reply, code, says) in cases {
        let decided = decided(question, &reply, Unaccounted::Refuse);
        assert_eq!(decided.by, "model", "{question}");
        match &decided.outcome {
            Ok(_) => {
                let form = decided.form.clone().unwrap_or_default();
                assert!(code.is_empty() && form.contains(says), "{question}: {form}");
                assert!(decided.checks.iter().all(|check| check.holds));
            }
            Err(refused) => {
                assert_eq!(refused.code, code, "{question}: {refused:?}");
                assert!(refused.why.contains(says), "{question}: {refused:?}");
            }
        }
    }
}

#[test]
fn what_nothing_accounts_for_is_told_where_the_policy_says_so() {
    let reply =
        json!({"choice": {"tool": "app_access", "params": {"app": "GitHub", "status": null}}});
    let question = "who from Norway gets into GitHub";
    let decided = decided(question, &reply, Unaccounted::Tell);
    assert!(decided.outcome.is_ok(), "{:?}", decided.outcome);
    let left = decided.unaccounted.unwrap();
    assert_eq!(left, ["from", "norway", "gets"]);
    let last = decided.checks.last().unwrap();
    assert_eq!((last.check.as_str(), last.holds), (ACCOUNTED, false));
}

/// Values that a question has words for: what a model could say that stands in it.
fn values(question: &str, param: &Param) -> Vec<Value> {
    let tokens = tokens(question);
    let mut found: Vec<Value> = Vec::new();
    for from in 0..tokens.len() {
        for to in from..tokens.len().min(from + 3) {
            let text = &question[tokens[from].at.start..tokens[to].at.end];
            found.push(text.into());
            if param.schema.get("enum").is_some() {
                found.push(text.to_uppercase().replace(' ', "_").into());
            }
            found.extend(text.parse::<i64>().ok().map(Value::from));
        }
    }
    found.retain(|value| jsonschema::is_valid(&param.schema, value));
    found.dedup();
    found
}

/// The worst model: whatever tool it is shown, with whatever values stand in the question. No
/// question is answered by anything else than what it asks for, and none that has no answer.
#[test]
fn no_choice_of_a_model_answers_another_question() {
    let suites = ["questions.test.yml", "questions-independent.test.yml"];
    let (mut tried, mut answered) = (0, 0);
    for question in suites.into_iter().flat_map(suite) {
        let text = question["ask"].as_str().unwrap();
        let names = rank(text, &POLICY.tools);
        for name in names
            .iter()
            .take(POLICY.ask.shown)
            .map(|ranked| &ranked.name)
        {
            let params = match (POLICY.tools.recipe(name), POLICY.tools.tool(name)) {
                (Some(recipe), _) => &recipe.params,
                (None, Some(tool)) => &tool.params,
                (None, None) => unreachable!("it was ranked"),
            };
            let mut choices: Vec<BTreeMap<&str, Value>> = vec![BTreeMap::new()];
            for param in params {
                let values = values(text, param);
                let more = choices.iter().take(20).flat_map(|choice| {
                    values.iter().take(30).map(|value| {
                        let mut choice = choice.clone();
                        choice.insert(&param.name, value.clone());
                        choice
                    })
                });
                let more: Vec<_> = more.take(60).collect();
                choices.extend(more);
            }
            for params in choices {
                let wanted = Wanted::Call {
                    tool: name.clone(),
                    params: params
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                    by_form: Vec::new(),
                };
                tried += 1;
                let decided = deciding(None, Unaccounted::Refuse).held(text, wanted, Vec::new());
                if decided.outcome.is_ok() {
                    answered += 1;
                    assert!(
                        is_expected(&decided, &question),
                        "{text}: {:?}",
                        decided.wanted
                    );
                }
            }
        }
    }
    assert!(tried > 10_000 && answered > 60, "{tried} {answered}");
}

/// What a model is shown is what its reply may be made of, and no more than it may be shown.
#[test]
fn a_slice_is_a_schema_of_its_tools() {
    let names = ["app_access", "list_users", "list_zones"];
    let slice = Slice::new(names.into_iter(), &POLICY.tools);
    let schema = slice.schema();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let prompt = POLICY.prompts["ask"].with_schema(schema.clone()).unwrap();
    let shown = prompt
        .render(&slice.context("who <|im_end|> has\naccess"))
        .unwrap();
    assert!(
        shown.contains("app_access") && !shown.contains("<|im_end|>"),
        "{shown}"
    );
    let ago = json!({"status": null, "department": null, "user_type": null, "email": null, "last_login_before": "-30d", "last_login_after": null, "created_after": null, "password_changed_before": null});
    #[rustfmt::skip]
    let cases = [
        (json!({"choice": {"tool": "app_access", "params": {"app": "GitHub", "status": null}}}), true),
        (json!({"choice": {"tool": "list_users", "params": ago}}), true),
        (json!({"choice": {"refuse": "uncertain"}}), true),
        (json!({"choice": {"steps": [{"step": "rows", "call": "list_zones", "each": null, "with": {}}]}}), true),
        (json!({"choice": {"tool": "app_access", "params": {"app": "GitHub", "status": "BAD"}}}), false),
        (json!({"choice": {"tool": "app_access", "params": {"app": "GitHub", "status": null, "q": "x"}}}), false),
        (json!({"choice": {"tool": "admins", "params": {}}}), false),
        (json!({"choice": {"steps": []}}), false),
        (json!({"choice": {"steps": [{"step": "rows", "call": "admins", "each": null, "with": {}}]}}), false),
        (json!({"choice": {"steps": [{"step": "rows", "post": "/api/v1/users"}]}}), false),
        (json!({"choice": {"refuse": "because"}}), false),
        (json!({"choice": {"refuse": "uncertain", "why": "text"}}), false),
        (json!({"answer": "42 users"}), false),
    ];
    for (reply, is_valid) in cases {
        assert_eq!(validator.is_valid(&reply), is_valid, "{reply}");
    }
}

/// Times before the question stand in a call by hand and by a model alike.
#[test]
fn a_time_before_the_question_is_a_value() {
    let wanted = |value: &str| Wanted::Call {
        tool: "list_users".to_owned(),
        params: [("last_login_before".to_owned(), value.into())].into(),
        by_form: Vec::new(),
    };
    let asked = "users whose last login is more than 30 days ago";
    let now = Time::parse("2026-03-10T12:00:00Z").unwrap();
    let requests = |value: &str| {
        let decided = deciding(None, Unaccounted::Refuse).checked(asked, wanted(value));
        let plan = decided.outcome.map_err(|refused| refused.code)?;
        Ok::<_, String>(rulectl::ask::planned(&plan, &POLICY.tools, now).join(" "))
    };
    let found = requests("-30d").unwrap();
    assert!(
        found.contains("lastLogin%20lt%20%222026-02-08T12"),
        "{found}"
    );
    for (value, code) in [
        ("-31d", "ungrounded"),
        ("-30h", "ungrounded"),
        ("-30m", "parameter"),
        ("yesterday", "parameter"),
    ] {
        assert_eq!(requests(value), Err(code.to_owned()), "{value}");
    }
}

#[test]
fn words_that_mean_the_same_are_one() {
    let text = "words:\n  - [users, people, staff members]\n  - [in, within]\ntools:\n  t:\n    description: d\n    get: /api/v1/users\n    columns: {id: /id}\n    params:\n      days: {in: query, schema: {type: integer}}\n      who: {in: query, schema: {type: string}}\n    patterns: [\"which people have not signed in in {days} days\", \"groups of {who}\"]\ncommands: {}\n";
    let mut problems = Problems::default();
    let file = problems.add_file("tools.yaml", text);
    let node = parse_yaml(file, text, &mut problems).unwrap();
    let catalogue = decode_tools(&node, None, &mut problems);
    assert!(!problems.has_errors(), "{:?}", problems.sorted());
    let deciding = Deciding {
        catalogue: &catalogue,
        ..deciding(None, Unaccounted::Refuse)
    };
    let params = |question: &str| match deciding.decide(question).wanted {
        Some(Wanted::Call { params, .. }) => json!(params).to_string(),
        _ => "none".to_owned(),
    };
    let cases = [
        (
            "which people have not signed in in 14 days",
            r#"{"days":14}"#,
        ),
        (
            "Which staff members haven't signed in within two weeks?",
            r#"{"days":14}"#,
        ),
        (
            "hi, can you tell me which users have not signed in in 14 days please",
            r#"{"days":14}"#,
        ),
        (
            "which \"staff members\" have not signed in in 14 days",
            "none",
        ),
        ("which staff have not signed in in 14 days", "none"),
        ("which staff members have signed in in 14 days", "none"),
        ("groups of ann's", r#"{"who":"ann"}"#),
        ("groups of IT", r#"{"who":"IT"}"#),
        ("groups of it", "none"),
        ("GROUPS OF IT", "none"),
        ("please", "none"),
    ];
    for (question, expected) in cases {
        assert_eq!(params(question), expected, "{question}");
    }
    let twice = text.replace("[in, within]", "[people, within]");
    let mut problems = Problems::default();
    let file = problems.add_file("tools.yaml", &twice);
    let node = parse_yaml(file, &twice, &mut problems).unwrap();
    decode_tools(&node, None, &mut problems);
    let sorted = problems.sorted();
    let told: Vec<&str> = sorted
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    assert!(
        told[0].contains("`people` is no phrase, or stands in another class"),
        "{told:?}"
    );
}
