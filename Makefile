# Only Go, make and git are needed. `make help` lists the targets.

PORT ?= 8080
DATA ?= ./data

# How a function is built, for a size that starts fast: norpc leaves out the old
# way to start a function, nethttpomithttp2 what only HTTP/2 needs (DynamoDB
# speaks 1.1), only the runtime is inlined, and functions begin every 16 bytes
# instead of every 32.
TAGS      = lambda.norpc,nethttpomithttp2
LDFLAGS   = -s -w -funcalign=16
GCFLAGS   = all=-l
GCRUNTIME = runtime=
LIMIT     = 9437184
ARCHES    = amd64 arm64
FUNCTIONS = $(notdir $(wildcard functions/*))

.DEFAULT_GOAL := help
.PHONY: bootstrap synth diff deploy destroy smoke localstack cost test-infra run build test check gen man bench-cli bench-files bench-step faults bench bench-scale bench-drive bench-fence demo test-dynamodb fuzz clean help

run: bin/bldst ## Run the whole system on http://localhost:8080 (PORT=9000 DATA=folder)
	@exec bin/bldst local --port $(PORT) --data $(DATA)

.PHONY: bin/bldst
bin/bldst:
	@go build -trimpath -o bin/bldst ./cli

.PHONY: bin/bldst-bootstrap
bin/bldst-bootstrap:
	@go build -trimpath -o bin/bldst-bootstrap ./cli/bootstrap

build: bin/bldst ## Build the command line, and every function for Lambda into dist/ARCH/NAME/bootstrap
	@for arch in $(ARCHES); do for name in $(FUNCTIONS); do \
		GOOS=linux GOARCH=$$arch CGO_ENABLED=0 go build -trimpath -tags $(TAGS) \
			-ldflags '$(LDFLAGS)' -gcflags '$(GCFLAGS)' -gcflags '$(GCRUNTIME)' -o dist/$$arch/$$name/bootstrap ./functions/$$name || exit 1; \
	done; done
	@ls -l dist/*/*/bootstrap | awk -v limit=$(LIMIT) '{ printf "%9d %s\n", $$5, $$NF; if ($$5 > limit) large = 1 } \
		END { if (large) print "a bootstrap has more than " limit " bytes; go tool nm -size -sort size shows what it links"; exit large }'

test: ## Run every test that needs nothing but Go
	@echo "$$(go list ./... | wc -l) packages, as they are done; some minutes on two cores"
	@(n=0; while sleep 15; do n=$$((n + 15)); echo "... still testing, $$n s" >&2; done) & ticker=$$!; \
		go test ./...; code=$$?; kill $$ticker; exit $$code

check: ## Format, vet, staticcheck, import directions and generated files
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted; run gofmt -w on:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go test ./shared ./shared/manifest ./shared/openapi

gen: ## Write the generated files again
	go generate ./...

man: ## Write manual pages of the command line into dist/man
	go run ./cli/gen -man dist/man

bench: build ## Measure what the README promises; a table, and bench.json
	go run ./localstack/bench

bench-scale: ## Measure growth from 1,000 to 1,000,000 builds; takes minutes
	go run ./localstack/bench -scale -json bench-scale.json

bench-drive: bin/bldst ## Measure how the state machine follows the builds; a table, and bench-drive.json
	go run ./localstack/bench -drive -json bench-drive.json

bench-files: ## Measure how fast files are saved and restored, against cp and sha256sum; needs 5 GiB of disk
	go run ./cli/files/bench

bench-cli: ## Measure how fast the command line starts, and completes
	go run ./cli/bench

FAULTS ?= 200
faults: ## Kill steps, runners and the system FAULTS=200 times at random; what is resumed must come out the same
	BLDST_FAULT_ROUNDS=$(FAULTS) go test -count=1 -timeout 30m -v -run TestKilledAtAnyMoment ./cli/step

bench-step: ## Measure what bldst step adds to a command, and how fast it skips one
	go run ./cli/bench -step

BEFORE ?= b0985c9
bench-fence: bin/bldst ## Compare what a report costs with commit BEFORE, in alternating rounds
	@dir=$$(mktemp -d) && trap 'git worktree remove --force "$$dir/src" 2>/dev/null; rm -rf "$$dir"' EXIT && \
		git worktree add --quiet --detach "$$dir/src" $(BEFORE) && (cd "$$dir/src" && go build -trimpath -o "$$dir/before" ./cli) && \
		go run ./localstack/bench -versus "$$dir/before" -json bench-fence.json

demo: bin/bldst ## Kill real image builds, with and without somebody to start them again, and watch them finish
	@DEMO_BLDST=bin/bldst .ci/demo

test-dynamodb: ## The table's conformance suite on a real DynamoDB engine (Java)
	.ci/dynamodb-local sh -c 'go test -tags dynamodb ./shared/table/... && go test -tags dynamodb -run OnDynamoDB ./localstack'

STAGE ?= dev
SETTINGS ?=

synth: ## Write the CloudFormation template of STAGE=dev into cdk.out/ (SETTINGS="rate=100 firewall=true")
	@infra/stage synth $(STAGE) $(SETTINGS)

diff: ## Show what deploy would change, on AWS or where AWS_ENDPOINT_URL points
	@infra/stage diff $(STAGE) $(SETTINGS)

deploy: ## Deploy STAGE=dev to AWS with the credentials of the environment
	@infra/stage ready $(STAGE)
	@$(MAKE) -s build
	@infra/stage deploy $(STAGE) $(SETTINGS)

bootstrap: bin/bldst bin/bldst-bootstrap ## Make the first administrator's key of STAGE=dev (USERNAME=admin), shown once
	@bin/bldst bootstrap --username $(or $(USERNAME),admin) --table "$$(infra/stage outputs $(STAGE) | sed -n 's/.*"TableName": "\([^"]*\)".*/\1/p')"

destroy: ## Delete STAGE=dev; prod keeps its data and wants CONFIRM=prod
	@infra/stage destroy $(STAGE)

smoke: ## Hold the sessions of the command line with the deployment at URL=... (BLDST_API_KEY=an administrator's, without development data)
	@test -n "$(URL)" || { echo "which deployment? make smoke URL=https://..."; exit 1; }
	BLDST_URL=$(URL) go test -count=1 -run '^TestSessions$$' ./cli/cmd

localstack: ## The whole product on LocalStack (DOCKER=1 in a container, PORT=4566)
	@localstack/aws/up ready
	@$(MAKE) -s build
	@localstack/aws/up

test-infra: ## What the template must be, and cdk-nag (needs Node)
	go test -tags cdk ./infra/...

cost: ## What 1,000 builds, and a million, cost on AWS
	@go run ./localstack/cost

FUZZTIME ?= 10s
fuzz: ## Fuzz every fuzz test for FUZZTIME each
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do \
		go test -list '^Fuzz' $$dir | grep '^Fuzz' | while read -r name; do \
			go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) $$dir || exit 1; \
		done || exit 1; \
	done

clean: ## Remove what was built
	rm -rf bin dist

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
