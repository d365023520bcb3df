"""Tables of what was measured, as ratios within rounds."""

from __future__ import annotations

from statistics import median


def spread(values: list[float], digits: int = 2) -> str:
    """The median, and between which values it lies."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def ratios(rounds: list[dict[str, dict]], tool: str, key: str) -> list[float]:
    """What squall did over what the tool did, round by round."""
    return [one["squall"][key] / one[tool][key] for one in rounds if one[tool][key]]


def race(title: str, rounds: list[dict[str, dict]], seconds: float) -> list[str]:
    """One closed-loop comparison: speed and cost of every tool, and squall's ratios to it."""
    lines = [
        f"### {title}",
        "",
        "| tool | per second | squall ÷ tool | CPU per message, µs | squall ÷ tool | target's core |",
        "|---|---|---|---|---|---|",
    ]
    for tool in rounds[0]:
        speed = median([one[tool]["per_second"] for one in rounds])
        cost = [one[tool]["cpu_us"] for one in rounds]
        busy = median([one[tool]["target_cpu"] for one in rounds])
        faster, cheaper = ("–", "–")
        if tool != "squall":
            faster = spread(ratios(rounds, tool, "per_second"))
            cheaper = spread(ratios(rounds, tool, "cpu_us"))
        lines.append(f"| {tool} | {speed:,.0f} | {faster} | {median(cost):.2f} | {cheaper} | {busy:.0%} |")
    return [*lines, ""]


def pacing(title: str, rounds: list[dict[str, dict]]) -> list[str]:
    """One open-loop comparison."""
    lines = [
        f"### {title}",
        "",
        "| tool | per second | own pacing lag p50, µs | p99, µs | dispersion of arrivals per 100 µs | "
        "late against an even plan p50, µs | p99, µs |",
        "|---|---|---|---|---|---|---|",
    ]
    for tool in rounds[0]:
        def middle(key: str, tool: str = tool) -> str:
            values = [one[tool][key] for one in rounds if one[tool].get(key) is not None]
            return f"{median(values):,.1f}" if values else "not told"

        even = tool.startswith("oha")
        late = (middle("late_p50_us"), middle("late_p99_us")) if even else ("–", "–")
        lines.append(
            f"| {tool} | {median([one[tool]['per_second'] for one in rounds]):,.0f} | {middle('lag_p50_us')} | "
            f"{middle('lag_p99_us')} | {middle('dispersion')} | {late[0]} | {late[1]} |"
        )
    return [*lines, ""]


def memory(rows: list[tuple[str, int, int, float]], title: str = "Anonymous memory per connection") -> list[str]:
    """Memory per connection: name, few, many, bytes for each of the many more."""
    lines = [
        f"### {title}",
        "",
        "| generator | connections | bytes per connection |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {few:,} against {many:,} | {each:,.0f} |" for name, few, many, each in rows]
    return [*lines, ""]


def scale(rows: list[tuple[int, float, float, float, int]]) -> list[str]:
    """What a reading costs as devices grow."""
    lines = [
        "### Cost of a reading by number of devices",
        "",
        "| devices | closed loop: CPU, µs | open loop, 20 000/s: CPU, µs | of it work, µs | anonymous memory, MiB |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {devices:,} | {closed:.2f} | {open_:.2f} | {work:.2f} | {kib / 1024:.1f} |"
        for devices, closed, open_, work, kib in rows
    ]
    return [*lines, ""]
