"""Why a call is over: one list of words in the sources, the event's schema and the documentation."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def table() -> dict[str, tuple[str, str, str]]:
    text = re.sub(r'"\s*\n\s*"', "", (ROOT / "libcommon/end_reason.c").read_text())
    rows = re.findall(r'\{ "([a-z_]+)",\s*PAT_OWNER_(\w+),\s*(?:"(\w+)"|NULL),\s*"([^"]+)" \}', text)
    return {word: (owner.lower(), outcome or "-", means) for word, owner, outcome, means in rows}


def sources(*folders: str) -> list[Path]:
    return [p for f in folders for p in (ROOT / f).rglob("*.c") if not p.name.endswith(("_test.c", "_it.c"))]


def test_the_schema_of_call_ended_has_these_words():
    data = json.loads((ROOT / "docs/events/call.ended.schema.json").read_text())["properties"]["data"]["properties"]
    assert len(table()) > 30 and data["reason"]["enum"] == sorted(table())
    assert {owner for owner, _, _ in table().values()} == set(data["owner"]["enum"])


def test_the_documentation_has_these_rows():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\S+) \| (.+) \|$", (ROOT / "docs/end-reasons.md").read_text(), flags=re.M)
    assert {w: (owner, outcome, means) for w, owner, outcome, means in rows} == table()


@pytest.mark.parametrize("folder,said", [
    ("services/router", r'record_end\)\{\s*(?:\.reason = )?"(\w+)"|ends_of_ours\("(\w+)"\)'),
    ("services/livekit-agent/call", r'call_(?:end|hang_up|give_up)\(c(?:->c|->call)?, "(\w+)"|c->reason, "(\w+)"')])
def test_what_a_daemon_says_is_in_the_list(folder, said):
    words = {w for p in sources(folder) for pair in re.findall(said, p.read_text()) for w in pair if w}
    assert len(words) > 3 and words <= set(table())


def test_retells_words_are_translated_into_these():
    text = (ROOT / "migrations/20261123034500_retell_calls.sql").read_text()
    rows = re.findall(r"\('retell', '\w+', '(\w+)', '(\w+)', (?:true|false)\)", text)
    assert len(rows) > 30 and {(word, owner) for word, owner in rows} <= {(w, o) for w, (o, _, _) in table().items()}
