"""An obvious interpreter of Sigma's detections, as docs/semantics.md has them.

Where a peer differs, a difference of `differences.py` says so by name, and a
`Referee` that is given the name answers as the peer does: that a difference
explains an answer is thereby tried, not claimed.
"""

import base64
import datetime
import ipaddress
import itertools
import json
import re
import sqlite3

OBJECT = object()  # stands for an object: it has no text
DASHES = "-/\u2013\u2014\u2015"
ANY_RUN, ANY_ONE, DASH = object(), object(), object()
ZONELESS = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)[T ](\d\d?):(\d\d?):(\d\d?)(\.\d+)?\Z", re.A)
RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z", re.A)
DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.A)


class Referee:
    """Answers for one reading of Sigma: ours, changed by some differences."""

    def __init__(self, differences=()):
        self.differs = frozenset(differences)

    def matches(self, rule, event):
        return self.condition(rule["condition"], rule["searches"], event)

    def condition(self, condition, searches, event):
        kind, *parts = condition
        if kind == "id":
            return self.search(searches[parts[0]], event)
        if kind == "not":
            return not self.condition(parts[0], searches, event)
        if kind == "and":
            return all(self.condition(part, searches, event) for part in parts)
        if kind == "or":
            return any(self.condition(part, searches, event) for part in parts)
        quantifier, pattern = parts
        answers = [self.search(searches[name], event) for name in selected(pattern, searches)]
        return all(answers) if quantifier == "all" else any(answers)

    def search(self, search, event):
        return any(all(self.line(*line, event) for line in lines) for lines in search)

    def line(self, field, modifiers, values, event):
        holds = [self.value(field, modifiers, value, event) for value in values]
        result = all(holds) if "all" in modifiers else any(holds)
        return result != ("neq" in modifiers)

    # What is found in an event.

    def reached(self, field, event):
        """The values at the end of a path, arrays whole."""
        if "a key with dots" in self.differs and field in event:
            return [event[field]]
        ends = [event]
        for step in field.split("."):
            ends = [end[step] for end in flat(ends) if isinstance(end, dict) and step in end]
        return ends

    def found(self, field, event):
        if field is None:
            return [scalar for scalar in scalars(event)]
        return [OBJECT if isinstance(end, dict) else end for end in flat(self.reached(field, event))]

    # One value of a line against an event.

    def value(self, field, modifiers, value, event):
        if "exists" in modifiers:
            turned = "neq" in modifiers and "exists takes no neq" in self.differs
            return (self.exists(field, event) == value) != turned
        found = self.found(field, event)
        if "fieldref" in modifiers:
            named = text_of(value)
            if "names have escapes" in self.differs:
                named = "".join(parse(named))
            return self.fieldref(field, modifiers, named, event)
        if value is None:
            return self.null(field, found, event)
        if field is None:
            return self.keyword(modifiers, value, found)
        if "1e30 is a text" in self.differs and isinstance(value, float) and "." not in json.dumps(value):
            value = json.dumps(value)
        if "rules have doubles" in self.differs and is_number(value):
            value = float(value) if abs(value) > 2**53 else value
        test = self.test(modifiers, value)
        return any(one is not None and one is not OBJECT and test(one) for one in found)

    def exists(self, field, event):
        reached = self.reached(field, event)
        if "null is missing" in self.differs:
            return any(end is not None and not isinstance(end, dict) for end in reached)
        return bool(reached)

    def null(self, field, found, event):
        if "null beside others" in self.differs:
            reached = self.reached(field, event)
            return not reached or reached == [None]
        if "an object is no column" in self.differs:
            found = [one for one in found if one is not OBJECT]
        return not found or None in found

    def keyword(self, modifiers, value, found):
        texts = [self.keyword_text(one) for one in found if one is not None]
        texts = [text for text in texts if text is not None]
        if "keywords in one text" in self.differs:
            texts = ["\n".join(texts)]
        if "a zero ends a text" in self.differs and "re" not in modifiers:
            texts = [text.split("\0")[0] for text in texts]
        if "re" in modifiers:
            expression = compiled(value, modifiers)
            return any(expression.search(text) for text in texts)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        written = self.number_text(value) if number else text_of(value)
        parts = [*written] if number else parse(written)
        spellings = self.spelled(parts, modifiers)
        fits = [self.pattern([ANY_RUN, *one, ANY_RUN], "cased" in modifiers) for one in spellings]
        return any(fit(text) for text in texts for fit in fits)

    def keyword_text(self, one):
        if isinstance(one, bool) and "keywords find no booleans" in self.differs:
            return None
        return self.text(one)

    def fieldref(self, field, modifiers, other, event):
        anchor = anchor_of(modifiers)
        whole = [self.reached(name, event) for name in (field, other)]
        if "fieldref takes values whole" in self.differs:
            return self.fieldref_whole(anchor, modifiers, *whole)
        mine, others = self.found(field, event), self.found(other, event)
        pairs = [(one, two) for one in mine for two in others]
        return any(self.same(one, two, anchor, "cased" in modifiers) for one, two in pairs)

    def same(self, one, two, anchor, cased):
        if one is None or two is None or OBJECT in (one, two):
            return False
        if "columns have types" in self.differs and anchor == "whole":
            if is_number(one) != is_number(two):
                return False
            if is_number(one):
                return one == two
        one, two = self.text(one), self.text(two)
        if not cased:
            one, two = self.fold(one), self.fold(two)
        return stands(two, one, anchor)

    def fieldref_whole(self, anchor, modifiers, mine, others):
        """RSigma compares what the two paths give: one value, or all as an array."""
        if not mine or not others:
            return False
        one = mine[0] if len(mine) == 1 else mine
        two = others[0] if len(others) == 1 else others
        plain = [not isinstance(value, (list, dict)) and value is not None for value in (one, two)]
        cased = "cased" in modifiers
        if anchor == "whole":
            if all(plain) and not cased:
                return self.fold(self.text(one)) == self.fold(self.text(two))
            return type(one) is type(two) and one == two
        if not plain[1]:
            return False
        elements = [value for value in flat([one]) if value is not None and not isinstance(value, dict)]
        return any(self.same(value, two, anchor, cased) for value in elements)

    def test(self, modifiers, value):
        """The test of a scalar."""
        if "re" in modifiers:
            capital = "true is True" in self.differs and isinstance(value, bool)
            expression = compiled(str(value) if capital else value, modifiers)
            return lambda one: expression.search(self.text(one)) is not None
        if "cidr" in modifiers:
            return self.network(value)
        for part in PARTS:
            if part in modifiers:
                order = next((ORDERS[m] for m in modifiers if m in ORDERS), ORDERS["eq"])
                return lambda one: self.part_holds(one, part, order, value)
        for modifier in modifiers:
            if modifier in ORDERS:
                return lambda one: self.order_holds(one, modifier, value)
        plain = not set(modifiers) - {"all", "neq", "cased"}
        if is_number(value) and plain:
            return lambda one: self.equals_number(one, value)
        if isinstance(value, bool) and plain and "cased" not in modifiers:
            if "yes is true" in self.differs:
                return lambda one: truth(one) is value
            if "1 is true" in self.differs:
                word = text_of(value)
                same = lambda one: self.fold(one) == word if isinstance(one, str) else one == value
                return same
        return self.text_test(modifiers, value)

    def text_test(self, modifiers, value):
        anchor = anchor_of(modifiers)
        parts = parse(self.number_text(value) if is_number(value) else text_of(value))
        spellings = self.spelled(parts, modifiers)
        if "base64offset" in modifiers and "base64offset contains" in self.differs:
            anchor = "contains"
        before = [ANY_RUN] if anchor in ("contains", "endswith") else []
        behind = [ANY_RUN] if anchor in ("contains", "startswith") else []
        fits = [self.pattern([*before, *one, *behind], "cased" in modifiers) for one in spellings]
        if "columns have types" in self.differs:
            like = any(part in (ANY_RUN, ANY_ONE, "%", "_", "\\") for part in spellings[0])
            if not like and not before and not behind and "cased" not in modifiers:
                return lambda one: not is_number(one) and any(fit(self.text(one)) for fit in fits)
        return lambda one: any(fit(self.text(one)) for fit in fits)

    def spelled(self, parts, modifiers):
        spellings = [parts]
        for modifier in modifiers:
            if modifier == "windash":
                spellings = [self.with_dashes(spelling) for spelling in spellings]
            elif modifier in UTF16:
                spellings = [wide(one, modifier) for parts in spellings for one in each_dash(parts)]
            elif modifier == "base64":
                spellings = [[*base64.b64encode(raw(one)).decode()] for parts in spellings for one in each_dash(parts)]
            elif modifier == "base64offset":
                spellings = [one for parts in spellings for each in each_dash(parts) for one in offsets(raw(each))]
        return spellings

    def with_dashes(self, parts):
        if "every dash" in self.differs:
            return [DASH if isinstance(part, str) and part in DASHES else part for part in parts]
        word = lambda part: isinstance(part, str) and (part.isalnum() or part == "_")
        around = zip([None, *parts], parts, [*parts[1:], None])
        return [DASH if part in ("-", "/") and not word(before) and word(after) else part for before, part, after in around]

    def pattern(self, parts, cased):
        """Whether a text fits a pattern as a whole."""
        wild = ANY_RUN in parts[1:-1] or ANY_ONE in parts or (len(parts) == 1 and parts[0] is ANY_RUN)
        if not cased and wild and "the regex folds" in self.differs:
            expression = re.compile(regex_of(parts), re.S | re.I)
            return lambda text: expression.match(text) is not None
        fold = (lambda text: text) if cased else self.fold
        expression = re.compile(regex_of(parts, fold), re.S)
        return lambda text: expression.match(fold(text)) is not None

    def fold(self, text):
        if "case is ASCII's" in self.differs:
            return "".join(c.lower() if c.isascii() else c for c in text)
        if "the text is lowered whole" in self.differs:
            return text.lower()
        return fold(text)

    # Numbers, times and addresses.

    def text(self, one):
        return self.number_text(one) if is_number(one) else text_of(one)

    def number_text(self, number):
        if "1.0 has the text 1" in self.differs and isinstance(number, float):
            return plain_decimal(number)
        if "SQLite writes numbers" in self.differs and isinstance(number, float):
            return sqlite_text(number)
        return text_of(number)

    def equals_number(self, one, number):
        if is_number(one):
            return one == number
        if "columns have types" in self.differs:
            return False
        if "a text is read as a number" in self.differs:
            read = decimal(one) if isinstance(one, str) else None
            return read is not None and read == number
        return self.text(one) == self.text(number)

    def order_holds(self, one, modifier, bound):
        holds = ORDERS[modifier]
        if is_number(one):
            return self.numbers_hold(holds, one, bound)
        if "any text is above numbers" in self.differs:
            return modifier in ("gt", "gte")
        if isinstance(one, bool):
            return False
        text = one if "blanks are no number" in self.differs else one.strip()
        if "inf is a number" in self.differs and fold(text).lstrip("+-") in ("inf", "infinity"):
            return holds(float(text), float(bound))
        read = decimal(text)
        return read is not None and self.numbers_hold(holds, read, bound)

    def numbers_hold(self, holds, one, bound):
        if "whole numbers are exact" in self.differs:
            return holds(one, bound)
        return holds(float(one), float(bound))

    def part_holds(self, one, part, order, bound):
        if "SQLite reads times" in self.differs:
            read = sqlite_part(one, part)
            return read is not None and order(read, bound)
        time = self.time(one)
        return time is not None and order(PARTS[part](time), bound)

    def time(self, one):
        if "times without a zone" in self.differs:
            if is_number(one):
                return epoch(one)
            if isinstance(one, str) and (bare := ZONELESS.match(one)):
                year, *rest = bare.groups()[:6]
                month, day, *time = (part.zfill(2) for part in rest)
                return utc(f"{year}-{month}-{day}", ":".join(time), "Z", leap=0)
        if not isinstance(one, str):
            return None
        text = one if "blanks are no number" in self.differs else one.strip()
        rfc = RFC3339.match(text)
        leap = 0 if "a leap second is in its minute" in self.differs else 1
        return utc(rfc[1], rfc[2], rfc[4], leap) if rfc else None

    def network(self, value):
        network = ipaddress.ip_network(value, strict=False)
        if "a network is a wildcard" in self.differs:
            fits = [self.pattern(parse(text), False) for text in network_patterns(network)]
            return lambda one: any(fit(self.text(one)) for fit in fits)

        def inside(one):
            try:
                return isinstance(one, str) and "%" not in one and ipaddress.ip_address(one) in network
            except ValueError:
                return False

        return inside


