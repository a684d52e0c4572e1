"""Amounts as Kubernetes writes them: "100m", "64Mi", "1.5", "2k". None where it is no amount.

Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re

_FACTORS = {
    "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip
_AMOUNT = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:e([0-9]{1,2})|([numkMGTPE]i?)?)\Z", re.ASCII)


def amount(value: object) -> float | None:
    """The number that is meant: cores, bytes, pieces."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if 0 <= value <= 1e20 else None
    found = _AMOUNT.match(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    number, power, unit = found.groups()
    factor = 10.0 ** int(power) if power else _FACTORS.get(unit or "")
    return float(number) * factor if factor is not None else None
