# Everything npm's scripts do, made only when something it depends on has changed.
SOURCES   := $(shell find daemon test bench -name '*.ts')
NATIVE    := $(shell find native -name '*.cc' -o -name '*.h') native/Makefile
EMULATOR  := $(shell find test/emulator -name '*.cc' -o -name '*.h') test/emulator/Makefile
INSTALLED := node_modules/.package-lock.json
BIN       := node_modules/.bin
export REDOCLY_TELEMETRY := off
export REDOCLY_SUPPRESS_UPDATE_NOTICE := true

build: dist/native/.built dist/.built

# The modules of another folder's lock file are not ours: npm ci makes them anew.
$(INSTALLED): package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

dist/native/.built: $(NATIVE) | $(INSTALLED)
	$(MAKE) --no-print-directory -C native -j2
	@touch $@

dist/.built: $(SOURCES) tsconfig.json $(INSTALLED)
	$(BIN)/tsc
	@rm -f dist/daemon/bundled-*
	$(BIN)/esbuild daemon/main.ts $(BUNDLE) --outdir=dist/daemon --log-level=warning
	@chmod +x dist/daemon/main.js
	@touch $@

# What runs is a bundle, main.js and bundled-*.js: a thousand modules take a quarter of a second more to load. What tests
# import stays beside it. Packages that look for files of their own, or wrap their modules (UMD), stay outside.
# White space is a third of it, and of the time to read it; lines stay short, for stack traces.
BUNDLE := --bundle --splitting --platform=node --format=esm --target=node20 --chunk-names=bundled-[name]-[hash] \
	--minify-whitespace --line-limit=120 \
	$(addprefix --external:,@fastify/swagger-ui jsonc-parser pino pino-pretty) \
	--banner:js="import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url)"

# The kernel of the vserver driver's tests, where there is no Linux-VServer.
emulator: dist/test/emulator/.built

dist/test/emulator/.built: $(EMULATOR)
	@mkdir -p $(@D)
	$(MAKE) --no-print-directory -C test/emulator -j2
	@touch $@

start: build
	exec node dist/daemon/main.js serve --dev

test: build emulator
	$(BIN)/tap --reporter=terse

# What a reader would point out: types, lint, format, a stale or invalid OpenAPI document.
check: build
	$(BIN)/eslint .
	$(BIN)/prettier --check --log-level warn .
	$(BIN)/depcruise --config .dependency-cruiser.js daemon
	node dist/test/support/structure.js
	node dist/daemon/main.js openapi | diff -u openapi/openapi.json -
	$(BIN)/redocly lint openapi/openapi.json
	@if command -v clang-format >/dev/null; then clang-format --dry-run --Werror $(filter %.cc %.h,$(NATIVE) $(EMULATOR)); \
	else echo 'clang-format is not installed: the format of native/ and test/emulator/ is not checked'; fi

# The addon's tests once more, every access checked (CONTRIBUTING.md).
check-native: build emulator
	test/support/asan

openapi: build
	node dist/daemon/main.js openapi --output openapi/openapi.json

# The installed service under a real systemd, on Debian's own kernel.
test-vm: build
	test/vm/run --timeout 1500 env TAP_TIMEOUT=1500 node dist/test/vm/systemd.js

# Where a system has it: systemd/install. DESTDIR and PREFIX may be given here or come from the environment.
install-system: export DESTDIR := $(DESTDIR)
install-system: export PREFIX := $(PREFIX)
install-system: build
	systemd/install install

uninstall-system: export DESTDIR := $(DESTDIR)
uninstall-system: export PREFIX := $(PREFIX)
uninstall-system:
	systemd/install uninstall

# The C programs of bench/, and what they are compared with the daemon by.
build/bench/%: bench/%.c
	@mkdir -p $(@D)
	$(CC) -O2 -Wall -Wextra -Werror -static -o $@ $<

# npm run bench -- ARGS="--only a,b --rounds 3"
bench: build emulator build/bench/floor build/bench/true
	@node dist/bench/run.js $(ARGS)

.PHONY: build emulator start test check check-native openapi install-system uninstall-system test-vm bench