def selected(pattern, names):
    if pattern == "them":
        pattern = "*"
    expression = re.compile(pattern.replace("*", ".*").replace("?", "."))
    hidden = pattern.startswith("_")
    return [name for name in names if expression.fullmatch(name) and (hidden or not name.startswith("_"))]


def flat(values):
    """Arrays opened up, those in arrays too."""
    for value in values:
        if isinstance(value, list):
            yield from flat(value)
        else:
            yield value


def scalars(value):
    if isinstance(value, dict):
        for inner in value.values():
            yield from scalars(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from scalars(inner)
    else:
        yield value


def anchor_of(modifiers):
    return next((m for m in modifiers if m in ("contains", "startswith", "endswith")), "whole")


def stands(part, whole, anchor):
    if anchor == "whole":
        return part == whole
    if anchor == "contains":
        return part in whole
    return whole.startswith(part) if anchor == "startswith" else whole.endswith(part)


def parse(text):
    """Characters and wildcards; a backslash takes the meaning of `*`, `?` and itself."""
    parts, at = [], 0
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] in ("*", "?", "\\"):
            at += 1
            parts.append(text[at])
        else:
            parts.append({"*": ANY_RUN, "?": ANY_ONE}.get(text[at], text[at]))
        at += 1
    return parts


def regex_of(parts, fold=lambda text: text):
    wild = {ANY_RUN: ".*", ANY_ONE: ".", DASH: f"[{re.escape(DASHES)}]"}
    written = ""
    for literal, run in itertools.groupby(parts, lambda part: isinstance(part, str)):
        written += re.escape(fold("".join(run))) if literal else "".join(wild[part] for part in run)
    return written + r"\Z"


