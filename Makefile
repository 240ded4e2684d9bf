# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
IMAGES = images
PART = tests/tools/part.sh
ENVIRONMENT = environment=$$(tests/tools/setup.sh --print) && eval "$$environment"

.PHONY: help demo demo-down test check unit faults sanity integration images lab bench docs collection

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: ## Build a cluster image and run it on two hosts without internet (about 15 minutes the first time, then 2)
	@$(ENVIRONMENT) && tests/demo/demo.sh up

demo-down: ## Reset the demo's hosts, then remove them
	@$(ENVIRONMENT) && tests/demo/demo.sh down

test: ## Run every test (about 90 minutes the first time, then 75)
	@tests/tools/setup.sh
	@$(MAKE) check
	@$(MAKE) -j2 --output-sync=target unit images
	@$(MAKE) -j2 --output-sync=target sanity integration
	@$(MAKE) faults
	@$(MAKE) lab IMAGES=

check: ## Read the code: style, types, import directions, documentation
	@$(ENVIRONMENT) && $(PART) check tests/tools/check.sh

unit: ## Test the pure core
	@$(ENVIRONMENT) && $(PART) unit python -m pytest tests/unit -n 2 -q

faults: ## Kill builds, pulls, loads, deliveries and mirrors at random moments (4 to 9 minutes)
	@$(ENVIRONMENT) && $(PART) faults python -m pytest tests/faults -n 2 -q -rP

sanity: ## Run ansible-test sanity
	@$(ENVIRONMENT) && $(PART) sanity tests/tools/ansible_test.sh sanity

integration: ## Run the integration targets of the modules
	@$(ENVIRONMENT) && $(PART) integration tests/tools/ansible_test.sh integration

images: ## Gather the parts of the base image and build it, then the images that tests need (10 minutes the first time)
	@$(ENVIRONMENT) && tests/lab/images.sh mysql three-tier k3s k0s

lab: $(IMAGES) ## Run whole clusters on hosts in containers
	@$(ENVIRONMENT) && $(PART) lab python -m pytest tests/lab -q -x

bench: images ## Measure against the peers; writes docs/benchmarks.md
	@$(ENVIRONMENT) && python tests/benchmarks/site.py
	@$(ENVIRONMENT) && python tests/benchmarks/mirror.py
	@$(ENVIRONMENT) && python tests/benchmarks/misses.py
	@test -z "$${SEALER_K3S_ANSIBLE:-}" || { $(ENVIRONMENT) && python tests/benchmarks/k3s_ansible.py; }

docs: ## Write the reference of modules, roles and playbooks from their specs
	@$(ENVIRONMENT) && python docs/generate.py

collection: ## Build the collection's archive
	@$(ENVIRONMENT) && ansible-galaxy collection build --force --output-path dist
