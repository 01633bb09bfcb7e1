# Thin targets; what is longer than a line lives in hack/.
#
# With CLUSTER=existing, KUBECONFIG and REGISTRY set, every target uses that cluster.
SHELL := /bin/bash
TEKTITE_CACHE ?= $(HOME)/.cache/tektite
export TEKTITE_CACHE
export PATH := $(TEKTITE_CACHE)/bin:$(PATH)
NAMESPACE ?= tekton-pipelines

.DEFAULT_GOAL := help
.PHONY: help demo test test-unit test-chart test-cluster test-e2e bench bench-scale up down build images install generate fmt lint clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

demo: ## bring up a cluster, install the chart, run two TaskRuns before your eyes
	@hack/demo

test: ## everything that CI runs
	@hack/test

test-unit: ## unit and snapshot tests; no cluster
	cargo test --workspace --locked

test-chart: ## lint and render the chart, compare it with its snapshots
	@hack/chart-test

test-cluster: ## the test cluster's own tests
	@hack/cluster-test

test-e2e: ## the cases of tests/cases on the cluster that is up
	KUBECONFIG=$$(hack/cluster kubeconfig) cargo run --quiet --locked -p tektite-e2e -- run

bench: ## measure TaskRuns against bare Pods, a start among many, and admission against ConfigMaps and by itself
	KUBECONFIG=$$(hack/cluster kubeconfig) cargo run --quiet --locked -p tektite-e2e -- bench
	KUBECONFIG=$$(hack/cluster kubeconfig) cargo run --quiet --locked -p tektite-e2e -- bench hand-over
	KUBECONFIG=$$(hack/cluster kubeconfig) cargo run --quiet --locked -p tektite-e2e -- bench start
	KUBECONFIG=$$(hack/cluster kubeconfig) cargo run --quiet --locked --release -p tektite-e2e -- bench admission
	cargo bench --quiet --locked -p tektite-webhook --bench admission

bench-scale: ## measure thousands of TaskRuns against as many bare Pods, on nodes without a kubelet
	@hack/bench-scale

up: ## the test cluster: build what it is made of, once, and start it
	@hack/cluster build && hack/cluster up

down: ## end the test cluster and leave nothing behind
	@hack/cluster down

build: ## the programs, for development
	cargo build --workspace --locked

images: ## the three images, brought to the cluster
	@hack/images

install: ## install or upgrade the chart with the images that were built last
	KUBECONFIG=$$(hack/cluster kubeconfig) helm upgrade --install tektite charts/tektite \
	  --namespace $(NAMESPACE) --create-namespace --wait --values target/images/values.yaml

generate: ## write CRDs and other generated files anew
	cargo xtask crds

fmt: ## format
	cargo fmt --all

lint: ## format and lints, as CI wants them
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --package tektite-controller --features otel --all-targets --locked -- -D warnings

clean: ## what cargo and the images left
	cargo clean