def compiled(pattern, modifiers):
    """In Rust's reading: `$` is the very end of the text."""
    pattern = text_of(pattern)
    if "m" not in modifiers:
        pattern = re.sub(r"(?<!\\)\$", r"\\Z", pattern)
    return re.compile(pattern, sum({"i": re.I, "m": re.M, "s": re.S}.get(m, 0) for m in modifiers))


def fold(text):
    return "".join(c.lower() for c in text)


def text_of(scalar):
    if isinstance(scalar, bool):
        return "true" if scalar else "false"
    if isinstance(scalar, float):
        return repr(scalar)
    return str(scalar)


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def decimal(text):
    if not DECIMAL.match(text):
        return None
    return int(text) if re.match(r"[+-]?\d+\Z", text, re.A) else float(text)


def truth(one):
    """As RSigma has it: 1, `1` and `yes` are true."""
    word = fold(one) if isinstance(one, str) else one
    if word in (True, "true", "1", "yes"):
        return True
    return False if word in (False, "false", "0", "no") else None


def plain_decimal(number):
    """Rust's `{}` of a double: no exponent, no `.0`."""
    text = format(number, ".17f") if abs(number) < 1e15 else format(number, ".0f")
    shortest = repr(number)
    if "e" not in shortest:
        return shortest.removesuffix(".0")
    return text.rstrip("0").removesuffix(".")


