//! The types of values in the words of the documents, and not in those of the program.

/// What a type is called; nothing where a word is no type.
pub(super) fn of_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit("::").next().unwrap_or(name) {
        "i64" | "f64" | "int" | "float" => "a number",
        "()" => "()",
        "bool" => "true or false",
        "&str"
        | "char"
        | "string"
        | "String"
        | "ImmutableString"
        | "&str | ImmutableString | String" => "a text",
        "array" | "Array" => "a list",
        "map" | "Map" => "a map",
        "Fn" | "FnPtr" => "a function",
        "range" | "range=" | "Range<i64>" | "RangeInclusive<i64>" => "a range",
        "Event" | "EventView" => "an event",
        "Window" | "WindowView" => "a window",
        "Finding" | "FindingView" => "a finding",
        "About" | "AboutView" => "an incident",
        "List" | "ListView" => "a list of `rules/lists`",
        _ => return None,
    })
}

/// A message with the types that it names in words.
pub(super) fn of_types(message: &str) -> String {
    let message = message.replace("&str | ImmutableString | String", "string");
    let mut out = String::new();
    let mut rest = message.as_str();
    while !rest.is_empty() {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '&' | '$' | '.');
        let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        out.push_str(of_type(word).unwrap_or(word));
        let next = after.chars().next().map_or(0, char::len_utf8);
        let (between, after) = after.split_at(next);
        out.push_str(between);
        rest = after;
    }
    out
}

/// A call of a function that there is not: `name (type, type)`.
pub(super) fn of_call(call: &str) -> String {
    match call.split_once(' ') {
        Some((name, types)) => format!("{name} {}", of_types(types)),
        None => call.to_owned(),
    }
}

/// That a value has no such property.
pub(super) fn of_property(message: &str) -> Option<String> {
    let rest = message.strip_prefix("Unknown property '")?;
    let (name, rest) = rest.split_once("' - ")?;
    let (_, of) = rest.split_once("for type '")?;
    let of = of.trim_end_matches('\'');
    let of = of_type(of).unwrap_or(of);
    Some(format!("{of} has no property `{name}`"))
}
