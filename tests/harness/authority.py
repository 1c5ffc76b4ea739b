"""A certificate authority of a test's own, made with openssl.

    ca = Authority(folder)
    server = ca.issue("nats")                       # for 127.0.0.1 and localhost
    client = ca.issue("patchbay", client=True)
    nats-server --tlscert {server.cert} --tlskey {server.key} --tlscacert {ca.cert} --tlsverify

Keys are of P-256 and unprotected; certificates are good for a day.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Issued:
    cert: Path
    key: Path


def openssl(*args: object) -> None:
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"openssl {args[0]}: {done.stderr}")


class Authority:
    def __init__(self, folder: Path, name: str = "Test CA"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
                f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
                "-keyout", self.key, "-out", self.cert)
        self.cert.chmod(0o644)

    def issue(self, name: str, names: str = "DNS:localhost,IP:127.0.0.1", client: bool = False) -> Issued:
        """names: what a server is called, as openssl writes it."""
        made = Issued(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request, ext = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        ext.write_text(f"extendedKeyUsage={'clientAuth' if client else 'serverAuth'}\n" +
                       ("" if client else f"subjectAltName={names}\n"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", made.key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", "1",
                "-extfile", ext, "-out", made.cert)
        made.cert.chmod(0o644)
        return made
