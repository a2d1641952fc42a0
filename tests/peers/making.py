"""Rules and events, made up so that they meet: an event often has what a line of a
rule asks for, with one thing changed. The same seed gives the same bytes."""

import base64
import copy
import json

FIELDS = [
    "eventType", "outcome.result", "outcome.reason", "actor.alternateId", "target.displayName",
    "target.id", "target", "client.ipAddress", "debugContext.debugData.x", "transaction.detail.n", "published",
]  # fmt: skip
TEXTS = [
    "FAILURE", "success", "user.session.start", "user.mfa.*", "a*b", "a?c", "*x*", "*", "?", "ab", "aXb", "abab",
    "Straße", "ÄÖ", "İx", "K", "ΑΣ", "日本", "10.0.0.1", "10.1.2.3", "2001:db8::1", "true", "False", "403", "4.5", "1",
    "null", "", " x ", r"a\*b", r"a\\b", r"a\\*", r"C:\x", r"a\?", "100%", "a_b", "[a]", "-enc /x", "a-b --c/d", "cmd",
    "Y21k", "2026-03-02T10:00:00Z", 'quo"te', "it's", "x\ny", "403.0",
]  # fmt: skip
PLAIN = ["cmd", "ab", "-enc x", "Straße", "whoami", "foo bar", "x /c", "403"]
# An expression and a text in which it finds something.
EXPRESSIONS = {
    "^a.b$": "aXb", "[0-9]+": "403", "(?i)FAIL": "Failure", "x|日": "日本", "": "any", r"^user\.": "user.mfa", "É": "É",
    "^b": "b\nx", "a.b": "a\nb", r"^\d$": "٣", "c$": "abc", r"\bx\b": "a x b",
}  # fmt: skip
NETWORKS = {
    "10.0.0.0/8": ["10.9.9.9", "11.0.0.0", "010.1.2.3", "10.1.2.3:443", "10.x", "::ffff:10.1.2.3"],
    "10.0.0.0/30": ["10.0.0.3", "10.0.0.4"],
    "192.168.0.0/23": ["192.168.1.255", "192.168.2.0", "192.168.0"],
    "2001:db8::/32": ["2001:db8::1", "2001:DB8:0:0::", "2001:db9::", "2001:0db8::5"],
    "2001:db8:aaaa::/48": ["2001:db8:aaaa::1", "2001:db8:aaab::1"],
    "0.0.0.0/0": ["1.2.3.4", "::1"],
}
TIMES = [
    "2026-03-02T10:00:00Z", "2026-03-02T10:59:59.999Z", "2026-03-02T00:30:00+02:00", "2027-01-01T00:00:00Z",
    "2026-03-02T10:00:00", "2026-03-02 10:00:00Z", "2024-12-30T23:59:60Z", "2026-01-01T12:00:00Z", "yesterday",
]  # fmt: skip
PARTS = {"minute": [0, 30, 59], "hour": [0, 10, 22], "day": [1, 2, 31], "week": [1, 9, 10, 53], "month": [1, 3, 12], "year": [2026, 2027]}
NUMBERS = [403, 5, -1, 0, 1, 4.5, 403.0, 1e30, 0.1, 2**53 + 1]
SCALARS = [403, 5, -1, 0, 1, 4.5, 403.0, 1e30, 0.1, 2**53, True, False, None]

