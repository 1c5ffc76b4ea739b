"""Prometheus rules and the Grafana dashboard: what they ask for is measured by the daemons, with those labels, and each
alert fires for what it is there for and for nothing else (promtool, from scripts/setup)."""

import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(os.environ.get("PAT_CACHE", Path.home() / ".cache/patchbay")) / "deploy-tools"
RULES_FILE = ROOT / "deploy/prometheus/patchbay.rules.yaml"
RULES = [r for g in yaml.safe_load(RULES_FILE.read_text())["groups"] for r in g["rules"]]
BOARD = json.loads((ROOT / "deploy/grafana/patchbay.json").read_text())
PANELS = [p for p in BOARD["panels"] if p["type"] != "row"]
SERIES_OF_HISTOGRAMS = ("_bucket", "_sum", "_count")
NOT_OURS = {"le", "instance"}

# All is well: what a small installation shows for an hour, a sample a minute.
WELL = {
    'pat_health_up{check="routes",instance="r"}': "1x60",
    'pat_health_up{check="livekit",instance="a"}': "1x60",
    'pat_health_up{check="postgres",instance="r"}': "1x60",
    'pat_health_up{check="nats",instance="r"}': "1x60",
    'pat_router_answer_seconds_bucket{outside="no",le="0.01"}': "0+60x60",
    'pat_router_answer_seconds_bucket{outside="no",le="0.1"}': "0+60x60",
    'pat_router_answer_seconds_bucket{outside="no",le="10"}': "0+60x60",
    'pat_router_answer_seconds_bucket{outside="no",le="+Inf"}': "0+60x60",
    'pat_router_stack_outcomes_total{stack="retell",outcome="accepted"}': "0+60x60",
    'pat_router_stack_outcomes_total{stack="retell",outcome="no_answer"}': "0+1x60",
    'pat_router_stack_state{stack="retell"}': "0x60",
    "pat_router_numbers": "100x60",
    "pat_router_fenced": "0x60",
    "pat_router_refused_total": "0x60",
    "pat_router_budget_refused_total": "0x60",
    'pat_router_carrier_requests_total{op="redirect",outcome="not_found"}': "0+9x60",
    'pat_router_reconciled_total{what="call",outcome="left"}': "0+9x60",
    'pat_agent_load{instance="a"}': "0.3x60",
    'pat_agent_load{instance="b"}': "0.4x60",
    'pat_agent_reaped_total{what="given_up"}': "0x60",
    'pat_agent_reaped_total{what="room"}': "0+1x60",
    "pat_agent_late_frames_total": "0+1x60",
    'pat_agent_packets_total{how="passed"}': "0+3000x60",
    "pat_agent_replies_failed_total": "0x60",
    'pat_agent_response_seconds_bucket{le="1"}': "0+60x60",
    'pat_agent_response_seconds_bucket{le="10"}': "0+60x60",
    'pat_agent_response_seconds_bucket{le="+Inf"}': "0+60x60",
    'pat_agent_provider_up{part="stt",provider="deepgram",model="nova-3",instance="a"}': "1x60",
    'pat_agent_provider_up{part="stt",provider="deepgram-2",model="nova-3",instance="a"}': "1x60",
    'pat_agent_provider_errors_total{part="stt",provider="deepgram",fault="timeout"}': "0+1x60",
    'pat_agent_provider_errors_total{part="stt",provider="deepgram",fault="auth"}': "0x60",
    "pat_agent_recording_dropped_total": "0x60",
    'pat_agent_recordings_total{result="failed"}': "0x60",
    "pat_agent_recording_waiting_bytes": "1000x60",
    "pat_retell_calls_free": "-1x60",
    "pat_retell_register_failed_total": "0+1x60",
    "pat_retell_register_seconds_count": "0+60x60",
    'pat_stack_error_budget_left_ratio{stack="retell"}': "0.4x60",
    "pat_latency_livekit_slower": "0x60",
    "pat_switcher_running": "0 1x3 0x56",
    'pat_switcher_steps_total{outcome="done"}': "0+1x60",
    'pat_switcher_steps_total{outcome="failed"}': "0x60",
    'pat_switcher_step_oldest_seconds{step="provision"}': "0 20x3 0x56",
    'pat_switcher_step_oldest_seconds{step="drain"}': "60+60x60",
    "pat_switcher_rollout_failures_total": "0x60",
    'pat_invoice_difference_ratio{vendor="openai"}': "-0.01x60",
    "pat_usage_waiting_seconds": "2x60",
    "pat_journal_pending": "3x60",
    "pat_journal_refused_total": "0x60",
    "pat_journal_parked_total": "0x60",
    "pat_outbox_oldest_seconds": "1x60",
    "pat_outbox_parked_rows": "0x60",
    "pat_inbox_parked_rows": "0x60",
    "pat_inbox_waiting_rows": "20x60",
    'pat_relay_webhooks_total{result="not_stored"}': "0x60",
    'pat_relay_webhooks_total{result="stored"}': "0+60x60",
    'pat_relay_ack_seconds_bucket{le="0.02"}': "0+60x60",
    'pat_relay_ack_seconds_bucket{le="1"}': "0+60x60",
    'pat_relay_ack_seconds_bucket{le="+Inf"}': "0+60x60",
    "pat_relay_deliveries_pending": "500x60",
    'pat_relay_deliveries_total{outcome="delivered"}': "0+60x60",
    'pat_relay_delivery_faults_total{fault="ours"}': "0x60",
    'pat_relay_delivery_faults_total{fault="receiver"}': "0+9x60",
    "pat_relay_not_fanned_out_total": "0x60",
    "pat_bus_dropped_total": "0x60",
    "pat_bus_refused_total": "0x60",
    "pat_loop_lag_seconds": "0.002x60",
}
GROWS = "0+0x30 0+5x30"
# Alert -> what is otherwise than above when it fires; None: that series is not there.
WRONG = {
    "PatchbayNoRouter": {'pat_health_up{check="routes",instance="r"}': "0x60"},
    "PatchbayNoAgent": {'pat_health_up{check="livekit",instance="a"}': None},
    "PatchbayVoiceWebhookSlow": {'pat_router_answer_seconds_bucket{outside="no",le="0.01"}': "0+50x60"},
    "PatchbayVoiceWebhookTooSlow": {f'pat_router_answer_seconds_bucket{{outside="yes",le="{le}"}}': f"0+{n}x60"
                                    for le, n in (("0.01", 0), ("0.1", 0), ("10", 60), ("+Inf", 60))},
    "PatchbayStackFailsCalls": {'pat_router_stack_outcomes_total{stack="retell",outcome="no_answer"}': "0+6x60"},
    "PatchbayCallersGivenUp": {'pat_agent_reaped_total{what="given_up"}': "0x55 1x5"},
    "PatchbayCallbacksMissing": {'pat_router_reconciled_total{what="call",outcome="closed"}': "0+1x60"},
    "PatchbayCarrierRefusesUs": {'pat_router_carrier_requests_total{op="redirect",outcome="auth"}': "0+1x60"},
    "PatchbayRequestsRefused": {"pat_router_refused_total": "0+9x60"},
    "PatchbayNumbersGone": {"pat_router_numbers": "100x40 80x20"},
    "PatchbayAgentsFull": {'pat_agent_load{instance="a"}': "0.4x57 1x3", 'pat_agent_load{instance="b"}': "0.3x57 1.1x3"},
    "PatchbayAgentsBusy": {'pat_agent_load{instance="a"}': "0.9x60", 'pat_agent_load{instance="b"}': "0.6x60"},
    "PatchbaySoundLate": {"pat_agent_late_frames_total": "0+30x60"},
    "PatchbayRepliesFail": {"pat_agent_replies_failed_total": "0+1x60"},
    "PatchbayResponsesSlow": {'pat_agent_response_seconds_bucket{le="1"}': "0+30x60"},
    "PatchbayProviderDown": {'pat_agent_provider_up{part="stt",provider="deepgram",model="nova-3",instance="a"}': "0x60"},
    "PatchbayPartDown": {f'pat_agent_provider_up{{part="llm",provider="{p}",model="m",instance="{i}"}}': "1x58 0x2"
                         for p in ("openai", "openai-2") for i in "ab"},
    "PatchbayProviderRefusesUs": {'pat_agent_provider_errors_total{part="stt",provider="deepgram",fault="auth"}': "0x55 1x5"},
    "PatchbayRecordingsLost": {'pat_agent_recordings_total{result="failed"}': "0x55 1x5"},
    "PatchbayRecordingsWait": {"pat_agent_recording_waiting_bytes": "40000000x60"},
    "PatchbayStackDown": {'pat_router_stack_state{stack="retell"}': "0x57 2x3"},
    "PatchbayStackDegraded": {'pat_router_stack_state{stack="retell"}': "1x60"},
    "PatchbayRetellFull": {"pat_retell_calls_free": "0x60"},
    "PatchbayRetellRegisterFails": {"pat_retell_register_failed_total": "0+6x60"},
    "PatchbayErrorBudgetSpent": {'pat_stack_error_budget_left_ratio{stack="retell"}': "-0.1x60"},
    "PatchbayLivekitSlower": {"pat_latency_livekit_slower": "1x60"},
    "PatchbaySwitchStuck": {"pat_switcher_running": "1x60", 'pat_switcher_steps_total{outcome="done"}': "7x60"},
    "PatchbaySwitchStepOld": {'pat_switcher_step_oldest_seconds{step="provision"}': "0+60x60"},
    "PatchbayRouterFenced": {"pat_router_fenced": "1x60"},
    "PatchbayRolloutFails": {"pat_switcher_rollout_failures_total": GROWS},
    "PatchbayCallsOverBudget": {"pat_router_budget_refused_total": GROWS},
    "PatchbayBillDiffers": {'pat_invoice_difference_ratio{vendor="openai"}': "-0.08x60"},
    "PatchbayUsageBehind": {"pat_usage_waiting_seconds": "90x60"},
    "PatchbayPostgresAway": {'pat_health_up{check="postgres",instance="q"}': "1x57 0x3"},
    "PatchbayNatsAway": {'pat_health_up{check="nats",instance="q"}': "1x57 0x3"},
    "PatchbayRecordsWait": {"pat_journal_pending": "2000x60"},
    "PatchbayRecordsLost": {"pat_journal_parked_total": "0x55 1x5"},
    "PatchbayOutboxBehind": {"pat_outbox_oldest_seconds": "90x60"},
    "PatchbayWebhooksBehind": {"pat_inbox_waiting_rows": "900x60"},
    "PatchbayParked": {"pat_inbox_parked_rows": "1x60"},
    "PatchbayWebhooksNotStored": {'pat_relay_webhooks_total{result="not_stored"}': GROWS},
    "PatchbayRelaySlow": {'pat_relay_ack_seconds_bucket{le="0.02"}': "0+50x60"},
    "PatchbayDeliveriesStand": {'pat_relay_deliveries_total{outcome="delivered"}': "60x60"},
    "PatchbayDeliveriesOurFault": {"pat_relay_not_fanned_out_total": "0x55 1x5"},
    "PatchbayMessagesLost": {"pat_bus_dropped_total": "0x55 1x5"},
    "PatchbayLoopLate": {"pat_loop_lag_seconds": "0.2x60"},
}


