//! A diff as SARIF 2.1.0: what a forge shows beside the line of the clause that makes it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::diag::counted;
use crate::event::Digest;
use crate::lab::diff::effect::{Clause, Delta, How, Kind};
use crate::lab::diff::{Effect, Guardrail, Judged, Moved, Place};
use crate::render::diff::guarded;
use crate::render::gate::{breached, clause, waived};
use crate::render::report::Diffed;
use crate::render::report::naming::Naming;
use crate::visible::visible;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What is told, each with what it means and what to do.
const RULES: [Rule; 5] = [
    Rule {
        id: "gate",
        level: "error",
        means: "The gate does not let this through",
        help: "A clause of `[gate]` in routing.toml forbids it. Take back what makes it, or write a waiver with a reason and an end, which the review sees.",
    },
    Rule {
        id: "guardrail-weaker",
        level: "error",
        means: "A guardrail holds less than before",
        help: "What protects whatever the model says protects less. Take the edit back, or say in the review why less is enough.",
    },
    Rule {
        id: "guardrail-undecided",
        level: "warning",
        means: "A guardrail may hold less than before",
        help: "Nobody can tell from the files whether it holds less. Replay logs that reach it, and read both versions.",
    },
    Rule {
        id: "lost",
        level: "error",
        means: "Something of severity high or above is not found any more",
        help: "The clause at this line takes findings, incidents, steps or commands that there were. Make it narrower, or say in the review why they are not missed.",
    },
    Rule {
        id: "added",
        level: "note",
        means: "There are findings that were none",
        help: "The clause at this line makes findings. Look at some of them: each takes somebody's time.",
    },
];

/// What results of one kind mean.
pub(super) struct Rule<'r> {
    pub(super) id: &'r str,
    pub(super) level: &'r str,
    pub(super) means: &'r str,
    pub(super) help: &'r str,
}

/// What a diff found, as SARIF. The files are those of the policy folder, which stands at `root`
/// in its repository: empty, or with a `/` at its end.
#[must_use]
pub fn sarif(diffed: &Diffed<'_>, root: &str) -> Value {
    let naming = Naming::of(diffed.actors, diffed.effect);
    let guardrails = diffed.changes.guardrails.iter();
    let judged = diffed.gate.into_iter().flat_map(|gate| &gate.clauses);
    let mut told: Vec<Told> = judged.flat_map(breaches).collect();
    told.extend(guardrails.filter_map(guardrail));
    if let Some(effect) = diffed.effect {
        told.extend(lost(effect));
        told.extend(added(effect));
    }
    let results: Vec<Value> = told.iter().map(|told| told.result(root)).collect();
    let notes = notifications(diffed, &naming);
    document("rulectl diff", &RULES, &notes, &results)
}

/// The document of one run of a command.
pub(super) fn document(
    command: &str,
    rules: &[Rule<'_>],
    notes: &[Value],
    results: &[Value],
) -> Value {
    let rules: Vec<Value> = rules.iter().map(Rule::described).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": command,
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {
                "%SRCROOT%": {"description": {"text": "The root of the repository."}},
            },
            "invocations": [{
                "executionSuccessful": true,
                "toolExecutionNotifications": notes,
            }],
            "results": results,
        }],
    })
}

impl Rule<'_> {
    fn described(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.id,
            "shortDescription": {"text": self.means},
            "fullDescription": {"text": format!("{}.", self.means)},
            "help": {"text": self.help},
            "defaultConfiguration": {"level": self.level},
        })
    }
}

/// A result.
struct Told {
    rule: &'static str,
    place: Place,
    /// What is told; the numbers in it may be others the next time.
    message: String,
    /// What tells it from others of its rule, whatever the line.
    about: String,
    /// Why it is let through all the same, where it is.
    waived: Option<String>,
}

impl Told {
    fn result(&self, root: &str) -> Value {
        let index = RULES.iter().position(|rule| rule.id == self.rule);
        let level = RULES.iter().find(|rule| rule.id == self.rule);
        let about = json!([self.rule, self.place.file, self.about]).to_string();
        let mut result = json!({
            "ruleId": self.rule,
            "ruleIndex": index,
            "level": level.map(|rule| rule.level),
            "message": {"text": visible(&self.message)},
            "locations": [location(root, &self.place)],
            "partialFingerprints": {"rulectlDiff/v1": Digest::of(about.as_bytes()).to_string()},
        });
        if let (Some(why), Value::Object(result)) = (&self.waived, &mut result) {
            let suppression =
                json!({"kind": "external", "status": "accepted", "justification": visible(why)});
            result.insert("suppressions".to_owned(), json!([suppression]));
        }
        result
    }
}

