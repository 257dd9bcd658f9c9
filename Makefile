# Thin front door: everything is done by `cargo xtask` (hack/xtask), or by cargo itself.
# Not quiet: the first build takes a minute or two and must show that it goes on.
XTASK := cargo run --package xtask --
CACHE := $${XDG_CACHE_HOME:-$$HOME/.cache}/metallb-lab

.DEFAULT_GOAL := help
.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## a real cluster on this machine, one MetalLB object, a Service reached by ARP, NDP and BGP
	$(XTASK) demo

.PHONY: test
test: ## everything CI runs: lint, generated files, unit, API server, FRR and end-to-end tests
	$(XTASK) test

.PHONY: e2e
e2e: ## only the end-to-end tests
	$(XTASK) e2e

.PHONY: lint
lint: ## rustfmt, clippy, licenses and banned crates
	$(XTASK) lint

.PHONY: gen
gen: ## write the generated files anew (crds/yaml, manifests)
	$(XTASK) gen

.PHONY: images
images: ## build the programs, pack the images, load them into the lab if it runs
	$(XTASK) images

.PHONY: lab-up
lab-up: ## bring the lab up, or repair it (NODES=2)
	$(XTASK) lab up --nodes $(or $(NODES),2)

.PHONY: lab-down
lab-down: ## take the lab down and leave nothing behind
	$(XTASK) lab down

.PHONY: lab-status
lab-status: ## processes, namespaces, nodes and pods of the lab
	$(XTASK) lab status

.PHONY: kubectl
kubectl: ## kubectl against the lab, e.g. make kubectl ARGS="get pods -A"
	@$(XTASK) lab kubectl $(ARGS)

.PHONY: bench
bench: ## measure: address to route in the lab (which stays up), FRR changes, the BGP plan; prints medians and p99
	$(XTASK) bench

.PHONY: clean-cache
clean-cache: ## delete what the lab keeps outside of the repository
	rm -rf "$(CACHE)"
