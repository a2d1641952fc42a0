//! Proposals of every kind against a small closed list.

use super::*;
use crate::diag::Problems;
use crate::document::parse_toml;
use crate::plan::decode_planning;
use crate::slots::Provenance;
use proptest::prelude::*;
use uuid::Uuid;

/// `b` and `c` come after `a`, `d` after `b` and `c`; `b` needs approval, `a` and `d` are mandatory.
fn planning() -> Planning {
    let mut text = "[plan]\nsteps = [\"a\", \"b\", \"c\", \"d\", \"e\"]\napproval = [\"b\"]\n\
        mandatory = {X = [\"a\", \"d\"]}\ndefault = {OTHER = [\"a\", \"e\"]}\n"
        .to_owned();
    for (id, after) in [
        ("a", ""),
        ("b", "\"a\""),
        ("c", "\"a\""),
        ("d", "\"b\", \"c\""),
        ("e", ""),
    ] {
        text += &format!(
            "[plan.step.{id}]\ndescription = \"do {id}\"\nrationale = \"r\"\nafter = [{after}]\n"
        );
    }
    let mut problems = Problems::default();
    let file = problems.add_file("routing.toml", &text);
    let root = parse_toml(file, &text, &mut problems).expect("TOML");
    let mut table = root.table(&mut problems).expect("a table");
    let planning = decode_planning(&mut table, &mut problems).expect("a plan");
    assert!(!problems.has_errors());
    planning
}

fn finding(finding_type: &str) -> Finding {
    serde_json::from_value(json!({
        "id": Uuid::nil(), "finding_type": finding_type, "rule": Uuid::nil(), "rule_title": "t",
        "level": "high", "tags": [], "description": "d", "okta_event_ids": [],
        "event_digests": [], "anchor": "0".repeat(64), "user_id": null, "group": {},
        "first_seen": null, "last_seen": null, "count": 1, "hits": 1, "created_at": null,
        "metadata": {}, "status": "closed", "reasons": [], "timeline": [],
    }))
    .expect("a finding")
}

fn incident() -> Incident {
    serde_json::from_value(json!({
        "id": Uuid::nil(), "finding_id": Uuid::nil(), "title": "t", "description": "d",
        "severity": "high", "risk_score": 0.64, "created_at": null, "status": "open", "metadata": {},
    }))
    .expect("an incident")
}

fn bounded(finding_type: &str, reply: &Value) -> Plan {
    let planning = planning();
    let proposal = planning.read(reply).expect("a proposal");
    planning.bounded(
        &incident(),
        &finding(finding_type),
        &proposal,
        Provenance::Model,
    )
}

fn shown(plan: &Plan) -> (String, Vec<String>) {
    let step = |step: &Step| format!("{}({})", step.step_id, step.dependencies.join(","));
    let steps: Vec<_> = plan.steps.iter().map(step).collect();
    let edit = |edit: &Edit| format!("{:?} {} {}", edit.action, edit.step_id, edit.clause);
    (steps.join(" "), plan.edits.iter().map(edit).collect())
}

#[test]
fn a_proposal_is_bounded_and_each_edit_says_by_which_clause() {
    let after = "each step is after those it depends on";
    #[rustfmt::skip]
    let cases: [(&str, Value, &str, Vec<String>); 6] = [
        ("OTHER", json!([{"step_id": "e"}]), "e()", vec![]),
        ("OTHER", json!([{"step_id": "rm -rf"}, {"step_id": "c"}, {"step_id": "c"}]), "c()", vec![
            "Dropped rm -rf plan.steps".to_owned(),
            "Dropped c each step is there once".to_owned(),
        ]),
        ("X", json!([{"step_id": "e"}]), "e() a() d()", vec![
            "Added a plan.mandatory.X[0]".to_owned(),
            "Added d plan.mandatory.X[1]".to_owned(),
        ]),
        ("OTHER", json!([{"step_id": "d"}, {"step_id": "c"}, {"step_id": "a"}]), "a() c(a) d(c)", vec![
            format!("Moved d {after}"),
            format!("Moved c {after}"),
        ]),
        ("OTHER", json!([{"step_id": "a", "dependencies": ["d", "e", "zz", "a"]}, {"step_id": "d"}, {"step_id": "e", "dependencies": ["a"]}]),
            "d() e() a(d,e)", vec![format!("Untied a {after}"), format!("Untied a {after}"), format!("Untied e {after}"), format!("Moved a {after}")]),
        ("OTHER", json!([{"step_id": "b", "requires_human_approval": false}]), "b()", vec![
            "Approval b plan.approval".to_owned(),
        ]),
    ];
    for (finding_type, steps, expected, edits) in cases {
        let plan = bounded(finding_type, &json!({"steps": steps}));
        assert_eq!(shown(&plan), (expected.to_owned(), edits), "{steps}");
    }
}

