from __future__ import annotations

import subprocess
import sys

PROBE = """
import asyncio, sys, threading
from agent_sre.kit.http import load_backend

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("anyio._backends"):
            print(name, threading.current_thread() is threading.main_thread())

sys.meta_path.insert(0, Watch())
asyncio.run(load_backend())
"""


def test_what_the_first_call_needs_is_loaded_beside_the_event_loop() -> None:
    # In a process of its own: here it has long been loaded.
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert "anyio._backends._asyncio False" in done.stdout.splitlines()
