//! A checked command template.

use serde_json::Value;

use crate::diag::Span;

/// An Okta API operation to suggest for a step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandTemplate {
    /// Its name in `tools.yaml`.
    pub name: String,
    /// The step of a plan that it serves.
    pub step: String,
    /// The types of findings that it is for, and where each is written; none: for all.
    pub finding_types: Vec<(String, Span)>,
    /// The system that it is for: `okta_api`.
    pub system: String,
    /// What it does.
    pub description: String,
    /// What to know before running it.
    pub notes: Option<String>,
    /// The scope of OAuth that a token needs for it, and where that is written.
    pub scope: Option<(String, Span)>,
    /// Where the path is written.
    pub at: Span,
    /// The HTTP method.
    pub method: Method,
    /// The segments of the path; each may hold holes.
    pub path: Vec<Vec<Piece>>,
    /// The query, in the order written.
    pub query: Vec<QueryParameter>,
    /// A JSON body without holes.
    pub body: Option<Value>,
}

impl CommandTemplate {
    /// Whether it is suggested for a step of the plan for a finding of a type.
    #[must_use]
    pub fn serves(&self, step: &str, finding_type: &str) -> bool {
        let mut types = self.finding_types.iter();
        self.step == step
            && (self.finding_types.is_empty() || types.any(|(name, _)| name == finding_type))
    }
}

/// One parameter of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryParameter {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Vec<Piece>,
    /// Whether the value is a SCIM filter, in which a hole stands inside a quoted string.
    pub is_filter: bool,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates or acts.
    Post,
    /// Replaces.
    Put,
    /// Removes.
    Delete,
}

impl Method {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// Text as it is, or a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text.
    Text(String),
    /// A hole.
    Hole(Hole),
}

/// What a template may be filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hole {
    /// The account the finding is about, when it is a well-formed Okta id.
    UserId,
    /// The time of the finding's first event.
    FirstSeen,
    /// The time of the finding's last event.
    LastSeen,
}

impl Hole {
    /// The holes by name.
    pub const ALL: [(&str, Self); 3] = [
        ("userId", Self::UserId),
        ("firstSeen", Self::FirstSeen),
        ("lastSeen", Self::LastSeen),
    ];

    /// Its name, without the braces.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, hole)| *hole == self)
            .map_or("", |(name, _)| name)
    }
}
