//! The workflows of `docs/github.md`: their scripts run, with the program as it is built and in the
//! place of `gh` one that writes down what it is asked for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{lay_over, root, small_folder};

/// The workflows, as they are read.
fn workflows() -> Vec<Value> {
    let page = fs::read_to_string(root().join("docs/github.md")).expect("the page");
    let blocks = page.split("```yaml workflow\n").skip(1);
    let texts = blocks.map(|rest| rest.split("```").next().expect("its end"));
    texts
        .map(|text| serde_yaml::from_str(text).expect("YAML"))
        .collect()
}

/// The steps of all jobs of a workflow.
fn steps(workflow: &Value) -> Vec<&Value> {
    let jobs = workflow["jobs"].as_object().expect("jobs").values();
    jobs.flat_map(|job| job["steps"].as_array().expect("steps"))
        .collect()
}

/// The script of the step with a name.
fn script<'w>(workflow: &'w Value, name: &str) -> &'w str {
    let steps = steps(workflow);
    let step = steps.iter().find(|step| step["name"] == name);
    step.expect("the step")["run"].as_str().expect("a script")
}

#[test]
fn no_workflow_gives_a_pull_request_more_than_it_needs() {
    let workflows = workflows();
    assert_eq!(workflows.len(), 2);
    let pinned = Regex::new(r"^[\w/-]+@v\d+\.\d+\.\d+$").expect("a regex");
    for workflow in &workflows {
        assert!(workflow["on"].get("pull_request_target").is_none());
        for step in steps(workflow) {
            if let Some(action) = step["uses"].as_str() {
                assert!(pinned.is_match(action), "{action}");
            }
            if let Some(script) = step["run"].as_str() {
                assert!(
                    !script.contains("${{"),
                    "what is not ours stands in a script: {script}"
                );
            }
        }
    }
    let [policy, comment] = &workflows[..] else {
        panic!("two workflows")
    };
    assert_eq!(
        policy["permissions"],
        serde_json::json!({"contents": "read"})
    );
    assert_eq!(policy["jobs"]["policy"].get("permissions"), None);
    assert_eq!(comment["permissions"], serde_json::json!({}));
    let rights = &comment["jobs"]["comment"]["permissions"];
    assert_eq!(
        *rights,
        serde_json::json!({"actions": "read", "pull-requests": "write"})
    );
    // The second begins when the first ends, and gets what that left.
    assert_eq!(
        comment["on"]["workflow_run"]["workflows"][0],
        policy["name"]
    );
    let steps = steps(policy);
    let kept = steps.last().expect("a step");
    let name = kept["with"]["name"].as_str().expect("a name");
    assert!(script(comment, "Comment").contains(&format!("--name {name} --dir report")));
    assert_eq!(kept["with"]["path"], "report/");
}

/// A place to run scripts in, with the programs that they ask for.
struct Place {
    folder: TempDir,
    programs: TempDir,
}

impl Place {
    fn new(folder: TempDir) -> Self {
        Self {
            folder,
            programs: tempfile::tempdir().expect("a folder"),
        }
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.programs.path().join(name);
        fs::write(&path, script).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
    }

    /// Runs a script as GitHub does.
    fn run(&self, script: &str, environment: &[(&str, &str)]) -> Output {
        let built = Path::new(env!("CARGO_BIN_EXE_rulectl"))
            .parent()
            .expect("a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!(
            "{}:{}:{path}",
            self.programs.path().display(),
            built.display()
        );
        let mut command = Command::new("bash");
        command
            .args(["-e", "-c", script])
            .current_dir(self.folder.path());
        command.env("PATH", path).envs(environment.iter().copied());
        command.output().expect("bash runs")
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap_or_default()
    }
}

#[track_caller]
fn git(place: &Path, words: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=x", "-c", "user.email=x@example.com"]);
    let status = command.current_dir(place).args(words).status();
    assert!(status.expect("git runs").success(), "{words:?}");
}

