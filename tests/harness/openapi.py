"""Holds answers of stack-switcher's API against what its /openapi.json promises."""
import json
import urllib.request

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012


class Description:
    def __init__(self, url: str):
        with urllib.request.urlopen(url + "/openapi.json", timeout=10) as r:
            self.api = json.loads(r.read())
        self.registry = Registry().with_resource("urn:api", Resource(contents=self.api, specification=DRAFT202012))

    def methods(self, path: str) -> dict | None:
        parts = path.partition("?")[0].split("/")
        fits = [(pattern.count("{"), methods) for pattern, methods in self.api["paths"].items()
                if len(pattern.split("/")) == len(parts)
                and all(w == p or w.startswith("{") for w, p in zip(pattern.split("/"), parts))]
        return min(fits, key=lambda f: f[0])[1] if fits else None

    def check(self, method: str, path: str, status: int, media_type: str | None, answer) -> None:
        """As promised for this path, method and status; what fails is a problem by RFC 9457. media_type: of the answer,
        None where it was not kept."""
        wanted = "application/json" if status < 400 else "application/problem+json"
        assert media_type in (wanted, None), f"{method} {path} answers {media_type}"
        if status >= 400:
            assert answer["status"] == status and answer["error"]["message"] == answer["detail"]
        methods = self.methods(path)
        if methods is None:
            assert status == 404, f"{path} is not in the description"
            return
        if method.lower() not in methods:
            assert status == 405, f"{method} {path} is not in the description"
            return
        promised = methods[method.lower()]["responses"].get(str(status))
        assert promised, f"{method} {path} does not promise {status}"
        if "$ref" in promised:
            promised = self.api["components"]["responses"][promised["$ref"].rpartition("/")[2]]
        schema = json.loads(json.dumps(promised["content"][wanted]["schema"]).replace('"#/', '"urn:api#/'))
        faults = list(Draft202012Validator(schema, registry=self.registry).iter_errors(answer))
        assert not faults, f"{method} {path}: {faults[0].json_path}: {faults[0].message}"
