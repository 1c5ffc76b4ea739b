"""Do events keep to docs/events? validate() takes an envelope as it came from NATS or from the outbox.

    event = events.validate(msg.data)          # the tree; raises events.Invalid, which names the field
    events.validate(msg.data, msg.subject)     # also that it came on the subject its type and data ask for
"""

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

DOCS = Path(__file__).resolve().parents[2] / "docs/events"
SUFFIX = ".schema.json"


class Invalid(AssertionError):
    """The event is not what docs/events says."""


@cache
def schemas() -> dict[str, dict]:
    """Every schema by file name."""
    return {path.name: json.loads(path.read_text()) for path in sorted(DOCS.glob("*" + SUFFIX))}


@cache
def _registry() -> Registry:
    # The schemas refer to each other by file name.
    return Registry().with_resources((name, Resource.from_contents(schema)) for name, schema in schemas().items())


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": name + SUFFIX}, registry=_registry())


def name_of(event: dict) -> str:
    """"call.routed" of an event of type pat.call.v1.routed."""
    kind = event.get("type")
    parts = kind.split(".") if isinstance(kind, str) else []
    if len(parts) != 4 or parts[0] != "pat" or parts[2] != "v1" or f"{parts[1]}.{parts[3]}{SUFFIX}" not in schemas():
        raise Invalid(f"no schema for type {kind!r}")
    return f"{parts[1]}.{parts[3]}"


def validate(envelope: str | bytes | dict, subject: str | None = None) -> dict:
    event = envelope if isinstance(envelope, dict) else json.loads(envelope)
    name = name_of(event)
    faults = sorted(validator(name).iter_errors(event), key=lambda fault: fault.json_path)
    if faults:
        raise Invalid("\n".join([f"{name}:"] + [f"  {fault.json_path}: {fault.message}" for fault in faults]))
    if subject is not None:
        _check_subject(event, subject)
    return event


def _check_subject(event: dict, subject: str) -> None:
    tokens = subject.split(".")
    want = event["type"].split(".")
    if len(tokens) != 6 or tokens[:4] != want:
        raise Invalid(f"{event['type']} came on {subject}")
    if tokens[5] != event.get("subject", "-"):
        raise Invalid(f"{event['type']} about {event.get('subject')} came on {subject}")
