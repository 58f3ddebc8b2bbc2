"""A timestamp authority (RFC 3161) on this machine: openssl answers."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

_CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
[req]
distinguished_name = name
[name]
[issuer]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[authority]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@contextmanager
def timestamp_authority(folder: Path) -> Iterator[str]:
    """Yield the address of one, as long as the context lasts."""
    config = folder / "openssl.cnf"
    config.write_text(_CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config"]
    root = ["-keyout", folder / "root.key", "-out", folder / "tsa-root.pem", "-subj", "/CN=root"]
    _run("req", "-x509", *new, config, *root, "-extensions", "issuer", "-days", "30")
    own = ["-keyout", folder / "tsa.key", "-out", folder / "tsa.csr", "-subj", "/CN=authority"]
    _run("req", *new, config, *own)
    issuer = ["-CA", folder / "tsa-root.pem", "-CAkey", folder / "root.key", "-CAcreateserial"]
    kind = ["-extfile", config, "-extensions", "authority", "-days", "20"]
    request = ["-in", folder / "tsa.csr", "-out", folder / "tsa.pem"]
    _run("x509", "-req", *request, *issuer, *kind)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question, answer = folder / "question.tsq", folder / "answer.tsr"
            question.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            _run("ts", "-reply", "-config", config, "-queryfile", question, "-out", answer)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(answer.read_bytes())

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


def _run(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=30)
