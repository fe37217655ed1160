# make run            the whole pipeline on a small language model, and on models that need no download
# make sweep-bundled  the same for the models that this project trained, an adapter among them, in all nine settings
# make report         results/report.zip, a document of what `make run` has made; of another sweep with SWEEP=FILE
# make verify         whether everything in results/, and all files that the sweep (SWEEP=FILE) names, are what they were
# make compare        whether two results directories say the same: A=DIR B=DIR (TOLERANCE=1e-5; 0 for every bit)
# make publish        a finished sweep (SWEEP=FILE) as results/publish/svdlens-NAME.zip; LICENSE=, NAME=, DATE=YYYY-MM-DD
# make share          the same as a folder of SITE (site_of_sweeps), with a page over all sweeps there, for a static host
# make clean-stale    which files of the data sets in results/ are not of the sweep (SWEEP=FILE); DELETE=yes deletes them
# make label-cost     requests, tokens and cost of the labels by a language model of a sweep (SWEEP=FILE); asks for nothing
# make ledger-export  the replies of that model so far as JSON lines, FILE (results/llm_ledger.jsonl)
# make ledger-import  those of FILE into the ledger of the sweep (SWEEP=FILE), to go on with or to replay
# make test           every test (half an hour)
# make test-unit      those that are quick: no Snakemake, no browser (a minute and a half)
# make test-workflow  those that start Snakemake
# make test-browser   those that need Chromium or Firefox
# make test-long      a sweep that is killed at twenty moments, each time gone on with (six minutes)
# make test-environment  whether requirements.lock is all that is needed, in clean environments (minutes; PYTHONS="python3.11 ...")
# make test-cluster   a sweep on a Slurm of one node that it starts, and jobs of it that fail (five minutes; needs Slurm)
# make bench          time and memory beside TransformerLens and plain torch (a quarter of an hour; leave the machine alone)
# make full-size      the sweep of the paper over models of full size, random weights: where time, memory and disk go (half an hour; MODELS, DIRECTORY)
# make bench-cuda     tests and times on a CUDA device (four minutes; needs one, and PYTHON with a CUDA build of torch)
# make label-quality  how good the offline labels are (two minutes; needs the reference data, SVDLENS_SHARED or ../shared)
# make readouts       which read-out makes which side readable (half an hour; downloads SmolLM2, 93 MB)
# make bases          whether singular vectors mean more than other bases of their subspaces (an hour; downloads SmolLM2)
# make ablations      what first-order effects tell of exact ones (half an hour; after `make run`)
# make label-sheet    lists of a sweep that is done (SWEEP=FILE) for people to label, results/manual/sheet.html
# make docs           the documentation as a site that opens from disk, site/index.html; its generated tables first
# make lint           style and types (what Snakemake's linter says is a test)
# make lint-js        types of the explorer's scripts, which is part of it (needs npm)
# make models         train the bundled models again (hours; needs Debian's wordnet-base)
# make lock           new versions of every package

PYTHON ?= python3
BIN := .venv/bin
# Everything through Python: the first line of a script of .venv cannot name a directory with every sign.
# Jobs show no bars of their own below those of the whole.
SNAKEMAKE := TQDM_DISABLE=1 $(BIN)/python -m snakemake --profile profiles/demo
# After a sweep, by the file that says which, $$sweep.
LOOK := echo; cat results/tables/findings.md; echo; \
	$(BIN)/python -c 'import pathlib; print("Explorer  ", pathlib.Path("results/explorer/index.html").absolute().as_uri())'; \
	echo "Tables     results/tables/*.parquet"; \
	echo "Figures    results/figures/*.png, and results/figures/MODEL/SETTING/*.png"; \
	echo "Report     make report SWEEP=$$sweep"; \
	echo "More       .venv/bin/snakemake --cores all TARGET --configfile $$sweep   (targets: README.md)"
