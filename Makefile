# `make help` says what there is. Everything bootstraps itself: a fresh machine needs make and a network.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help properties docs audit plugin dist pictures demo dev dev-down test e2e e2e-kind node node-down node-binaries kind-binaries test-unit burst nats-cluster coverage fuzz mutation check format gen sim bench soak binaries test-binaries lock venv clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: binaries ## five uploads, a kill -9 in between, half a minute once the binaries are there
	@$(PYTHON) -m e2e.demo

dev: binaries ## a control plane, NATS and the operator in the background (STEPS=a,b NO_OPERATOR=1)
	@$(PYTHON) -m e2e.dev up

dev-down: venv ## stop what `make dev` started
	@$(PYTHON) -m e2e.dev down

test: venv ## all checks and all tests
	@scripts/check & checks=$$!; scripts/coverage; covered=$$?; wait $$checks && exit $$covered
	@$(MAKE) --no-print-directory binaries test-binaries
	@scripts/test $$(scripts/coverage --paths | sed 's/^/--ignore=/')

burst: binaries ## 16,000 uploads at once, none lost (a minute, on a machine with nothing else to do)
	@BURST_UPLOADS=$(or $(BURST_UPLOADS),16000) scripts/test -n 0 tests/integration/test_burst.py

properties: venv ## the property tests, with other examples than those of `make test` (a minute)
	@NEW_EXAMPLES=1 scripts/test -m "not integration" $$(grep -rl "from hypothesis" tests)

nats-cluster: binaries test-binaries ## three NATS servers with a replicated stream, killed and cut off (3 minutes)
	@UPLOADPP_TEST_NATS_CLUSTER=1 scripts/test -n 0 tests/integration/test_nats_cluster.py

coverage: venv ## every branch of the core is taken by its tests
	@scripts/coverage

e2e: binaries test-binaries node-binaries ## the chart on a node with real Pods (root; UPLOADPP_CLUSTER=kind elsewhere)
	@UPLOADPP_E2E=1 $(PYTHON) -m pytest tests/pods --exitfirst --verbose </dev/null

e2e-kind: binaries test-binaries kind-binaries ## the same on kind, with a docker daemon and a node image made here (root, Debian)
	@UPLOADPP_E2E=1 $(PYTHON) -m e2e.kind $(PYTHON) -m pytest tests/pods --exitfirst --verbose </dev/null

node: binaries node-binaries ## a cluster with real Pods in the background, to look around in (root)
	@$(PYTHON) -m e2e.node up

node-down: venv ## stop what `make node` started
	@$(PYTHON) -m e2e.node down

test-unit: venv ## the fast tests only, no servers
	@scripts/test -m "not integration"

check: venv ## linters, types, import contracts, file sizes, words
	@scripts/check

format: venv ## rewrite the code the way the linters want it
	@ruff check --quiet --fix; ruff format --quiet

plugin: venv ## dist/kubectl-pp, its completion, and the archive and manifest for krew (RELEASES_URL=https://…)
	@$(PYTHON) scripts/build_plugin.py

docs: venv ## the documentation as a site, dist/site; links and anchors are checked
	@scripts/docs

audit: ## known vulnerabilities of the locked packages (asks a database on the internet)
	@scripts/audit

dist: venv ## packages for pip and uv in dist/: uploadpp and kubectl-pp
	@$(PYTHON) scripts/build_packages.py

pictures: venv ## docs/pictures: the page of `kubectl pp ui`, taken in a real Chromium
	@$(PYTHON) -m e2e.cluster.binaries chromium
	@$(PYTHON) scripts/pictures.py

gen: venv ## generate the CRD and the reference docs
	@scripts/gen

sim: venv ## the operator in 100,000 simulated worlds (SIM_RUNS=n SIM_SEED=n SIM_JOBS=n)
	@PYTHONPATH=operator $(PYTHON) -m uploadpp.testing.simulate \
		--seed $(or $(SIM_SEED),0) --runs $(or $(SIM_RUNS),100000) --jobs $(or $(SIM_JOBS),2)

fuzz: venv ## texts of others, changed at random where that reaches new code (FUZZ_SECONDS=n FUZZ_TARGETS=names)
	@scripts/fuzz --seconds $(or $(FUZZ_SECONDS),60) $(FUZZ_TARGETS)

mutation: venv ## faults put into the core one at a time: which does no test notice (MUTATION_JOBS=n MUTATION_ONLY=names)
	@$(PYTHON) scripts/mutation.py --jobs $(or $(MUTATION_JOBS),2) \
		$(if $(MUTATION_ONLY),--only $(foreach each,$(MUTATION_ONLY),'$(each)'))

bench: binaries ## how fast it is, with raw limits measured in the same run
	@$(PYTHON) -m bench

soak: binaries ## 100,000 uploads while everything fails at random; flatness is checked (SOAK_UPLOADS=n SOAK_RATE=n SOAK_SEED=n)
	@$(PYTHON) -m bench.soak --uploads $(or $(SOAK_UPLOADS),100000) --rate $(or $(SOAK_RATE),50) --seed $(or $(SOAK_SEED),1)

binaries: venv # find or build etcd, kube-apiserver, kubectl
	@$(PYTHON) -m e2e.cluster.binaries

test-binaries: venv # find or build what only tests need
	@$(PYTHON) -m e2e.cluster.binaries helm promtool prometheus krew nats-server-oldest chromium faketime python-oldest

node-binaries: venv # find or build what only real Pods need (20 minutes the first time)
	@test "$${UPLOADPP_CLUSTER:-node}" != node || $(PYTHON) -m e2e.cluster.binaries \
		kube-controller-manager kube-scheduler kubelet kube-proxy coredns pause

kind-binaries: venv # find or build what only a node image of kind needs
	@$(PYTHON) -m e2e.cluster.binaries kube-controller-manager kube-scheduler pause kind kubeadm \
		kind-kubelet kind-kube-proxy kind-coredns

lock: ## write requirements.lock anew from pyproject.toml
	@scripts/lock

venv: # the virtual environment; does nothing when it is up to date
	@scripts/bootstrap

clean: ## stop the development servers, remove what tools left in this folder
	@test ! -x $(PYTHON) || $(PYTHON) -m e2e.dev down
	@scripts/clean
