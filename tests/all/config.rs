//! Where settings come from, and what is said of those that are wrong.

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use rulectl::config::{Config, Given, read};
use rulectl::diag::Problems;
use rulectl::llm::Budget;
use tempfile::TempDir;

/// What no message may show.
const CANARY: &str = "sk-canary-0f3a9c51d2";

/// A place to be configured in.
#[derive(Clone, Copy, Default)]
struct Written<'a> {
    toml: &'a str,
    dotenv: &'a str,
    environment: &'a [(&'a str, &'a str)],
    flags: &'a [(&'a str, &'a str)],
    /// The content of the file `key`.
    key: Option<&'a str>,
}

/// What is configured, and the problems: file, line, column, code, message.
fn configured(written: Written<'_>) -> (Config, Vec<String>) {
    let folder = TempDir::new().unwrap();
    for (name, text) in [("rulectl.toml", written.toml), (".env", written.dotenv)] {
        if !text.is_empty() {
            fs::write(folder.path().join(name), text).unwrap();
        }
    }
    if let Some(key) = written.key {
        fs::write(folder.path().join("key"), key).unwrap();
    }
    let environment = |name: &str| {
        let mut found = written
            .environment
            .iter()
            .filter(|(known, _)| *known == name);
        found.next().map(|(_, value)| OsString::from(value))
    };
    let mut problems = Problems::default();
    let given = Given {
        folder: folder.path(),
        environment: &environment,
        flags: written.flags,
    };
    let config = read(&given, &mut problems);
    let all = format!("{config:?} {problems:?}");
    assert!(!all.contains("canary"), "{all}");
    let place = folder.path().display().to_string();
    let told = problems.sorted().into_iter().map(|problem| {
        let at = problems.line_column(problem.span);
        let file = problems.file_name(problem.span.file);
        let (line, column) = (at.line, at.column);
        let message = problem.message.replace(&place, "FOLDER");
        format!("{file}:{line}:{column} {} {message}", problem.code)
    });
    let told = told.collect();
    (config, told)
}

#[track_caller]
fn says(written: Written<'_>, expected: &[&str]) {
    assert_eq!(configured(written).1, expected);
}

const BOTH: &str = "[llm]\nbase_url = \"http://toml/v1\"\nmodel = \"toml\"\n";

#[test]
fn flags_go_over_the_environment_over_dotenv_over_the_file() {
    let url = |written| configured(written).0.model().unwrap().base_url.clone();
    let mut written = Written {
        toml: BOTH,
        ..Written::default()
    };
    assert_eq!(url(written), "http://toml/v1");
    written.dotenv = "LLM_BASE_URL=http://dotenv/v1\n";
    assert_eq!(url(written), "http://dotenv/v1");
    written.environment = &[("LLM_BASE_URL", "http://environment/v1")];
    assert_eq!(url(written), "http://environment/v1");
    written.flags = &[("base_url", "http://flag/v1")];
    assert_eq!(url(written), "http://flag/v1");
    written.environment = &[("LLM_BASE_URL", "")];
    written.flags = &[];
    assert_eq!(
        url(written),
        "http://dotenv/v1",
        "an empty variable is none"
    );
}

#[test]
fn every_setting_is_read_in_every_place() {
    let toml = "[llm]\nbase_url = \"http://h/v1\"\nmodel = \"m\"\ntemperature = 0.5\ntimeout = \"30s\"\nconnect_timeout = \"2s\"\nretries = 1\nconcurrency = 8\nbudget_calls = 10\nbudget_tokens = 1000\nmax_reply_bytes = 2048\nproxy = \"http://p:3128\"\n";
    let values = [
        ("base_url", "http://h/v1"),
        ("model", "m"),
        ("temperature", "0.5"),
        ("timeout", "30s"),
        ("connect_timeout", "2s"),
        ("retries", "1"),
        ("concurrency", "8"),
        ("budget_calls", "10"),
        ("budget_tokens", "1000"),
        ("max_reply_bytes", "2048"),
        ("proxy", "http://p:3128"),
    ];
    let names = values.map(|(key, _)| format!("LLM_{}", key.to_uppercase()));
    let pairs = values.iter().zip(&names);
    let environment: Vec<_> = pairs
        .map(|((_, value), name)| (name.as_str(), *value))
        .collect();
    let dotenv: String = environment
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    let places = [
        Written {
            toml,
            ..Written::default()
        },
        Written {
            dotenv: &dotenv,
            ..Written::default()
        },
        Written {
            environment: &environment,
            ..Written::default()
        },
        Written {
            flags: &values,
            ..Written::default()
        },
    ];
    for written in places {
        let (config, problems) = configured(written);
        assert_eq!(problems, Vec::<String>::new());
        let settings = config.model().unwrap();
        assert_eq!(settings.base_url, "http://h/v1");
        assert_eq!(settings.model, "m");
        assert_eq!(settings.temperature, Some(0.5));
        assert_eq!(settings.timeout, Duration::from_secs(30));
        assert_eq!(settings.connect_timeout, Duration::from_secs(2));
        assert_eq!((settings.retries, settings.concurrency), (1, 8));
        let budget = Budget {
            calls: 10,
            tokens: 1000,
        };
        assert_eq!(settings.budget, budget);
        assert_eq!(settings.max_reply_bytes, 2048);
        assert_eq!(settings.proxy.as_deref(), Some("http://p:3128"));
        assert!(settings.key.is_none());
    }
}