# Of `make report`, `make verify`, `make publish`, `make clean-stale` and `make label-sheet`: the sweep that `make run` could make.
SWEEP ?= profiles/demo/$(if $(wildcard results/models/smollm2-135m/provenance.json),sweep,bundled).yaml
# Of `make ledger-export` and `make ledger-import`: the JSON lines.
FILE ?= results/llm_ledger.jsonl
# Of `make test-environment`.
PYTHONS ?= python3.11 python3.12 python3.13
READOUT_TABLES := $(foreach table,labels control_labels scores,results/tables/$(table).parquet)
BUNDLED := wordnet-2layer wordnet-4layer wordnet-6layer
# Of `make full-size`: what is built and swept, and where it goes, up to 30 GB.
MODELS ?= gpt2-small gpt2-medium gpt2-large
# Of `make share`.
SITE ?= site_of_sweeps
DIRECTORY ?= results/full_size

.PHONY: run sweep-bundled report verify clean-stale label-cost label-sheet ledger-export ledger-import test test-unit test-workflow test-browser test-long bench bench-cuda label-quality readouts bases ablations docs lint lint-js models lock compare publish share test-environment test-cluster full-size
.DELETE_ON_ERROR:

# A network that is not there is no reason to show nothing. Beside the download there is something to do for another core.
run: .venv/installed
	@sweep=profiles/demo/sweep.yaml; \
	$(SNAKEMAKE) --quiet all -- results/models/smollm2-135m/provenance.json results/vocabulary/wordnet-6layer/embeddings.safetensors || \
	    { sweep=profiles/demo/bundled.yaml; echo "Going on without smollm2-135m, with the models that need no download."; echo; }; \
	$(SNAKEMAKE) --configfile $$sweep && { $(LOOK); }

sweep-bundled: .venv/installed
	@sweep=profiles/demo/nine_settings.yaml; \
	$(SNAKEMAKE) --quiet all -- results/models/smollm2-135m/provenance.json || \
	    { sweep=profiles/demo/nine_settings_bundled.yaml; echo "Going on without smollm2-135m and its adapter."; echo; }; \
	$(SNAKEMAKE) --configfile $$sweep && { $(LOOK); }

report: .venv/installed
	@$(SNAKEMAKE) --report results/report.zip --configfile "$(SWEEP)"

verify: .venv/installed
	@PYTHONPATH=scripts $(BIN)/python -m svdlens.sweep.verify "$(SWEEP)"

compare: .venv/installed
	@PYTHONPATH=scripts $(BIN)/python -m svdlens.comparison.directories "$(A)" "$(B)" $(if $(TOLERANCE),"$(TOLERANCE)")

# NAME may have quotes in it: make hands it on in the environment.
share: .venv/installed
	@PYTHONPATH=scripts $(BIN)/python -m svdlens.publication.site "$(SWEEP)" "$(SITE)" "$(LICENSE)" "$$NAME" "$(DATE)"

publish: .venv/installed
	@PYTHONPATH=scripts $(BIN)/python -m svdlens.publication.archive "$(SWEEP)" "$(LICENSE)" "$$NAME" "$(DATE)"

clean-stale: .venv/installed
	@PYTHONPATH=scripts $(BIN)/python -m svdlens.sweep.stale "$(SWEEP)" $(if $(DELETE),--delete)

# The lists are made first, where they are not there.
label-cost: .venv/installed
	@PYTHONPATH=scripts $(BIN)/python -m svdlens.sweep.label_cost "$(SWEEP)" --check && \
	$(SNAKEMAKE) --quiet all --configfile "$(SWEEP)" -- tokens && PYTHONPATH=scripts $(BIN)/python -m svdlens.sweep.label_cost "$(SWEEP)" $(if $(STUDY),--study)

ledger-export ledger-import: .venv/installed
	@PYTHONPATH=scripts $(BIN)/python -m svdlens.sweep.ledger_files $(@:ledger-%=%) "$(FILE)" "$(SWEEP)"

