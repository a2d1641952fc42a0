//! Replies of a model.

use std::sync::LazyLock;

use rulectl::diag::Problems;
use rulectl::llm::{About, Failure, Finish, Model, Reply, Request, Usage};
use rulectl::risk::Opinion;
use rulectl::route::Proposal;
use rulectl::slots::{Prompt, decode_prompt, fill};
use rulectl::visible::is_deceptive;
use serde_json::{Value, json};

/// A reply of any bytes is accepted or refused with a reason, after at most two calls; what is
/// accepted is within the bounds of its slot, and reads back as itself.
pub fn reply(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let context = json!({"finding": {"description": text}});
    for (prompt, check) in PROMPTS.iter().zip(CHECKS) {
        let asked = fill(prompt, &context, &Says(&text), &check);
        assert!((1..=2).contains(&asked.calls.len()), "{text:?}");
        assert_eq!(
            asked.accepted.is_some(),
            asked.refused.is_none(),
            "{text:?}"
        );
        if let Some(accepted) = &asked.accepted {
            let again = serde_json::from_str::<Value>(&text);
            assert_eq!(again.ok().as_ref(), Some(accepted), "{text:?}");
            assert!(check(accepted).is_ok(), "{text:?}");
        }
        let refused = asked.refused.unwrap_or_default();
        assert!(!refused.chars().any(is_deceptive), "{refused:?}");
        for message in asked.calls.iter().flat_map(|call| &call.request.messages) {
            let content = &message.content;
            assert!(content.len() < 16_000, "{content}");
            let is_plain = |c: char| c == '\n' || !is_deceptive(c) && !"<>`".contains(c);
            assert!(content.chars().all(is_plain), "{content:?}");
        }
    }
}

type Check = fn(&Value) -> Result<(), Vec<String>>;

const CHECKS: [Check; 2] = [
    |reply| Opinion::read(reply).map(drop),
    |reply| Proposal::read(reply).map(drop),
];

/// A prompt whose schema says little, so that the bounds are asked, for each of the two.
static PROMPTS: LazyLock<[Prompt; 2]> = LazyLock::new(|| {
    ["risk", "route"].map(|slot| {
        let text = format!(
            "---\nslot: {slot}\ncontext: [finding.description]\nschema: {{type: object}}\n---\n{{{{ finding.description }}}}\n"
        );
        let mut problems = Problems::default();
        let file = problems.add_file("prompts/p.md", &text);
        decode_prompt(file, &text, None, &mut problems).expect("a prompt")
    })
});

/// Says one thing, whatever it is asked.
struct Says<'t>(&'t str);

impl Model for Says<'_> {
    fn ask(&self, _: &Request) -> Result<Reply, Failure> {
        Ok(Reply {
            text: self.0.to_owned(),
            finish: Finish::Stop,
            model: "fuzz".to_owned(),
            usage: Usage::default(),
        })
    }

    fn about(&self) -> About {
        About::default()
    }
}
