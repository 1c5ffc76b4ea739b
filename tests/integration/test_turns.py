"""The turn machine: recorded conversations are decided as they were, and its page says what it does."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from harness.turns import replay

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PAT_BUILD_DIR", ROOT / "build/dev"))
CALL = ROOT / "services/livekit-agent/call"
PAGE = ROOT / "docs/turn-taking.md"
RECORDED = Path(__file__).parent / "turns"


def test_recorded_conversations_are_decided_as_they_were():
    assert replay(BUILD, RECORDED) >= 7


def test_recorded_conversations_hold_what_matters():
    text = "".join(p.read_text() for p in RECORDED.glob("*.jsonl"))
    for what in ('"pause"', '"cut"', '"sorry"', '"state":"interrupted"', '"event":"eager"', '"event":"utterance_end"',
                 '"changed":true', '"event":"gone"', '"event":"hang_up"'):
        assert what in text, what


def test_a_changed_decision_is_found(tmp_path):
    log = RECORDED / "interrupted.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if '"commit"' in line)
    lines[at] = lines[at].replace('"commit"', '"forget"')
    bad = tmp_path / "bad.jsonl"
    bad.write_text("".join(lines))
    done = subprocess.run([BUILD / "bin/patchbay-livekit-agent", "--replay", bad], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert f"bad.jsonl:{at + 1}: another decision" in done.stdout and "expected" in done.stdout and "got" in done.stdout


def names(source: str, table: str) -> set[str]:
    body = re.search(rf"{table}\[[^=]*= \{{(.*?)^\}};", (CALL / source).read_text(), flags=re.S | re.M)[1]
    return set(re.findall(r'"(\w+)"', body))


def first_cells(heading: str) -> set[str]:
    section = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", PAGE.read_text(), flags=re.S | re.M)[1]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


@pytest.mark.parametrize("heading, source, table", [("Events", "turn_names.c", "event_names"),
                                                    ("Actions", "turn_names.c", "action_names"),
                                                    ("States", "turn.c", "states")])
def test_the_page_names_what_there_is(heading, source, table):
    assert first_cells(heading) == names(source, table)


def transitions() -> dict[str, set[str]]:
    text = (CALL / "turn.c").read_text()
    body = re.search(r"states\[\] = \{(.*?)^\};", text, flags=re.S | re.M)[1]
    rows = re.split(r"\[TURN_\w+\] = ", body)[1:]
    return {re.search(r'"(\w+)"', row)[1]: {n.lower() for n in re.findall(r"TO\(TURN_(\w+)\)", row)} for row in rows}


def test_the_page_has_the_transitions_of_the_table():
    section = re.search(r"^## States$(.*?)^## ", PAGE.read_text(), flags=re.S | re.M)[1]
    page = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            _, name, _, to, _ = line.split("|")
            page[re.search(r"`(\w+)`", name)[1]] = set(re.findall(r"`(\w+)`", to))
    assert page == transitions()
    drawn = re.search(r"^```$(.*?)^```$", PAGE.read_text(), flags=re.S | re.M)[1]
    assert all(state in drawn for state in page)


def test_the_page_has_every_option():
    options = set(re.findall(r"OPT\((\w+)\)", (CALL / "turn_opts.c").read_text())) - {"field"}
    assert options and options <= set(re.findall(r"`(\w+)`", PAGE.read_text()))