# Modifiers and the kind of value that they take.
LINES = [
    ("", "any"), ("", "any"), ("", "any"), ("", "text"), ("cased", "text"), ("contains", "any but null"),
    ("startswith", "any but null"), ("endswith", "any but null"), ("contains|cased", "text"), ("startswith|cased", "text"),
    ("endswith|cased", "text"), ("contains|all", "text"), ("all", "any"), ("neq", "any"), ("contains|neq", "text"),
    ("all|neq", "any"), ("contains|all|neq", "text"), ("exists", "bool"), ("re", "regex"), ("re|i", "regex"),
    ("re|m", "regex"), ("re|s", "regex"), ("re|i|m|s", "regex"), ("re|neq", "regex"), ("re|all", "regex"), ("cidr", "network"),
    ("cidr|neq", "network"), ("lt", "number"), ("lte", "number"), ("gt", "number"), ("gte", "number"), ("gt|neq", "number"),
    ("minute", "minute"), ("hour", "hour"), ("day", "day"), ("week", "week"), ("month", "month"), ("year", "year"),
    ("fieldref", "field"), ("fieldref|contains", "field"), ("fieldref|startswith", "field"), ("fieldref|endswith", "field"),
    ("fieldref|neq", "field"), ("windash", "text"), ("windash|contains", "text"), ("windash|contains|all", "text"),
    ("base64", "plain"), ("base64|contains", "plain"), ("base64offset|contains", "plain"), ("wide|base64", "plain"),
    ("wide|base64offset|contains", "plain"), ("utf16|base64offset|contains", "plain"), ("windash|base64", "plain"), ("base64|cased", "plain"),
]  # fmt: skip
# What some tools take and others refuse; each stands in a rule of its own.
ODD_LINES = [
    ("contains|base64", "plain"), ("re|contains", "regex"), ("exists|neq", "bool"), ("hour|gte", "hour"), ("base64offset", "plain"),
    ("fieldref|cased", "field"), ("cased|contains", "text"), ("exists|all", "bool"), ("lt|gt", "number"), ("i", "text"),
    ("cidr|contains", "network"), ("windash|re", "text"), ("base64", "text"), ("gt", "text"), ("utf16le|base64", "plain"),
    ("utf16be|base64", "plain"), ("wide", "plain"), ("neq|neq", "text"), ("contains", "any"), ("re", "any"), ("cased", "any"),
    ("windash", "any"), ("cidr", "text"), ("contains|startswith", "text"), ("fieldref", "any"), ("unknown", "text"),
]  # fmt: skip
KEYWORD_LINES = [("", "any but null"), ("", "text"), ("all", "text"), ("re", "regex"), ("cased", "text"), ("base64offset|contains", "plain")]
NAMES = ["sel", "selection", "sel_b", "filter", "_hidden"]
ARRAYS = ("target",)


def rules(random, count):
    return [rule(random) for _ in range(count)]


def rule(random):
    if random.random() < 0.1:
        return {"searches": {"sel": [[line(random, random.choice(FIELDS), ODD_LINES)]]}, "condition": ("id", "sel")}
    names = random.sample(NAMES, random.randint(1, 3))
    searches = {name: search(random) for name in names}
    return {"searches": searches, "condition": condition(random, names)}


def search(random):
    if random.random() < 0.12:
        return [[line(random, None)]]
    several = random.random() < 0.2
    return [distinct([line(random, random.choice(FIELDS)) for _ in range(random.choice([1, 1, 2, 3]))]) for _ in range(random.randint(2, 3) if several else 1)]


def distinct(lines):
    """A mapping has a key once."""
    return list({key(field, modifiers): (field, modifiers, values) for field, modifiers, values in lines}.values())


def line(random, field, lines=None):
    modifiers, kind = random.choice(lines or (KEYWORD_LINES if field is None else LINES))
    count = 1 if kind == "bool" else random.choice([1, 1, 2, 3])
    return field, modifiers.split("|") if modifiers else [], [value(random, kind) for _ in range(count)]


def value(random, kind):
    if kind == "any":
        return random.choice(TEXTS if random.random() < 0.7 else [*NUMBERS, True, False, None])
    if kind == "any but null":
        return random.choice(TEXTS if random.random() < 0.8 else [403, 0, 1, 4.5, True, False])
    if kind == "bool":
        return random.random() < 0.5
    pools = {"text": TEXTS, "plain": PLAIN, "regex": list(EXPRESSIONS), "network": list(NETWORKS), "number": NUMBERS, "field": FIELDS}
    return random.choice(pools.get(kind) or PARTS[kind])