/// What a clause of the gate does not let through, where that is made, or else at the clause.
fn breaches(judged: &Judged) -> impl Iterator<Item = Told> {
    judged.breaches.iter().map(move |breach| {
        let waiver = breach.waiver.as_ref().filter(|_| !breach.stands());
        Told {
            rule: "gate",
            place: breach.at.clone().unwrap_or_else(|| judged.place.clone()),
            message: format!("{}: {}", clause(judged), breached(breach)),
            about: json!([clause(judged), breach.of, without_numbers(&breach.what)]).to_string(),
            waived: waiver.map(waived),
        }
    })
}

/// What is said, whatever the numbers are this time.
fn without_numbers(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

fn guardrail(guardrail: &Guardrail) -> Option<Told> {
    let rule = match guardrail.moved {
        Moved::Weaker => "guardrail-weaker",
        Moved::Undecided => "guardrail-undecided",
        Moved::Stronger => return None,
    };
    let place = guardrail.head.as_ref().or(guardrail.base.as_ref())?;
    Some(Told {
        rule,
        place: place.clone(),
        message: format!("{}: {}", guardrail.clause, guarded(guardrail)),
        about: format!("{} {}", guardrail.clause, guardrail.what),
        waived: None,
    })
}

/// How many of each kind a clause takes or makes.
type OfClause = BTreeMap<(String, usize, String), BTreeMap<Kind, u64>>;

fn key(clause: &Clause) -> (String, usize, String) {
    (clause.file.clone(), clause.line, clause.clause.clone())
}

fn lost(effect: &Effect) -> Vec<Told> {
    let mut of_clauses = OfClause::new();
    for lost in &effect.lost {
        // What nobody could attribute is not left out: it stands at the first of the edits.
        let any = effect.edits.first().map(|edit| Clause {
            clause: "one of the edits".to_owned(),
            ..Clause::of(edit)
        });
        let any = any.filter(|_| lost.clauses.is_empty());
        for clause in lost.clauses.iter().chain(&any) {
            let kinds = of_clauses.entry(key(clause)).or_default();
            *kinds.entry(lost.kind).or_default() += 1;
        }
    }
    let verb = match effect.lost_left_out {
        0 => "takes, of severity high or above,",
        _ => "takes, of severity high or above, at least",
    };
    told("lost", verb, of_clauses)
}

fn added(effect: &Effect) -> Vec<Told> {
    let deltas = [
        (Kind::Finding, &effect.findings),
        (Kind::Incident, &effect.incidents),
    ];
    let mut of_clauses = OfClause::new();
    for (kind, delta) in deltas {
        for clause in clauses(effect, delta) {
            let kinds = of_clauses.entry(key(&clause)).or_default();
            *kinds.entry(kind).or_default() += 1;
        }
    }
    let is_whole = deltas.iter().all(|(_, delta)| delta.left_out == 0);
    let verb = if is_whole { "makes" } else { "makes at least" };
    told("added", verb, of_clauses)
}

/// The clauses that make records, each as often as it makes one.
fn clauses<'e>(effect: &'e Effect, delta: &'e Delta) -> impl Iterator<Item = Clause> + 'e {
    let causes = delta.added.iter().map(|one| &one.cause);
    let causes = causes.filter(|cause| cause.how != How::NotAttributed);
    let edits = causes.flat_map(|cause| &cause.edits);
    edits.filter_map(|at| effect.edits.get(*at)).map(Clause::of)
}

fn told(rule: &'static str, verb: &str, of_clauses: OfClause) -> Vec<Told> {
    let told = of_clauses.into_iter().map(|((file, line, clause), kinds)| {
        let kinds = kinds.iter();
        let kinds: Vec<String> = kinds
            .map(|(kind, count)| counted(*count, kind.as_str()))
            .collect();
        let clause = if clause.is_empty() {
            file.clone()
        } else {
            clause
        };
        Told {
            rule,
            place: Place { file, line },
            message: format!("{clause} {verb} {}", kinds.join(", ")),
            about: clause,
            waived: None,
        }
    });
    told.collect()
}

fn notifications(diffed: &Diffed<'_>, naming: &Naming) -> Vec<Value> {
    let doubts = diffed.effect.into_iter().flat_map(|effect| &effect.doubts);
    let notes = doubts.map(|doubt| {
        json!({
            "level": if doubt.decisive { "warning" } else { "note" },
            "message": {"text": visible(&naming.doubt(doubt))},
        })
    });
    notes.collect()
}

/// Where a result is shown.
pub(super) fn location(root: &str, place: &Place) -> Value {
    json!({"physicalLocation": {
        "artifactLocation": {"uri": uri(&format!("{root}{}", place.file)), "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": place.line},
    }})
}

/// A path as a relative reference: what has a meaning in a URI is spelled by its bytes.
pub(super) fn uri(path: &str) -> String {
    let spelled = path.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    });
    spelled.collect()
}