#[test]
fn the_key_comes_from_the_environment_or_a_file() {
    let key = |written| {
        let (config, problems) = configured(Written {
            toml: BOTH,
            ..written
        });
        assert_eq!(problems, Vec::<String>::new());
        config
            .model()
            .unwrap()
            .key
            .as_ref()
            .map(|key| key.expose().to_owned())
    };
    let none = Written::default();
    let canary = Some(CANARY.to_owned());
    assert_eq!(key(none), None);
    assert_eq!(
        key(Written {
            environment: &[("LLM_API_KEY", CANARY)],
            ..none
        }),
        canary
    );
    let dotenv = &format!("export LLM_API_KEY='{CANARY}'\n");
    assert_eq!(key(Written { dotenv, ..none }), canary);
    let file = &format!("{CANARY}\n");
    let named = Written {
        dotenv: "LLM_API_KEY_FILE=key",
        key: Some(file),
        ..none
    };
    assert_eq!(key(named), canary);
    let over = Written {
        environment: &[("LLM_API_KEY", "other")],
        ..named
    };
    assert_eq!(key(over), Some("other".to_owned()));
    let toml = format!("{BOTH}api_key_file = \"key\"\n");
    let (config, problems) = configured(Written {
        toml: &toml,
        key: Some(file),
        ..none
    });
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(
        config
            .model()
            .unwrap()
            .key
            .as_ref()
            .map(|key| key.expose().to_owned()),
        canary
    );
}

#[test]
fn a_model_that_is_not_configured_is_said_to_be_missing() {
    let missing = |toml| {
        let (config, _) = configured(Written {
            toml,
            ..Written::default()
        });
        config.model().err().map(|error| error.to_string())
    };
    let expected =
        "no model is configured: set `LLM_BASE_URL`, or `base_url` below [llm] of rulectl.toml";
    assert_eq!(missing("").as_deref(), Some(expected));
    let expected =
        "no model is configured: set `LLM_MODEL`, or `model` below [llm] of rulectl.toml";
    assert_eq!(
        missing("[llm]\nbase_url = \"http://h/v1\"\n").as_deref(),
        Some(expected)
    );
    assert_eq!(missing(BOTH), None);
}

#[test]
fn every_problem_of_the_file_is_reported_at_its_place() {
    let toml = "speed = 1\n[llm]\nbase_url = \"h:1\"\nmodle = \"m\"\ntemperature = 3\ntimeout = \"soon\"\nconnect_timeout = \"2h\"\nretries = -1\nconcurrency = 0\nproxy = 4\nbudget_calls = \"many\"\nmax_reply_bytes = 1\n";
    says(
        Written {
            toml,
            ..Written::default()
        },
        &[
            "rulectl.toml:1:1 RL0011 unknown key `speed`",
            "rulectl.toml:3:12 RL0014 not the base URL of an endpoint",
            "rulectl.toml:4:1 RL0011 unknown key `modle`",
            "rulectl.toml:5:15 RL0014 `3` is out of range",
            "rulectl.toml:6:11 RL0014 `soon` is not a time span",
            "rulectl.toml:7:19 RL0014 a time that is out of range",
            "rulectl.toml:8:11 RL0013 expected a whole number, 0 or more, found `-1`",
            "rulectl.toml:9:15 RL0014 `0` is out of range",
            "rulectl.toml:10:9 RL0013 expected a text, found a number",
            "rulectl.toml:11:16 RL0013 expected a whole number, 0 or more, found a text",
            "rulectl.toml:12:19 RL0014 `1` is out of range",
        ],
    );
}

