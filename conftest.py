"""What every test run needs, notebooks included."""

import pytest


def pytest_collectstart(collector: pytest.Collector) -> None:
    # TensorFlow describes the machine on stderr as it starts, and no setting silences
    # all of it. So nbval does not compare stderr, and `make notebooks` drops it.
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)
