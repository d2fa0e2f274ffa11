"""What every test run needs, notebooks included."""

import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import nbformat
import pytest

# A result that differs a little between machines: its value, and how far another
# machine may be from it.
RESULT = re.compile(r"(-?\d+(?:\.\d+)?) ± (\d+(?:\.\d+)?)")
seconds: dict[str, float] = defaultdict(float)

if "PYTEST_XDIST_WORKER" in os.environ:  # this process runs many notebooks
    from tools.forked_kernels import use_forked_kernels

    use_forked_kernels()


class Banded(str):
    """Text in which numbers are alike that lie within the band printed behind them."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, str):
            return NotImplemented
        words, values, bands = _split(self)
        other_words, other_values, other_bands = _split(other)
        return (words, bands) == (other_words, other_bands) and all(
            # The last digit printed is rounded: 0.1 + 0.2 is not beyond 0.3.
            abs(float(one) - float(another)) <= float(band) * (1 + 1e-9)
            for one, another, band in zip(values, other_values, bands, strict=True)
        )

    def __ne__(self, other: object) -> bool:
        return not self == other


def _split(text: str) -> tuple[list[str], list[str], list[str]]:
    """Return what stands between the results, their values and their bands."""
    parts = RESULT.split(text)
    return parts[::3], parts[1::3], parts[2::3]


def pytest_collectstart(collector: pytest.Collector) -> None:
    # TensorFlow describes the machine on stderr as it starts, and no setting silences
    # all of it. So nbval does not compare stderr, and `make notebooks` drops it.
    # Drawings are pictures too; nbval leaves out PNG by itself.
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr", "image/svg+xml")


def pytest_itemcollected(item: Any) -> None:
    # nbval compares what its `sanitize` returns, once as stored and once as run.
    if sanitize := getattr(item, "sanitize", None):
        item.sanitize = lambda output: _banded(sanitize(output))


def _banded(output: Any) -> Any:
    return Banded(output) if isinstance(output, str) else output


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    path = report.nodeid.split("::")[0]
    if path.endswith(".ipynb"):
        seconds[path] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # A report, not a test: what else a machine does adds to every time.
    for path, duration in sorted(seconds.items()):
        notebook = nbformat.read(Path(__file__).parent / path, as_version=4)
        stored = notebook.metadata.get("measured", {}).get("seconds", "unknown")
        terminalreporter.write_line(f"{path} took {duration:.0f} s (stored: {stored})")
