"""Write the tables of a benchmark, which the pages of the book include."""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def write_tables(benchmark, tables):
    """Write the lines of each table into a file of its own."""
    for name, lines in tables.items():
        (HERE / f"{benchmark}_{name}.md").write_text("\n".join(lines) + "\n")


def spread(numbers, digits=2):
    """Return mean ± half of the range, or the number where there is only one."""
    mean = f"{np.mean(numbers):.{digits}f}"
    if len(numbers) == 1:
        return mean
    return f"{mean} ± {np.ptp(numbers) / 2:.{digits}f}"


def head(cells):
    """Return the first two lines of a table."""
    return [f"| {' | '.join(['', *cells])} |", "|---" * (1 + len(cells)) + "|"]
