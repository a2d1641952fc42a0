#!/usr/bin/env python3
"""Checks the requests that an emulated tenant saw against Okta's OpenAPI description.

    openapi_requests.py DESCRIPTION.yaml REQUESTS.ndjson [--verbose]

The requests are those of `rulectl tenant --request-log`. Every request under `/api/v1` must be valid
by the description (path, method, parameters, security scheme); what the tenant answered is checked,
too, but a difference there is only reported. Prints a summary line; exits with 1 where a request is
invalid or nothing could be checked.

The validator is openapi-core (`pip install openapi-core pyyaml`), which knows nothing of this project.
It passes a parameter that the description does not name, and a request without credentials; both are
told here.
"""

import argparse
import json
import sys
import warnings
from collections import Counter
from urllib.parse import parse_qsl, urlsplit

import yaml
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers, ImmutableMultiDict

# What stands for the credentials that the request log withholds.
STANDS_FOR = {"SSWS": "SSWS withheld", "Bearer": "Bearer withheld", "DPoP": "Bearer withheld"}


class Request:
    """A request of the log, as openapi-core wants one."""

    def __init__(self, line):
        url = urlsplit(line["url"])
        self.host_url = f"{url.scheme}://{url.netloc}"
        self.path = url.path
        self.method = line["method"].lower()
        headers = [(name, STANDS_FOR.get(value, value) if name == "authorization" else value)
                   for name, value in line["headers"]]
        self.content_type = dict(headers).get("content-type", "")
        self.body = line["body"].encode() if line.get("body") else None
        query = parse_qsl(url.query, keep_blank_values=True)
        self.parameters = RequestParameters(query=ImmutableMultiDict(query), header=Headers(headers))


class Response:
    """An answer of the log, as openapi-core wants one."""

    def __init__(self, line):
        self.status_code = line["status"]
        self.content_type = (line.get("response_type") or "").split(";")[0]
        self.headers = Headers()
        self.data = (line.get("response_body") or "").encode()


def resolves(document, reference):
    """Whether a local `$ref` leads anywhere."""
    here = document
    for part in reference.removeprefix("#/").split("/"):
        part = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(here, dict) or part not in here:
            return False
        here = here[part]
    return True


def mend(document, here, dropped):
    """Takes away each `$ref` that dangles; they stand in examples, which validate nothing."""
    values = here.values() if isinstance(here, dict) else here if isinstance(here, list) else []
    for value in values:
        mend(document, value, dropped)
    if isinstance(here, dict):
        reference = here.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/") and not resolves(document, reference):
            dropped.append(reference)
            del here["$ref"]


def describe(path, origin):
    """The description, for a tenant at that origin."""
    with open(path, encoding="utf-8") as file:
        document = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    dropped = []
    mend(document, document, dropped)
    document["servers"] = [{"url": origin}]
    # the description is no valid OpenAPI itself (path parameters that are not `required`), so that it
    # is taken as it is
    return document, OpenAPI.from_dict(document, config=Config(spec_validator_cls=None)), len(dropped)


def unnamed(document, request):
    """Parameters of a request that its operation does not name, and credentials that it lacks."""
    parts = request.path.split("/")
    for path, item in document["paths"].items():
        pattern = path.split("/")
        fits = len(pattern) == len(parts) and all(
            left == right or left.startswith("{") for left, right in zip(pattern, parts))
        if not fits or request.method not in item:
            continue
        operation = item[request.method]
        named = set()
        for parameter in operation.get("parameters", []) + item.get("parameters", []):
            if "$ref" in parameter:
                parameter = document["components"]["parameters"][parameter["$ref"].split("/")[-1]]
            named.add(parameter["name"])
        yield from (f"no parameter `{name}`" for name in request.parameters.query if name not in named)
        if operation.get("security") and "authorization" not in request.parameters.header:
            yield "no credentials"
        return


def why(error):
    """An error and what it comes from, in one line, without the value."""
    details = list(getattr(error, "schema_errors", None) or getattr(error.__cause__, "schema_errors", None) or ())
    if details:
        return "; ".join(f"{'.'.join(map(str, detail.absolute_path))}: {detail.message[:120]}" for detail in details[:5])
    parts = [f"{type(error).__name__}: {str(error)[:160]}"]
    if error.__cause__ is not None:
        parts.append(f"{type(error.__cause__).__name__}: {str(error.__cause__)[:160]}")
    return "; ".join(parts)


def main():
    # the scheme of OAuth is one that openapi-core does not check
    warnings.filterwarnings("ignore", message="Unsupported scheme type")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("description")
    parser.add_argument("requests")
    parser.add_argument("--verbose", action="store_true", help="tell each difference of an answer")
    arguments = parser.parse_args()
    with open(arguments.requests, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.strip()]
    checked = [line for line in lines if urlsplit(line["url"]).path.startswith("/api/")]
    if not checked:
        print("0 requests to check")
        return 1
    descriptions, dropped = {}, 0
    invalid, differences, answers = [], Counter(), 0
    for line in checked:
        url = urlsplit(line["url"])
        origin = f"{url.scheme}://{url.netloc}"
        if origin not in descriptions:
            document, api, dropped = describe(arguments.description, origin)
            descriptions[origin] = document, api
        document, api = descriptions[origin]
        told = f"{line['method']} {url.path}{'?' + url.query if url.query else ''}"
        request = Request(line)
        try:
            api.validate_request(request)
        except Exception as error:  # whatever the validator finds wrong is an invalid request
            invalid.append(f"{told}: {why(error)}")
            continue
        wrong = list(unnamed(document, request))
        if wrong:
            invalid.append(f"{told}: {'; '.join(wrong)}")
            continue
        if line.get("response_body") is None or line["faults"]:
            continue
        answers += 1
        try:
            api.validate_response(request, Response(line))
        except Exception as error:
            differences[f"{line['method']} {url.path.split('/')[3]} {line['status']}: {why(error)}"] += 1
    for text in invalid:
        print(f"invalid: {text}", file=sys.stderr)
    if arguments.verbose:
        for text, count in differences.most_common():
            print(f"answer differs ({count}): {text}", file=sys.stderr)
    print(f"{len(checked)} requests checked, {len(invalid)} invalid; {answers} answers, "
          f"{sum(differences.values())} differ; {len(lines) - len(checked)} requests elsewhere; "
          f"{dropped} dangling references dropped")
    return 1 if invalid else 0


if __name__ == "__main__":
    sys.exit(main())
