"""Write the tables of a benchmark, which the pages of the book include."""

from pathlib import Path

HERE = Path(__file__).parent


def write_tables(benchmark, tables):
    """Write the lines of each table into a file of its own."""
    for name, lines in tables.items():
        (HERE / f"{benchmark}_{name}.md").write_text("\n".join(lines) + "\n")
