//! The `rulectl` block of a rule: what Sigma has no words for.

use crate::detect::script::{ScriptSettings, decode_script};
use crate::detect::template::Template;
use crate::diag::{Problems, Span};
use crate::document::{Node, Table};
use crate::event::{FieldPath, Nanos};

/// The code of a problem in the block.
pub const BAD_SETTING: &str = "RL0130";

/// How severe something is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

/// The severities by name.
pub const SEVERITIES: [(&str, Severity); 4] = [
    ("low", Severity::Low),
    ("medium", Severity::Medium),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];

impl Severity {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What a rule says of the risk of its findings; what it leaves out comes from its level.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RiskSetting {
    /// Severity.
    pub severity: Option<Severity>,
    /// Likelihood, 0.0–1.0.
    pub likelihood: Option<f64>,
    /// Impact, 0.0–1.0.
    pub impact: Option<f64>,
}

/// The least risk that a finding of the rule keeps whatever a model says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FloorSetting {
    /// Severity.
    pub severity: Option<Severity>,
    /// Score, 0.0–1.0.
    pub score: Option<f64>,
}

/// A checked `rulectl` block.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What kind of finding the rule produces; `OTHER` unless declared.
    pub finding_type: String,
    /// The text of a finding; the rule's title unless declared.
    pub summary: Option<Template>,
    /// The field that names the account a finding is about.
    pub user: Option<FieldPath>,
    /// The default risk.
    pub risk: RiskSetting,
    /// The floor, where declared.
    pub floor: Option<FloorSetting>,
    /// How far apart two hits of one finding may be.
    pub suppress: Option<Nanos>,
    /// The fields that a finding lists.
    pub metadata: Vec<FieldPath>,
    /// What tells the findings of a single-event rule apart when they are suppressed.
    pub group_by: Vec<FieldPath>,
    /// The functions of scripts that it names.
    pub script: ScriptSettings,
    /// Every field the block names, with its place, for lints.
    pub fields: Vec<(String, Span)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            finding_type: "OTHER".to_owned(),
            summary: None,
            user: None,
            risk: RiskSetting::default(),
            floor: None,
            suppress: None,
            metadata: Vec::new(),
            group_by: Vec::new(),
            script: ScriptSettings::default(),
            fields: Vec::new(),
        }
    }
}

/// What the block is decoded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A detection.
    Detection,
    /// A correlation whose findings are not about pairs.
    Correlation,
    /// A `consecutive` correlation.
    Pairs,
}

/// Reads the block.
pub fn decode_settings(node: Option<&Node>, owner: Owner, problems: &mut Problems) -> Settings {
    let mut settings = Settings::default();
    let Some(mut table) = node.and_then(|node| node.table(problems)) else {
        return settings;
    };
    if let Some(finding_type) = table
        .get("finding_type")
        .and_then(|node| decode_finding_type(node, problems))
    {
        settings.finding_type = finding_type;
    }
    settings.summary = table
        .get("summary")
        .and_then(|node| decode_summary(node, owner, &mut settings.fields, problems));
    settings.user = table
        .get("user")
        .and_then(|node| decode_field(node, &mut settings.fields, problems));
    settings.risk = table
        .get("risk")
        .map(|node| decode_risk(node, problems))
        .unwrap_or_default();
    settings.floor = table.get("floor").map(|node| decode_floor(node, problems));
    settings.suppress = table
        .get("suppress")
        .and_then(|node| node.span_of_time(problems));
    settings.metadata = decode_fields(&mut table, "metadata", &mut settings.fields, problems);
    if owner == Owner::Detection {
        settings.group_by = decode_fields(&mut table, "group-by", &mut settings.fields, problems);
    }
    if let Some(node) = table.get("script") {
        settings.script = decode_script(node, owner, problems);
    }
    // Cases and the behaviour are read by whoever runs or shows them; they say nothing of what a rule does.
    table.get("tests");
    table.get("behaviour").and_then(|node| node.text(problems));
    table.finish(problems);
    settings
}

fn decode_finding_type(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = node.text(problems)?;
    let good = text.starts_with(|c: char| c.is_ascii_uppercase())
        && text
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    if !good {
        problems
            .error(
                BAD_SETTING,
                node.span,
                format!("`{text}` is not a finding type"),
            )
            .help("write it in capitals, digits and `_`, such as `FAILED_LOGIN_BURST`");
    }
    good.then(|| text.to_owned())
}

fn decode_summary(
    node: &Node,
    owner: Owner,
    fields: &mut Vec<(String, Span)>,
    problems: &mut Problems,
) -> Option<Template> {
    let text = node.text(problems)?;
    match Template::parse(text, owner == Owner::Pairs) {
        Ok(template) => {
            for path in template.fields() {
                let place = place_of(path.as_str(), node.span, problems);
                fields.push((path.as_str().to_owned(), place));
            }
            Some(template)
        }
        Err(reason) => {
            problems.error(
                BAD_SETTING,
                node.span,
                format!("the summary cannot be read: {reason}"),
            );
            None
        }
    }
}

/// Where a summary names a field, or else the whole summary.
fn place_of(field: &str, summary: Span, problems: &Problems) -> Span {
    let (start, end) = (summary.start as usize, summary.end as usize);
    let text = problems.text(summary.file).get(start..end);
    match text.and_then(|text| text.find(field)) {
        Some(at) => summary.part(at, at + field.len()),
        None => summary,
    }
}

fn decode_field(
    node: &Node,
    fields: &mut Vec<(String, Span)>,
    problems: &mut Problems,
) -> Option<FieldPath> {
    let text = node.text(problems)?;
    fields.push((text.to_owned(), node.span));
    Some(FieldPath::new(text))
}

fn decode_fields(
    table: &mut Table<'_>,
    key: &'static str,
    fields: &mut Vec<(String, Span)>,
    problems: &mut Problems,
) -> Vec<FieldPath> {
    let Some(node) = table.get(key) else {
        return Vec::new();
    };
    let items = node.list(problems).unwrap_or_default();
    items
        .iter()
        .filter_map(|item| decode_field(item, fields, problems))
        .collect()
}

fn decode_risk(node: &Node, problems: &mut Problems) -> RiskSetting {
    let Some(mut table) = node.table(problems) else {
        return RiskSetting::default();
    };
    let setting = RiskSetting {
        severity: table
            .get("severity")
            .and_then(|node| node.one_of(&SEVERITIES, problems)),
        likelihood: table
            .get("likelihood")
            .and_then(|node| node.number(0.0, 1.0, problems)),
        impact: table
            .get("impact")
            .and_then(|node| node.number(0.0, 1.0, problems)),
    };
    table.finish(problems);
    setting
}

fn decode_floor(node: &Node, problems: &mut Problems) -> FloorSetting {
    let Some(mut table) = node.table(problems) else {
        return FloorSetting::default();
    };
    let setting = FloorSetting {
        severity: table
            .get("severity")
            .and_then(|node| node.one_of(&SEVERITIES, problems)),
        score: table
            .get("score")
            .and_then(|node| node.number(0.0, 1.0, problems)),
    };
    table.finish(problems);
    setting
}
