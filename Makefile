# The build of Docmill. `make` lists the targets.
#
#   make demo                 convert a sample deck to PDF
#   make test                 run all tests, on real servers
#
# Variables:
#   STACK     what up, down and demo use: embedded (default; everything in one process), devstack (three services on
#             RabbitMQ, PostgreSQL and MinIO) or compose (the three services in containers)
#   PORT      public port (default 8080)
#   BASE_URL  the URL of a running Docmill for demo to use
#   PACKAGES  the packages that test covers (default all)
#   RUN       regular expression that selects the tests of test, or the bugs of chaos-planted (default all)
#   COUNT     the number of conversions of soak, of kills of crash, or of queued jobs of sizing
#   OUTAGE    the duration of outage (default 460s)
#   SEED      seed of the order of faults in chaos, or several seeds: SEED=1,2,3 (default random)
#   FAULTS    the faults of chaos, as a regular expression (default all)
#   EDITION   the edition that chaos tests: services, single or both (default both)
#   PAIRS     the directory of the pairs of fidelity (default testdata/fidelity)
#   UPDATE    1 lets fidelity record the scores
#   OTHER_TAG the tag of the images of another build, for test-cluster
#   OLD       the commit of an earlier release, for chaos (default: the last release)
#   MINUTES   how long chaos injects faults (default 0: until each was injected once)

SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help

STACK    ?= embedded
PORT     ?= 8080
BASE_URL ?=
MODULES  := $(shell awk '/^\t\.\// {print substr($$1, 3)}' go.work)
PACKAGES ?= $(MODULES:%=./%/...)
RUN      ?=
COUNT    ?= 5000
OUTAGE   ?= 460s
SEED     ?=
MINUTES  ?= 0
FAULTS   ?=
OLD      ?=
OTHER_TAG ?=
PAIRS    ?=
UPDATE   ?=
DEVSTACK := bin/devstack

# devstack/toolchain.sh puts Go here if the installed one is too old.
export PATH := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/docmill/go/bin:$(PATH)

# Tools are built once per version with `go install`, into the user's cache: .../VERSION/NAME.
CACHE         := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/docmill/tools
BUF           := $(CACHE)/v1.68.0/buf
PROTOC_GEN_GO := $(CACHE)/v1.36.12/protoc-gen-go
SQLC          := $(CACHE)/v1.31.1/sqlc
GOLANGCI_LINT := $(CACHE)/v2.15.0/golangci-lint
GOTESTSUM     := $(CACHE)/v1.13.0/gotestsum
OASDIFF       := $(CACHE)/v1.31.0/oasdiff

.PHONY: help
help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-13s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up
up: $(STACK)-up ## Start Docmill in the background and print its URL
.PHONY: down
down: $(STACK)-down ## Stop Docmill and keep its data
.PHONY: embedded-up embedded-down devstack-up devstack-down compose-up compose-down
embedded-up: TOOLCHAIN_STACK := embedded
embedded-up devstack-up: %-up: devstack
	@PORT=$(PORT) $(DEVSTACK) up --stack=$*
embedded-down devstack-down: devstack
	@$(DEVSTACK) down
compose-up:
	PORT=$(PORT) docker compose up --build --wait
	@echo "Docmill is at http://127.0.0.1:$(PORT)"
compose-down:
	docker compose down

.PHONY: demo
demo: $(if $(BASE_URL),devstack,up) ## Start Docmill and convert a sample deck to PDF
	@$(DEVSTACK) demo $(if $(BASE_URL),--base-url=$(BASE_URL))
	@$(if $(BASE_URL)$(filter-out embedded,$(STACK)),,echo "The same on RabbitMQ, PostgreSQL and MinIO: make down && make demo STACK=devstack")

.PHONY: test
test: devstack $(GOTESTSUM) ## Run all tests, with the race detector, on real servers
	@$(DEVSTACK) run -- $(GOTESTSUM) --format=pkgname-and-test-fails -- -race -vet=off -p=$$(($$(nproc) + 1)) -timeout=20m $(if $(RUN),-run='$(RUN)') $(PACKAGES)

.PHONY: test-cluster
test-cluster: ## Test the trial overlay on the Kubernetes cluster of kubectl; OTHER_TAG names another build's images
	@OTHER_TAG=$(OTHER_TAG) BASE_URL=$(BASE_URL) go test -tags=cluster -count=1 -timeout=2h -v $(if $(RUN),-run='$(RUN)') ./devstack/cluster

.PHONY: bench
bench: build ## Measure both editions and the engine, as ratios taken in one run
	@$(DEVSTACK) bench
	@go test -run='^$$' -bench=. -benchtime=8x -timeout=1h ./services/converter/internal/libreoffice

.PHONY: fidelity
fidelity: build ## Compare PDFs with Microsoft Office's own, and fail if they are worse than recorded; PAIRS=DIR, UPDATE=1
	@$(DEVSTACK) fidelity $(if $(PAIRS),--pairs=$(PAIRS)) $(if $(UPDATE),--update)

.PHONY: soak
soak: devstack ## Convert COUNT documents (5000) and check that nothing is left behind
	@SOAK=$(COUNT) $(DEVSTACK) run -- go test -tags=soak -count=1 -timeout=6h -v -run='^TestSoak$$' ./services/converter/internal/libreoffice

