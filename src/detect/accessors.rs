//! A document of accessors: which fields are texts that hold values, and how these are written.

use std::collections::BTreeMap;

use crate::detect::{Logic, Rule};
use crate::diag::{Problems, Span};
use crate::document::{Key, Kind, Node, codes as document_codes};
use crate::event::FieldPath;
use crate::json::{Notation, Wanted};

/// The codes of problems with accessors.
pub mod codes {
    /// A path that names no field, or that is declared in two ways.
    pub const ACCESSOR: &str = "RL0108";
}

/// How texts that hold values are written, by name.
pub const NOTATIONS: [(&str, Notation); 2] = [("map", Notation::Map), ("json", Notation::Json)];

/// The fields whose texts hold values, by their paths.
#[derive(Clone, Debug, Default)]
pub struct Accessors(BTreeMap<FieldPath, (Notation, Span)>);

impl Accessors {
    /// Whether a path leads into the texts of one of the fields.
    #[must_use]
    pub fn lead_to(&self, path: &str) -> bool {
        self.0.keys().any(|text| is_below(path, text))
    }

    /// Tells each rule which of them lead into fields that it reads, or its filters do:
    /// they are a part of what it does.
    pub fn note(&self, rules: &mut [Rule]) {
        if self.0.is_empty() {
            return;
        }
        for rule in rules {
            let own = rule.fields();
            let of_filters = match &rule.logic {
                Logic::Detection(detection) => detection.parts().2,
                _ => &[],
            };
            let of_filters = of_filters.iter().flat_map(|(_, filter)| filter.fields());
            let fields: Vec<&str> = own.into_iter().chain(of_filters).map(|(f, _)| f).collect();
            let lead = |text: &FieldPath| fields.iter().any(|field| is_below(field, text));
            let leading = self.0.iter().filter(|(text, _)| lead(text));
            let leading = leading.map(|(text, (notation, _))| (text.clone(), name(*notation)));
            rule.inside = leading.collect();
        }
    }

    /// Lets the wanted fields be found inside of texts too.
    pub fn apply(&self, wanted: &mut Wanted) {
        for (path, (notation, _)) in &self.0 {
            wanted.read_inside(path.steps(), *notation);
        }
    }

    /// Whether events are read by both in the same way.
    pub(super) fn agree_with(&self, other: &Self) -> bool {
        let read = |accessors: &Self| -> Vec<(FieldPath, &'static str)> {
            let fields = accessors.0.iter();
            fields
                .map(|(path, (notation, _))| (path.clone(), name(*notation)))
                .collect()
        };
        read(self) == read(other)
    }

    fn add(&mut self, key: &Key, notation: Notation, problems: &mut Problems) {
        let path = &key.text;
        if path.split('.').any(str::is_empty) || path.contains('|') {
            problems
                .error(
                    codes::ACCESSOR,
                    key.span,
                    format!("`{path}` is not the path of a field"),
                )
                .help("write keys with dots between them, such as `debugContext.debugData.risk`");
            return;
        }
        let known = self
            .0
            .entry(FieldPath::new(path))
            .or_insert((notation, key.span));
        if known.0 != notation {
            let file = problems.file_name(known.1.file).to_owned();
            problems
                .error(
                    codes::ACCESSOR,
                    key.span,
                    format!("`{path}` is read in another way by an accessor in `{file}`"),
                )
                .help("remove one of the two");
        }
    }
}

/// Whether a path leads into what stands at the other.
fn is_below(path: &str, text: &FieldPath) -> bool {
    let below = path.strip_prefix(text.as_str());
    below.is_some_and(|below| below.starts_with('.'))
}

/// What a notation is called.
fn name(notation: Notation) -> &'static str {
    let named = NOTATIONS.iter().find(|(_, known)| *known == notation);
    named.map_or("", |(name, _)| name)
}

/// Whether a document declares accessors and is no rule.
#[must_use]
pub fn is_accessors(node: &Node) -> bool {
    let Kind::Map(entries) = &node.kind else {
        return false;
    };
    let has = |name: &str| entries.iter().any(|(key, _)| key.text == name);
    has("accessors") && !["detection", "correlation", "filter"].into_iter().any(has)
}

/// Reads a document of accessors and adds them to those that are known.
pub fn decode_accessors(node: &Node, accessors: &mut Accessors, problems: &mut Problems) {
    let Some(mut table) = node.table(problems) else {
        return;
    };
    for key in [
        "title",
        "description",
        "author",
        "date",
        "modified",
        "references",
    ] {
        table.get(key);
    }
    let declared = table.require("accessors", problems);
    if let Some(declared) = declared.and_then(|node| node.table(problems)) {
        if declared.entries().is_empty() {
            problems.error(
                document_codes::BAD_VALUE,
                declared.span(),
                "no accessor is declared",
            );
        }
        for (key, value) in declared.entries() {
            if let Some(notation) = value.one_of(&NOTATIONS, problems) {
                accessors.add(key, notation, problems);
            }
        }
    }
    table.finish(problems);
}
