"""The generators: how each is started, and how what it prints is read."""

from __future__ import annotations

import csv
import json
import re
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILT = HERE / "target" / "release"

# The same 120 bytes for every tool that takes a fixed body.
BODY = (
    '{"device":"http-00017","seq":123456,"intended_ns":12345678901,"value":21.5312,'
    '"pad":"' + "x" * 33 + '"}'
)
assert len(BODY) == 120


@dataclass
class Outcome:
    """What one run of a generator came to."""

    completed: int
    per_second: float
    cpu_us: float = 0.0
    """Processor time of the generator per completed message, microseconds."""
    anonymous_kib: int = 0
    """Most anonymous memory that was resident, KiB."""
    extra: dict[str, float] = field(default_factory=dict)


def execute(core: int, command: list[str], seconds: float) -> tuple[str, float, int]:
    """Runs a generator pinned to a core: what it printed, its processor time, its most anonymous memory."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(["taskset", "-c", str(core), *command], stdout=out, stderr=subprocess.STDOUT)
        most, deadline = 0, time.monotonic() + seconds * 4 + 60
        while process.poll() is None:
            most = max(most, anonymous_kib(process.pid))
            if time.monotonic() > deadline:
                process.kill()
            time.sleep(0.1)
        out.seek(0)
        text = out.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if process.returncode not in (0, 12):
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{text[-2000:]}")
    return text, cpu, most


def anonymous_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"RssAnon:\s+(\d+)", status)
    return int(found[1]) if found else 0


def finish(outcome: Outcome, cpu: float, most: int) -> Outcome:
    outcome.cpu_us = cpu / max(outcome.completed, 1) * 1e6
    outcome.anonymous_kib = most
    return outcome


@dataclass
class Squall:
    """squall itself: an ordinary run, with everything it records."""

    binary: Path
    scenario: str
    protocol: str
    rate: float = 0.0
    name: str = "squall"
    ca: str = ""
    """Over TLS: the file with the authority's certificate."""
    settings: tuple[str, ...] = ()
    """Further keys of the fleet."""

    def run(self, core: int, port: int, clients: int, seconds: float) -> Outcome:
        scheme = self.protocol
        path = {"http": "/v1/readings", "ws": "/"}.get(scheme, "")
        fleet = "idle" if self.scenario == "idle" else self.protocol
        host, secure = ("localhost", "s") if self.ca else ("127.0.0.1", "")
        with tempfile.TemporaryDirectory() as out:
            command = [
                str(self.binary), "run", str(HERE / "scenarios" / f"{self.scenario}.toml"),
                "--workers", "1", "--quiet", "--out", out, "--duration", f"{seconds:g}s",
                "--set", f"fleet.{fleet}.devices={clients}",
                "--target", f"{scheme}={scheme}{secure}://{host}:{port}{path}",
            ]
            if self.ca:
                command += ["--set", f"fleet.{fleet}.tls.ca={self.ca}"]
            for setting in self.settings:
                command += ["--set", f"fleet.{fleet}.{setting}"]
            if self.scenario == "idle":
                command += ["--set", f"fleet.idle.protocol={scheme}"]
                if scheme == "mqtt":
                    # A broker gives no verdicts.
                    command += ["--set", "fleet.idle.close=ack"]
            if self.rate:
                command += ["--set", f"fleet.{fleet}.rate={self.rate / clients:.3f}/s"]
            _, cpu, most = execute(core, command, seconds)
            return self.read(next(Path(out).glob("*/*")), cpu, most)

    def read(self, folder: Path, cpu: float, most: int) -> Outcome:
        completed, per_second, failed = 0, 0.0, 0
        with (folder / "summary.csv").open() as rows:
            for row in csv.DictReader(rows):
                if row["kind"] != "reading" or row["phase"] == "all":
                    continue
                completed += int(row["ok"])
                failed += int(row["planned"]) - int(row["ok"])
                if row["phase"] == "steady":
                    per_second = float(row["rate_per_s"])
        manifest = json.loads((folder / "run.json").read_text())
        waited = sum(worker["waited_s"] for worker in manifest["worker_use"])
        lag = manifest["pacing_lag"] or {"p50_ms": 0.0, "p99_ms": 0.0}
        extra = {
            "lag_p50_us": lag["p50_ms"] * 1e3,
            "lag_p99_us": lag["p99_ms"] * 1e3,
            "failed": failed,
            "work_us": (cpu - waited) / max(completed, 1) * 1e6,
        }
        return finish(Outcome(completed, per_second, extra=extra), cpu, most)