#[test]
fn what_a_model_says_of_a_step_is_commentary() {
    let plan = bounded(
        "OTHER",
        &json!({
            "overall_goal": "g",
            "steps": [{"step_id": "c", "rationale": "ignore it", "requires_human_approval": true}],
        }),
    );
    let step = &plan.steps[0];
    assert_eq!(
        (step.description.as_str(), step.rationale.as_str()),
        ("do c", "r")
    );
    assert_eq!(step.comment.as_deref(), Some("ignore it"));
    assert!(step.requires_human_approval);
    assert_eq!(plan.overall_goal, "g");
    assert_eq!(plan.provenance["steps"], Provenance::Model);
    assert_eq!(plan.provenance["overall_goal"], Provenance::Model);
}

#[test]
fn what_is_no_proposal_is_refused() {
    let long = "x".repeat(1001);
    #[rustfmt::skip]
    let cases = [
        (json!({}), "/steps: expected a list of steps"),
        (json!([]), "/steps: expected a list of steps"),
        (json!({"steps": []}), "/steps: none of them is in the list to choose from"),
        (json!({"steps": [{"step_id": "curl"}]}), "/steps: none of them is in the list to choose from"),
        (json!({"steps": ["a"]}), "/steps/0/step_id: expected the name of a step"),
        (json!({"steps": vec![json!({"step_id": "a"}); 65]}), "/steps: expected at most 64 steps"),
        (json!({"steps": [{"step_id": "a", "rationale": 1}]}), "/steps/0/rationale: expected a text of at most 1000 characters"),
        (json!({"overall_goal": long, "steps": [{"step_id": "a"}]}), "/overall_goal: expected a text of at most 1000 characters"),
        (json!({"steps": [{"step_id": "a", "dependencies": "b"}]}), "/steps/0/dependencies: expected a list of names of steps"),
        (json!({"steps": [{"step_id": "a", "requires_human_approval": "no"}]}), "/steps/0/requires_human_approval: expected true or false"),
    ];
    for (reply, expected) in cases {
        assert_eq!(
            planning().read(&reply),
            Err(vec![expected.to_owned()]),
            "{reply}"
        );
    }
    let default = planning().default_plan(&incident(), &finding("OTHER"));
    let nothing = planning().bounded(
        &incident(),
        &finding("OTHER"),
        &Proposal::default(),
        Provenance::Model,
    );
    assert_eq!(nothing, refused(default, "no step of it is declared"));
}

proptest! {
    /// Whatever is proposed, the plan holds what it must, and nothing that is not declared.
    #[test]
    fn every_plan_is_within_its_bounds(
        steps in proptest::collection::vec(
            ("[a-g]", proptest::collection::vec("[a-g]", 0..4), proptest::option::of(any::<bool>())),
            0..10,
        ),
        mandatory in any::<bool>(),
    ) {
        let planning = planning();
        let finding = finding(if mandatory { "X" } else { "OTHER" });
        let steps = steps.into_iter().map(|(step_id, dependencies, approval)| ProposedStep {
            step_id, dependencies, requires_human_approval: approval, rationale: None,
        });
        let proposal = Proposal { overall_goal: None, steps: steps.collect() };
        let plan = planning.bounded(&incident(), &finding, &proposal, Provenance::Model);
        let ids: Vec<&str> = plan.steps.iter().map(|step| step.step_id.as_str()).collect();
        for (at, step) in plan.steps.iter().enumerate() {
            prop_assert!(planning.step_ids().any(|id| id == step.step_id));
            prop_assert!(!ids[..at].contains(&step.step_id.as_str()));
            prop_assert!(step.step_id != "b" || step.requires_human_approval);
            for first in &step.dependencies {
                prop_assert!(ids[..at].contains(&first.as_str()), "{:?}", plan);
            }
            let declared = planning.steps.iter().find(|known| known.id == step.step_id).expect("declared");
            for first in declared.after.iter().filter(|first| ids.contains(&first.as_str())) {
                prop_assert!(step.dependencies.contains(first));
            }
        }
        prop_assert!(!plan.steps.is_empty());
        prop_assert!(!mandatory || ["a", "d"].iter().all(|id| ids.contains(id)));
        // Proposed again, it comes back as it is.
        let again = plan.steps.iter().map(|step| ProposedStep {
            step_id: step.step_id.clone(),
            dependencies: step.dependencies.clone(),
            ..ProposedStep::default()
        });
        let again = Proposal { overall_goal: None, steps: again.collect() };
        let again = planning.bounded(&incident(), &finding, &again, Provenance::Model);
        prop_assert_eq!(again.edits, vec![]);
    }
}
