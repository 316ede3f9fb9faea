# Warren's build. `make` alone prints what there is. Everything that is built lies in bin/ and .build/.

GO     ?= go
SEEDS  ?= 200
HOST   := $(shell GOARCH= $(GO) env GOARCH)
GOARCH ?= $(HOST)
export GOARCH
# Programs and tests that run here are built for here, whatever GOARCH is asked for.
GO_HERE := GOARCH=$(HOST) $(GO)

# The product is built without cgo, so it is tested without it too.
export CGO_ENABLED = 0

ifeq ($(GOARCH),$(HOST))
BIN   := bin
HELLO := .build/hello.tar
else
BIN   := bin/$(GOARCH)
HELLO := .build/hello-$(GOARCH).tar
endif

.DEFAULT_GOAL := help
.PHONY: help deps assets build size hello run lint test test-unit test-e2e sim sim-long mutants linear bench clean

help: ## print this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo '  GOARCH=arm64 with build and size makes bin/arm64/warren, with hello .build/hello-arm64.tar'

deps: ## install what building and testing needs (as root on Debian), else name it
	@hack/deps

# No file times here: go build knows better what changed, and takes half a second to say that nothing did.
assets: deps ## build the helper programs that the binary carries, shim and runc
	@hack/build-assets

build: assets ## build bin/warren, the one static binary, and bin/warrenctl, a link to it
	@hack/build

size: build ## print the size of the binary, plain and compressed
	@hack/size $(BIN)/warren .build/assets/$(GOARCH)/*.zst

hello: ## pack the demo web server into an OCI image archive, .build/hello.tar
	@$(GO_HERE) run ./hack/hello/pack -platform linux/$(GOARCH) -o $(HELLO)

run: build hello ## start a node in the foreground with the demo stack (as root); Ctrl-C cleans up
	@exec hack/run

lint: ## gofmt, go vet, the architecture tests, and golangci-lint where it is installed
	@unformatted=$$(gofmt -l apis cmd controllers e2e hack runtime 2>/dev/null); \
		[ -z "$$unformatted" ] || { echo "not as gofmt writes it:"; echo "$$unformatted"; exit 1; }
	@$(GO_HERE) vet -tags e2e ./...
	@$(GO_HERE) test ./hack/arch
	@! command -v golangci-lint >/dev/null || GOARCH=$(HOST) golangci-lint run

test: deps ## everything, small to large: lint, fast tests, simulation, end to end (as root)
	@hack/test

test-unit: ## the fast tests: no root, no containers
	@$(GO_HERE) test -short ./...

test-e2e: build hello ## real processes, networks and containers (as root)
	@$(GO_HERE) test -tags e2e -count=1 -p 1 -timeout 25m $$(grep -rlE --include='*_test.go' '^//go:build .*\be2e\b' . | xargs dirname | sort -u)

sim: ## simulate SEEDS=200 small clusters with faults, and a large one, and check what must always hold; SEED=n for one of them
	@SEEDS=$(SEEDS) $(GO_HERE) test -count=1 -timeout 30m -run '$(if $(SEED),Seeds,.)' ./runtime/sim

sim-long: ## the same with 1,000 seeds, in less than 3 minutes on two processors
	@$(MAKE) --no-print-directory sim SEEDS=1000

mutants: ## break the controllers on purpose and see that the simulation notices
	@$(GO_HERE) run ./hack/mutants

linear: ## three members under kills, pauses and cuts for LENGTH=10m, their history checked; SEED=n repeats the faults
	@WARREN_LINEAR=$(or $(LENGTH),10m) WARREN_LINEAR_SEED=$(SEED) $(GO_HERE) test -tags e2e -count=1 -timeout 0 -v -run Linearizability ./runtime/quorum

bench: build hello ## measure starts, throughput, memory and idle load (as root)
	@$(GO_HERE) run ./hack/bench $(ARGS)

clean: ## remove what was built
	@rm -rf bin .build runtime/host/containerd/assets/*.zst runtime/host/containerd/assets/manifest.json
