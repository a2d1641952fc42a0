//! `questions` of a suite: what each asks for, or that it is refused.

use serde_json::{Map, Value, json};

use crate::ask::CODES;
use crate::diag::Problems;
use crate::document::{Kind, Node};
use crate::lab::suite::{Case, Events, Expectation, Wanted, codes};

/// The kind of record that a question gives.
const QUESTIONS: &str = "questions";

/// The questions of a suite as cases, each called as it is asked.
pub(super) fn decode_questions(nodes: &[Node], problems: &mut Problems) -> Vec<Case> {
    let cases = nodes.iter().filter_map(|node| decode(node, problems));
    cases.collect()
}

fn decode(node: &Node, problems: &mut Problems) -> Option<Case> {
    let mut table = node.table(problems)?;
    let asked = table
        .require("ask", problems)
        .and_then(|node| node.text(problems));
    let tool = table.get("tool").map(|node| node.text(problems));
    let params = table.get("params");
    let refused = table.get("refused");
    let may_refuse = table.get("may_refuse");
    let may_refuse = may_refuse.is_some_and(|node| node.boolean(problems) == Some(true));
    let params_given = params.map(|node| node.table(problems));
    let expected = match (tool, refused) {
        (Some(tool), None) => tool.map(|tool| answered(tool, params)),
        (None, Some(node)) => refusal(node, problems),
        (Some(_), Some(_)) | (None, None) => {
            problems
                .error(
                    codes::EXPECTATION,
                    table.span(),
                    "a question has a `tool` that answers it, or is `refused`",
                )
                .help("write `tool: NAME` with `params`, or `refused: true`");
            None
        }
    };
    if may_refuse && tool.is_none() {
        problems.error(
            codes::EXPECTATION,
            table.span(),
            "only a question with a `tool` may be refused as well",
        );
    }
    if let (Some(node), None) = (params, tool) {
        problems.error(
            codes::EXPECTATION,
            node.span,
            "only a question with a `tool` has `params`",
        );
    }
    table.finish(problems);
    params_given.unwrap_or_else(|| node.table(problems))?;
    let asked = asked?;
    Some(Case {
        name: asked.to_owned(),
        line: problems.line_column(node.span).line,
        logs: Vec::new(),
        events: Events::Question(asked.to_owned()),
        expect: vec![Expectation {
            kind: QUESTIONS,
            wanted: if may_refuse {
                Wanted::OrRefused(expected?)
            } else {
                Wanted::Records(vec![expected?])
            },
        }],
        named: Vec::new(),
    })
}

/// A call with these parameters and no others.
fn answered(tool: &str, params: Option<&Node>) -> Value {
    let params = params.map_or_else(|| Value::Object(Map::new()), Node::to_json);
    json!({"tool": tool, "params": params})
}

fn refusal(node: &Node, problems: &mut Problems) -> Option<Value> {
    if let Kind::Bool(is_refused) = node.kind {
        if !is_refused {
            problems
                .error(
                    codes::EXPECTATION,
                    node.span,
                    "`refused` is true, or a code",
                )
                .help("leave it out, and write the `tool` that answers the question");
        }
        return is_refused.then(|| json!({"is_refused": true}));
    }
    let codes = CODES.map(|(code, _)| (code, code));
    let code = node.one_of(&codes, problems)?;
    Some(json!({"is_refused": true, "code": code}))
}
