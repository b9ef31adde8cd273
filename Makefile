# make app | demo | test | kills | doctor | wheel: each sets up what is missing first.
PYTHON ?= python3
VENV := .venv
NATURAL := --set 'sweep=[]' --set 'doses=[]' --set standard=false
PY := $(VENV)/bin/python

.PHONY: setup app demo test kills doctor wheel recorded recorded-experiments lock clean

setup: $(VENV)/.ready

# uv is used where it is installed; else venv and pip, which take longer.
$(VENV)/.ready: requirements.lock
	@if command -v uv >/dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && uv pip install --quiet --python $(PY) -r requirements.lock; \
	else \
		$(PYTHON) -m venv $(VENV) && $(PY) -m pip install --quiet --disable-pip-version-check -r requirements.lock; \
	fi
	@touch $@

app: setup
	$(PY) -m streamlit run app.py

demo: setup
	$(PY) -m dpls train demo --label demo
	$(PY) -m dpls train demo-standard --label demo-standard

# Two files at a time: most tests use one core, or wait for a browser.
test: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Runs killed 500 times, about eight minutes beside other work; the suite does it 42 times.
kills: setup
	$(PY) -m tests.kills 500

doctor: setup
	$(PY) -m dpls doctor

# A wheel in dist/, tried in an empty environment. What an earlier one was built from would get into it.
wheel: setup
	rm -rf build/lib build/bdist.* dist
	$(PY) -c "from setuptools.build_meta import build_wheel; build_wheel('dist')" >/dev/null
	$(PY) -m tests.wheel dist/*.whl

# Trains both demo runs and makes them the recorded ones, which the app opens on.
recorded: setup
	rm -rf build/recorded
	DPLS_RUNS=build/recorded/runs $(PY) -m dpls train demo --label "Demo, adversarial"
	DPLS_RUNS=build/recorded/runs $(PY) -m dpls train demo-standard --label "Demo, standard"
	DPLS_RUNS=build/recorded/runs $(PY) -m dpls.recorded $$(ls build/recorded/runs)

# Runs the experiments that the page Experiments opens on, and records them: hours; each says first how many.
recorded-experiments: setup
	rm -rf build/experiments
	for kind in pruning subsets membership smoothing; do \
		DPLS_RUNS=build/experiments/runs $(PY) -m dpls experiment $$kind two-core || exit 1; done
	DPLS_RUNS=build/experiments/runs $(PY) -m dpls experiment membership two-core-natural
	DPLS_RUNS=build/experiments/runs $(PY) -m dpls experiment pruning two-core-natural $(NATURAL)
	DPLS_RUNS=build/experiments/runs $(PY) -m dpls experiment cscore two-core --set standard=true
	DPLS_RUNS=build/experiments/runs $(PY) -m dpls compare two-core --eps 0.05,0.1 --scores \
		$$(basename $$(ls build/experiments/runs/scores/*/cscore-????.parquet) .parquet)
	DPLS_RUNS=build/experiments/runs $(PY) -m dpls.recorded $$(cd build/experiments/runs/experiments && ls)

# Resolves requirements.txt and requirements-dev.txt for Python 3.11 to 3.13 again; needs uv.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --custom-compile-command 'make lock' \
		requirements.txt requirements-dev.txt -o requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
