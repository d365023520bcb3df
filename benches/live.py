"""What the live screen costs the generator's punctuality: one run with `--live` in a pseudo-terminal, whose screen is stopped
(SIGSTOP) and let go on in turns, second by second, in random order within each pair of seconds. Two seconds side by side see the
same machine, which two runs one after the other do not. Prints the ratio of pacing lag p99, screen on over screen off, and the
difference of the generator's processor time, each as a median with its 95 % interval (order statistics).

Usage: benches/live.py SQUALL ECHO [PAIRS] [READINGS_PER_S]   (a program that prints its port and echoes lines over TCP)
"""

import csv
import fcntl
import glob
import json
import math
import os
import pty
import random
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from datetime import datetime
from pathlib import Path

SCENARIO = """
[scenario]
name = "live"
[run]
warm_up = "2s"
[[phase]]
name = "steady"
duration = "{duration}s"
[fleet.meters]
protocol = "tcp"
tcp = {{ correlate = "order" }}
payload = {{ size = "120B" }}
devices = 500
rate = "{rate}/s"
arrival = "poisson"
in_flight = 256
"""
# Seconds of the run before the first pair, in which devices connect, and after the last.
BEFORE, AFTER = 6, 4


def start(squall: str, scenario: Path, target: str, out: Path) -> int:
    """Starts the run in a terminal of 120 columns and 40 lines, whose output is read and dropped; gives its process."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.execv(squall, [squall, "run", str(scenario), "--target", target, "--out", str(out), "--live"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def drain() -> None:
        try:
            while os.read(terminal, 65536):
                pass
        except OSError:
            pass

    threading.Thread(target=drain, daemon=True).start()
    return process


def child(process: int) -> int:
    """The process of the screen."""
    while True:
        for children in glob.glob(f"/proc/{process}/task/*/children"):
            found = Path(children).read_text().split()
            if found:
                return int(found[0])
        time.sleep(0.05)


def cpu_s(process: int) -> float:
    tasks = glob.glob(f"/proc/{process}/task/*/schedstat")
    return sum(int(Path(task).read_text().split()[0]) for task in tasks) / 1e9


def alternate(process: int, screen: int, epoch: float, pairs: int) -> list[tuple[bool, int, float]]:
    """For each second of the run: whether the screen was on, which second it was, the generator's processor time in it."""
    order = random.Random(1)
    seconds = []
    second = math.ceil(time.time() - epoch) + 1

    def spend(is_on: bool) -> None:
        nonlocal second
        time.sleep(max(epoch + second - time.time(), 0))
        os.kill(screen, signal.SIGCONT if is_on else signal.SIGSTOP)
        before = cpu_s(process)
        time.sleep(max(epoch + second + 0.98 - time.time(), 0))
        seconds.append((is_on, second, cpu_s(process) - before))
        second += 1

    for _ in range(pairs):
        first = order.random() < 0.5
        spend(first)
        spend(not first)
    os.kill(screen, signal.SIGCONT)
    return seconds


def interval(values: list[float]) -> tuple[float, float, float]:
    """The median, and the order statistics that hold it 95 times in 100, whatever the values' distribution."""
    values = sorted(values)
    below, outside = 0, 0.5 ** len(values)
    while below < len(values) // 2 and outside <= 0.025:
        below += 1
        outside += math.comb(len(values), below) * 0.5 ** len(values)
    rank = max(below - 1, 0)
    return statistics.median(values), values[rank], values[-1 - rank]


def main() -> None:
    squall, echo = sys.argv[1:3]
    pairs = int(sys.argv[3]) if len(sys.argv) > 3 else 300
    rate = int(sys.argv[4]) if len(sys.argv) > 4 else 50_000
    with tempfile.TemporaryDirectory() as work:
        scenario, out = Path(work) / "live.toml", Path(work) / "results"
        scenario.write_text(SCENARIO.format(duration=2 * pairs + BEFORE + AFTER, rate=rate // 500))
        server = subprocess.Popen([echo], stdout=subprocess.PIPE, text=True)
        port = server.stdout.readline().strip()
        process = start(squall, scenario, f"tcp=tcp://127.0.0.1:{port}", out)
        try:
            screen = child(process)
            time.sleep(BEFORE)
            manifest = next(out.glob("*/*/run.json"))
            epoch = datetime.fromisoformat(json.loads(manifest.read_text())["started"]).timestamp()
            seconds = alternate(process, screen, epoch, pairs)
            os.waitpid(process, 0)
        finally:
            server.kill()
        with (manifest.parent / "intervals.csv").open() as rows:
            lags = {
                round(float(row["t_start_s"])): float(row["pacing_lag_p99_ms"])
                for row in csv.DictReader(rows)
                if row["kind"] == "reading" and row["phase"] == "steady" and row["pacing_lag_p99_ms"]
            }
    ratios, costs = [], []
    for pair in zip(seconds[::2], seconds[1::2]):
        (_, on, on_cpu), (_, off, off_cpu) = sorted(pair, reverse=True)
        if on in lags and off in lags:
            ratios.append(math.log(lags[on] / lags[off]))
            costs.append(100 * (on_cpu - off_cpu))
    ratio, low, high = (math.exp(log) for log in interval(ratios))
    print(f"{len(ratios)} pairs of seconds at {rate} readings/s")
    print(f"pacing lag p99, screen on over screen off: {ratio:.3f}, 95 % interval {low:.3f} to {high:.3f}")
    cost, low, high = interval(costs)
    print(f"generator's processor time, on less off: {cost:+.2f} % of a core, 95 % interval {low:+.2f} to {high:+.2f}")


main()
