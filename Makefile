# Everything a person or CI runs. Works with GNU make 3.81 and any POSIX sh.

# Most of what the tests do is to wait: twice as many at once as there are cores.
THREADS = $${RUST_TEST_THREADS:-$$(( $$(getconf _NPROCESSORS_ONLN) * 2 ))}
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)

.PHONY: help demo test test-valkey test-otel test-avif prove-fuzz build tools check fmt clippy doc deny tidy man pictures gallery-pictures

help:
	@echo 'make demo         build Pictor and make 200 listing images against the built-in simulator; costs nothing'
	@echo 'make test         install what the tests need (into target/tools, or with apt/dnf as root) and run every test'
	@echo 'make test-valkey  the tests that depend on the server, on the pinned Valkey'
	@echo 'make test-otel    the tests of builds with OpenTelemetry (--features otel)'
	@echo 'make test-avif    the tests of builds with AVIF (--features avif)'
	@echo 'make build        the binary, in $(TARGET)/debug/pictor'
	@echo 'make check        format, lints, docs, dependencies, tidiness'
	@echo 'make tools        only what the tests need: a Redis or Valkey server, SeaweedFS, the Python openai package, strace, faketime, promtool, hadolint'
	@echo 'make man          a manual page for every command, in target/man'
	@echo 'make pictures     the recording and the contact sheet of the README, and the live screen; needs a Bash'
	@echo 'make gallery-pictures  the pictures of the gallery, from a real demo; needs Chromium'
	@echo 'make prove-fuzz   ten million runs of every reader on made-up bytes; prove-fuzz-scan and others are its parts; writes docs/measured/fuzz.md'
	@echo 'make prove-chaos  kills, outages and wipes at random for two hours or three; prove-chaos-kill and others are its parts'
	@echo 'make prove-NAME   one full-size proof; writes docs/measured/NAME.md'

demo:
	@tools/preflight.sh demo
	@tools/install.sh server
	cargo build --locked --bin pictor
	$(TARGET)/debug/pictor demo

test: tools
	RUST_TEST_THREADS=$(THREADS) cargo test --workspace --locked

test-valkey:
	@tools/preflight.sh test
	@RUST_TEST_THREADS=$(THREADS) tools/test-valkey.sh

# What only builds with traces have.
test-otel: tools
	cargo test --workspace --test it --features pictor/otel --locked -- otel::

# What only builds with AVIF have.
test-avif: tools
	cargo test --workspace --lib --test it --features pictor/avif --locked -- avif

build:
	@tools/preflight.sh build
	cargo build --locked --bin pictor

tools:
	@tools/preflight.sh test
	@tools/install.sh server weed openai faults deploy

check: fmt tidy clippy doc deny

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --workspace --bins --test it --features pictor/otel,pictor/avif --locked -- -D warnings

doc:
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --document-private-items --locked

deny:
	@tools/deny.sh

tidy:
	@tools/tidy.sh

# Ten million runs of each reader, or of one; the tests called hostile do the same in small.
prove-fuzz:
	@tools/fuzz.sh

prove-fuzz-%:
	@FUZZ_TARGETS=$* tools/fuzz.sh

# The ignored tests below prove::NAME are the proofs at full size; each takes minutes and writes docs/measured/NAME.md.
prove-%: tools
	@tools/prove.sh $*

# A manual page for every command, in target/man.
man: build
	$(TARGET)/debug/pictor man --out target/man

# The recording and the contact sheet of the README, from a real demo.
pictures: build
	@tools/preflight.sh test
	@tools/install.sh server
	@tools/pictures.sh $(TARGET)/debug/pictor

# The pictures of the gallery, from a demo in which some images fail; needs Chromium.
gallery-pictures: build
	@tools/preflight.sh test
	@tools/install.sh server
	@tools/gallery-pictures.sh $(TARGET)/debug/pictor