#[test]
fn what_the_first_runs_is_there_and_leaves_the_reports() {
    let policy = small_folder();
    let folder = policy.path();
    lay_over(&root().join("fixtures"), &folder.join("fixtures"));
    git(folder, &["init", "-q"]);
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-qm", "x"]);
    let rule = folder.join("rules/mfa.yml");
    let text = fs::read_to_string(&rule).expect("a rule");
    fs::write(&rule, text.replacen("level: high", "level: low", 1)).expect("written");
    git(folder, &["commit", "-qam", "y"]);
    let place = Place::new(policy);
    let workflows = workflows();
    let summary = place.folder.path().join("summary.md");
    let environment = [("GITHUB_STEP_SUMMARY", summary.to_str().expect("a path"))];
    // The shipped cases want what this change takes.
    for (step, code) in [("Check", 0), ("Test", 1), ("Diff", 0), ("Summary", 0)] {
        let output = place.run(script(&workflows[0], step), &environment);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{step}: {said}");
    }
    for report in ["comment.md", "diff.html", "diff.xml", "diff.sarif"] {
        assert!(
            place.read(&format!("report/{report}")).len() > 500,
            "{report}"
        );
    }
    assert!(
        place
            .read("summary.md")
            .starts_with("<!-- rulectl diff -->\n")
    );
    assert!(
        place
            .read("summary.md")
            .contains("**Lost of severity high or above")
    );
}

/// Stands for GitHub: a run with a report, two pull requests, and the comments of `comments`.
const GH: &str = r#"#!/bin/bash
echo "$@" >> asked
case "$1 $2" in
  "run download") mkdir -p report; cp left/* report/ ;;
  "pr list") jq -r "${@: -1}" pulls ;;
  "api --paginate") jq -r "${@: -1}" comments ;;
  "api --method") cp body.md posted ;;
  *) exit 1 ;;
esac
"#;

/// Stands for the two filters that the script hands to `gh`.
const JQ: &str = r#"#!/usr/bin/env python3
import json, os, sys
asked, items = sys.argv[2], json.load(open(sys.argv[3]))
if "headRefOid" in asked:
    found = [item["number"] for item in items if item["headRefOid"] == os.environ["SHA"]]
else:
    mark = asked.split('startswith("')[1].split('")')[0]
    login = asked.split('.user.login == "')[1].split('"')[0]
    found = [item["id"] for item in items if item["user"]["login"] == login and item["body"].startswith(mark)]
print(*found, sep="\n")
"#;

/// What the second asks GitHub for last, and what it posts, where this was left and commented.
fn commented(left: &str, comments: &Value) -> (Option<i32>, String, String) {
    let place = Place::new(tempfile::tempdir().expect("a folder"));
    place.program("gh", GH);
    place.program("jq", JQ);
    let folder = place.folder.path();
    fs::create_dir(folder.join("left")).expect("made");
    fs::write(folder.join("left/comment.md"), left).expect("written");
    let pulls = serde_json::json!([
        {"number": 7, "headRefOid": "aaaa"},
        {"number": 8, "headRefOid": "bbbb"},
    ]);
    fs::write(folder.join("pulls"), pulls.to_string()).expect("written");
    fs::write(folder.join("comments"), comments.to_string()).expect("written");
    let environment = [
        ("GH_TOKEN", "x"),
        ("REPOSITORY", "org/policy"),
        ("RUN", "99"),
        ("SHA", "bbbb"),
    ];
    let output = place.run(script(&workflows()[1], "Comment"), &environment);
    let asked = place.read("asked");
    let last = asked.lines().last().unwrap_or_default().to_owned();
    (output.status.code(), last, place.read("posted"))
}

#[test]
fn there_is_one_comment_and_it_is_written_over() {
    let left = "<!-- rulectl diff -->\nnew";
    let of = |login: &str, body: &str, id: u64| serde_json::json!({"id": id, "body": body, "user": {"login": login}});
    let others = [
        of("github-actions[bot]", "another tool's", 1),
        of("mallory", "<!-- rulectl diff -->\nnot ours", 2),
    ];
    let ours = of("github-actions[bot]", "<!-- rulectl diff -->\nold", 3);
    let (code, asked, posted) = commented(left, &serde_json::json!(others));
    assert_eq!(code, Some(0));
    assert_eq!(
        asked,
        "api --method POST repos/org/policy/issues/8/comments --field body=@body.md"
    );
    assert_eq!(posted, left);
    let all = serde_json::json!([others[0], others[1], ours]);
    let (code, asked, posted) = commented(left, &all);
    assert_eq!(code, Some(0));
    assert_eq!(
        asked,
        "api --method PATCH repos/org/policy/issues/comments/3 --field body=@body.md"
    );
    assert_eq!(posted, left);
}

#[test]
fn what_is_handed_over_is_no_longer_than_a_comment_and_begins_as_ours_do() {
    let long = format!("<!-- rulectl diff -->\n{}", "x".repeat(1 << 20));
    let (code, _, posted) = commented(&long, &serde_json::json!([]));
    assert_eq!((code, posted.len()), (Some(0), 65_000));
    let (code, asked, posted) = commented("something else", &serde_json::json!([]));
    assert_eq!((code, posted.as_str()), (Some(1), ""));
    assert!(asked.starts_with("run download"), "{asked}");
}
