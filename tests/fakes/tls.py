"""A certificate for servers on the loopback that nobody vouches for but the test."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from deploy.repository import need


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """The certificate's file, and what a server shows it with. Skips the test where there is no openssl."""
    made = [folder / "cert.pem", folder / "key.pem"]
    command = [need("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=x"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(made[0]), "-keyout", str(made[1])]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made[0], made[1])
    return made[0], context
