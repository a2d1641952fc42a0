//! A document of accessors: which fields are texts that hold values, and how these are written.

use std::collections::BTreeMap;

use crate::diag::{Problems, Span};
use crate::document::{Key, Kind, Node, codes as document_codes};
use crate::event::FieldPath;
use crate::json::{Notation, Wanted};

/// The codes of problems with accessors.
pub mod codes {
    /// A path that names no field, or that is declared in two ways.
    pub const ACCESSOR: &str = "RL0108";
}

const NOTATIONS: [(&str, Notation); 2] = [("map", Notation::Map), ("json", Notation::Json)];

/// The fields whose texts hold values, by their paths.
#[derive(Clone, Debug, Default)]
pub struct Accessors(BTreeMap<FieldPath, (Notation, Span)>);

impl Accessors {
    /// Whether a path leads into the texts of one of the fields.
    #[must_use]
    pub fn lead_to(&self, path: &str) -> bool {
        let is_below = |text: &FieldPath| {
            let below = path.strip_prefix(text.as_str());
            below.is_some_and(|below| below.starts_with('.'))
        };
        self.0.keys().any(is_below)
    }

    /// Lets the wanted fields be found inside of texts too.
    pub fn apply(&self, wanted: &mut Wanted) {
        for (path, (notation, _)) in &self.0 {
            wanted.read_inside(path.steps(), *notation);
        }
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
