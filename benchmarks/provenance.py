"""What a committed result table says of its making."""

from __future__ import annotations

import datetime
import platform
from importlib import metadata

PACKAGES = ("sitewise", "pymc", "nutpie", "numpy", "arviz-stats")


def provenance(command: str) -> str:
    """Return a line with command, date and versions."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    return f"Command: `{command}`. Date: {datetime.date.today()}. Python {platform.python_version()}, {versions}."
