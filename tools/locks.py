"""Whether the lock files still fit pyproject.toml, and hold hashes and no addresses. Part of `make check`."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

_ROOT = Path(__file__).parent.parent
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


def main() -> int:
    """Prints every disagreement; the number of them."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    wanted = {
        "requirements.lock": project["dependencies"],
        "requirements-dev.lock": [*project["dependencies"], *project["optional-dependencies"]["dev"]],
    }
    complaints = [complaint for name, requirements in wanted.items() for complaint in _look(name, requirements)]
    for complaint in complaints:
        print(complaint)  # noqa: T201
    return len(complaints)


def _look(name: str, requirements: list[str]) -> list[str]:
    text = (_ROOT / name).read_text()
    pinned = {_plain(package): version for package, version in _PINNED.findall(text)}
    complaints = []
    for line in requirements:
        requirement = Requirement(line)
        version = pinned.get(_plain(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            complaints.append(f"{name}: {line} is not met ({version or 'absent'}): run `make lock`")
    if "://" in text:
        complaints.append(f"{name}: holds an address")
    if len(re.findall(r"--hash=sha256:", text)) < len(pinned):
        complaints.append(f"{name}: a package has no hash")
    return complaints


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
