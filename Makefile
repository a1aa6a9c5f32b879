# The commands of this repository. `make` alone lists them.

CARGO ?= cargo

.PHONY: help demo test bench build need

help:
	@echo 'make demo   the main job, on a private Tor network on this machine; no account needed'
	@echo 'make test   formatting, lints, and every test: what CI runs'
	@echo 'make bench  the benchmarks, each beside its reference'
	@echo 'make build  the programs, optimised, in target/release'

# What the machine must have besides the Rust toolchain. tor-geoipdb comes with tor on Debian.
need:
	@command -v $(CARGO) >/dev/null || { echo 'make: please install Rust 1.95 or later: https://rustup.rs' >&2; exit 1; }
	@tools/need tor=tor tor-gencert=tor setpriv=util-linux cc=build-essential

build: need
	$(CARGO) build --release --locked

demo: build
	target/release/lab demo

test: need
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --workspace --locked
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --locked --quiet

bench: build
	$(CARGO) bench --workspace --locked
