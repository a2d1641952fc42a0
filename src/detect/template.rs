//! The one-line texts of findings: `"{count} failed logins for {actor.alternateId}"`.

use crate::event::FieldPath;

/// A text with holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text as it is.
    Literal(String),
    /// `{count}`: the exact number of events.
    Count,
    /// `{hits}`: the number of hits.
    Hits,
    /// `{span}`: the time between the first event and the last.
    Span,
    /// `{FIELD}`: that of the first hit's event.
    Field(FieldPath),
    /// `{a.FIELD}`: that of the earlier event of the first pair.
    Earlier(FieldPath),
    /// `{b.FIELD}`: that of the later event of the first pair.
    Later(FieldPath),
}

impl Template {
    /// Reads a template. `pairs` says whether `{a.…}` and `{b.…}` name the events of a pair.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the braces.
    pub fn parse(text: &str, pairs: bool) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(open);
            push_literal(&mut parts, before);
            let Some(inner) = from.strip_prefix('{') else {
                return Err("there is a `}` without a `{`");
            };
            let (name, after) = inner.split_once('}').ok_or("a `{` is not closed")?;
            if name.is_empty() || name.contains(['{', ' ']) {
                return Err("between `{` and `}` belongs `count`, `hits`, `span` or a field path");
            }
            parts.push(hole(name, pairs));
            rest = after;
        }
        push_literal(&mut parts, rest);
        Ok(Self { parts })
    }

    /// The text with its holes filled.
    #[must_use]
    pub fn fill(&self, value: impl Fn(&Part) -> String) -> String {
        self.parts
            .iter()
            .map(|part| {
                if let Part::Literal(text) = part {
                    text.clone()
                } else {
                    value(part)
                }
            })
            .collect()
    }

    /// Every field that the holes name.
    pub fn fields(&self) -> impl Iterator<Item = &FieldPath> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(path) | Part::Earlier(path) | Part::Later(path) => Some(path),
            _ => None,
        })
    }
}

fn push_literal(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Literal(text.to_owned()));
    }
}

fn hole(name: &str, pairs: bool) -> Part {
    match name {
        "count" => Part::Count,
        "hits" => Part::Hits,
        "span" => Part::Span,
        _ => match (pairs, name.strip_prefix("a."), name.strip_prefix("b.")) {
            (true, Some(path), _) => Part::Earlier(FieldPath::new(path)),
            (true, _, Some(path)) => Part::Later(FieldPath::new(path)),
            _ => Part::Field(FieldPath::new(name)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, pairs: bool) -> Result<String, &'static str> {
        let show = |part: &Part| match part {
            Part::Earlier(path) => format!("<a {path}>"),
            Part::Later(path) => format!("<b {path}>"),
            Part::Field(path) => format!("<{path}>"),
            other => format!("<{other:?}>"),
        };
        Template::parse(text, pairs).map(|template| template.fill(show))
    }

    #[test]
    fn holes_are_found() {
        let cases = [
            ("plain", false, "plain"),
            (
                "{count} of {actor.id} in {span}",
                false,
                "<Count> of <actor.id> in <Span>",
            ),
            ("{a.x} to {b.x} by {c}", true, "<a x> to <b x> by <c>"),
            ("{a.x}", false, "<a.x>"),
        ];
        for (text, pairs, expected) in cases {
            assert_eq!(shown(text, pairs).as_deref(), Ok(expected), "{text}");
        }
        for bad in ["{", "}", "{}", "{a", "{ count }", "{{count}}"] {
            assert!(shown(bad, false).is_err(), "{bad}");
        }
    }
}