@dataclass
class Wrk:
    """wrk, one thread, with a Lua script that only states method and body."""

    name: str = "wrk"
    scheme: str = "http"

    def run(self, core: int, port: int, clients: int, seconds: float) -> Outcome:
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(
                'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
                f"wrk.body = '{BODY}'\n"
            )
            script.flush()
            command = [
                "wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "-s", script.name,
                f"{self.scheme}://127.0.0.1:{port}/v1/readings",
            ]
            text, cpu, most = execute(core, command, seconds)
        completed = int(re.search(r"(\d+) requests in", text)[1])
        per_second = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
        return finish(Outcome(completed, per_second), cpu, most)


@dataclass
class Oha:
    """oha without its screen, the fastest it offers; `-q` with a rate."""

    rate: float = 0.0
    name: str = "oha"
    scheme: str = "http"

    def run(self, core: int, port: int, clients: int, seconds: float) -> Outcome:
        command = [
            "oha", "--no-tui", "-c", str(clients), "-z", f"{seconds:g}s", "-m", "POST",
            "-H", "Content-Type: application/json", "-d", BODY, "--insecure",
            *(["-q", f"{self.rate:.0f}"] if self.rate else []),
            f"{self.scheme}://127.0.0.1:{port}/v1/readings",
        ]
        text, cpu, most = execute(core, command, seconds)
        per_second = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
        answered = re.search(r"\[200\]\s+(\d+)", text)
        if not answered:
            raise SystemExit(f"oha got no answer in {seconds:g} s over {clients} connections:\n{text[-2000:]}")
        return finish(Outcome(int(answered[1]), per_second), cpu, most)


@dataclass
class H2load:
    """h2load over HTTP/1.1, one thread."""

    name: str = "h2load"
    scheme: str = "http"

    def run(self, core: int, port: int, clients: int, seconds: float) -> Outcome:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as body:
            body.write(BODY)
            body.flush()
            command = [
                "h2load", "--h1", "-t1", f"-c{clients}", f"-D{seconds:g}", "-d", body.name,
                "-H", "Content-Type: application/json", f"{self.scheme}://127.0.0.1:{port}/v1/readings",
            ]
            text, cpu, most = execute(core, command, seconds)
        completed = int(re.search(r"status codes: (\d+) 2xx", text)[1])
        per_second = float(re.search(r"finished in [\d.]+m?s, ([\d.]+) req/s", text)[1])
        return finish(Outcome(completed, per_second), cpu, most)


@dataclass
class Hey:
    """hey on one processor."""

    name: str = "hey"

    def run(self, core: int, port: int, clients: int, seconds: float) -> Outcome:
        command = [
            "hey", "-z", f"{seconds:g}s", "-c", str(clients), "-m", "POST", "-cpus", "1",
            "-T", "application/json", "-d", BODY, f"http://127.0.0.1:{port}/v1/readings",
        ]
        text, cpu, most = execute(core, command, seconds)
        per_second = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
        # hey keeps at most a million results: the count it prints stops there.
        return finish(Outcome(round(per_second * seconds), per_second), cpu, most)


@dataclass
class Built:
    """A generator of this package."""

    program: str
    rate: float = 0.0

    @property
    def name(self) -> str:
        return self.program

    def run(self, core: int, port: int, clients: int, seconds: float) -> Outcome:
        command = [str(BUILT / self.program), str(port), str(clients), f"{seconds:g}"]
        if self.rate:
            command.append(f"{self.rate:g}")
        text, cpu, most = execute(core, command, seconds)
        found = json.loads(text.strip().splitlines()[-1])
        completed = int(found["completed"])
        outcome = Outcome(completed, completed / found["seconds"])
        if self.rate:
            outcome.extra = {"lag_p50_us": found["lag_p50_us"], "lag_p99_us": found["lag_p99_us"]}
        return finish(outcome, cpu, most)
