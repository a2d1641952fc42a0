//! A Sigma document, checked: what the rule is called, what it looks for, and
//! what its findings say.

use uuid::Uuid;

use crate::detect::alerts::is_of_rule;
use crate::detect::correlation::{Correlation, decode_correlation};
use crate::detect::lists::Lists;
use crate::detect::search::{DecodedDetection, Detection, decode_detection};
use crate::detect::settings::{Owner, Settings, decode_settings};
use crate::diag::{Problems, Span};
use crate::document::{Kind, Node, Table};
use crate::event::{Digest, FieldPath};

/// The codes of problems in a rule as a whole.
pub mod codes {
    /// A document that is not one of detection, correlation and filter.
    pub const NOT_A_RULE: &str = "RL0101";
    /// An id that is not a UUID.
    pub const BAD_ID: &str = "RL0103";
    /// Two rules with one id or name.
    pub const DUPLICATE: &str = "RL0104";
    /// A rule for another product.
    pub const OTHER_PRODUCT: &str = "RL0105";
}

/// The namespace of every UUIDv5 that this project makes.
pub const NAMESPACE: Uuid = Uuid::from_u128(0x6f1c_8f5e_0d5b_5a53_9d39_2f6f_0e5f_7c11);

/// Sigma's level of a rule; medium unless declared.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Informational.
    Informational,
    /// Low.
    Low,
    /// Medium.
    #[default]
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl Level {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let named = LEVELS.iter().find(|(_, level)| *level == self);
        named.map_or("", |(name, _)| name)
    }
}

/// The levels by name.
pub const LEVELS: [(&str, Level); 5] = [
    ("informational", Level::Informational),
    ("low", Level::Low),
    ("medium", Level::Medium),
    ("high", Level::High),
    ("critical", Level::Critical),
];

/// A checked rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The id: the document's, or else UUIDv5 of its name or of its place in the folder.
    pub id: Uuid,
    /// The name that correlations and tests refer to it by.
    pub name: Option<String>,
    /// Title.
    pub title: String,
    /// Who wrote it; the Detection Rule License asks that findings name them.
    pub author: Option<String>,
    /// What it detects, in prose.
    pub description: Option<String>,
    /// Level.
    pub level: Level,
    /// Tags, ATT&CK techniques among them.
    pub tags: Vec<String>,
    /// The log source that it is written for; correlations have none.
    pub source: Option<LogSource>,
    /// What it looks for.
    pub logic: Logic,
    /// The `rulectl` block.
    pub settings: Settings,
    /// The accessors that lead into fields that it reads, and how texts are written there.
    pub(super) inside: Vec<(FieldPath, &'static str)>,
    /// The functions that it names, and the digests of the scripts that they stand in.
    pub(super) scripts: Vec<(String, Digest)>,
    /// The file it stands in, relative to the policy folder.
    pub file: String,
    /// The place of the document.
    pub span: Span,
}

/// Which logs a rule is written for; what is left out may be anything.
#[derive(Clone, Debug)]
pub struct LogSource {
    /// Whose: `okta`.
    pub product: Option<String>,
    /// A kind of log that several products have.
    pub category: Option<String>,
    /// One log of the product: `okta`.
    pub service: Option<String>,
    /// Where it is written.
    pub span: Span,
}

/// What a rule looks for.
#[derive(Clone, Debug)]
pub enum Logic {
    /// A condition on one event.
    Detection(Detection),
    /// A detection that names a list that does not exist, or is for another
    /// log source: it never matches.
    Inactive,
    /// A condition on several events.
    Correlation(Correlation),
}

