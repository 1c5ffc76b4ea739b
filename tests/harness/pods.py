"""The pods of the Helm chart in our image, as a container engine alone can run them: `python -m harness.pods`.

Command, user, read-only root, environment, files with the mode a cluster gives them, the volume. There is no server
for them: a daemon that is well is alive all the same, knows every setting it was given, and ends with 0 on SIGTERM.
Under `with-docker.sh run`, on an image that was built before; as root, for the files' owner.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .helm import CHART, container, env, pod, render, workloads

DOCKER = "/usr/bin/docker"
IMAGE = "patchbay:dev"
VALUES = CHART / "ci/minimal.yaml"
ALIVE_S, END_S = 60, 60


def docker(*args, timeout_s: float = 60) -> subprocess.CompletedProcess:
    return subprocess.run([DOCKER, *map(str, args)], capture_output=True, text=True, timeout=timeout_s)


def files(doc: dict, folder: Path) -> None:
    """What the projected volume would hold: owned by root, read by the pod's group."""
    volume = next(v for v in pod(doc)["volumes"] if v["name"] == "settings")["projected"]
    for source in volume["sources"]:
        for item in (i for s in source.values() for i in s["items"]):
            path = folder / item["path"]
            path.write_text("postgres://nobody:x@127.0.0.1:1/none" if "DATABASE" in item["path"] else "a-secret")
            os.chown(path, 0, pod(doc)["securityContext"]["fsGroup"])
            path.chmod(volume["defaultMode"])


def arguments(name: str, doc: dict, folder: Path) -> list[str]:
    security, c = pod(doc)["securityContext"], container(doc)
    out = ["--name", name, "--user", f"{security['runAsUser']}:{security['runAsGroup']}", "--read-only", "--cap-drop=ALL",
           "--security-opt=no-new-privileges", "--network=none", "--tmpfs=/tmp"]
    for mount in c["volumeMounts"]:
        if mount["name"] == "tmp":
            continue
        place = folder / mount["name"]
        place.mkdir(parents=True)
        if mount["name"] == "settings":
            files(doc, place)
        else:
            os.chown(place, 0, security["fsGroup"])
            place.chmod(0o2775)
        out += ["-v", f"{place}:{mount['mountPath']}" + (":ro" if mount.get("readOnly") else "")]
    return out + [a for k, v in env(doc).items() for a in ("-e", f"{k}={v}")] + [IMAGE, *c["command"]]


def alive(name: str) -> bool:
    deadline = time.monotonic() + ALIVE_S
    while time.monotonic() < deadline:
        if docker("exec", name, "patchbay-healthcheck", "/healthz").returncode == 0:
            return True
        if docker("inspect", "-f", "{{.State.Running}}", name).stdout.strip() != "true":
            return False
        time.sleep(0.2)
    return False


def faults(name: str, doc: dict) -> list[str]:
    """Of a pod that has ended."""
    done = docker("logs", name)
    log = done.stdout + done.stderr
    status = docker("inspect", "-f", "{{.State.ExitCode}}", name).stdout.strip()
    bad = [] if status == "0" else [f"ended with {status}"]
    if '"config.unknown"' in log:
        bad.append("was given settings it does not know")
    return bad + ([log[-2000:]] if bad else [])


def main() -> int:
    docs = render(VALUES)
    pods = {f"pod-{n}": d for n, d in workloads(docs, ("Deployment", "StatefulSet")).items()}
    bad: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            os.chmod(folder, 0o755)
            docker("rm", "-f", *pods)  # of a run that was killed
            for name, doc in pods.items():
                done = docker("run", "-d", *arguments(name, doc, Path(folder) / name))
                if done.returncode:
                    bad[name] = [done.stderr]
            for name, doc in pods.items():
                hook = container(doc).get("lifecycle", {}).get("preStop")
                if name in bad:
                    continue
                if not alive(name):
                    bad[name] = ["is not alive", docker("logs", name).stderr[-2000:]]
                elif hook and docker("exec", name, hook["exec"]["command"][0], "0").returncode:
                    bad[name] = ["cannot do what it has to before it ends"]
            docker("stop", "-t", END_S, *pods, timeout_s=END_S + 30)
            bad |= {n: f for n, d in pods.items() if n not in bad and (f := faults(n, d))}
            # The migrations' job: everything but the database is there.
            job = workloads(docs, ("Job",))["migrations"]
            done = docker("run", "--rm", *arguments("pod-migrations", job, Path(folder) / "migrations"))
            if "Connection refused" not in done.stderr:
                bad["pod-migrations"] = [done.stdout + done.stderr]
        finally:
            docker("rm", "-f", *pods)
    for name, what in bad.items():
        print(f"{name}: {'; '.join(what)}")
    print(f"pods: {len(pods) + 1 - len(bad)} of {len(pods) + 1} are well")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
