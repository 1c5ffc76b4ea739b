"""The Helm chart rendered, and what an API server would refuse of it, without one.

    docs = render(CHART / "ci/full.yaml")
    assert not faults(docs, "1.37.0")

The schemas are Kubernetes' own (strict: an unknown field is a fault); `crossed` looks at what no schema sees: selectors,
names of ports, mounts. `helm` and the schemas come from scripts/setup.
"""

import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/patchbay"
TOOLS = Path(os.environ.get("PAT_CACHE", Path.home() / ".cache/patchbay")) / "deploy-tools"
WORKLOADS = ("Deployment", "StatefulSet", "Job")
# Kinds of operators: their schemas are theirs.
FOREIGN = ("PodMonitor", "PrometheusRule")


def helm(*args) -> subprocess.CompletedProcess:
    return subprocess.run([TOOLS / "helm", *map(str, args)], capture_output=True, text=True, timeout=60)


@cache
def render(values: Path, *sets: str) -> list[dict]:
    args = [a for s in sets for a in ("--set", s)]
    done = helm("template", "try", CHART, "-n", "calls", "-f", values, *args)
    assert done.returncode == 0, done.stderr
    return [d for d in yaml.safe_load_all(done.stdout) if d]


@cache
def _validator(kind: str, api: str, version: str) -> Draft202012Validator:
    folder = TOOLS / "schemas" / version
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api)
    schema = json.loads((folder / f"{kind.lower()}-{group}.json").read_text())
    definitions = Resource.from_contents(_definitions(folder))
    return Draft202012Validator(schema, registry=Resource.from_contents(schema) @ (definitions @ Registry()))


@cache
def _definitions(folder: Path) -> dict:
    return json.loads((folder / "_definitions.json").read_text())


def title(doc: dict) -> str:
    return f"{doc['kind']}/{doc['metadata']['name']}"


def faults(docs: list[dict], version: str) -> list[str]:
    return [f"{title(d)}: {'.'.join(map(str, e.absolute_path))}: {e.message[:200]}"
            for d in docs if d["kind"] not in FOREIGN
            for e in _validator(d["kind"], d["apiVersion"], version).iter_errors(d)]


def pod(doc: dict) -> dict:
    return doc["spec"]["template"]["spec"]


def container(doc: dict) -> dict:
    return pod(doc)["containers"][0]


def labels(doc: dict) -> dict:
    return doc["spec"]["template"]["metadata"]["labels"]


def env(doc: dict) -> dict[str, str]:
    return {e["name"]: e["value"] for e in container(doc)["env"]}


def component(doc: dict) -> str:
    return doc["metadata"]["labels"]["app.kubernetes.io/component"]


def workloads(docs: list[dict], kinds=WORKLOADS) -> dict[str, dict]:
    """By component: router, livekit-agent ... and migrations."""
    return {component(d): d for d in docs if d["kind"] in kinds}


def by_title(docs: list[dict]) -> dict[str, dict]:
    return {title(d): d for d in docs}


def _chosen(docs: list[dict], selector: dict) -> list[dict]:
    return [d for d in docs if d["kind"] in WORKLOADS and selector.items() <= labels(d).items()]


def _pods_faults(d: dict) -> list[str]:
    bad = []
    c, p = container(d), pod(d)
    volumes = {v["name"] for v in p["volumes"]} | {v["metadata"]["name"] for v in d["spec"].get("volumeClaimTemplates", [])}
    mounts = {m["name"] for m in c["volumeMounts"]}
    ports = [x["name"] for x in c.get("ports", [])]
    bad += [f"volume {v} is not there, or not mounted" for v in volumes ^ mounts]
    bad += [f"port name {n}" for n in ports if len(n) > 15 or ports.count(n) > 1]
    bad += [f"{probe}: port" for probe in ("startupProbe", "livenessProbe", "readinessProbe")
            if probe in c and c[probe]["httpGet"]["port"] not in ports]
    if d["kind"] != "Job" and not d["spec"]["selector"]["matchLabels"].items() <= labels(d).items():
        bad.append("its selector does not choose its pods")
    if d["kind"] == "StatefulSet" and len(d["metadata"]["name"]) > 52:
        bad.append("the label with its revision would be over 63 characters")
    return bad


def _backend_faults(d: dict, docs: dict[str, dict]) -> list[str]:
    bad = []
    for path in (p for r in d["spec"]["rules"] for p in r["http"]["paths"]):
        backend = path["backend"]["service"]
        service = docs.get(f"Service/{backend['name']}")
        if not service or backend["port"]["name"] not in [p["name"] for p in service["spec"]["ports"]]:
            bad.append(f"leads to {backend}")
    return bad


def crossed(docs: list[dict]) -> list[str]:
    """What one document says of another, and is not so."""
    named, bad = by_title(docs), []
    if len(named) != len(docs):
        bad.append("two documents of one name")
    for d in docs:
        kind, spec, found = d["kind"], d.get("spec", {}), []
        if len(d["metadata"]["name"]) > 63:
            found.append("long name")
        if kind in WORKLOADS:
            found += _pods_faults(d)
        if kind in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
            selector = spec.get("podSelector") or spec["selector"]
            chosen = _chosen(docs, selector.get("matchLabels", selector))
            if len(chosen) != 1:
                found.append(f"chooses {[title(c) for c in chosen]}")
            else:
                ports = [x["name"] for x in container(chosen[0]).get("ports", [])]
                wanted = ([p["targetPort"] for p in spec["ports"]] if kind == "Service" else
                          [p["port"] for rule in spec.get("ingress", []) for p in rule["ports"]])
                found += [f"port {p}" for p in wanted if p not in ports]
        if kind == "Ingress":
            found += _backend_faults(d, named)
        if kind == "HorizontalPodAutoscaler" and f"StatefulSet/{spec['scaleTargetRef']['name']}" not in named:
            found.append("scales nobody")
        if kind == "StatefulSet" and f"Service/{spec['serviceName']}" not in named:
            found.append("serviceName")
        bad += [f"{title(d)}: {f}" for f in found]
    return bad