impl Rule {
    /// Whether `name` means this rule: its id or its name.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name) || Uuid::parse_str(name).is_ok_and(|id| id == self.id)
    }

    /// The name if it has one, else the title: what a person calls it.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.title)
    }

    /// Every field that the rule reads, with its place.
    #[must_use]
    pub fn fields(&self) -> Vec<(&str, Span)> {
        let mut fields: Vec<_> = self
            .settings
            .fields
            .iter()
            .map(|(text, span)| (text.as_str(), *span))
            .collect();
        match &self.logic {
            Logic::Detection(detection) => fields.extend(detection.fields()),
            Logic::Correlation(correlation) => {
                fields.retain(|(field, _)| !correlation.aliases.has(field) && !is_of_rule(field));
                fields.extend(
                    correlation
                        .fields
                        .iter()
                        .map(|(text, span)| (text.as_str(), *span)),
                );
            }
            Logic::Inactive => {}
        }
        fields
    }

    /// The fields that tell its findings apart.
    #[must_use]
    pub fn groups(&self) -> &[FieldPath] {
        match &self.logic {
            Logic::Correlation(correlation) => &correlation.group_by,
            Logic::Detection(_) | Logic::Inactive => &self.settings.group_by,
        }
    }

    /// Whether it names a function of a script.
    #[must_use]
    pub fn names_scripts(&self) -> bool {
        let correlation = match &self.logic {
            Logic::Correlation(correlation) => correlation.asked.is_scripted(),
            _ => false,
        };
        correlation || self.settings.script.names_any()
    }

    /// Every whole text that the rule compares a field with.
    #[must_use]
    pub fn literals(&self, field: &str) -> Vec<(&str, Span)> {
        match &self.logic {
            Logic::Detection(detection) => detection.literals(field),
            _ => Vec::new(),
        }
    }
}

/// Reads one document of a rule file. `file` is its path in the folder, `place` its number there.
pub fn decode_rule(
    node: &Node,
    file: &str,
    place: usize,
    lists: &Lists,
    problems: &mut Problems,
) -> Option<Rule> {
    let errors = problems.counts().0;
    let mut table = node.table(problems)?;
    let title = table
        .require("title", problems)
        .and_then(|node| node.text(problems))
        .map(str::to_owned);
    let name = table
        .get("name")
        .and_then(|node| node.text(problems))
        .map(str::to_owned);
    let id = decode_id(&mut table, name.as_deref(), file, place, problems);
    let level = table
        .get("level")
        .and_then(|node| node.one_of(&LEVELS, problems))
        .unwrap_or_default();
    let description = table
        .get("description")
        .and_then(|node| node.text(problems))
        .map(str::to_owned);
    let author = table
        .get("author")
        .and_then(|node| node.text(problems))
        .map(str::to_owned);
    let tags = table
        .get("tags")
        .map(|node| node.texts(problems))
        .unwrap_or_default();
    let source = table
        .get("logsource")
        .and_then(|node| decode_log_source(node, problems));
    // Sigma's descriptive attributes: no effect on what the rule does.
    for key in DESCRIPTIVE {
        table.get(key);
    }
    let (logic, owner) = decode_logic(&mut table, lists, problems);
    let settings = decode_settings(table.get("rulectl"), owner, problems);
    table.finish_with_warnings(problems);
    if problems.counts().0 > errors {
        return None;
    }
    Some(Rule {
        id: id?,
        name,
        title: title?,
        author,
        description,
        level,
        tags: tags.into_iter().map(|(tag, _)| tag.to_owned()).collect(),
        source,
        logic: logic?,
        settings,
        inside: Vec::new(),
        scripts: Vec::new(),
        file: file.to_owned(),
        span: node.span,
    })
}

/// Keys of a rule that say something to people and decide nothing. So does its description, where
/// nothing reads that.
pub const DESCRIPTIVE: [&str; 12] = [
    "related",
    "taxonomy",
    "status",
    "license",
    "references",
    "date",
    "modified",
    "fields",
    "falsepositives",
    "scope",
    "regression_tests_path",
    "simulation",
];

pub(super) fn decode_id(
    table: &mut Table<'_>,
    name: Option<&str>,
    file: &str,
    place: usize,
    problems: &mut Problems,
) -> Option<Uuid> {
    if let Some(node) = table.get("id") {
        let text = node.text(problems)?;
        let parsed = Uuid::parse_str(text).ok();
        if parsed.is_none() {
            problems
                .error(codes::BAD_ID, node.span, format!("`{text}` is not a UUID"))
                .help("write a random one, or leave `id` out: it is then made from `name`");
        }
        return parsed;
    }
    let from_place = || {
        if place == 0 {
            file.to_owned()
        } else {
            format!("{file}#{place}")
        }
    };
    let source = name.map_or_else(from_place, str::to_owned);
    Some(Uuid::new_v5(&NAMESPACE, source.as_bytes()))
}