#[test]
fn problems_of_other_places_are_reported_with_them() {
    says(
        Written {
            toml: "[llm]\ntimeout = 30\n",
            dotenv: "OTHER='\nLLM_MODEL=\"m\nLLM_MODLE=m\nLLM_RETRIES=some\n",
            environment: &[("LLM_TIMEOUT", "30")],
            flags: &[("temperature", "warm")],
            ..Written::default()
        },
        &[
            ".env:2:1 RL0010 the quotes of `LLM_MODEL` are not closed",
            ".env:3:1 RL0011 `LLM_MODLE` is no setting and has no effect",
            ".env:4:1 RL0013 expected a whole number, 0 or more, found a text",
            "command line:1:19 RL0013 expected a number, found a text",
            "environment:1:13 RL0013 `30` has no unit",
            "rulectl.toml:2:11 RL0013 `30` has no unit",
        ],
    );
}

/// Wherever somebody puts the key, no message shows it.
#[test]
fn a_secret_in_a_wrong_place_is_reported_and_not_shown() {
    let toml = |text: &str, expected: &[&str]| {
        says(
            Written {
                toml: text,
                ..Written::default()
            },
            expected,
        )
    };
    let secret = |at: &str, key: &str| {
        format!(
            "rulectl.toml:{at} RL0702 `{key}` is a secret, which does not belong in a file of settings"
        )
    };
    toml(
        &format!("[llm]\napi_key = \"{CANARY}\"\n"),
        &[&secret("2:1", "api_key")],
    );
    toml(
        &format!("LLM_API_KEY = \"{CANARY}\"\n"),
        &[&secret("1:1", "LLM_API_KEY")],
    );
    toml(
        &format!("llm = {{api_key = \"\"\"\n{CANARY}\"\"\", x = 1}}\n"),
        &[
            "rulectl.toml:1:8 RL0702 `api_key` is a secret, which does not belong in a file of settings",
            "rulectl.toml:2:26 RL0011 unknown key `x`",
        ],
    );
    toml(
        &format!("[llm]\nbase_url = \"http://me:{CANARY}@h/v1\"\n"),
        &["rulectl.toml:2:12 RL0014 not the base URL of an endpoint"],
    );
    toml(
        &format!("[llm]\nproxy = \"http://me:{CANARY}@h:3128\"\n"),
        &["rulectl.toml:2:9 RL0014 not the URL of a proxy"],
    );
    toml(
        &format!("[llm]\napi_key = \"{CANARY}\n"),
        &["rulectl.toml:2:32 RL0010 not well-formed TOML"],
    );
    toml(
        &format!("api_key = {CANARY}\nx = ]"),
        &[
            "rulectl.toml:1:11 RL0010 not well-formed TOML",
            "rulectl.toml:2:5 RL0010 not well-formed TOML",
        ],
    );
    says(
        Written {
            dotenv: &format!(
                "LLM_API_KEY=\"{CANARY}\nLLM_API_KYE={CANARY}\n{CANARY}\nLLM_BASE_URL=http://me:{CANARY}@h\n"
            ),
            environment: &[("LLM_PROXY", &format!("http://me:{CANARY}@h"))],
            flags: &[("base_url", &format!("http://h/?{CANARY}"))],
            ..Written::default()
        },
        &[
            ".env:1:1 RL0010 the quotes of `LLM_API_KEY` are not closed",
            ".env:2:1 RL0011 `LLM_API_KYE` is no setting and has no effect",
            ".env:4:1 RL0014 not the base URL of an endpoint",
            "command line:1:16 RL0014 not the base URL of an endpoint",
            "environment:1:11 RL0014 not the URL of a proxy",
        ],
    );
}

#[test]
fn a_key_that_cannot_be_had_is_an_error() {
    let key = |environment: &[(&str, &str)], dotenv: &str, key: Option<&str>, expected: &[&str]| {
        says(
            Written {
                environment,
                dotenv,
                key,
                ..Written::default()
            },
            expected,
        );
    };
    key(
        &[("LLM_API_KEY", CANARY), ("LLM_API_KEY_FILE", "/nowhere")],
        "",
        None,
        &["environment:1:18 RL0703 both `LLM_API_KEY` and `LLM_API_KEY_FILE` are set"],
    );
    key(
        &[],
        "LLM_API_KEY_FILE=none",
        None,
        &[".env:1:1 RL0701 there is no key file `FOLDER/none`"],
    );
    key(
        &[],
        "LLM_API_KEY_FILE=.",
        None,
        &[".env:1:1 RL0701 the key file `FOLDER/.` cannot be read: it is not a regular file"],
    );
    key(
        &[],
        "LLM_API_KEY_FILE=key",
        Some("\n"),
        &[".env:1:1 RL0703 the key file `FOLDER/key` is empty"],
    );
    key(
        &[],
        "LLM_API_KEY_FILE=none",
        None,
        &[".env:1:1 RL0701 there is no key file `FOLDER/none`"],
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join(".env")).unwrap();
    fs::write(folder.path().join("rulectl.toml"), b"\xff").unwrap();
    let mut problems = Problems::default();
    let given = Given {
        folder: folder.path(),
        environment: &|_| None,
        flags: &[],
    };
    read(&given, &mut problems);
    let messages: Vec<_> = problems
        .sorted()
        .into_iter()
        .map(|p| p.message.as_str())
        .collect();
    let expected = [
        "`.env` cannot be read: it is not a regular file",
        "`rulectl.toml` cannot be read: it is not UTF-8 text",
    ];
    assert_eq!(messages, expected);
}

