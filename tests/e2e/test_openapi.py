"""The service against its own description: schemathesis makes requests, none may end in a server error or break the description."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from service import service_process


@pytest.mark.slow
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    with service_process(tmp_path, AGENT_SRE_LOG_LEVEL="warning") as service:
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{service.url}/openapi.json",
            "--checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            "--phases=examples,coverage,fuzzing",
            "--max-examples=15",
            "--seed=1",
            "--request-timeout=60",
            "--workers=2",
            "--no-color",
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False)
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}\n{service.log()[-2000:]}"
        assert "Traceback" not in service.log()
