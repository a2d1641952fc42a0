//! Okta's error objects. The codes and their summaries are those of Okta's list of error codes,
//! <https://developer.okta.com/docs/reference/error-codes/>.

use serde_json::{Value, json};

use super::seed::Seed;
use super::wire::{Answer, Ask};

/// An error of the API, before it is an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status code.
    pub status: u16,
    /// Such as `E0000047`.
    pub code: &'static str,
    /// The summary.
    pub summary: String,
    /// What is told in `errorCauses`.
    pub causes: Vec<String>,
    /// Headers that come with it.
    pub headers: Vec<(String, String)>,
}

impl Failure {
    fn new(status: u16, code: &'static str, summary: &str) -> Self {
        Self {
            status,
            code,
            summary: summary.to_owned(),
            causes: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// A parameter is not as it must be.
    #[must_use]
    pub fn validation(parameter: &str, cause: &str) -> Self {
        let summary = format!("Api validation failed: {parameter}");
        Self::new(400, "E0000001", &summary).because(&format!("{parameter}: {cause}"))
    }

    /// The caller may not do that.
    #[must_use]
    pub fn forbidden() -> Self {
        let summary = "You do not have permission to perform the requested action";
        Self::new(403, "E0000006", summary)
    }

    /// There is no such thing.
    #[must_use]
    pub fn missing(what: &str, kind: &str) -> Self {
        let summary = format!("Not found: Resource not found: {what} ({kind})");
        Self::new(404, "E0000007", &summary)
    }

    /// The server failed.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(500, "E0000009", "Internal Server Error")
    }

    /// No token, an unknown one, an expired one.
    #[must_use]
    pub fn token() -> Self {
        Self::new(401, "E0000011", "Invalid token provided")
    }

    /// The path has other methods.
    #[must_use]
    pub fn method() -> Self {
        let summary = "The endpoint does not support the provided HTTP method";
        Self::new(405, "E0000022", summary)
    }

    /// A search that cannot be made, among them a cursor that this tenant did not make.
    #[must_use]
    pub fn search(cause: &str) -> Self {
        Self::new(400, "E0000031", "Invalid search criteria.").because(cause)
    }

    /// The limit of a bucket, or of requests at the same time, is reached.
    #[must_use]
    pub fn too_many() -> Self {
        let summary = "API call exceeded rate limit due to too many requests.";
        Self::new(429, "E0000047", summary)
    }

    /// A filter that cannot be read, and what Okta answers with the same code.
    #[must_use]
    pub fn filter(cause: &str) -> Self {
        Self::new(400, "E0000053", "Invalid SCIM filter.").because(cause)
    }

    /// The same with a cause.
    #[must_use]
    pub fn because(mut self, cause: &str) -> Self {
        self.causes.push(cause.to_owned());
        self
    }

    /// The same with a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The answer that tells it, with the id that an error of that request has.
    #[must_use]
    pub fn answer(&self, seed: Seed, ask: &Ask) -> Answer {
        let mut answer = Answer::json(self.status, &self.body(seed, ask));
        answer.headers.extend(self.headers.iter().cloned());
        answer
    }

    fn body(&self, seed: Seed, ask: &Ask) -> Value {
        let number = ask.number.to_string();
        let causes: Vec<Value> = self
            .causes
            .iter()
            .map(|cause| json!({ "errorSummary": cause }))
            .collect();
        json!({
            "errorCode": self.code,
            "errorSummary": self.summary,
            "errorLink": self.code,
            "errorId": seed.letters("oae", &["error", &number], 25),
            "errorCauses": causes,
        })
    }
}