pub(super) fn decode_log_source(node: &Node, problems: &mut Problems) -> Option<LogSource> {
    let mut table = node.table(problems)?;
    table.get("definition");
    let mut text = |key: &'static str| {
        let text = table.get(key).and_then(|node| node.text(problems));
        text.map(str::to_owned)
    };
    let source = LogSource {
        product: text("product"),
        category: text("category"),
        service: text("service"),
        span: node.span,
    };
    table.finish_with_warnings(problems);
    Some(source)
}

/// What the rule looks for, `None` when it was reported, and what its `rulectl` block belongs to.
fn decode_logic(
    table: &mut Table<'_>,
    lists: &Lists,
    problems: &mut Problems,
) -> (Option<Logic>, Owner) {
    let others = [("filter", "a `filter`"), ("accessors", "`accessors`")];
    let others = others.map(|(key, shown)| table.place_of(key).map(|span| (span, key, shown)));
    let is_logic = |key: &str| table.place_of(key).is_some();
    let has_logic = is_logic("detection") || is_logic("correlation");
    if let Some((span, key, shown)) = others.into_iter().flatten().find(|_| has_logic) {
        for key in ["filter", "accessors", "detection", "correlation"] {
            table.get(key);
        }
        problems
            .error(
                codes::NOT_A_RULE,
                span,
                format!("a document with {shown} has no `detection` and no `correlation`"),
            )
            .help(format!(
                "put `{key}` into a document of its own, after a line `---`"
            ));
        return (None, Owner::Detection);
    }
    let detection = table.get_even_null("detection");
    let correlation = table.get_even_null("correlation");
    match (detection, correlation) {
        (Some(node), None) => {
            table.require("logsource", problems);
            let logic = match decode_detection(node, &[], lists, problems) {
                DecodedDetection::Ready(detection) => Some(Logic::Detection(detection)),
                DecodedDetection::Inactive => Some(Logic::Inactive),
                DecodedDetection::Broken => None,
            };
            (logic, Owner::Detection)
        }
        (None, Some(node)) => {
            let owner = owner_of(node);
            // Sigma's schema has the key here, its parsers in the mapping.
            let generate = table
                .get("generate")
                .and_then(|node| node.boolean(problems))
                .unwrap_or(false);
            let correlation = decode_correlation(node, generate, lists, problems);
            (correlation.map(Logic::Correlation), owner)
        }
        (Some(_), Some(_)) => {
            let span = table.place_of("correlation").unwrap_or(table.span());
            problems
                .error(
                    codes::NOT_A_RULE,
                    span,
                    "a document has `detection` or `correlation`, not both",
                )
                .help("put the correlation into a document of its own, after a line `---`");
            (None, Owner::Correlation)
        }
        (None, None) => {
            report_no_logic(table, problems);
            (None, Owner::Detection)
        }
    }
}

/// The summary of a `consecutive` correlation may name the two events of a pair.
fn owner_of(correlation: &Node) -> Owner {
    let Kind::Map(entries) = &correlation.kind else {
        return Owner::Correlation;
    };
    let mut types = entries.iter().filter(|(key, _)| key.text == "type");
    let pairs = types.any(|(_, node)| node.scalar_text().as_deref() == Some("consecutive"));
    if pairs {
        Owner::Pairs
    } else {
        Owner::Correlation
    }
}

fn report_no_logic(table: &Table<'_>, problems: &mut Problems) {
    const KINDS: [&str; 4] = ["detection", "correlation", "filter", "accessors"];
    let message = "the document has no `detection`, `correlation`, `filter` or `accessors`";
    let mut keys = table.entries().iter().map(|(key, _)| key);
    match keys.find(|key| crate::diag::nearest(&key.text, KINDS).is_some()) {
        Some(key) => problems
            .error(codes::NOT_A_RULE, key.span, message)
            .did_you_mean(&key.text, KINDS),
        None => problems
            .error(codes::NOT_A_RULE, table.span().part(0, 0), message)
            .help("a rule file holds Sigma documents"),
    }
}
