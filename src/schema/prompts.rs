//! The front matter of a prompt.

use serde_json::{Value, json};

use crate::schema::pages::Table;
use crate::schema::{NAMES, closed, named, span_of_time};
use crate::slots::{ASK, context_fields};

pub(super) fn schema() -> Value {
    let whole = |low: u32, high: u32| json!({"type": "integer", "minimum": low, "maximum": high});
    let limits = json!({
        "max_tokens": whole(1, 32_768),
        "timeout": span_of_time(),
        "repair": whole(0, 1),
        "prompt_bytes": whole(1, 1 << 20),
    });
    let fields = context_fields().collect::<Vec<_>>();
    let mut front = closed(
        Table::PROMPT,
        &["slot", "context"],
        json!({
            "slot": named("slot"),
            "limits": closed(Table::PROMPT, &[], limits),
            "context": {"type": "array", "items": {"type": "string", "enum": fields, NAMES: "context"}},
            "schema": {"type": "object"},
        }),
    );
    // That of questions is made of what may be asked.
    if let Value::Object(front) = &mut front {
        front.insert(
            "if".to_owned(),
            json!({"properties": {"slot": {"const": ASK}}, "required": ["slot"]}),
        );
        front.insert("then".to_owned(), json!({"properties": {"schema": false}}));
        front.insert("else".to_owned(), json!({"required": ["schema"]}));
    }
    front
}
