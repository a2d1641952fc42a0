"""Every known difference of a peer, by the name under which `Referee` knows it.

The sentence is the row of docs/semantics.md, "Where others differ", in short.
"""

RSIGMA = {
    "yes is true": "for `true` in a rule, 1, `1` and `yes` count; for `false`, 0, `0` and `no`",
    "a text is read as a number": "a number in a rule is met by any text that spells it: `1.0` for 1",
    "1.0 has the text 1": "a number with a fraction has the text of Rust's `{}`: no `.0`, no exponent",
    "the text is lowered whole": "a whole text is lowered, where `Σ` at the end of a word becomes `ς`",
    "the regex folds": "a value with wildcards is a regular expression and folds as one: `ſ` is `s`, `ς` is `σ`",
    "a key with dots": "a key `\"a.b\"` at the top of a record is read before the path",
    "keywords find no booleans": "keywords look at texts and numbers, not at true and false",
    "fieldref takes values whole": "`fieldref` compares arrays, objects and nulls as such, and minds case there",
    "null beside others": "null is the whole of what the path gives: not a null in an array, nor an empty array",
    "every dash": "`windash` varies every dash and slash of a value",
    "blanks are no number": "blanks around a number or a time in a text are not passed over",
    "times without a zone": "times without a zone and epochs have parts too",
    "base64offset contains": "`base64offset` without `contains` looks inside the value all the same",
    "whole numbers are exact": "`lt`, `lte`, `gt` and `gte` compare whole numbers exactly; here they are doubles",
    "names have escapes": "in the name that `fieldref` takes, a backslash is an escape",
    "inf is a number": "the text `inf` is a number",
    "a leap second is in its minute": "23:59:60 has the hour 23; here it is the second after it",
    "exists takes no neq": "`neq` beside `exists` does nothing",
}

PYSIGMA = {
    "case is ASCII's": "SQLite ignores case in ASCII alone",
    "columns have types": "a column has a type: the text `403` is not the number 403",
    "SQLite writes numbers": "SQLite writes numbers in its own way: 1e30 is `1.0e+30`",
    "any text is above numbers": "SQLite has every text above every number",
    "1 is true": "for `true` in a rule the number 1 counts, for `false` 0",
    "null is missing": "a column cannot tell null from missing: `exists` is false for null and for an object",
    "an object is no column": "an object is no column, so that null matches it",
    "a key with dots": "a key `\"a.b\"` and the path `a.b` are one column",
    "a network is a wildcard": "`cidr` becomes wildcards on the text: `10.*` is met by what is no address",
    "keywords in one text": "all texts of a record are searched as one, so that `a*b` may span two",
    "SQLite reads times": "`strftime` reads times without a zone, and numbers as Julian days; `week` is `%W`",
    "1e30 is a text": "YAML 1.1 has no number without a point: `1e30` is a text",
    "rules have doubles": "a number of a rule is a double, also where it is compared for equality",
    "whole numbers are exact": "SQLite compares a whole number and a double exactly; here both are doubles",
    "true is True": "`re: true` looks for `True`",
    "a zero ends a text": "for SQLite's LIKE and GLOB a text ends at U+0000",
}

# A part of what a tool says when it refuses a rule, and what that means.
REFUSALS = {
    "rulectl": {
        "cannot stand together|stands twice|only goes with": "modifiers that mean nothing together",
        "cannot stand behind": "an order of modifiers that would mean something else",
        "has no modifier": "a modifier that Sigma does not have",
        "not an IP network": "a text that is no network",
        "not a usable regular expression": "an expression that cannot be compiled",
        "is no text; add": "UTF-16 that is no text",
        "has no Base64": "Base64 of a wildcard",
        "null does not go": "null with a modifier of texts",
        "expected a number": "a comparison with a text",
        "is no field": "`fieldref` to a wildcard",
    },
    "rsigma": {
        "at most one operator|only apply to string match|applied more than once|have no effect without": "modifiers that mean nothing together",
        "requires a string value|requires string values": "a modifier of texts with a number, true, false or null",
        "Unknown modifier": "a modifier that Sigma does not have",
        "invalid regular expression": "an expression that cannot be compiled",
        "expected address/prefix|invalid IP address": "`cidr` with a single address, or a text that is no network",
        "requires a numeric value": "a comparison with a text",
        "must not contain wildcards": "`fieldref` to a wildcard",
        "require an ASCII value": "UTF-16 without Base64 beyond ASCII",
        "do not support wildcards": "Base64 of a wildcard",
    },
    "pysigma": {
        "^SigmaTypeError: Modifier .* incompatible": "a modifier with a value of another type than it takes",
        "^SigmaTypeError: Invalid CIDR": "`cidr` with a text that is no network",
        "Field references must not contain wildcards": "`fieldref` to a wildcard",
        "Unknown modifier 'utf16le'": "`utf16le`, which only `wide` is for it",
        "Unknown modifier": "a modifier that Sigma does not have",
        "only applicable to unmodified values": "`re` or `cidr` behind another modifier",
        "only allowed for (ascii|valid Unicode) strings": "UTF-16 beyond ASCII, with Base64 too",
        "Base64 encoding of strings with wildcards": "Base64 of a wildcard",
        "Boolean values can't appear": "true or false as a keyword",
        "^SigmaRegularExpressionError": "an expression that cannot be compiled",
        "no such column": "`fieldref` to a field of which the table has no column",
        "user-defined function raised": "`re|contains` with flags in the expression, which are then in its middle",
        "contains a null character": "U+0000 in a query",
    },
}
