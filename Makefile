# fte: everything is built under build/, and nothing is written elsewhere but var/ (the state of a run).
#   make V=1            shows the commands
#   make SAN=address,undefined   builds the sanitizer tree build/address,undefined/
#   make FAULTS=1       builds the tree build/faults/ with named fault points
#   make FUZZ=1         builds the tree build/fuzz/, instrumented for test/fuzz/
comma   := ,
BUILD   := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))$(if $(FAULTS),/faults)
ifdef FUZZ
BUILD   := build/fuzz
SAN     := fuzzer-no-link,address,undefined
CC      := clang
CXX     := clang++
endif
FOLDERS := $(notdir $(patsubst %/,%,$(wildcard actors/*/)))
ACTORS  := $(foreach a,$(FOLDERS),$(if $(wildcard actors/$a/$a.c),$a))
MAINS   := $(foreach a,$(ACTORS),$(wildcard actors/$a/$a.c)) supervisor/supervisor.c supervisor/cli/fte.c
MAINS   := $(wildcard $(MAINS))
LIBSRC  := $(filter-out $(MAINS),$(wildcard proto/*.c proto/*/*.c db/*.c supervisor/cli/*.c actors/*/*.c))
LIBCXX  := $(wildcard proto/*/*.cc actors/*/*.cc)
SUPSRC  := $(filter-out $(MAINS),$(wildcard supervisor/*.c))
TESTSRC := $(wildcard test/unit/*.c test/unit/*/*.c test/unit/*/*/*.c) test/sim/model_log.c
BENCHSRC := $(wildcard test/bench/*.c)
FUZZSRC := $(wildcard test/fuzz/*_fuzz.c)

PKGS    := libzmq msgpack libpq jansson libcmark uuid openssl libcurl prometheus-cpp-core rdkafka
WARN    := -Wall -Wextra -Wshadow -Wformat=2 -Wundef -Wvla -Wwrite-strings -Wpointer-arith -Werror
CWARN   := -Wswitch-enum -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
HARDEN  := -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2)
SANFLAG := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined \
	   $(if $(FUZZ),,-Wno-format-truncation))
# Asked once, and quietly: on a bare machine `make run` installs pkg-config first.
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
LLHTTP  := $(patsubst %,$(BUILD)/llhttp/%.o,api http llhttp)
CPPFLAGS += -I. -isystem /usr/share/include/llhttp -D_GNU_SOURCE $(if $(FAULTS),-DFTE_FAULTS) $(PKG_CFLAGS)
CFLAGS  += -std=c11 $(if $(SAN),-O1,-O2) -g $(WARN) $(CWARN) $(HARDEN) $(SANFLAG)
CXXFLAGS += -std=c++17 $(if $(SAN),-O1,-O2) -g $(WARN) $(HARDEN) $(SANFLAG)
LDFLAGS += -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SANFLAG)
LDLIBS  += $(PKG_LIBS) -lstemmer -lunistring -lidn2 -lphonenumber \
           -lstdc++ -lpthread -lm
ifeq ($(SAN),thread)
LDLIBS  := $(BUILD)/test/tsan/threads.o $(LDLIBS)
endif
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-5s %s\n' $1 $@;)

BINS    := $(ACTORS:%=$(BUILD)/bin/fte-%) $(BUILD)/bin/fte-supervisor $(BUILD)/bin/fte
LIB     := $(BUILD)/libfte.a

.DEFAULT_GOAL := help
CODE    := $(shell find actors proto db supervisor test -name '*.[ch]' -o -name '*.cc' 2>/dev/null)
SHELLS  := .ci/run $(shell find actors proto db supervisor test -name '*.sh')
PYTHONS := $(shell find proto test -name '*.py')
.PHONY: help build
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: $(BINS) ## every program, into build/bin

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/%.o: %.cc
	@mkdir -p $(@D)
	$(call say,CXX)$(CXX) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP -c -o $@ $<

# The migrations are part of the binary: `fte migrate` needs no files.
$(BUILD)/db/migrations.c: db/embed.sh $(sort $(wildcard db/migrations/*.sql))
	@mkdir -p $(@D)
	$(call say,SQL)sh db/embed.sh $(filter %.sql,$^) > $@
$(BUILD)/db/migrations.o: $(BUILD)/db/migrations.c
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<
# The rules and the lexicon too: they are found wherever the program is installed.
$(BUILD)/actors/triage/data.c: actors/triage/embed.sh actors/triage/triage.rules actors/triage/lexicon.txt
	@mkdir -p $(@D)
	$(call say,DATA)sh actors/triage/embed.sh triage_rules=actors/triage/triage.rules \
		lexicon=actors/triage/lexicon.txt > $@
$(BUILD)/actors/triage/data.o: $(BUILD)/actors/triage/data.c
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# The package holds llhttp as sources only. Its warnings are its own.
$(LLHTTP): $(BUILD)/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) $(CFLAGS) -w -DLLHTTP_STRICT_MODE=1 -c -o $@ $<

$(LIB): $(LIBSRC:%.c=$(BUILD)/%.o) $(LIBCXX:%.cc=$(BUILD)/%.o) $(BUILD)/db/migrations.o \
		$(BUILD)/actors/triage/data.o $(LLHTTP)
	$(call say,AR)rm -f $@ && $(AR) rcs $@ $^
$(BUILD)/libsupervisor.a: $(SUPSRC:%.c=$(BUILD)/%.o)
	@mkdir -p $(@D)
	$(call say,AR)rm -f $@ && $(AR) rcs $@ $^

.SECONDEXPANSION:
$(ACTORS:%=$(BUILD)/bin/fte-%): $(BUILD)/bin/fte-%: $(BUILD)/actors/$$*/$$*.o $(LIB)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(LDLIBS)
# libc only: whatever breaks, it stands.
$(BUILD)/bin/fte-supervisor: $(BUILD)/supervisor/supervisor.o $(BUILD)/libsupervisor.a
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $^
$(BUILD)/bin/fte: $(BUILD)/supervisor/cli/fte.o $(LIB) $(BUILD)/libsupervisor.a
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(BUILD)/libsupervisor.a $(LDLIBS)
$(BUILD)/bin/test-unit: $(TESTSRC:%.c=$(BUILD)/%.o) $(LIB) $(BUILD)/libsupervisor.a
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $(TESTSRC:%.c=$(BUILD)/%.o) $(LIB) $(BUILD)/libsupervisor.a \
		$(LDLIBS) -lcriterion

# The simulations: the real edge, router and runtime on a world of their own (test/sim/world.h), which
# takes the place of loop, clock, log, ZeroMQ and PostgreSQL. Their objects come before the library.
SIMSRC  := $(wildcard test/sim/*.c)
SIMOBJ  := $(SIMSRC:%.c=$(BUILD)/%.o) $(BUILD)/test/sim/edge_main.o $(BUILD)/test/sim/router_main.o
$(BUILD)/test/sim/edge_main.o: actors/edge/edge.c
$(BUILD)/test/sim/router_main.o: actors/router/router.c
$(BUILD)/test/sim/%_main.o:
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-missing-prototypes -Dmain=$*_main -MMD -MP -c -o $@ $<
$(BUILD)/bin/sim: $(SIMOBJ) $(LIB) $(BUILD)/libsupervisor.a
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
.PHONY: sim sim-mutants model
sim: $(BUILD)/bin/sim ## the cores, edge and router under a seeded simulator (SEED=N STEPS=N SIM=NAME)
	@$(BUILD)/bin/sim $(if $(SEED),--seed $(SEED)) $(if $(STEPS),--steps $(STEPS)) $(if $(SIM),--only $(SIM))
sim-mutants: $(BUILD)/bin/sim ## one mistake after the other in copies of the sources: the simulator finds each
	@SIM_CC="$(CC) $(CPPFLAGS) -std=c11 -O1" SIM_LD="$(CC)" SIM_OBJECTS="$(SIMOBJ)" \
		SIM_LIBS="$(LIB) $(BUILD)/libsupervisor.a $(LDLIBS)" test/sim/mutants.sh $(BUILD)/mutants
model: ## the protocol of edge, stages and outbox checked by spin, and that each safeguard is needed
	@test/model/model.sh build/model

.PHONY: run kafka kafka-stop test unit san tsan lint format
run: ## sets everything up, starts it and stays in the foreground (Ctrl-C stops it); KAFKA=1: its log in Kafka
	@BUILD=$(BUILD) KAFKA=$(KAFKA) supervisor/run.sh
kafka: ## Apache Kafka on this machine, under var/ (BROKERS=3: three); prints its address
	@supervisor/setup.sh kafka
	@actors/edge/broker/broker.sh start "$${FTE_STATE_DIR:-var}" $(or $(BROKERS),1)
kafka-stop: ## stops it; the data stays
	@actors/edge/broker/broker.sh stop "$${FTE_STATE_DIR:-var}"
test: ## sets everything up and runs every test
	@supervisor/setup.sh build run kafka test
	@$(MAKE) --no-print-directory -j$$(nproc) build $(BUILD)/bin/test-unit $(BUILD)/bin/sim $(BUILD)/bin/attack
	@$(MAKE) --no-print-directory -j$$(nproc) FAULTS=1 build
	@BUILD=$(BUILD) test/run.sh all
unit: ## only the unit tests
	@$(MAKE) --no-print-directory -j$$(nproc) build $(BUILD)/bin/test-unit
	@BUILD=$(BUILD) test/run.sh unit
san: ## unit and integration tests, built with address and undefined behaviour sanitizers
	@supervisor/setup.sh build run kafka test
	@$(MAKE) --no-print-directory -j$$(nproc) SAN=address,undefined build build/san-address-undefined/bin/test-unit \
		build/san-address-undefined/bin/sim
	@BUILD=build/san-address-undefined test/run.sh sanitized
# TSAN=short: the part that is in CI.
tsan: ## what has threads, built with ThreadSanitizer: ingress, and edges on both logs
	@supervisor/setup.sh build run kafka test
	@$(MAKE) --no-print-directory -j$$(nproc) SAN=thread build/san-thread/test/tsan/threads.o
	@$(MAKE) --no-print-directory -j$$(nproc) SAN=thread build
	@BUILD=build/san-thread test/run.sh threads $(TSAN)
lint: ## layout, a second compiler's warnings, and what reads C, shell and Python
	@supervisor/setup.sh build run kafka test
	@$(MAKE) --no-print-directory lint-layout lint-clang lint-cppcheck lint-scripts
	@echo "lint: nothing to say about $(words $(CODE)) C and C++ files, $(words $(SHELLS)) shell scripts," \
		"$(words $(PYTHONS)) Python files"

.PHONY: lint-layout lint-clang lint-cppcheck lint-scripts
EACH     = xargs -P $$(nproc) -n 8
lint-layout:
	@echo $(CODE) | $(EACH) clang-format --dry-run -Werror
lint-clang:
	@echo $(filter %.c,$(CODE)) | $(EACH) clang -fsyntax-only $(CPPFLAGS) -std=c11 $(WARN) $(CWARN)
	@echo $(filter %.cc,$(CODE)) | $(EACH) clang++ -fsyntax-only $(CPPFLAGS) -std=c++17 $(WARN)
# It reads no system headers, but must know the loops of uthash. A stream of readdir() is its owner's
# alone with us, and readdir_r(), which cppcheck would have instead, is deprecated.
lint-cppcheck:
	@mkdir -p build/cppcheck
	@cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --inline-suppr \
		--suppress=missingIncludeSystem --suppress=unknownMacro --suppress=readdirCalled --library=posix \
		--include=/usr/include/uthash.h --cppcheck-build-dir=build/cppcheck -I. -D_GNU_SOURCE \
		-j $$(nproc) actors proto db supervisor
lint-scripts:
	@shellcheck $(SHELLS)
	@/usr/bin/python3 -m pyflakes $(PYTHONS)
format: ## lays the code out
	@clang-format -i $(CODE)

$(BUILD)/bin/load: $(BUILD)/test/bench/load.o $(LIB)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $< $(LIB) $(LDLIBS)

$(BUILD)/bin/attack: $(BUILD)/test/bench/attack.o
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS) -o $@ $<

# The pictures of README.md, from the test of the page in a browser; all of them are in build/screenshots/.
.PHONY: screenshots
screenshots: ## looks at the page with a browser, and renews docs/images
	@supervisor/setup.sh build run kafka test
	@$(MAKE) --no-print-directory -j$$(nproc) build
	@FTE_BIN=$(CURDIR)/$(BUILD)/bin /usr/bin/python3 -m pytest -q -p no:cacheprovider test/integration/browser_test.py
	@cp build/screenshots/form.png build/screenshots/answer.png docs/images/

# Nothing is fitted here; the small samples in the tree are also part of `make test`.
EVAL_DATA ?= test/fixture/eval
.PHONY: eval
eval: ## how good the decisions are on labelled data (EVAL_DATA=FOLDER, EVAL_ARGS="--errors --only triage")
	@supervisor/setup.sh build run kafka test
	@$(MAKE) --no-print-directory -j$$(nproc) build
	@FTE_BIN=$(CURDIR)/$(BUILD)/bin /usr/bin/python3 test/eval/run.py "$(EVAL_DATA)" $(EVAL_ARGS)

.PHONY: bench chaos soak walk safeguards hostile
bench: ## conversations per second, latency, memory, and the same SQL alone
	@supervisor/setup.sh build run kafka test
	@$(MAKE) --no-print-directory -j$$(nproc) build $(BUILD)/bin/load
	@FTE_BIN=$(CURDIR)/$(BUILD)/bin /usr/bin/python3 test/bench/bench.py $(BENCH_ARGS)
# Brokers of Kafka (0: the log is in PostgreSQL) and minutes of each run.
CHAOS ?= 0:4 1:3 3:3
chaos: ## faults of every kind for 10 minutes, the log in PostgreSQL, Kafka, three brokers (CHAOS="0:2 1:2", CHAOS_ARGS="--seed N")
	@supervisor/setup.sh build run kafka test
	@$(MAKE) --no-print-directory -j$$(nproc) build
	@for run in $(CHAOS); do FTE_BIN=$(CURDIR)/$(BUILD)/bin /usr/bin/python3 test/chaos/soak.py --kafka $${run%:*} \
		--minutes $${run#*:} $(CHAOS_ARGS) || exit 1; done
safeguards: ## takes each safeguard away from a live system, and wants the checker to notice
	@supervisor/setup.sh build run kafka test
	@$(MAKE) --no-print-directory -j$$(nproc) FAULTS=1 build
	@FTE_SAFEGUARDS=all FTE_FAULTS_BIN=$(CURDIR)/build/faults/bin /usr/bin/python3 -m pytest -q -p no:cacheprovider test/chaos/safeguards_test.py
STOP ?= 15
walk: ## stops every process at every fault point for STOP=15 seconds, on both logs (kills, failures and delays there: make test)
	@supervisor/setup.sh build run kafka test
	@$(MAKE) --no-print-directory -j$$(nproc) build
	@$(MAKE) --no-print-directory -j$$(nproc) FAULTS=1 build
	@FTE_BIN=$(CURDIR)/$(BUILD)/bin FTE_FAULTS_BIN=$(CURDIR)/$(BUILD)/faults/bin FTE_WALK_STOP=$(STOP) \
		/usr/bin/python3 -m pytest -q -p no:cacheprovider test/chaos/faults_test.py -k stopped_there
hostile: ## how others fare while thousands of hostile clients are at the HTTP port (HOSTILE_ARGS="--only idle")
	@supervisor/setup.sh build run kafka test
	@$(MAKE) --no-print-directory -j$$(nproc) build $(BUILD)/bin/attack
	@FTE_BIN=$(CURDIR)/$(BUILD)/bin /usr/bin/python3 test/chaos/hostile.py $(HOSTILE_ARGS)
MIN ?= 30
LOG ?= postgres kafka
soak: ## the same for MIN=30 minutes on each log (LOG=kafka: only there; SOAK_ARGS="--seed N")
	@supervisor/setup.sh build run kafka test
	@$(MAKE) --no-print-directory -j$$(nproc) build
	@for log in $(LOG); do FTE_BIN=$(CURDIR)/$(BUILD)/bin /usr/bin/python3 test/chaos/soak.py --minutes $(MIN) \
		--kafka $$([ $$log = kafka ] && echo 1 || echo 0) $(SOAK_ARGS) || exit 1; done

# Each target is linked with the instrumented library; the corpus grows under build/, the seeds are in the tree.
FUZZ_SECONDS ?= 60
$(BUILD)/bin/%_fuzz: $(BUILD)/test/fuzz/%_fuzz.o $(LIB)
	@mkdir -p $(@D)
	$(call say,LD)$(CXX) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(LIB) $(LDLIBS)
.SECONDARY: $(FUZZSRC:%.c=$(BUILD)/%.o)
.PHONY: fuzz
fuzz: ## what reads from outside under random input, FUZZ_SECONDS=60 each, two at a time (FUZZ_TARGETS="rules http")
	@supervisor/setup.sh build run kafka test
	@$(MAKE) --no-print-directory -j$$(nproc) FUZZ=1 $(FUZZSRC:test/fuzz/%.c=build/fuzz/bin/%)
	@test/fuzz/run.sh $(FUZZ_SECONDS) $(or $(FUZZ_TARGETS),$(patsubst test/fuzz/%_fuzz.c,%,$(FUZZSRC)))

# The pages are assembled into the program.
$(BUILD)/actors/ingress/page.o: $(wildcard actors/ingress/pages/*) docs/api.yaml

-include $(patsubst %.c,$(BUILD)/%.d,$(MAINS) $(LIBSRC) $(SUPSRC) $(TESTSRC) $(SIMSRC) $(FUZZSRC)) $(LIBCXX:%.cc=$(BUILD)/%.d)
