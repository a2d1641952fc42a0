//! Plan → suggested [`Command`]s: text that a human may run. Nothing here runs anything.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::detect::{Finding, NAMESPACE};
use crate::plan::Plan;
use crate::tools::{CommandTemplate, Hole, Method, Piece, QueryParameter};

/// A rendered, never executed suggestion for a step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// UUIDv5 over the incident's id and the template's name.
    pub id: Uuid,
    /// The incident.
    pub incident_id: Uuid,
    /// The step it serves.
    pub step_id: String,
    /// What it does.
    pub description: String,
    /// The text for a shell. The organisation and the token are variables of the shell.
    pub command: String,
    /// The system it is for.
    pub system: String,
    /// Whether it changes nothing: true for GET alone.
    pub read_only: bool,
    /// What to know before running it, and which holes are left to fill.
    pub notes: String,
}

/// The commands of a plan, by step and then by the order of `tools.yaml`.
#[must_use]
pub fn render(templates: &[CommandTemplate], plan: &Plan, finding: &Finding) -> Vec<Command> {
    let of_step = |step: &str| {
        templates
            .iter()
            .filter(|template| template.serves(step, &finding.finding_type))
            .collect::<Vec<_>>()
    };
    let pairs = plan.steps.iter().flat_map(|step| of_step(&step.step_id));
    pairs
        .map(|template| command(template, plan.incident_id, finding))
        .collect()
}

/// The command of a template, for an incident.
#[must_use]
pub fn command(template: &CommandTemplate, incident_id: Uuid, finding: &Finding) -> Command {
    let name = serde_json::json!(["command", incident_id, template.name]).to_string();
    let values = Values {
        user: finding.user_id.as_deref().filter(|id| is_user_id(id)),
        finding,
    };
    let open = values.open_holes(template);
    let mut notes: Vec<String> = template.notes.iter().cloned().collect();
    let scope = template.scope.iter();
    notes.extend(scope.map(|(scope, _)| format!("a token of OAuth needs the scope {scope}")));
    notes.extend(open.iter().map(|hole| {
        format!(
            "fill in {{{}}} by hand{}",
            hole.as_str(),
            values.why_open(*hole)
        )
    }));
    Command {
        id: Uuid::new_v5(&NAMESPACE, name.as_bytes()),
        incident_id,
        step_id: template.step.clone(),
        description: template.description.clone(),
        command: curl(template, &values),
        system: template.system.clone(),
        read_only: template.method == Method::Get,
        notes: notes.join("; "),
    }
}

/// An Okta user id: `00u` and seventeen letters or digits.
fn is_user_id(text: &str) -> bool {
    text.len() == 20
        && text.starts_with("00u")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

struct Values<'f> {
    user: Option<&'f str>,
    finding: &'f Finding,
}

impl Values<'_> {
    fn get(&self, hole: Hole) -> Option<String> {
        match hole {
            Hole::UserId => self.user.map(str::to_owned),
            Hole::FirstSeen => self.finding.first_seen.map(|time| time.to_string()),
            Hole::LastSeen => self.finding.last_seen.map(|time| time.to_string()),
        }
    }

    fn why_open(&self, hole: Hole) -> &'static str {
        match hole {
            Hole::UserId if self.finding.user_id.is_none() => {
                ", once for each account that it concerns: the finding is about no single one"
            }
            Hole::UserId => ": the finding names no well-formed Okta user id",
            Hole::FirstSeen | Hole::LastSeen => ": the events have no readable time",
        }
    }

    fn open_holes(&self, template: &CommandTemplate) -> Vec<Hole> {
        let pieces = template
            .path
            .iter()
            .flatten()
            .chain(template.query.iter().flat_map(|parameter| &parameter.value));
        let mut open = Vec::new();
        for piece in pieces {
            if let Piece::Hole(hole) = piece
                && self.get(*hole).is_none()
                && !open.contains(hole)
            {
                open.push(*hole);
            }
        }
        open
    }

    /// The pieces as one text; `encode` is applied to what fills a hole, and a hole
    /// without a value stays as it is written.
    fn fill(
        &self,
        pieces: &[Piece],
        literal: impl Fn(&str) -> String,
        encode: impl Fn(&str) -> String,
    ) -> String {
        let one = |piece: &Piece| match piece {
            Piece::Text(text) => literal(text),
            Piece::Hole(hole) => match self.get(*hole) {
                Some(value) => encode(&value),
                None => format!("{{{}}}", hole.as_str()),
            },
        };
        pieces.iter().map(one).collect()
    }
}

/// `curl` for a POSIX shell. Everything but the two variables stands in single quotes.
fn curl(template: &CommandTemplate, values: &Values<'_>) -> String {
    let path: Vec<String> = template
        .path
        .iter()
        .map(|segment| values.fill(segment, percent, percent))
        .collect();
    let query: Vec<String> = template
        .query
        .iter()
        .map(|parameter| query_text(parameter, values))
        .collect();
    let query = if query.is_empty() {
        String::new()
    } else {
        format!("?{}", query.join("&"))
    };
    let url = format!("/{}{query}", path.join("/"));
    let mut words = vec![
        // Braces are a list to curl unless it is told otherwise, and an open hole has them.
        "curl --globoff".to_owned(),
        format!("-X {}", template.method.as_str()),
        "-H \"Authorization: SSWS ${OKTA_API_TOKEN}\"".to_owned(),
        "-H 'Accept: application/json'".to_owned(),
    ];
    if let Some(body) = &template.body {
        words.push("-H 'Content-Type: application/json'".to_owned());
        words.push(format!("-d {}", single_quoted(&body.to_string())));
    }
    words.push(format!("\"${{OKTA_ORG_URL}}\"{}", single_quoted(&url)));
    words.join(" ")
}

fn query_text(parameter: &QueryParameter, values: &Values<'_>) -> String {
    let value = if parameter.is_filter {
        let escape = |text: &str| percent(&text.replace('\\', "\\\\").replace('"', "\\\""));
        values.fill(&parameter.value, percent, escape)
    } else {
        values.fill(&parameter.value, percent, percent)
    };
    format!("{}={value}", percent(&parameter.name))
}

/// Percent-encoding of everything but RFC 3986's unreserved characters: right in a path segment and in a query.
fn percent(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