@cache
def c_files() -> dict[Path, str]:
    return {p: p.read_text() for top in ("libcommon", "services") for p in (ROOT / top).rglob("*.c")
            if not re.search(r"_(test|it)\.c$", p.name) and "test" not in p.parts}


def makers(name: str) -> list[str]:
    """The sources that name a metric."""
    return [t for t in c_files().values() if f'"{name}"' in t]


def metrics(expr: str) -> dict[str, dict[str, set[str]]]:
    """Metric -> labels asked for, with the values named. Labels of a `by` belong to each metric of the expression."""
    by = {w.strip() for group in re.findall(r"\bby \(([^)]*)\)", expr) for w in group.split(",")}
    out: dict[str, dict[str, set[str]]] = {}
    for name, selector in re.findall(r"\b((?:pat|process)_[a-z0-9_]+)(?:\{([^}]*)\})?", expr):
        labels = out.setdefault(name, {b: set() for b in by})
        for label, _, values in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', selector):
            labels.setdefault(label, set()).update(values.split("|"))
    return out


def unknown(expr: str) -> list[str]:
    """What of an expression no daemon measures."""
    bad = []
    for name, labels in metrics(expr).items():
        base = next((name.removesuffix(s) for s in SERIES_OF_HISTOGRAMS if name.endswith(s)), name)
        sources = makers(name) or makers(base)
        if not sources:
            bad.append(f"no daemon has {name}")
            continue
        if base != name and not makers(name) and not any(re.search(rf'pat_histogram\([^;]*"{base}"', t) for t in sources):
            bad.append(f"{base} is no histogram")
        for label, values in labels.items():
            if label not in NOT_OURS and not any(re.search(rf'"{label}"|{label}=\\"', t) for t in sources):
                bad.append(f"{name} has no label {label}")
            bad += [f'{name} never has {label}="{v}"' for v in values
                    if not any(re.search(rf'["\\]{re.escape(v)}[\\"]', t) for t in c_files().values())]
    return bad