.PHONY: crash
crash: devstack ## Kill docmill serve COUNT times (100) under load and check that nothing is lost
	@CRASHES=$(if $(filter command,$(origin COUNT)),$(COUNT),100) $(DEVSTACK) run -- go test -count=1 -timeout=6h -v -run='^TestKilledUnderLoad$$' ./devstack/acceptance

.PHONY: outage
outage: devstack ## Stop the object store for OUTAGE (460s) with jobs in the queue and check that none fails
	@OUTAGE=$(OUTAGE) $(DEVSTACK) run -- go test -tags=outage -count=1 -timeout=6h -v -run='^TestLongOutageOfTheStore$$' ./devstack/acceptance

.PHONY: sizing
sizing: devstack ## Measure memory and disk space of all services and servers with COUNT queued jobs (5000)
	@SIZING=$(COUNT) go test -tags=sizing -count=1 -timeout=2h -v -run='^TestSizing$$' ./devstack/acceptance

.PHONY: chaos
chaos: build ## Inject each fault once, or for MINUTES, into both editions and check that no job is lost or wrong
	@$(DEVSTACK) chaos --minutes=$(MINUTES) $(if $(SEED),--seed=$(SEED)) $(if $(FAULTS),--faults='$(FAULTS)') $(if $(EDITION),--edition=$(EDITION)) $(if $(OLD),--old-commit=$(OLD))

.PHONY: chaos-planted
chaos-planted: devstack ## Plant known bugs, one after another, and check that faults reveal each (RUN selects some)
	@go test -tags=planted -count=1 -timeout=2h -v -run='^TestPlanted$$/($(RUN))' ./devstack/chaos

.PHONY: lint
lint: lint-code lint-modules lint-generated ## Check code, modules, messages and generated files
.PHONY: lint-code lint-modules lint-generated
lint-code: toolchain $(GOLANGCI_LINT)
	@for module in $(MODULES); do echo "lint $$module"; (cd $$module && $(GOLANGCI_LINT) run ./...); done
lint-modules: toolchain
	@for module in $(MODULES); do echo "module $$module"; (cd $$module && export GOWORK=off && go mod tidy -diff && go build ./...); done
lint-generated: toolchain $(BUF) $(PROTOC_GEN_GO) $(SQLC) $(OASDIFF)
	@cd proto && $(BUF) lint && $(BUF) breaking --against released.binpb
	@cd contract/openapi && $(OASDIFF) breaking --fail-on=ERR --severity-levels=breaking.txt --err-ignore=accepted.txt released.json openapi.json
	@fresh=$$(mktemp -d); trap 'rm -r "$$fresh"' EXIT; \
	(cd proto && PATH="$(dir $(PROTOC_GEN_GO)):$$PATH" $(BUF) generate --output "$$fresh"); \
	diff -r --exclude='*.proto' "$$fresh/docmill" proto/docmill || { echo 'generated code is stale: run make generate' >&2; exit 1; }
	@cd services/status && { $(SQLC) diff || { echo 'generated code is stale: run make generate' >&2; exit 1; }; }

.PHONY: generate
generate: toolchain $(BUF) $(PROTOC_GEN_GO) $(SQLC) ## Regenerate the code of messages and SQL queries, and the OpenAPI document
	@cd proto && PATH="$(dir $(PROTOC_GEN_GO)):$$PATH" $(BUF) generate
	@cd services/status && $(SQLC) generate
	@go test -count=1 ./contract/openapi/... -update

.PHONY: fonts check-fonts
fonts: ## Rebuild the font set (needs fontTools: apt install python3-fonttools)
	@rm -rf fonts/faces fonts/licenses
	@python3 -B fonts/build/build.py $(CACHE)/font-sources fonts
check-fonts: ## Check that a rebuild gives the same font set
	@fresh=$$(mktemp -d); trap 'rm -r "$$fresh"' EXIT; \
	python3 -B fonts/build/build.py $(CACHE)/font-sources "$$fresh"; \
	diff -r "$$fresh/faces" fonts/faces && diff -r "$$fresh/licenses" fonts/licenses

.PHONY: build
build: devstack ## Build all programs into bin/
	@go build -o bin/ ./cmd/docmill ./services/gateway/cmd/docmill-gateway ./services/converter/cmd/docmill-converter ./services/status/cmd/docmill-status

.PHONY: image
image: ## Build the image docmill/docmill, which has everything in it
	@docker compose build docmill
	@echo "Start it with: docker run -p 127.0.0.1:8080:8080 -v docmill:/data docmill/docmill"

.PHONY: devstack
devstack: toolchain
	@go build -o $(DEVSTACK) ./devstack/cmd/devstack

.PHONY: toolchain
toolchain:
	@STACK=$(TOOLCHAIN_STACK) devstack/toolchain.sh

$(BUF):           ; $(call install,github.com/bufbuild/buf/cmd/buf)
$(PROTOC_GEN_GO): ; $(call install,google.golang.org/protobuf/cmd/protoc-gen-go)
$(SQLC):          ; $(call install,github.com/sqlc-dev/sqlc/cmd/sqlc)
$(GOLANGCI_LINT): ; $(call install,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
$(GOTESTSUM):     ; $(call install,gotest.tools/gotestsum)
$(OASDIFF):       ; $(call install,github.com/oasdiff/oasdiff)
define install
@devstack/toolchain.sh
@echo "building $(@F) $(notdir $(@D)) (once)"
@CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=mod GOBIN=$(@D) go install $(1)@$(notdir $(@D))
endef