def sqlite_text(number):
    text = format(number, ".15g")
    if "e" in text:
        mantissa, exponent = text.split("e")
        return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent}"
    return text if "." in text else text + ".0"


def each_dash(parts):
    choices = [DASHES if part is DASH else [part] for part in parts]
    return [list(spelling) for spelling in itertools.product(*choices)]


def raw(parts):
    return b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)


def wide(parts, encoding):
    spelled = [b"\xff\xfe"] if encoding == "utf16" else []
    codec = "utf-16-be" if encoding == "utf16be" else "utf-16-le"
    for part in parts:
        if isinstance(part, str):
            units = part.encode(codec)
            spelled.extend(chr(byte) if byte < 128 else bytes([byte]) for byte in units)
        else:
            spelled.append(part)
    return spelled


def offsets(text):
    for offset, leading in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(b" " * offset + text).decode()
        trailing = (0, 3, 2)[(len(text) + offset) % 3]
        yield [*encoded[leading : len(encoded) - trailing]]


def utc(date, time, zone, leap=1):
    """A leap second is the one after it, unless `leap` is 0."""
    leap = leap if time.endswith(":60") else 0
    text = re.sub(":60$", ":59", time)
    try:
        parsed = datetime.datetime.fromisoformat(f"{date}T{text}{zone.upper().replace('Z', '+00:00')}")
        return parsed.astimezone(datetime.timezone.utc) + datetime.timedelta(seconds=leap)
    except (ValueError, OverflowError):
        return None


def epoch(number):
    seconds = int(number) // 1000 if number > 1e12 else int(number)
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None


def sqlite_part(one, part):
    """What SQLite itself makes of a time."""
    letter = {"minute": "M", "hour": "H", "day": "d", "week": "W", "month": "m", "year": "Y"}[part]
    one = text_of(one) if isinstance(one, bool) else one
    return SQLITE.execute("SELECT CAST(strftime(?, ?) AS INTEGER)", (f"%{letter}", one)).fetchone()[0]


def network_patterns(network):
    """The wildcards that pySigma writes for a network."""
    from sigma.types import SigmaCIDRExpression

    return SigmaCIDRExpression(str(network)).expand()


SQLITE = sqlite3.connect(":memory:")
UTF16 = ("wide", "utf16le", "utf16be", "utf16")
ORDERS = {
    "lt": lambda one, bound: one < bound,
    "lte": lambda one, bound: one <= bound,
    "gt": lambda one, bound: one > bound,
    "gte": lambda one, bound: one >= bound,
    "eq": lambda one, bound: one == bound,
}
PARTS = {
    "minute": lambda time: time.minute,
    "hour": lambda time: time.hour,
    "day": lambda time: time.day,
    "week": lambda time: time.isocalendar().week,
    "month": lambda time: time.month,
    "year": lambda time: time.year,
}
