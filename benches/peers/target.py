"""Targets: one plain one per protocol, each a process on a core of its own."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Target:
    """A target process pinned to a core, on a free port of this machine."""

    def __init__(self, core: int, command: list[str], port: int | None = None) -> None:
        pinned = ["taskset", "-c", str(core), *command]
        quiet = None if port is None else subprocess.DEVNULL
        self.process = subprocess.Popen(pinned, stdout=subprocess.PIPE if port is None else quiet, stderr=quiet)
        # A bench that fails leaves no target behind.
        atexit.register(self.stop)
        if port is None:
            assert self.process.stdout is not None
            port = int(self.process.stdout.readline())
        self.port = port
        self.await_port()

    def await_port(self) -> None:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"no target answers at 127.0.0.1:{self.port}")

    def cpu_seconds(self) -> float:
        """Processor time it has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def ask(self, path: str) -> str:
        """What the plain HTTP target says of what arrived."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return answer.read().decode()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def mosquitto(core: int) -> Target:
    """Debian's broker, which neither logs nor bounds what is in flight."""
    port = free_port()
    settings = tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False)
    settings.write(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\n"
        "max_queued_messages 0\nset_tcp_nodelay true\nlog_type none\n"
    )
    settings.close()
    os.chmod(settings.name, 0o644)
    return Target(core, ["mosquitto", "-c", settings.name], port)
