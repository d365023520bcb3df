"""What machine this is, and which versions of the peers it has."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path


def first_line(command: list[str]) -> str:
    """The first line a command prints, wherever it prints it."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else ""


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def memory_gib() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal"):
            return round(int(line.split()[1]) / 1024**2, 1)
    return 0.0


def describe(squall: Path, versions: dict[str, list[str]]) -> dict[str, object]:
    """The machine, and the version of every peer that is here."""
    found = {name: first_line(command) for name, command in versions.items() if shutil.which(name)}
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": memory_gib(),
        "kernel": platform.release(),
        "squall": first_line([str(squall), "--version"]),
        "peers": found,
    }
