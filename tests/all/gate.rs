//! A change held against the gate: clauses, waivers, and who may loosen what.

use std::fs;
use std::path::Path;

use chrono::NaiveDate;
use rulectl::lab::diff::{Effect, Moved, Outcome, Side, Verdict, changes, judge};

use crate::diff_effect::{BURST, bursts, diff, side};
use crate::harness::{lay_over, lines, program, root, sign_in};

/// Texts of files that are replaced.
type Edits<'e> = &'e [(&'e str, &'e str, &'e str)];

fn today() -> NaiveDate {
    "2026-03-02".parse().expect("a day")
}

/// A side whose `routing.toml` has a gate, and other edits.
fn gated(rules: &str, gate: &str, edits: Edits<'_>) -> Side {
    let with_gate = format!("{gate}\n[promotion]");
    let gate = ("routing.toml", "[promotion]", with_gate.as_str());
    let edits: Vec<_> = edits.iter().copied().chain([gate]).collect();
    side(rules, &edits)
}

/// What the log of the cases does: two bursts, one of them short.
fn effect(base: &Side, head: &Side) -> Effect {
    diff(base, head, &bursts(&[("ann", 3), ("bob", 6)]))
}

fn verdict(base: &Side, head: &Side) -> Option<Verdict> {
    let effect = effect(base, head);
    judge([base, head], &changes(base, head), Some(&effect), today())
}

/// `outcome: breach; breach` of the one clause that there is.
fn only(base: &Side, head: &Side) -> String {
    let verdict = verdict(base, head).expect("a gate");
    let [judged] = verdict.clauses.as_slice() else {
        panic!("{verdict:#?}");
    };
    let breaches = judged.breaches.iter().map(|breach| {
        let of = breach.of.as_deref().unwrap_or("-");
        let at = breach.at.as_ref().map_or("-".to_owned(), |at| {
            let end = at.file.rsplit('/').next().unwrap_or_default();
            format!("{end}:{}", at.line)
        });
        format!("{of} | {} | {at}", breach.what)
    });
    let breaches: Vec<String> = breaches.collect();
    let holds = matches!(judged.outcome, Outcome::Passed | Outcome::Waived);
    assert_eq!(verdict.passed, holds);
    format!("{}: {}", judged.outcome.as_str(), breaches.join("; "))
}

#[test]
fn each_clause_lets_through_what_it_says() {
    let fewer = BURST.replace("gte: 3", "gte: 5");
    let many = BURST.replace("gte: 3", "gte: 2");
    let each = format!("{BURST}  suppress: 0s\n");
    let lock = (
        "routing.toml",
        "approval = [\"lock_account\"]",
        "approval = []",
    );
    let write = ("tools.yaml", "/lifecycle/suspend", "/lifecycle/deactivate");
    let threshold = ("routing.toml", "[\"high\", \"critical\"]", "[\"critical\"]");
    let cases: [(&str, &str, Edits<'_>, &str); 15] = [
        ("[gate]\nlost_findings = \"high\"", BURST, &[], "passed: "),
        (
            "[gate]\nlost_findings = \"high\"",
            &fewer,
            &[],
            "failed: burst | 1 finding of `burst` of severity high or above is gone | sign_in.yml:17",
        ),
        (
            "[gate]\nlost_findings = \"critical\"",
            &fewer,
            &[],
            "passed: ",
        ),
        (
            "[gate]\nlost_incidents = \"low\"",
            &fewer,
            &[],
            "failed: burst | 1 incident of `burst` of severity low or above is gone | sign_in.yml:17",
        ),
        ("[gate]\nnew_findings_per_day = 3", &each, &[], "passed: "),
        (
            "[gate]\nnew_findings_per_day = 2",
            &each,
            &[],
            "failed: - | 3 new findings on 2026-03-02, 1 day with more than 2 | -",
        ),
        (
            "[gate.rules.burst]\nnew_findings_per_day = 2",
            &each,
            &[],
            "failed: burst | 3 new findings on 2026-03-02, 1 day with more than 2 | -",
        ),
        (
            "[gate.rules.failed]\nnew_findings_per_day = 0",
            &each,
            &[],
            "passed: ",
        ),
        (
            "[gate.rules.burst]\nfindings_per_day = 4",
            &each,
            &[],
            "failed: burst | 5 findings on 2026-03-02, 1 day with more than 4 | -",
        ),
        // As many as before is no matter of the change.
        (
            "[gate.rules.burst]\nfindings_per_day = 1",
            &many,
            &[],
            "passed: ",
        ),
        (
            "[gate]\nweakened_guardrails = \"deny\"",
            BURST,
            &[lock],
            "failed: plan.approval | `lock_account` is done without approval | routing.toml:36",
        ),
        (
            "[gate]\nnew_write_scopes = \"deny\"",
            BURST,
            &[lock],
            "passed: ",
        ),
        (
            "[gate]\nnew_write_scopes = \"deny\"",
            BURST,
            &[write],
            "failed: commands.lock_account | a command that writes does so in another way | tools.yaml:7",
        ),
        (
            "[gate]\nweakened_guardrails = \"deny\"",
            BURST,
            &[write],
            "failed: commands.lock_account | a command that writes does so in another way | tools.yaml:7",
        ),
        (
            "[gate]\nlost_findings = \"high\"",
            BURST,
            &[threshold],
            "passed: ",
        ),
    ];
    for (gate, rules, edits, expected) in cases {
        let told = only(&gated(BURST, gate, &[]), &gated(rules, gate, edits));
        assert_eq!(told, expected, "{gate} {edits:?}");
    }
}

#[test]
fn what_nobody_can_tell_from_the_files_is_a_clause_of_its_own() {
    let when = |expression: &str| {
        let severities = "severities = [\"high\", \"critical\"]";
        let with = format!("{severities}\nwhen = '{expression}'");
        let edit = ("routing.toml", severities, with.as_str());
        let gate = "[gate]\nundecided_guardrails = \"deny\"\nweakened_guardrails = \"allow\"";
        gated(BURST, gate, &[edit])
    };
    assert_eq!(
        only(&when("score > 0.5"), &when("score > 0.6")),
        "failed: promotion.when | another expression promotes | routing.toml:31"
    );
    assert_eq!(only(&when("score > 0.5"), &when("score > 0.5")), "passed: ");
}

#[test]
fn of_both_sides_the_stricter_clause_holds() {
    let fewer = BURST.replace("gte: 3", "gte: 5");
    let (high, critical) = ("lost_findings = \"high\"", "lost_findings = \"critical\"");
    for (base, head, side, passed) in [
        ("", high, "head", false),
        (high, "", "base", false),
        (high, critical, "base", false),
        (critical, high, "head", false),
        (critical, critical, "head", true),
        (
            "new_findings_per_day = 9",
            "new_findings_per_day = 5",
            "head",
            true,
        ),
    ] {
        let gate = |clause: &str| format!("[gate]\n{clause}");
        let (base, head) = (
            gated(BURST, &gate(base), &[]),
            gated(&fewer, &gate(head), &[]),
        );
        let told = verdict(&base, &head).expect("a gate");
        assert_eq!((told.clauses[0].side, told.passed), (side, passed));
        let swapped = verdict(&head, &base).expect("a gate");
        assert_eq!(swapped.clauses[0].bound, told.clauses[0].bound);
    }
    let none = side(BURST, &[]);
    assert_eq!(verdict(&none, &side(&fewer, &[])), None);
}

#[test]
fn a_gate_that_lets_more_through_is_a_weakened_guardrail() {
    let deny = "[gate]\nweakened_guardrails = \"deny\"\n";
    let gate = |rest: &str| gated(BURST, &format!("{deny}{rest}"), &[]);
    for (base, head, expected) in [
        (
            "lost_findings = \"high\"",
            "lost_findings = \"critical\"",
            "gate.lost_findings",
        ),
        ("lost_findings = \"high\"", "", "gate.lost_findings"),
        (
            "rules.burst.findings_per_day = 1",
            "rules.burst.findings_per_day = 2",
            "gate.rules.burst.findings_per_day",
        ),
        (
            "lost_findings = \"critical\"",
            "lost_findings = \"high\"",
            "",
        ),
        ("", "lost_findings = \"high\"", ""),
    ] {
        let verdict = verdict(&gate(base), &gate(head)).expect("a gate");
        let of = verdict.clauses[0].breaches.first();
        let of = of.and_then(|breach| breach.of.as_deref());
        assert_eq!(of.unwrap_or_default(), expected, "{base} {head}");
    }
    let none = gated(BURST, "", &[]);
    let moved = changes(&gate(""), &none);
    assert_eq!(moved.guardrails[0].clause, "gate.weakened_guardrails");
}

#[test]
fn a_waiver_lets_one_thing_through_for_a_reason_and_for_a_time() {
    let fewer = BURST.replace("gte: 3", "gte: 5");
    let id = gated(BURST, "", &[])
        .policy
        .rules
        .keys()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    let waiver = |of: &str, until: &str| {
        format!(
            "[gate]\nlost_findings = \"high\"\n[[gate.waivers]]\nclause = \"lost_findings\"\nof = \"{of}\"\nreason = \"short bursts are noise: SEC-7\"\nuntil = {until}\n"
        )
    };
    let burst = (gated(BURST, "", &[]).policy.rules.values())
        .position(|rule| rule.label() == "burst")
        .expect("the rule");
    for (of, until, outcome, idle) in [
        ("burst", "2026-03-02", Outcome::Waived, 0),
        ("Burst", "2026-03-03", Outcome::Waived, 0),
        (&id[burst], "2026-03-03", Outcome::Waived, 0),
        ("burst", "2026-03-01", Outcome::Failed, 0),
        ("failed", "2026-03-03", Outcome::Failed, 1),
    ] {
        let (base, head) = (
            gated(BURST, "", &[]),
            gated(&fewer, &waiver(of, until), &[]),
        );
        let told = verdict(&base, &head).expect("a gate");
        assert_eq!(told.clauses[0].outcome, outcome, "{of} {until}");
        assert_eq!(told.idle_waivers.len(), idle, "{of} {until}");
        assert_eq!(told.passed, outcome == Outcome::Waived);
        // A waiver of the base does not pass over what the head does.
        let gate = (
            gated(BURST, &waiver(of, until), &[]),
            gated(&fewer, "", &[]),
        );
        assert!(!verdict(&gate.0, &gate.1).expect("a gate").passed);
    }
}

#[test]
fn without_logs_what_needs_them_is_not_judged() {
    let gate = "[gate]\nlost_findings = \"high\"\nweakened_guardrails = \"deny\"";
    let (base, head) = (gated(BURST, gate, &[]), gated(BURST, gate, &[]));
    let verdict = judge([&base, &head], &changes(&base, &head), None, today());
    let verdict = verdict.expect("a gate");
    let outcomes: Vec<Outcome> = verdict
        .clauses
        .iter()
        .map(|judged| judged.outcome)
        .collect();
    assert_eq!(outcomes, [Outcome::Passed, Outcome::NotJudged]);
    assert!(!verdict.passed);
}

#[test]
fn a_gate_is_no_edit_of_what_is_found() {
    let (base, head) = (
        gated(BURST, "", &[]),
        gated(BURST, "[gate]\nlost_findings = \"high\"", &[]),
    );
    let effect = effect(&base, &head);
    assert!(effect.edits.is_empty() && effect.is_empty() && effect.conclusive);
    let changes = changes(&base, &head);
    let change = changes.items.iter().find(|item| item.name() == "gate");
    let matters = serde_json::json!(change.expect("the gate").matters);
    assert_eq!(matters, "nothing");
}

/// A policy folder with a log, and a gate.
fn folder(rules: &str, gate: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    lay_over(&root().join("tests/diagnostics/good"), folder.path());
    fs::write(folder.path().join("rules/sign_in.yml"), rules).expect("written");
    let path = folder.path().join("routing.toml");
    let text = fs::read_to_string(&path).expect("readable");
    fs::write(
        &path,
        text.replace("[promotion]", &format!("{gate}\n[promotion]")),
    )
    .expect("written");
    // A log is long if no window that reaches to before it begins is a good part of it.
    let hours: Vec<_> = (0..3)
        .map(|hour| sign_in("zoe", "SUCCESS", hour * 3600))
        .collect();
    let events = lines(&[bursts(&[("ann", 3), ("bob", 6)]), hours].concat());
    fs::write(folder.path().join("log.ndjson"), events).expect("written");
    folder
}

#[test]
fn the_exit_status_is_the_verdict() {
    let fewer = BURST.replace("gte: 3", "gte: 5");
    let lost = "[gate]\nlost_findings = \"high\"";
    let waived = format!(
        "{lost}\n[[gate.waivers]]\nclause = \"lost_findings\"\nof = \"burst\"\nreason = \"noise\"\nuntil = 2999-12-31"
    );
    let expired = waived.replace("2999", "1999");
    for (head, gate, with_logs, status, shows) in [
        (
            BURST,
            lost,
            true,
            0,
            "Gate: passed\n  passed      lost_findings = \"high\"  routing.toml:27\n",
        ),
        (
            &fewer,
            lost,
            true,
            1,
            "Gate: not passed\n  failed      lost_findings = \"high\"  routing.toml:27\n              1 finding of `burst` of severity high or above is gone  rules/sign_in.yml:17\n",
        ),
        (
            &fewer,
            &waived,
            true,
            0,
            "waived until 2999-12-31: noise (routing.toml:28)",
        ),
        (
            &fewer,
            &expired,
            true,
            1,
            "the waiver ended with 1999-12-31 (noise, routing.toml:28)",
        ),
        (&fewer, lost, false, 4, "not judged  lost_findings"),
        (&fewer, "", true, 0, "Lost, of severity high or above"),
    ] {
        let (base, head) = (folder(BURST, gate), folder(head, gate));
        // What differs in nothing has no verdict.
        let tools = head.path().join("tools.yaml");
        let text = fs::read_to_string(&tools).expect("readable");
        fs::write(tools, text + "# No more than these.\n").expect("written");
        let log = base.path().join("log.ndjson");
        let log: &[&Path] = if with_logs { &[&log] } else { &[] };
        let mut diff = program();
        diff.current_dir(&head)
            .arg("diff")
            .args([base.path(), head.path()]);
        if !log.is_empty() {
            diff.arg("--logs").args(log);
        }
        let output = diff.output().expect("it runs");
        let page = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            page.contains(shows),
            "{shows}\n{page}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(status), "{gate}\n{page}");
    }
}

/// What a change of rules or files loosens, `weaker` by clause; swapped, it is as much stronger.
#[test]
fn what_loosens_a_rule_from_beside_it_is_a_weakened_guardrail() {
    let with = |settings: &str| format!("{BURST}{settings}");
    let swallow = "---\ntitle: All\nname: all\nlevel: low\ncorrelation:\n  type: event_count\n  rules: [burst]\n  group-by: [actor.alternateId]\n  timespan: 10m\n  condition: {gte: 1000}\n";
    let mandatory = (
        "routing.toml",
        "[plan.default]",
        "[plan.mandatory]\nBURST = [\"lock_account\"]\n\n[plan.default]",
    );
    let formula = (
        "routing.toml",
        "prompt = \"prompts/risk.md\"",
        "prompt = \"prompts/risk.md\"\nformula = \"impact * likelihood\"",
    );
    let step = (
        "tools.yaml",
        "  lock_account:\n",
        "  lock_account:\n    step: collect_auth_logs\n",
    );
    let floored = with("  floor: {severity: high}\n");
    let cases: [(String, Edits<'_>, String, Edits<'_>, &[&str]); 8] = [
        // A correlation that names a rule silences it.
        (BURST.to_owned(), &[], with(swallow), &[], &["rule burst"]),
        (
            BURST.to_owned(),
            &[],
            with(&swallow.replace("[burst]", "[failed]")),
            &[],
            &[],
        ),
        (
            BURST.to_owned(),
            &[],
            with(&swallow.replace("  timespan", "  generate: true\n  timespan")),
            &[],
            &[],
        ),
        // A floor bounds the model alone.
        (
            floored.clone(),
            &[],
            floored.replace("level: high", "level: low"),
            &[],
            &[
                "rule burst: rulectl.floor.score",
                "rule burst: rulectl.risk",
                "rule burst: rulectl.risk.severity",
            ],
        ),
        // Another change of the slot hides nothing of a rule.
        (
            floored.clone(),
            &[],
            floored.replace("{severity: high}", "{severity: low}"),
            &[formula],
            &["rule burst: rulectl.floor.severity"],
        ),
        (
            with("  suppress: 10m\n"),
            &[],
            with("  suppress: 300d\n"),
            &[],
            &["rule burst: rulectl.suppress"],
        ),
        (
            with("  finding_type: BURST\n"),
            &[mandatory],
            with("  finding_type: OTHER\n"),
            &[mandatory],
            &["rule burst: rulectl.finding_type"],
        ),
        (
            BURST.to_owned(),
            &[],
            BURST.to_owned(),
            &[step],
            &["commands.lock_account.step"],
        ),
    ];
    for (base, of_base, head, of_head, expected) in &cases {
        let (base, head) = (side(base, of_base), side(head, of_head));
        let moved = |base: &Side, head: &Side, wanted: Moved| -> Vec<String> {
            let guardrails = changes(base, head).guardrails.into_iter();
            let moved = guardrails.filter(|guardrail| guardrail.moved == wanted);
            moved.map(|guardrail| guardrail.clause).collect()
        };
        assert_eq!(moved(&base, &head, Moved::Weaker), *expected);
        assert_eq!(moved(&head, &base, Moved::Stronger), *expected);
        assert_eq!(moved(&base, &head, Moved::Stronger), [""; 0]);
    }
}

#[test]
fn a_rule_does_not_take_what_was_given_to_another() {
    let gate = "[gate]\nlost_findings = \"high\"\n[[gate.waivers]]\nclause = \"lost_findings\"\nof = \"failed\"\nreason = \"noise\"\nuntil = 2999-12-31\n";
    let fewer = BURST.replace("gte: 3", "gte: 5");
    let base = gated(BURST, gate, &[]);
    for title in ["title: Burst", "title: failed"] {
        let head = gated(&fewer.replace("title: Burst", title), gate, &[]);
        let told = verdict(&base, &head).expect("a gate");
        assert_eq!(told.clauses[0].outcome, Outcome::Failed, "{title}");
    }
    // A title that two rules have means neither.
    let gate = gate.replace("\"failed\"", "\"Failed sign-in\"");
    let head = fewer.replace("title: Burst", "title: Failed sign-in");
    let told = verdict(&gated(BURST, &gate, &[]), &gated(&head, &gate, &[])).expect("a gate");
    assert_eq!(told.clauses[0].outcome, Outcome::Failed);
}

#[test]
fn a_clause_that_fails_is_told_where_the_effect_is_uncertain() {
    let fewer = BURST.replace("gte: 3", "gte: 5");
    let lost = "[gate]\nlost_findings = \"high\"";
    let (base, head) = (folder(BURST, lost), folder(&fewer, lost));
    let log = base.path().join("log.ndjson");
    let mut text = fs::read_to_string(&log).expect("readable");
    text.push_str("{\"eventType\": \"user.se");
    fs::write(&log, text).expect("written");
    let mut diff = program();
    let output = diff
        .arg("diff")
        .args([base.path(), head.path()])
        .arg("--logs")
        .arg(&log)
        .output()
        .expect("it runs");
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(page.contains("Inconclusive"), "{page}");
    assert!(page.contains("failed      lost_findings"), "{page}");
    // Of the two answers, that nobody can tell goes first, as for every command.
    assert_eq!(output.status.code(), Some(4), "{page}");
}
