# `make book` and `make test` do all that they need, from a fresh clone.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PAGE := _build/html/index.html
PORT ?= 8000
# Whole files to a worker, in the order of testpaths: the longest, the notebooks, first.
# Three, since on two cores one of them is always waiting, for a kernel or a browser; each
# with one thread, or they would wait for each other.
PYTEST := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OPENBLAS_NUM_THREADS=1 \
  $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

# What can run on any backend of Keras; and what `make test-all` runs on JAX too, a minute:
# there each new shape is compiled, so no random ones, and no effort at quick programs.
PACKAGE_TESTS := tests cnnseq_helpers --ignore tests/book --ignore tests/browser \
  --ignore tests/examples
ON_JAX := tests/padding/test_batches.py tests/tracing/test_tracing.py \
  tests/targets/test_checking.py tests/targets/test_metrics.py \
  tests/generating/test_decoding.py tests/video/test_scoring.py tests/test_forecasting.py

# Where this is set, as in some containers, each import of TensorFlow would compile it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup book pdf serve lab notebooks test test-all test-browser package-tests bench lint lock clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## create .venv with the pinned packages

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "TensorFlow 2.21 needs Python 3.11 to 3.13: make setup PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	@# What is imported is compiled then; all of TensorFlow would take longer.
	$(BIN)/python -m pip install --quiet --no-compile --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

book: $(READY) ## render the book
	$(BIN)/jupyter-book build . --all -W -n --keep-going --quiet
	@echo "The book: file://$(CURDIR)/$(PAGE)   (make serve opens it)"

pdf: book ## print the book to one PDF (needs Chromium or Chrome)
	$(BIN)/python tools/make_pdf.py _build/html

serve: book ## serve the book and open it in the browser
	@( sleep 1; $(BIN)/python -m webbrowser http://127.0.0.1:$(PORT)/ ) &
	$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

lab: $(READY) ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab --ServerApp.default_url=/lab/tree/notebooks

notebooks: $(READY) ## execute every notebook in place (NOTEBOOKS=path for some)
	$(BIN)/python tools/execute_notebooks.py $(or $(NOTEBOOKS),notebooks)

test: $(READY) ## run the tests, each notebook included
	$(PYTEST) $(if $(EXHAUSTIVE),-m "")

test-all: ## run what is exhaustive as well, as CI does
	EXHAUSTIVE=1 $(MAKE) test
	KERAS_BACKEND=jax XLA_FLAGS=--xla_backend_optimization_level=0 $(PYTEST) \
	  -m "not hypothesis and not exhaustive" $(ON_JAX)

package-tests: # what the weekly job runs on other backends
	@echo $(PACKAGE_TESTS)

test-browser: $(READY) ## run only the tests that need Chromium or Chrome
	$(BIN)/python -m pytest tests/browser

bench: $(READY) ## repeat the longer measurements and write their tables
	$(BIN)/python benchmarks/padding.py
	$(BIN)/python benchmarks/sizes.py
	$(BIN)/python benchmarks/mixing.py
	$(BIN)/python benchmarks/converting.py
	$(BIN)/python benchmarks/random_kernels.py
	$(BIN)/python benchmarks/windows.py
	$(BIN)/python benchmarks/forecast.py
	$(BIN)/python benchmarks/anomalies.py
	$(BIN)/python benchmarks/streaming.py
	$(BIN)/python benchmarks/repeatable.py
	$(BIN)/python benchmarks/exporting.py
	$(BIN)/python benchmarks/machines.py
	$(BIN)/python benchmarks/backends.py $(if $(TORCH),--torch $(TORCH))
	$(BIN)/python benchmarks/video.py
	$(BIN)/python benchmarks/video_training.py
	$(BIN)/python benchmarks/video_long.py
	$(BIN)/python benchmarks/handwriting.py
	$(BIN)/python benchmarks/captions.py

lint: $(READY) ## check the style and the types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

lock: $(READY) ## renew requirements.txt from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 \
	  --all-extras --group book --group tools --generate-hashes \
	  --custom-compile-command "make lock" --output-file requirements.txt

clean: ## remove all that was built, and .venv
	rm -rf .venv _build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
