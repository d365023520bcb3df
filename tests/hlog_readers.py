"""Reads a latency.hlog with the Python package `hdrhistogram` and prints what each kind of line adds up to.

usage: hlog_readers.py latency.hlog
One line per tag: tag, count, p99 in ns, max in ns, separated by tabs; the untagged total has the tag `-`.
"""

import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

TRACKABLE = (1, 60_000_000_000, 3)


def intervals(path):
    """Yields every histogram of the log, until its end or a last line cut short by a killed run."""
    reader = HistogramLogReader(path, HdrHistogram(*TRACKABLE))
    while True:
        try:
            histogram = reader.get_next_interval_histogram()
        except Exception as error:  # the package has no error type of its own for a torn line
            print(f"cut short: {error!r}", file=sys.stderr)
            return
        if histogram is None:
            return
        yield histogram


def main(path):
    sums = {}
    for histogram in intervals(path):
        tag = histogram.get_tag() or "-"
        sums.setdefault(tag, HdrHistogram(*TRACKABLE)).add(histogram)
    for tag, histogram in sorted(sums.items()):
        p99 = histogram.get_value_at_percentile(99.0)
        print(tag, histogram.get_total_count(), p99, histogram.get_max_value(), sep="\t")


if __name__ == "__main__":
    main(sys.argv[1])
