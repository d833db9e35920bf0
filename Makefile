# Sluice: the targets that people use. Each does the set-up it needs; the second time that is quick.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
RELEASE = --configuration release --static-swift-stdlib

.PHONY: help setup build release run test soak lab-shell bench fuzz format check docs install clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what the other targets need, and say it before
	@scripts/setup

build: setup ## build sluice and sluiced for the lab and for trying out
	@scripts/build sluice sluiced sluice-libvirt-hook sluice-cni

release: setup ## build the stripped programs that install installs
	@swift build $(RELEASE) --product sluice -Xlinker -s
	@swift build $(RELEASE) --product sluiced -Xlinker -s
	@swift build $(RELEASE) --product sluice-libvirt-hook -Xlinker -s
	@swift build $(RELEASE) --product sluice-cni -Xlinker -s

run: setup ## apply an example in the lab, or list and plan on this machine's own SR-IOV ports
	@scripts/run

test: setup ## run the tests: here, and in the lab on a real kernel
	@lab/lab build netdevsim & lab=$$!; scripts/build || { kill $$lab; exit 1; }; wait $$lab && scripts/test

soak: setup ## run the tests that take long, in the lab (two hours)
	@scripts/build && scripts/test soak

lab-shell: build ## a shell on the lab's kernel, with sluice on PATH
	@lab/lab shell

bench: release ## measure against shell scripts and iproute2, and write Benchmarks/RESULTS.md
	@swift build $(RELEASE) --product lease-bench -Xlinker -s
	@swift build $(RELEASE) --product link-bench -Xlinker -s -Xswiftc -static-executable
	@Benchmarks/run

fuzz: ## run every fuzz target for FUZZ_SECONDS (60)
	@Fuzz/run $(FUZZ_SECONDS)

format: ## format the sources
	@swift format --in-place --recursive Package.swift Sources Tests Benchmarks Fuzz/Targets

check: ## check format, generated files and what the pure targets link
	@scripts/check

docs: build ## write the generated files: JSON Schema, completions, manuals
	@scripts/generate

install: ## install what make release has built, completions, manuals and units below PREFIX (/usr/local)
	@scripts/install "$(PREFIX)" "$(DESTDIR)"

clean: ## remove what was built; lab/lab clean removes the lab's root tree
	@rm -rf .build lab/results Fuzz/build Fuzz/artifacts