def promtool(*args) -> subprocess.CompletedProcess:
    return subprocess.run([TOOLS / "promtool", *map(str, args)], capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r["alert"])
def test_alerts__ask_for_what_is_measured(rule):
    assert metrics(rule["expr"]) and not unknown(rule["expr"])


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r["alert"])
def test_alerts__say_what_it_is_and_how_urgent(rule):
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description"}
    text = " ".join(rule["annotations"].values())
    by = {w for labels in metrics(rule["expr"]).values() for w in labels}
    assert set(re.findall(r"\$labels\.(\w+)", text)) <= by
    named = re.findall(r"\b(?:pat|process)_[a-z0-9_]+", text)
    assert not [n for n in named if not makers(n)]
    settings = re.findall(r"\bPAT_[A-Z0-9_]+", text)
    assert not [s for s in settings if not makers(s) and f'"{s}"' not in (ROOT / "libcommon/object_conf.h").read_text()]


@pytest.mark.parametrize("panel", PANELS, ids=lambda p: p["title"])
def test_dashboard__asks_for_what_is_measured(panel):
    assert panel["targets"] and all(metrics(t["expr"]) for t in panel["targets"])
    assert not [u for t in panel["targets"] for u in unknown(t["expr"])]
    for t in panel["targets"]:
        by = {w for labels in metrics(t["expr"]).values() for w in labels}
        whole = not re.search(r"\b(sum|max|min|avg)\b", t["expr"])  # then each series has all its labels
        wanted = set(re.findall(r"\{\{(\w+)\}\}", t["legendFormat"]))
        assert wanted <= by or whole, t
    assert panel["datasource"]["uid"] == "${datasource}"


