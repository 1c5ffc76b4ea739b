"""The documentation against the sources: links lead somewhere, and what it names is there."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Look like names of ours and are somebody else's: LiveKit's settings, a column of a view, examples of what to add.
NOT_OURS = {"webhook.urls", "routes.version", "noun.h", "noun.c", "noun_test.c"}
DAEMONS = sorted(p.parent.name for p in (ROOT / "services").glob("*/CMakeLists.txt"))


@cache
def tracked() -> list[Path]:
    """Files git knows or would add; without git (an unpacked archive) all that is not built."""
    try:
        out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True,
                             check=True).stdout.splitlines()
        files = [ROOT / f for f in out]
    except (OSError, subprocess.CalledProcessError):
        files = [p for p in ROOT.rglob("*") if "build" not in p.relative_to(ROOT).parts]
    return [f for f in files if f.is_file()]


PAGES = [p for p in tracked() if p.suffix == ".md"]


@cache
def sources() -> str:
    """All that runs or is built, in one text."""
    return "\n".join(p.read_text(errors="ignore") for p in tracked()
                     if p.suffix not in (".md", ".json") and "corpus" not in p.parts and p != Path(__file__))


@cache
def our_c() -> str:
    """The daemons alone: no tests, no doubles."""
    return "\n".join(p.read_text() for p in tracked()
                     if p.suffix in (".c", ".h") and p.relative_to(ROOT).parts[0] in ("libcommon", "services")
                     and not re.search(r"_(test|it)\.c$", p.name))


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """GitHub's names of the headings."""
    heads = re.findall(r"^#+ +(.+?)\s*$", without_code(page.read_text()), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


def code_spans(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", without_code(text))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links__lead_to_files_and_headings(page):
    bad = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        if not to.exists() or (anchor and anchor not in anchors(to)):
            bad.append(target)
    assert not bad


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_settings__named_in_docs_exist(page):
    def known(word: str) -> bool:
        return any(re.search(rf"\b{w}\b", sources()) for w in (word, word.removesuffix("_FILE")))

    words = set(re.findall(r"\bPAT_[A-Z0-9_]*[A-Z0-9]\b(?!\*)", page.read_text()))
    assert not sorted(w for w in words if not known(w))


@pytest.mark.parametrize("daemon", DAEMONS)
def test_settings__of_a_daemon_are_its_own(daemon):
    """The row of docs/operations.md against the daemon's table."""
    own = "\n".join(p.read_text() for p in (ROOT / "services" / daemon).rglob("*.c"))
    if "PAT_STORE_ROWS" in own:
        own += (ROOT / "libcommon/object_conf.h").read_text()
    row = re.search(rf"^\| {daemon} \| (.*`PAT_.*) \|$", (ROOT / "docs/operations.md").read_text(), flags=re.M)
    assert row, "the daemon has no row of settings"
    assert not [w for w in re.findall(r"PAT_[A-Z0-9_]+", row.group(1)) if f'"{w}"' not in own]


@pytest.mark.parametrize("daemon", DAEMONS)
def test_readmes__every_daemon_has_one_and_the_index_names_it(daemon):
    text = (ROOT / "services" / daemon / "README.md").read_text()
    assert text.startswith(f"# {daemon}\n")
    assert f"services/{daemon}/README.md" in (ROOT / "docs/README.md").read_text()
    assert f"services/{daemon}/README.md" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_names__of_metrics_log_lines_events_and_files_exist(page):
    events = {p.name.removesuffix(".schema.json") for p in (ROOT / "docs/events").glob("*.schema.json")}
    files = {p.name for p in tracked()}
    bad = []
    for span in set(code_spans(page.read_text())) - NOT_OURS:
        if re.fullmatch(r"pat_[a-z]+_[a-z_]*(total|seconds|bytes|up|pending|queue|calls|numbers)", span):
            if f'"{span}"' not in our_c():
                bad.append(span)
        elif re.fullmatch(r"(call|turn|webhook|agent|route|routes|livekit|retell|carrier|journal|bus|config|stt|tts|llm)"
                          r"\.[a-z_]+", span):
            method = re.escape(f'"{span.replace(".", chr(34) + ", " + chr(34))}"')
            if not (span in events or span in files or f'"{span}"' in our_c() or re.search(method, our_c())):
                bad.append(span)
        elif re.fullmatch(r"[a-z_0-9]+\.[ch]", span) and span not in files:
            bad.append(span)
    assert not bad


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths__named_in_docs_are_served_or_asked_for(page):
    literals = re.findall(r'"(?:%s)?(/v[12]/[^"\s?%]*)', our_c())
    served = [re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(p)) + r"(/[^/]+)?" * p.endswith("/")) for p in literals]
    bad = []
    for path in re.findall(r"(?<![\w.])/v[12]/[\w/{}<>-]*[\w>}](?![\w/<{-])", page.read_text()):
        plain = re.sub(r"[<{](\w+)[>}]", r"\1", path)
        if not any(s.fullmatch(plain.rstrip("/")) or s.fullmatch(plain) for s in served):
            bad.append(path)
    assert not bad
