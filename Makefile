# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
ENVIRONMENT = environment=$$(tests/tools/setup.sh --print) && eval "$$environment"
# Runs suites and parts of tests/parts.yml, and prints a table of what each proved.
PARTS = began=$$(date +%s) && $(ENVIRONMENT) && python -m ansible_collections.sealer.cluster.tests.tools.parts --setup-began "$$began"

ifeq ($(origin PART),command line)
ifeq ($(filter test-long,$(MAKECMDGOALS)),)
$(error PART is for make test-long alone: make test-long PART=$(PART))
endif
endif

.PHONY: help demo demo-down test test-long test-all check unit images sanity integration faults lab bench docs collection

help: ## Show what can be made
	@grep -hE '^[a-z -]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: ## Build a cluster image and run it on two hosts without internet
	@$(ENVIRONMENT) && tests/demo/demo.sh up

demo-down: ## Reset the demo's hosts, then remove them
	@$(ENVIRONMENT) && tests/demo/demo.sh down

test: ## Run the tests that guard every change
	@$(PARTS) test

test-long: ## Run the other tests, or one part of them: make test-long PART=runtimes-k0s
	@$(PARTS) $(or $(PART),long)

test-all: ## Run every test
	@$(PARTS) all

check unit images sanity integration faults lab: ## Run that part of make test, and what it needs
	@$(PARTS) $@

bench: images ## Measure against the peers; writes docs/benchmarks.md
	@$(ENVIRONMENT) && python tests/benchmarks/site.py
	@$(ENVIRONMENT) && python tests/benchmarks/mirror.py
	@$(ENVIRONMENT) && python tests/benchmarks/misses.py
	@test -z "$${SEALER_K3S_ANSIBLE:-}" || { $(ENVIRONMENT) && python tests/benchmarks/k3s_ansible.py; }

docs: ## Write the reference of modules, roles and playbooks from their specs
	@$(ENVIRONMENT) && python docs/generate.py

collection: ## Build the collection's archive
	@tests/tools/collection.sh dist
