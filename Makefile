# Everything npm's scripts do, made only when something it depends on has changed.
SOURCES := $(shell find daemon test bench -name '*.ts')
NATIVE  := $(shell find native -name '*.cc' -o -name '*.h') native/Makefile
BUILT   := dist/.built
INSTALLED := node_modules/.package-lock.json

build: dist/native/.built $(BUILT)

$(INSTALLED): package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

dist/native/.built: $(NATIVE) | $(INSTALLED)
	$(MAKE) --no-print-directory -C native -j2
	@touch $@

$(BUILT): $(SOURCES) tsconfig.json $(INSTALLED)
	node_modules/.bin/tsc
	@chmod +x dist/daemon/main.js
	@touch $@

start: build
	node dist/daemon/main.js serve --dev

.PHONY: build start
