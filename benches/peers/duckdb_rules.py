#!/usr/bin/env python3
"""Sigma rules over a file of JSON lines by DuckDB, in one pass over the file.

usage: duckdb_rules.py RULES EVENTS OUT THREADS

pySigma's backend for DuckDB makes a condition of each rule. The columns are
listed by hand, so that DuckDB reads what the rules need and nothing else, as an
expert would have it. OUT gets a line of JSON for each match. Needs the packages
duckdb, pysigma and pysigma-backend-duckdb.
"""
import pathlib
import re
import sys

import duckdb
from sigma.collection import SigmaCollection
from sigma_backend_duckdb import DuckDBBackend

FIELDS = [
    "uuid", "eventType", "legacyEventType", "displayMessage", "actor.alternateId", "actor.displayName", "outcome.result", "outcome.reason",
    "client.ipAddress", "client.userAgent.rawUserAgent", "securityContext.isProxy", "securityContext.domain",
    "debugContext.debugData.requestUri", "debugContext.debugData.behaviors", "debugContext.debugData.logOnlySecurityData",
]
OF_TARGETS = ["displayName", "alternateId", "type"]


def main():
    rules, events, out, threads = sys.argv[1:]
    database = duckdb.connect()
    database.execute("SET lambda_syntax = 'ENABLE_SINGLE_ARROW'")
    database.execute(f"SET threads = {int(threads)}")
    database.execute("SET preserve_insertion_order = false")
    conditions = [condition(path.read_text(encoding="utf-8")) for path in sorted(pathlib.Path(rules).glob("*.yml"))]
    cases = ", ".join(f"CASE WHEN {sql} THEN {number} END" for number, sql in enumerate(conditions))
    matched = f"SELECT uuid, list_filter([{cases}], rule -> rule IS NOT NULL) AS rules FROM ({table(events)})"
    database.execute(f"COPY (SELECT uuid, unnest(rules) AS rule FROM ({matched}) WHERE len(rules) > 0) TO '{out}' (FORMAT json)")


def condition(rule):
    """What stands behind WHERE; a field of the targets is met by any of them."""
    sql = DuckDBBackend().convert(SigmaCollection.from_yaml(rule))[0].split(" WHERE ", 1)[1]
    text = r"('(?:[^']|'')*')"
    sql = re.sub(rf'("target\.\w+")\s*=\s*{text}', r"list_contains(\1, \2)", sql)
    return re.sub(rf'("target\.\w+") (I?LIKE) {text}', r"len(list_filter(\1, one -> one \2 \3)) > 0", sql)


def table(events):
    """The events as columns, each called by the path of its field."""
    tree = {}
    for path in FIELDS:
        *parents, key = path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[key] = "VARCHAR"
    types = {name: kind(node) for name, node in tree.items()}
    types["target"] = kind({name: "VARCHAR" for name in OF_TARGETS}) + "[]"
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in types.items())
    names = [f'{path} AS "{path}"' for path in FIELDS]
    names += [f'list_transform(target, one -> one.{name}) AS "target.{name}"' for name in OF_TARGETS]
    source = f"read_json('{events}', format = 'newline_delimited', columns = {{{columns}}}, maximum_object_size = 1048576)"
    return f"SELECT {', '.join(names)} FROM {source}"


def kind(node):
    if isinstance(node, str):
        return node
    return "STRUCT(" + ", ".join(f"{name} {kind(inner)}" for name, inner in node.items()) + ")"


if __name__ == "__main__":
    main()
