"""The Helm chart against Kubernetes' schemas and against the daemons: what it renders is valid, every setting it names
exists, secrets come as files, and the daemons accept the environment it makes. No cluster is needed."""

import os
import platform
import re
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path

import pytest
import yaml

from harness.helm import CHART, ROOT, component, container, crossed, env, faults, helm, pod, render, title, workloads

BUILD = Path(os.environ.get("PAT_BUILD_DIR", "build/dev"))
DAEMONS = ("livekit-agent", "retell-provider", "router", "stack-switcher", "webhook-relay")
SECRET_URLS = {"PAT_DATABASE_URL", "PAT_DATABASE_LISTEN_URL"}
VALUES = sorted((CHART / "ci").glob("*.yaml"))
FULL, MINIMAL, SMALL = (CHART / f"ci/{n}.yaml" for n in ("full", "minimal", "small"))
pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="helm comes with scripts/setup for amd64 only")


@cache
def settings(daemon: str) -> dict[str, str]:
    """name -> kind, as the program says; defaults under `name=`."""
    outside = {k: v for k, v in os.environ.items() if not k.startswith("PAT_")}
    text = subprocess.run([BUILD / f"bin/patchbay-{daemon}", "--help"], capture_output=True, text=True, check=True,
                          env=outside).stdout
    found = re.findall(r"^  (PAT_[A-Z0-9_]+)=(\S+)", text, flags=re.M)
    return {n: "secret" if n in SECRET_URLS else kind for n, kind in found}


def default(daemon: str, name: str) -> str:
    text = subprocess.run([BUILD / f"bin/patchbay-{daemon}", "--help"], capture_output=True, text=True, check=True).stdout
    return re.search(rf"^  {name}=\S+  \(default (\S+)\)$", text, flags=re.M).group(1)


