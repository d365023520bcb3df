"""A run of days, made up from the steady seconds of a short one: python3 days.py RUN OUT HOURS"""

import csv
import json
import pathlib
import shutil
import sys


def stretched(source, target, seconds):
    target.mkdir()
    for file in source.iterdir():
        shutil.copy(file, target / file.name)
    manifest = json.loads((source / "run.json").read_text())
    # The seals are those of the short run.
    manifest["files"] = {}
    (target / "run.json").write_text(json.dumps(manifest))
    steady = intervals(source, target, seconds)
    log(source, target, seconds, steady)
    events = (source / "events.csv").read_text().splitlines()
    rows = [dict(zip(events[0].split(","), line.split(","))) for line in events[1:]]
    with (target / "events.csv").open("w", newline="") as out:
        table = csv.DictWriter(out, events[0].split(","))
        table.writeheader()
        for row in rows:
            last = row["event"] == "end" or (row["event"] == "phase_end" and row["name"] == "steady")
            table.writerow({**row, "t_s": f"{seconds:.3f}"} if last else row)


def intervals(source, target, seconds):
    """Writes the table; gives the starts of the seconds that it repeats."""
    with (source / "intervals.csv").open() as rows:
        table = csv.DictReader(rows)
        names, rows = table.fieldnames, list(table)
    starts = sorted({row["t_start_s"] for row in rows if row["phase"] == "steady"}, key=float)[1:-1]
    groups = [[row for row in rows if row["t_start_s"] == start] for start in starts]
    with (target / "intervals.csv").open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(names)
        place = names.index("t_start_s")
        groups = [[list(row.values()) for row in group] for group in groups]
        for second in range(seconds):
            for row in groups[second % len(groups)]:
                table.writerow([*row[:place], f"{second}.000", *row[place + 1 :]])
    return starts


def log(source, target, seconds, starts):
    head, groups = [], {start: [] for start in starts}
    for line in (source / "latency.hlog").read_text().splitlines(keepends=True):
        if line.startswith(("#", '"')):
            head.append(line)
            continue
        cells = line.split(",")
        place = 1 if line.startswith("Tag=") else 0
        if cells[place] in groups:
            before = f"{cells[0]}," if place else ""
            groups[cells[place]].append((before, "," + ",".join(cells[place + 1 :])))
    groups = [groups[start] for start in starts]
    with (target / "latency.hlog").open("w") as out:
        out.writelines(head)
        for second in range(seconds):
            out.writelines(f"{before}{second}.000{after}" for before, after in groups[second % len(groups)])


if __name__ == "__main__":
    run, out, hours = sys.argv[1:]
    stretched(pathlib.Path(run), pathlib.Path(out), int(float(hours) * 3600))