def test_dashboard__panels_lie_beside_each_other():
    taken: set[tuple[int, int]] = set()
    for p in BOARD["panels"]:
        g = p["gridPos"]
        cells = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
        assert not cells & taken and g["x"] + g["w"] <= 24, p["title"]
        taken |= cells
    assert len({p["id"] for p in BOARD["panels"]}) == len(BOARD["panels"])


def test_unknown__finds_what_is_not_there():
    assert unknown("pat_router_answers") == ["no daemon has pat_router_answers"]
    assert unknown("rate(pat_router_numbers_bucket[5m])") == ["pat_router_numbers is no histogram"]
    assert unknown('pat_router_stack_state{stac="retell"}') == ["pat_router_stack_state has no label stac"]
    assert unknown('pat_relay_webhooks_total{result="not_storred"}') == ['pat_relay_webhooks_total never has result="not_storred"']


def test_expressions__are_promql(tmp_path):
    exprs = [t["expr"] for p in PANELS for t in p["targets"]]
    plain = [re.sub(r"\$__(rate_interval|range)", "5m", e) for e in exprs]
    rules = {"groups": [{"name": "panels", "rules": [{"record": f"panel:{i}", "expr": e} for i, e in enumerate(plain)]}]}
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump(rules))
    done = promtool("check", "rules", tmp_path / "panels.yaml", RULES_FILE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts__every_one_has_its_case():
    names = [r["alert"] for r in RULES]
    assert sorted(names) == sorted(WRONG) and len(names) == len(set(names))


def test_alerts__fire_for_their_case_and_for_nothing_else(tmp_path):
    def case(name: str, changes: dict, firing: list[str]) -> dict:
        series = {k: v for k, v in (WELL | changes).items() if v is not None}
        return {"interval": "1m", "name": name, "input_series": [{"series": k, "values": v} for k, v in series.items()],
                "promql_expr_test": [{"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": "60m",
                                      "exp_samples": [{"labels": f'{{alertname="{f}"}}', "value": 1} for f in firing]}]}

    cases = [case("all is well", {}, [])] + [case(name, changes, [name]) for name, changes in WRONG.items()]
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({"rule_files": [str(RULES_FILE)], "evaluation_interval": "1m", "tests": cases}))
    done = promtool("test", "rules", tmp_path / "tests.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