def seconds(text: str) -> float:
    n, unit = re.fullmatch(r"(\d+)(ms|s|m|h)?", text).groups()
    return int(n) * {"ms": 0.001, None: 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def daemons(docs: list[dict]) -> dict[str, dict]:
    return workloads(docs, ("Deployment", "StatefulSet"))


def mounted(doc: dict) -> dict[str, dict]:
    """Files below /etc/patchbay -> the source of each."""
    sources = next(v for v in pod(doc)["volumes"] if v["name"] == "settings")["projected"]["sources"]
    return {"/etc/patchbay/" + item["path"]: next(iter(s.values())) | {"key": item["key"], "of": next(iter(s))}
            for s in sources for item in next(iter(s.values()))["items"]}


@pytest.mark.parametrize("values", VALUES, ids=lambda p: p.stem)
def test_chart__lint_has_nothing_to_say(values):
    done = helm("lint", "--strict", CHART, "-f", values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("version", ["1.29.0", "1.37.0"])
@pytest.mark.parametrize("values", VALUES, ids=lambda p: p.stem)
def test_manifests__are_what_kubernetes_knows(values, version):
    assert not faults(render(values), version)


def test_manifests__a_wrong_field_would_be_found():
    docs = yaml.safe_load(yaml.safe_dump(render(MINIMAL)))
    next(d for d in docs if d["kind"] == "Deployment")["spec"]["replicaz"] = 2
    next(d for d in docs if d["kind"] == "Service")["spec"]["ports"][0]["port"] = "many"
    assert len(faults(docs, "1.37.0")) == 2


@pytest.mark.parametrize("values", VALUES, ids=lambda p: p.stem)
def test_manifests__fit_each_other(values):
    assert not crossed(render(values))
    assert not crossed(render(values, "fullnameOverride=" + "n" * 60))


def test_manifests__one_that_does_not_fit_would_be_found():
    docs = yaml.safe_load(yaml.safe_dump(render(FULL)))
    for kind, breaks in {"Service": lambda d: d["spec"]["selector"].update(x="y"),
                         "Ingress": lambda d: d["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"].update(name="x"),
                         "StatefulSet": lambda d: d["spec"].update(serviceName="x"),
                         "NetworkPolicy": lambda d: d["spec"]["ingress"][0]["ports"][0].update(port="x")}.items():
        breaks(next(d for d in docs if d["kind"] == kind))
    assert len(crossed(docs)) == 4


def test_settings__the_chart_knows_those_the_daemons_have():
    done = subprocess.run([sys.executable, ROOT / "scripts/chart-settings", "--check", BUILD / "bin"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("values", VALUES, ids=lambda p: p.stem)
def test_settings__each_one_exists_and_secrets_are_files(values):
    bad = []
    for name, doc in daemons(render(values)).items():
        known, files = settings(name), mounted(doc)
        for variable, value in env(doc).items():
            setting = variable.removesuffix("_FILE") if variable not in known else variable
            if setting not in known:
                bad.append(f"{name}: {variable} is no setting")
            elif known[setting] == "secret" and (variable == setting or files.get(value, {}).get("of") != "secret"):
                bad.append(f"{name}: {variable} does not come from a Secret's file")
            elif known[setting] != "secret" and variable != setting:
                bad.append(f"{name}: {variable} as a file")
            elif value.startswith("/etc/patchbay/") and value not in files:
                bad.append(f"{name}: {variable}: nothing is mounted at {value}")
        bad += [f"{name}: {f} is mounted for nobody" for f in files if f not in env(doc).values()]
    assert not bad


@pytest.mark.parametrize("values", VALUES, ids=lambda p: p.stem)
def test_settings__the_daemons_accept_what_they_are_given(values, tmp_path):
    """--check-config with the environment of the pod, and its files in a folder of ours."""
    for name, doc in daemons(render(values)).items():
        folder = tmp_path / name
        folder.mkdir()
        for path in mounted(doc):
            text = "postgres://patchbay:x@db:5432/postgres" if "DATABASE_URL" in path or "LISTEN_URL" in path else "secret"
            (folder / Path(path).name).write_text(text)
        outside = {k: v for k, v in os.environ.items() if not k.startswith("PAT_")}
        given = {k: v.replace("/etc/patchbay", str(folder)) for k, v in env(doc).items()}
        done = subprocess.run([BUILD / f"bin/patchbay-{name}", "--check-config"], capture_output=True, text=True,
                              env=outside | given, timeout=30)
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


def test_settings__every_one_of_compose_is_passed():
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    given = {n: env(d) for n, d in daemons(render(FULL)).items()}
    missing = []
    for name in DAEMONS:
        for variable in compose[name]["environment"]:
            setting = variable.removesuffix("_FILE") if variable not in settings(name) else variable
            if not {setting, setting + "_FILE"} & given[name].keys():
                missing.append(f"{name}: {setting}")
    assert not missing


def test_settings__compose_passes_none_that_a_daemon_does_not_have():
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert [f"{name}: {v}" for name in DAEMONS for v in compose[name]["environment"]
            if v not in settings(name) and v.removesuffix("_FILE") not in settings(name)] == []


def test_settings__of_one_daemon_go_before_those_of_all():
    docs = daemons(render(MINIMAL, "router.config.PAT_LOG_LEVEL=debug", "livekitAgent.secrets.PAT_NATS_PASSWORD=other/key"))
    assert {n: env(d)["PAT_LOG_LEVEL"] for n, d in docs.items()} == dict.fromkeys(DAEMONS, "info") | {"router": "debug"}
    sources = {n: mounted(d)["/etc/patchbay/PAT_NATS_PASSWORD"]["name"] for n, d in docs.items()}
    assert sources == dict.fromkeys(DAEMONS, "patchbay") | {"livekit-agent": "other"}


@pytest.mark.parametrize("change, says", [
    ("config.PAT_ROUTER_PUBLIK_URL=x", "config.PAT_ROUTER_PUBLIK_URL: no daemon has such a setting"),
    ("config.PAT_CALL_SECRET=x", "config.PAT_CALL_SECRET: it is a secret"),
    ("router.config.PAT_INSIDE_TOKEN=x", "router.config.PAT_INSIDE_TOKEN: it is a secret"),
    ("router.config.PAT_AGENT_MAX_CALLS=x", "router.config.PAT_AGENT_MAX_CALLS: that daemon has no such setting"),
    ("config.PAT_ROUTER_LISTEN=x", "config.PAT_ROUTER_LISTEN: the chart sets it"),
    ("secrets.keys.PAT_LOG_LEVEL=x", "secrets.keys.PAT_LOG_LEVEL: no daemon has such a secret"),
    ("secrets.keys.PAT_CALL_SECRET=", "router needs PAT_CALL_SECRET: set secrets.keys.PAT_CALL_SECRET"),
    ("config.PAT_ROUTER_PUBLIC_URL=", "router needs PAT_ROUTER_PUBLIC_URL: set config.PAT_ROUTER_PUBLIC_URL"),
    ("config.PAT_SUPABASE_JWKS_URL=", "stack-switcher needs config.PAT_SUPABASE_JWKS_URL"),
    ("config.PAT_NATS_URL=", "where is your NATS?"),
    ("router.replcas=3", "replcas"),
    ("livekitAgent.drain=soon", "drain"),
    ("files.PAT_CA_FILE.key=x", "PAT_CA_FILE"),
])
def test_values__that_cannot_work_are_refused(change, says):
    done = helm("template", "try", CHART, "-f", MINIMAL, "--set", change)
    assert done.returncode != 0
    assert says in done.stderr


@pytest.mark.parametrize("values", VALUES, ids=lambda p: p.stem)
def test_ending__leaves_each_daemon_the_time_it_needs(values):
    closing = int(re.search(r"\bCLOSED_MS = (\d+)", (ROOT / "libcommon/daemon.c").read_text()).group(1)) / 1000
    for name, doc in daemons(render(values)).items():
        hook = container(doc).get("lifecycle", {}).get("preStop")
        waits = int(hook["exec"]["command"][1]) if hook else 0
        assert pod(doc)["terminationGracePeriodSeconds"] >= waits + seconds(env(doc)["PAT_DRAIN_MS"]) + closing, name
        # Who is asked over the network goes on answering while the news of its end travels.
        assert bool(waits) == (len(container(doc)["ports"]) > 1), name


def test_ending__an_agent_may_finish_its_longest_call():
    agent = daemons(render(MINIMAL))["livekit-agent"]
    assert seconds(env(agent)["PAT_DRAIN_MS"]) > seconds(default("livekit-agent", "PAT_AGENT_MAX_CALL_MS")) + 60


@pytest.mark.parametrize("values", VALUES, ids=lambda p: p.stem)
def test_pods__run_without_rights_and_write_only_where_they_may(values):
    for name, doc in workloads(render(values)).items():
        spec, c = pod(doc), container(doc)
        assert spec["securityContext"]["runAsNonRoot"] and not spec["automountServiceAccountToken"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert c["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
                                        "readOnlyRootFilesystem": True}, name
        assert c["resources"]["requests"] and "cpu" not in c["resources"]["limits"], name
        places = [m["mountPath"] for m in c["volumeMounts"] if not m.get("readOnly")]
        files = [v for k, v in env(doc).items() if k.endswith(("_SPOOL_FILE", "_SNAPSHOT_FILE", "_DIR"))]
        assert all(any(f.startswith(p + "/") for p in places) for f in files), name
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"--uid {spec['securityContext']['runAsUser']} " in dockerfile
    assert container(workloads(render(values))["migrations"])["command"][0] in dockerfile


def test_state__what_must_survive_is_on_a_volume_of_the_pod():
    for name, doc in daemons(render(MINIMAL)).items():
        kept = [k for k in settings(name) if k.endswith(("_SPOOL_FILE", "_SNAPSHOT_FILE"))]
        assert bool(kept) == (doc["kind"] == "StatefulSet"), name
        if kept:
            claim = doc["spec"]["volumeClaimTemplates"][0]["metadata"]["name"]
            at = next(m["mountPath"] for m in container(doc)["volumeMounts"] if m["name"] == claim)
            assert all(env(doc)[k].startswith(at + "/") for k in kept), name
            assert doc["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_updates__take_one_at_a_time_and_never_the_last():
    docs = render(MINIMAL)
    for name, doc in daemons(docs).items():
        assert doc["spec"]["replicas"] >= 2, name
        if doc["kind"] == "Deployment":
            assert doc["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}, name
    budgets = {component(d): d["spec"] for d in docs if d["kind"] == "PodDisruptionBudget"}
    assert {n: b["maxUnavailable"] for n, b in budgets.items()} == dict.fromkeys(DAEMONS, 1)


def test_migrations__come_first_as_the_owner_and_only_they():
    docs = render(FULL)
    job = workloads(docs)["migrations"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert mounted(job)["/etc/patchbay/PAT_DATABASE_URL"]["key"] == "owner-uri"
    owners = [title(d) for d in workloads(docs).values() if "owner-uri" in [m["key"] for m in mounted(d).values()]]
    assert owners == [title(job)]
    # What the job needs is there before it: nothing of the release but hooks that weigh less.
    policy = next(d for d in docs if d["kind"] == "NetworkPolicy" and component(d) == "migrations")
    assert int(policy["metadata"]["annotations"]["helm.sh/hook-weight"]) < int(job["metadata"]["annotations"]["helm.sh/hook-weight"])
    assert "serviceAccountName" not in pod(job)


def test_network__only_routers_reach_the_inside_port_and_public_ports_are_few():
    docs = render(FULL)
    policy = next(d for d in docs if d["kind"] == "NetworkPolicy" and component(d) == "retell-provider")["spec"]
    inside = [r for r in policy["ingress"] if r["ports"] == [{"port": "inside"}]]
    assert [f["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for r in inside for f in r["from"]] == ["router"]
    paths = {component(d): [p["path"] for r in d["spec"]["rules"] for p in r["http"]["paths"]] for d in docs if d["kind"] == "Ingress"}
    assert paths == {"router": ["/v1/signalwire"], "retell-provider": ["/v1/retell/tools"], "stack-switcher": ["/"],
                     "webhook-relay": ["/v1/hooks"]}


def test_network__addresses_in_settings_can_be_reached():
    def lets_out(name: str) -> set[int]:
        spec = next(d for d in render(FULL) if d["kind"] == "NetworkPolicy" and component(d) == name)["spec"]
        return {p["port"] for rule in spec["egress"] if "to" not in rule for p in rule["ports"] if p["protocol"] == "TCP"}

    assert {53, 4222, 5432, 6379, 6543, 8080, 9000} <= lets_out("router")  # names, NATS, Postgres, a provider, MinIO
    assert {7880, 7881, 9000} <= lets_out("livekit-agent")
    assert 7880 not in lets_out("router")


def test_scaling__by_cpu_or_by_the_agents_own_measure():
    def metrics(*sets):
        docs = render(MINIMAL, "livekitAgent.autoscaling.enabled=true", *sets)
        assert "replicas" not in daemons(docs)["livekit-agent"]["spec"]
        return next(d for d in docs if d["kind"] == "HorizontalPodAutoscaler")["spec"]["metrics"]

    assert [m["type"] for m in metrics()] == ["Resource"]
    load = metrics("livekitAgent.autoscaling.metric=load")
    assert load[0]["pods"]["metric"]["name"] == "pat_agent_load"
    assert not faults(render(MINIMAL, "livekitAgent.autoscaling.enabled=true"), "1.29.0")


def test_chart__is_of_the_version_it_installs():
    version = re.search(r"project\(patchbay VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == version
    assert container(daemons(render(MINIMAL))["router"])["image"] == f"patchbay:{version}"


def test_monitoring__rules_and_dashboard_are_the_files_of_deploy():
    docs = {d["kind"]: d for d in render(FULL) if component(d) == "monitoring"}
    assert docs["PrometheusRule"]["spec"] == yaml.safe_load((ROOT / "deploy/prometheus/patchbay.rules.yaml").read_text())
    assert docs["ConfigMap"]["data"]["patchbay.json"].strip() == (ROOT / "deploy/grafana/patchbay.json").read_text().strip()


def doc_blocks(kind: str) -> list[str]:
    return re.findall(rf"^ *```{kind}\n(.*?)^ *```$", (ROOT / "docs/kubernetes.md").read_text(), flags=re.M | re.S)


def test_docs__the_values_shown_are_values_of_the_chart(tmp_path):
    blocks = [textwrap.dedent(b).split("# values of this chart")[-1] for b in doc_blocks("yaml")]
    assert len(blocks) >= 4
    for i, block in enumerate(blocks):
        (tmp_path / f"{i}.yaml").write_text(block)
        done = helm("template", "try", CHART, "-f", MINIMAL, "-f", tmp_path / f"{i}.yaml")
        assert done.returncode == 0, block + done.stderr


def test_docs__the_secret_shown_has_the_keys_the_chart_reads():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    keys = {k for k in values["secrets"]["keys"].values() if k} | {values["migrations"]["databaseUrl"]}
    assert {k for b in doc_blocks("sh") for k in re.findall(r"--from-literal=([a-z-]+)=", b)} == keys
