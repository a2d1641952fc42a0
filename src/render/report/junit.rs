//! A diff as test cases: a guardrail, a rule and a doubt is one each, with its file and line.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::lab::diff::effect::{Kind, Lost, OfRule};
use crate::lab::diff::{Effect, Guardrail, Judged, Moved, Outcome as Judgement, Place};
use crate::render::diff::guarded;
use crate::render::effect::{by, placed};
use crate::render::gate::{breached, clause, place, waived};
use crate::render::report::Diffed;
use crate::render::report::naming::Naming;
use crate::visible::visible;

/// What a diff found, as JUnit's XML: what is lost, holds less or is inconclusive has failed.
#[must_use]
pub fn junit(diffed: &Diffed<'_>) -> String {
    let naming = Naming::of(diffed.actors, diffed.effect);
    let gate = diffed.gate.into_iter().flat_map(|gate| &gate.clauses);
    let gate: Vec<Case> = gate.map(judged).collect();
    let mut guardrails: Vec<Case> = diffed.changes.guardrails.iter().map(guardrail).collect();
    let effect = diffed.effect;
    let mut rules = effect
        .map(|effect| rules(effect, &naming))
        .unwrap_or_default();
    let doubts = effect.map(|effect| doubts(effect, &naming));
    if diffed.gate.is_some() {
        let told = guardrails.iter_mut().chain(&mut rules);
        told.for_each(Case::left_to_the_gate);
    }
    let suites = [
        ("gate", gate),
        ("guardrails", guardrails),
        ("rules", rules),
        ("certainty", doubts.unwrap_or_default()),
    ];
    let [base, head] = diffed.names;
    let name = format!("rulectl diff {base} {head}");
    let suites = suites.map(|(name, mut cases)| {
        if cases.is_empty() {
            cases.push(Case::none(name));
        }
        (name, cases)
    });
    document(&name, "rulectl.diff", &suites)
}

/// Suites of test cases as a document; `class` is what the names of their classes begin with.
pub(super) fn document(name: &str, class: &str, suites: &[(&str, Vec<Case>)]) -> String {
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let _ = writeln!(out, "<testsuites name=\"{}\">", xml(name));
    for (name, cases) in suites {
        suite(&mut out, name, class, cases);
    }
    out.push_str("</testsuites>\n");
    out
}

/// A test case.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) place: Option<Place>,
    pub(super) outcome: Outcome,
}

/// What came of a test case.
pub(super) enum Outcome {
    /// All is well.
    Passed,
    /// Nobody can tell, or it is only to be known.
    Skipped(String),
    /// It is not as it should be.
    Failed {
        kind: &'static str,
        message: String,
        text: String,
    },
}

impl Case {
    /// Stands for a suite in which nothing is to be told.
    fn none(suite: &str) -> Self {
        Self {
            name: match suite {
                "gate" => "there is no gate",
                "guardrails" => "no guardrail moved",
                "rules" => "no rule does anything else",
                _ => "nothing is uncertain",
            }
            .to_owned(),
            place: None,
            outcome: Outcome::Passed,
        }
    }

    /// Where there is a gate, it says what may not be, and what it lets through is told alone.
    fn left_to_the_gate(&mut self) {
        if let Outcome::Failed { kind, message, .. } = &self.outcome {
            self.outcome = Outcome::Skipped(format!("{kind}, which the gate judges: {message}"));
        }
    }
}

fn judged(judged: &Judged) -> Case {
    let breaches = judged.breaches.iter().map(|breach| {
        let at = breach.at.as_ref().map(|at| format!(", {}", place(at)));
        let waiver = breach.waiver.as_ref();
        let waiver = waiver.map(|waiver| format!(", {}", waived(waiver)));
        format!(
            "{}{}{}",
            breached(breach),
            at.unwrap_or_default(),
            waiver.unwrap_or_default()
        )
    });
    let breaches: Vec<String> = breaches.map(|breach| visible(&breach)).collect();
    let breaches = breaches.join("\n");
    let standing = judged.breaches.iter().find(|breach| breach.stands());
    Case {
        name: clause(judged),
        place: Some(judged.place.clone()),
        outcome: match judged.outcome {
            Judgement::Passed => Outcome::Passed,
            Judgement::Waived => Outcome::Skipped(breaches),
            Judgement::NotJudged => Outcome::Failed {
                kind: "inconclusive",
                message: "no logs were replayed, so that nobody knows".to_owned(),
                text: String::new(),
            },
            Judgement::Failed => Outcome::Failed {
                kind: "gate",
                message: standing.map(breached).unwrap_or_default(),
                text: breaches,
            },
        },
    }
}