def condition(random, names, depth=0):
    asked = random.random()
    if depth > 2 or asked < 0.35:
        return ("id", random.choice(names))
    if asked < 0.5:
        visible = [name for name in names if not name.startswith("_")]
        patterns = ["them", *(name[:3] + "*" for name in visible), *visible] if visible else []
        if "_hidden" in names:
            patterns.append("_*")
        return ("of", random.choice(["1", "all", "any"]), random.choice(patterns))
    if asked < 0.65:
        return ("not", condition(random, names, depth + 1))
    return (random.choice(["and", "or"]), condition(random, names, depth + 1), condition(random, names, depth + 1))


# How a rule is written.


def written(rule, number):
    detection = {name: written_search(search) for name, search in rule["searches"].items()}
    detection["condition"] = written_condition(rule["condition"])
    head = {"title": f"Rule {number}", "id": rule_id(number), "logsource": {"product": "okta", "service": "okta"}}
    return json.dumps({**head, "detection": detection}, ensure_ascii=False, indent=1)


def rule_id(number):
    return f"00000000-0000-4000-8000-{number:012}"


def written_search(search):
    if search[0][0][0] is None and not search[0][0][1]:
        return search[0][0][2]
    maps = [{key(field, modifiers): values if len(values) > 1 else values[0] for field, modifiers, values in lines} for lines in search]
    return maps if len(maps) > 1 else maps[0]


def key(field, modifiers):
    return "|".join([field or "", *modifiers])


def written_condition(condition):
    kind, *parts = condition
    if kind == "id":
        return parts[0]
    if kind == "of":
        return f"{parts[0]} of {parts[1]}"
    inner = [f"({written_condition(part)})" if part[0] in ("and", "or") else written_condition(part) for part in parts]
    return f"not {inner[0]}" if kind == "not" else f" {kind} ".join(inner)


# Events near the boundary of a rule.


def events(random, rule, count):
    return [event(random, rule) for _ in range(count)]


def event(random, rule):
    record = {}
    for field in random.sample(FIELDS, 3):
        place(random, record, field, random.choice([*SCALARS, *(plain(text) for text in TEXTS)]))
    for search in rule["searches"].values():
        if random.random() < 0.8:
            for field, modifiers, values in random.choice(search):
                meet(random, record, field, modifiers, values)
    for _ in range(random.choice([0, 1, 1, 2])):
        disturb(random, record)
    record.setdefault("published", "2026-03-02T10:00:00Z")
    return record


def meet(random, record, field, modifiers, values):
    """Gives the record what the line asks for."""
    wanted = values if "all" in modifiers else [random.choice(values)]
    if "fieldref" in modifiers:
        shared = random.choice([*SCALARS, "ab", "Ab", "a%", "x_y", ["ab", "c"], {"id": 1}])
        longer = f"x{shared}y" if isinstance(shared, str) else shared
        place(random, record, str(wanted[0]), shared)
        place(random, record, field, random.choice([shared, longer]))
        return
    if "exists" in modifiers:
        if wanted[0]:
            place(random, record, field, random.choice([None, "x", [], {}, [None]]))
        return
    met = [satisfying(random, modifiers, value) for value in wanted]
    texts = [one for one in met if isinstance(one, str)]
    joined = "".join(texts) if len(texts) == len(met) > 1 else met[0]
    place(random, record, field or random.choice(FIELDS), joined)