#[test]
fn every_setting_of_a_tenant_is_read_in_every_place() {
    let values = [
        ("org_url", "https://acme.okta.com"),
        ("client_id", "0oa1"),
        ("key_id", "kid1"),
        ("scopes", "okta.logs.read,okta.users.read"),
        ("allow_private", "true"),
        ("share", "0.25"),
        ("timeout", "30s"),
        ("connect_timeout", "2s"),
        ("retries", "1"),
        ("max_wait", "10s"),
        ("max_body_mib", "4"),
        ("warn_share", "0.5"),
        ("poll", "5s"),
        ("page", "50"),
        ("proxy", "http://p:3128"),
        ("private_key_file", "key"),
    ];
    let is_number =
        |key: &str| ["share", "retries", "max_body_mib", "warn_share", "page"].contains(&key);
    let quoted = |(key, value): &(&str, &str)| match *key {
        "allow_private" => format!("{key} = {value}\n"),
        key if is_number(key) => format!("{key} = {value}\n"),
        key => format!("{key} = \"{value}\"\n"),
    };
    let toml = format!("[okta]\n{}", values.iter().map(quoted).collect::<String>());
    let line = |(key, value): &(&str, &str)| format!("OKTA_{}={value}\n", key.to_uppercase());
    let dotenv: String = values.iter().map(line).collect();
    let read = |written: Written<'_>| {
        let (config, told) = configured(written);
        assert_eq!(told, [""; 0]);
        let mut settings = config.okta().unwrap().clone();
        settings.client.jitter = 0;
        let shown = format!("{settings:?}");
        assert!(shown.contains("***") && !shown.contains(CANARY), "{shown}");
        shown
    };
    let key = Some(CANARY);
    let in_toml = read(Written {
        toml: &toml,
        key,
        ..Written::default()
    });
    let in_dotenv = read(Written {
        dotenv: &dotenv,
        key,
        ..Written::default()
    });
    assert_eq!(in_toml, in_dotenv);
    for said in [
        "acme.okta.com",
        "0oa1",
        "kid1",
        "okta.users.read",
        "Private",
        "share: 0.25",
        "timeout: 30s",
        "retries: 1",
        "max_wait: 10s",
        "max_body: 4194304",
        "warn_share: 0.5",
        "poll: 5s",
        "page: 50",
        "p:3128",
    ] {
        assert!(in_toml.contains(said), "{said}: {in_toml}");
    }
}

#[test]
fn what_is_wrong_with_a_tenant_is_told_with_its_place() {
    let org = "[okta]\norg_url = \"https://acme.okta.com\"\n";
    let toml = |rest: &str| format!("{org}{rest}\n");
    let cases = [
        ("share = 0", "rulectl.toml:3:9 RL0014"),
        ("share = 1.5", "rulectl.toml:3:9 RL0014"),
        ("retries = 21", "rulectl.toml:3:11 RL0014"),
        ("poll = \"0s\"", "rulectl.toml:3:8 RL0014"),
        ("page = 1001", "rulectl.toml:3:8 RL0014"),
        ("scopes = []", "rulectl.toml:3:10 RL0014"),
        ("pol = \"5s\"", "rulectl.toml:3:1 RL0011"),
        ("api_token = \"x\"", "rulectl.toml:3:1 RL0702"),
        ("client_id = \"0oa1\"", "rulectl.toml:3:13 RL0703"),
        ("api_token_file = \"none\"", "rulectl.toml:3:18 RL0701"),
    ];
    for (rest, expected) in cases {
        let (_, told) = configured(Written {
            toml: &toml(rest),
            ..Written::default()
        });
        assert!(
            told.len() == 1 && told[0].starts_with(expected),
            "{rest}: {told:?}"
        );
    }
}
