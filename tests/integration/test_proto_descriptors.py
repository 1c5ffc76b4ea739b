"""Our minimal livekit.proto against the official descriptors of PyPI's livekit-protocol.

Every message, field number, type, label and enum value of ours must be LiveKit's. What we leave out
is fine: an unknown field is ignored on the wire.
"""

import pathlib
import subprocess

import pytest
from google.protobuf import descriptor_pb2
from livekit.protocol import agent, agent_dispatch, models, room, rtc

PROTO = (
    pathlib.Path(__file__).resolve().parents[2] / "services/livekit-agent/rtc/livekit.proto"
)
OFFICIAL = (models, rtc, agent, agent_dispatch, room)
Field = descriptor_pb2.FieldDescriptorProto


def walk(messages, prefix):
    """Yields (full name, DescriptorProto) of messages and all nested ones."""
    for m in messages:
        name = f"{prefix}.{m.name}"
        yield name, m
        yield from walk(m.nested_type, name)


def enums_of(file):
    for e in file.enum_type:
        yield f"livekit.{e.name}", e
    for name, m in walk(file.message_type, "livekit"):
        for e in m.enum_type:
            yield f"{name}.{e.name}", e


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    out = tmp_path_factory.mktemp("proto") / "ours.pb"
    subprocess.run(
        ["protoc", f"--proto_path={PROTO.parent}", f"--descriptor_set_out={out}", PROTO.name],
        check=True,
        timeout=60,
    )
    return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file[0]


@pytest.fixture(scope="module")
def official():
    files = []
    for module in OFFICIAL:
        f = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(f)
        files.append(f)
    messages = dict(kv for f in files for kv in walk(f.message_type, "livekit"))
    enums = dict(kv for f in files for kv in enums_of(f))
    return messages, enums


def kind(field):
    return field.name, field.type, field.label, field.type_name


def test_every_field_is_livekits(ours, official):
    messages, _ = official
    seen = 0
    for name, m in walk(ours.message_type, "livekit"):
        assert name in messages, f"no such message: {name}"
        theirs = {f.number: f for f in messages[name].field}
        for f in m.field:
            assert f.number in theirs, f"{name}: no field {f.number} ({f.name})"
            assert kind(f) == kind(theirs[f.number]), f"{name}.{f.name}"
            seen += 1
    assert seen > 200


def test_every_enum_value_is_livekits(ours, official):
    _, enums = official
    seen = 0
    for name, e in enums_of(ours):
        assert name in enums, f"no such enum: {name}"
        theirs = {v.number: v.name for v in enums[name].value}
        for v in e.value:
            assert theirs.get(v.number) == v.name, f"{name}.{v.name} = {v.number}"
            seen += 1
    assert seen > 50


def real_oneof(message, field):
    """The oneof a field is in, None for none or for the one that `optional` makes."""
    if not field.HasField("oneof_index") or field.proto3_optional:
        return None
    name = message.oneof_decl[field.oneof_index].name
    return None if name.startswith("_") else name


def test_oneofs_group_the_same_fields(ours, official):
    messages, _ = official
    for name, m in walk(ours.message_type, "livekit"):
        theirs = {f.number: f for f in messages[name].field}
        for f in m.field:
            assert real_oneof(m, f) == real_oneof(messages[name], theirs[f.number]), (
                f"{name}.{f.name}"
            )