def satisfying(random, modifiers, value):
    if "re" in modifiers and isinstance(value, str):
        return EXPRESSIONS.get(value, value)
    if "cidr" in modifiers:
        return random.choice(NETWORKS.get(value, [value]))
    if set(modifiers) & set(PARTS):
        return random.choice([*TIMES, *TIMES, 1772445600, 1772445600000, 2461102.5])
    if set(modifiers) & {"lt", "lte", "gt", "gte"}:
        near = value if isinstance(value, str) or value is None else random.choice([0, 1, -1, 0.5]) + value
        return random.choice([near, near, str(near), f" {near} ", "inf", "0x10", "1e3"])
    if not isinstance(value, str):
        return value
    text = filled(random, value)
    if "windash" in modifiers:
        text = "".join(random.choice("-/\u2013\u2014\u2015") if c in "-/" and random.random() < 0.5 else c for c in text)
    for modifier in modifiers:
        codec = {"wide": "utf-16-le", "utf16le": "utf-16-le", "utf16be": "utf-16-be", "utf16": "utf-16"}.get(modifier)
        if codec and not {"base64", "base64offset"} & set(modifiers):
            text = "".join(f"{c}\0" for c in text)
        elif codec:
            text = text.encode(codec)
        elif modifier.startswith("base64"):
            lead = b"z" * random.randint(0, 2) if modifier == "base64offset" else b""
            text = base64.b64encode(lead + (text if isinstance(text, bytes) else text.encode())).decode()
    if {"contains", "endswith"} & set(modifiers) and random.random() < 0.5:
        text = random.choice(["x", "--", "ab\n"]) + text
    if {"contains", "startswith"} & set(modifiers) and random.random() < 0.5:
        text += random.choice(["x", " ", "\n"])
    return text


def plain(text):
    return filled(None, text)


def filled(random, text):
    """The text with something for its wildcards."""
    out, at = "", 0
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] in ("*", "?", "\\"):
            at += 1
            out += text[at]
        elif text[at] in "*?":
            out += random.choice(["x", "é", "\n", "" if text[at] == "*" else "y"]) if random else "x"
        else:
            out += text[at]
        at += 1
    return out


def place(random, record, path, value):
    """Puts a value at a path, now and then through an array."""
    step, _, rest = path.partition(".")
    if not rest:
        record[step] = copy.deepcopy(value)
        return
    inner = record.get(step)
    if isinstance(inner, list):
        inner.append(nested(random, rest, value))
    elif isinstance(inner, dict):
        place(random, inner, rest, value)
    else:
        record[step] = [nested(random, rest, value)] if step in ARRAYS or random.random() < 0.05 else nested(random, rest, value)


def nested(random, path, value):
    record = {}
    place(random, record, path, value)
    return record


def disturb(random, record):
    """Changes one value."""
    holder, step = random.choice(places(record))
    old = holder[step]
    changes = [CHANGES[0], *CHANGES] if isinstance(old, str) else CHANGES[1:]
    new = random.choice(changes)(random, copy.deepcopy(old))
    if new is GONE and isinstance(holder, dict):
        del holder[step]
    elif new is DOTTED and holder is not record and isinstance(holder, dict):
        record[random.choice(FIELDS)] = old
    elif new not in (GONE, DOTTED):
        holder[step] = new
    if not record:
        record["outcome"] = {"result": old}


def places(value):
    steps = list(value) if isinstance(value, dict) else range(len(value))
    found = [(value, step) for step in steps]
    for step in steps:
        if isinstance(value[step], (dict, list)):
            found += places(value[step])
    return found


GONE, DOTTED = "\0gone", "\0dotted"


def of_text(random, text):
    at = random.randint(0, max(len(text) - 1, 0))
    return random.choice([
        text.upper(), text.lower(), text.swapcase(), text + "x", "x" + text, text[1:], text[:-1], text[:at] + "ſ" + text[at:],
        text.replace("k", "\u212a").replace("K", "\u212a"), text.replace("σ", "ς").replace("Σ", "ς"), f" {text}", text + "\n", text[:at] + text[at + 1 :],
    ])  # fmt: skip


def retyped(_, old):
    if isinstance(old, str):
        try:
            return json.loads(old) if json.dumps(json.loads(old)) == old else [old]
        except ValueError:
            return [old]
    return old if isinstance(old, (dict, list)) else json.dumps(old)


CHANGES = [
    of_text,
    retyped,
    retyped,
    lambda random, old: [random.choice(SCALARS), old],
    lambda random, old: [[old], random.choice(TEXTS)],
    lambda random, old: {"id": old},
    lambda random, old: None,
    lambda random, old: [],
    lambda random, old: GONE,
    lambda random, old: DOTTED,
    lambda random, old: random.choice([1, "1", "yes", "No", "0", True, False, 0]),
    lambda random, old: random.choice(SCALARS),
]