label-sheet: .venv/installed
	@$(SNAKEMAKE) --configfile "$(SWEEP)" -- make_label_sheet

# Files stay whole: most tests of one share what its first has made. The unit tier shares little.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile

test: .venv/installed
	$(PYTEST)

test-unit: .venv/installed
	$(PYTEST) --dist worksteal -m "not workflow and not browser and not slow"

test-workflow: .venv/installed
	$(PYTEST) -m workflow

test-browser: .venv/installed
	$(PYTEST) -m browser

test-long: .venv/installed
	$(PYTEST) --dist worksteal -m long

# Not of .venv, which may have more than the lock asks for.
test-environment:
	@$(PYTHON) tests/clean_environment.py $(PYTHONS)

# Installs Debian's Slurm where it may.
test-cluster: .venv/installed
	sh tests/cluster/install_slurm.sh
	SVDLENS_CLUSTER=1 $(BIN)/python -m pytest -rs tests/cluster

bench: .venv/installed
	$(BIN)/python benchmarks/bench.py

full-size: .venv/installed
	$(BIN)/python benchmarks/full_size.py --models $(MODELS) --directory "$(DIRECTORY)"

# Not of .venv: requirements.lock asks for torch without CUDA.
bench-cuda:
	$(PYTHON) benchmarks/gpu.py

label-quality: .venv/installed
	$(BIN)/python benchmarks/label_quality.py

readouts: .venv/installed
	$(SNAKEMAKE) --configfile profiles/demo/readouts.yaml -- plot_readouts $(READOUT_TABLES)
	$(BIN)/python benchmarks/readouts.py

bases: .venv/installed
	$(SNAKEMAKE) --configfile profiles/demo/bases.yaml -- plot_basis
	$(BIN)/python benchmarks/bases.py

ablations: .venv/installed
	$(BIN)/python benchmarks/effects.py

docs: .venv/installed
	$(BIN)/python docs/update_docs.py
	$(BIN)/python -m mkdocs build --strict
	@echo "Documentation: site/index.html"

lint: .venv/installed lint-js
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m snakefmt --check Snakefile rules
	$(BIN)/python -m mypy scripts/svdlens

lint-js:
	@if command -v npm >/dev/null; then $(MAKE) --silent --no-print-directory node_modules/.package-lock.json && node_modules/.bin/tsc; \
	else echo "lint-js was skipped: there is no npm here (Debian: nodejs and npm)"; fi

# npm writes this file last.
node_modules/.package-lock.json: package-lock.json
	@echo "Installing TypeScript into node_modules (once)"
	@npm ci --silent --ignore-scripts
	@touch $@

models: .venv/installed
	for model in $(BUNDLED); do $(BIN)/python resources/training/train_models.py --model $$model || exit 1; done
	$(BIN)/python resources/training/measure_models.py

.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"svdlens needs Python 3.11 or newer; $(PYTHON) is {v[0]}.{v[1]}. Name another one: make run PYTHON=python3.11")'
	@$(PYTHON) -c 'import os, sys; here = os.getcwd(); set("{}:") & set(here) and sys.exit(f"svdlens: cannot work in {here}: Snakemake reads {{ and }} as wildcards, and Python makes no environment below a name with a colon. Move it to a directory without these signs.")'
	@echo "Installing the environment into .venv (once, a few minutes)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

# torch is named in full: without a version, pip takes a build with gigabytes of CUDA where a CPU build is at hand.
lock:
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet torch==2.13.0 pip --upgrade
	$(BIN)/python -m pip install --quiet '.[workflow]' --group test
	(echo "# Every package of the environment at a fixed version. Made by \`make lock\` from pyproject.toml."; \
	 $(BIN)/python -m pip freeze --exclude svdlens --exclude pip | sed 's/^\(torch==[0-9.]*\).*/\1/') > requirements.lock
	$(BIN)/python docs/update_docs.py
	touch .venv/installed
