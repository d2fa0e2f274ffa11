"""All that is needed to run the notebooks elsewhere, in one file beside the pages.

The bytes depend on the files' contents alone: dates are fixed and names are sorted.
"""

from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

NAME = "notebooks.zip"
FOLDER = "convolutions-and-lstms"  # where the files are unpacked to
FILES = (
    "notebooks/*/*.ipynb",
    "book/_static/diagrams/*.svg",  # figures of the notebooks
    "book/_static/explorers/*.svg",
    "cnnseq_helpers/**/*.py",
    "cnnseq_helpers/*.pyi",
    "cnnseq_helpers/py.typed",
    "examples/*.py",  # which notebooks start
    "examples/*.sbatch",
    "pyproject.toml",
    "requirements.txt",
    "README.md",
    "LICENSE",
)


def write_zip(app, exception):
    if exception or app.builder.format != "html":
        return
    paths = sorted(path for pattern in FILES for path in app.srcdir.glob(pattern))
    with ZipFile(app.outdir / NAME, "w", ZIP_DEFLATED) as archive:
        for path in paths:
            name = path.relative_to(app.srcdir).as_posix()
            archive.writestr(member(f"{FOLDER}/{name}"), path.read_bytes())


def member(name):
    """Return an entry that is the same whenever and wherever it is made."""
    entry = ZipInfo(name)  # dated 1980
    entry.compress_type = ZIP_DEFLATED
    entry.create_system = 3  # Unix, for the permissions
    entry.external_attr = 0o644 << 16
    return entry


def setup(app):
    app.connect("build-finished", write_zip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
