#!/usr/bin/env python3
"""Draws docs/compression.svg: accuracy against bytes up, from the rows of deploy/compression.py.

Accuracy is in points above or below float32 of the same seeds, because seeds differ by more.

  deploy/compression/plot.py RESULTS.json docs/compression.svg

Needs Debian's python3-matplotlib.
"""
import json
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "chorus"  # the same rows give the same file
from matplotlib import pyplot, ticker  # noqa: E402


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    rows = json.loads(pathlib.Path(sys.argv[1]).read_text())["rows"]
    names = list(dict.fromkeys(row["data"] for row in rows))
    codecs = list(dict.fromkeys(
        row["codec"] for row in rows if not row["codec"].startswith("down ")))
    figure, axes = pyplot.subplots(1, len(names), figsize=(4.6 * len(names), 3.8), squeeze=False)
    for axis, name in zip(axes[0], names):
        plain = {row["seed"]: row["accuracy"]
                 for row in rows if row["data"] == name and row["codec"] == "f32"}
        for number, codec in enumerate(codecs):
            own = [row for row in rows if row["data"] == name and row["codec"] == codec]
            if not own:
                continue
            axis.scatter(statistics.mean(row["bytes_up"] for row in own) / 1e6,
                         statistics.mean(100 * (row["accuracy"] - plain[row["seed"]])
                                         for row in own),
                         label=codec, marker="osDv^<>PX*hp8dH+"[number % 16],
                         color=pyplot.cm.tab20(number % 20))
        axis.axhline(-0.5, color="grey", linewidth=0.8, ls="--")
        axis.set(title=name, xscale="log", xlabel="MB up, all devices")
        axis.xaxis.set_major_formatter(ticker.ScalarFormatter())
        axis.xaxis.set_minor_formatter(ticker.NullFormatter())
        axis.set_xticks([5, 10, 20, 50, 100, 200])
    axes[0][0].set_ylabel("points against float32")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=6, fontsize=8,
                  frameon=False)
    figure.tight_layout(rect=(0, 0.14, 1, 1))
    figure.savefig(sys.argv[2], metadata={"Date": None})


if __name__ == "__main__":
    main()