fn guardrail(guardrail: &Guardrail) -> Case {
    let text = guarded(guardrail);
    let (base, head) = (guardrail.base.as_ref(), guardrail.head.as_ref());
    let stands = head.or(base).cloned();
    Case {
        name: format!("{}: {}", guardrail.clause, guardrail.what),
        outcome: match guardrail.moved {
            Moved::Stronger => Outcome::Passed,
            Moved::Undecided => Outcome::Skipped(format!("undecided: {text}")),
            Moved::Weaker => Outcome::Failed {
                kind: "weaker",
                text: stands.as_ref().map(place).unwrap_or_default(),
                message: text,
            },
        },
        place: stands,
    }
}

fn rules(effect: &Effect, naming: &Naming) -> Vec<Case> {
    let rules = effect.by_rule.iter().map(|of| {
        let lost = effect.lost.iter();
        let lost = lost.filter(|lost| lost.one.subject.rule_id == Some(of.id));
        let lost: Vec<&Lost> = lost.collect();
        let clause = lost.iter().flat_map(|lost| &lost.clauses).next();
        Case {
            name: of.rule.clone(),
            place: clause.map(|clause| Place {
                file: clause.file.clone(),
                line: clause.line,
            }),
            outcome: taken(of, &lost, naming),
        }
    });
    rules.collect()
}

/// So many records that are lost are listed under their rule.
const LISTED: usize = 100;

fn taken(of: &OfRule, lost: &[&Lost], naming: &Naming) -> Outcome {
    if lost.is_empty() {
        return Outcome::Passed;
    }
    let lines = lost.iter().take(LISTED).map(|lost| {
        let subject = &lost.one.subject;
        format!(
            "{} {} of {}, {}, {}\n",
            lost.severity.as_str(),
            named(lost),
            naming.subject(subject),
            naming.when(subject),
            by(&lost.one.cause, &lost.clauses)
        )
    });
    let mut text: String = lines.map(|line| visible_line(&line)).collect();
    let more = lost.len().saturating_sub(LISTED);
    if more > 0 {
        let _ = writeln!(text, "{more} more");
    }
    let clauses = lost.iter().flat_map(|lost| &lost.clauses);
    let clauses: BTreeSet<String> = clauses.map(placed).collect();
    let clauses: Vec<String> = clauses.into_iter().collect();
    Outcome::Failed {
        kind: "lost",
        message: format!(
            "{} of severity high or above lost by {}; findings {} → {}",
            lost.len(),
            clauses.join(", "),
            of.base,
            of.head
        ),
        text,
    }
}

fn named(lost: &Lost) -> String {
    match lost.kind {
        Kind::Step | Kind::Command => format!("{} {}", lost.kind.as_str(), lost.one.name),
        kind => kind.as_str().to_owned(),
    }
}

/// Each line is a line, and all else of it is seen.
fn visible_line(line: &str) -> String {
    visible(line.trim_end_matches('\n')) + "\n"
}

fn doubts(effect: &Effect, naming: &Naming) -> Vec<Case> {
    let doubts = effect.doubts.iter().map(|doubt| {
        let text = naming.doubt(doubt);
        Case {
            name: text.clone(),
            place: None,
            outcome: if doubt.decisive {
                Outcome::Failed {
                    kind: "inconclusive",
                    message: text,
                    text: "this could change what is told".to_owned(),
                }
            } else {
                Outcome::Skipped("to be known; it changes nothing of what is told".to_owned())
            },
        }
    });
    doubts.collect()
}

fn suite(out: &mut String, name: &str, class: &str, cases: &[Case]) {
    let count =
        |is_one: fn(&Outcome) -> bool| cases.iter().filter(|case| is_one(&case.outcome)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Failed { .. }));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    let _ = writeln!(
        out,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\">",
        xml(name),
        cases.len()
    );
    let class = format!("{class}.{name}");
    cases.iter().for_each(|case| written(out, &class, case));
    out.push_str("  </testsuite>\n");
}

fn written(out: &mut String, class: &str, case: &Case) {
    let place = case
        .place
        .as_ref()
        .map(|place| format!(" file=\"{}\" line=\"{}\"", xml(&place.file), place.line));
    let _ = write!(
        out,
        "    <testcase name=\"{}\" classname=\"{}\"{}",
        xml(&case.name),
        xml(class),
        place.unwrap_or_default()
    );
    match &case.outcome {
        Outcome::Passed => out.push_str("/>\n"),
        Outcome::Skipped(why) => {
            let _ = writeln!(out, "><skipped message=\"{}\"/></testcase>", xml(why));
        }
        Outcome::Failed {
            kind,
            message,
            text,
        } => {
            let text: Vec<String> = text.lines().map(xml).collect();
            let _ = writeln!(
                out,
                "><failure type=\"{kind}\" message=\"{}\">{}</failure></testcase>",
                xml(message),
                text.join("\n")
            );
        }
    }
}

/// Any text as a text of XML, or between quotes. What XML cannot hold, or nobody sees, is shown as
/// an escape.
fn xml(text: &str) -> String {
    let mut out = String::new();
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}
