# The commands of this repository. `make` alone lists them.

CARGO ?= cargo

.PHONY: help demo test bench build chutney need node ops

help:
	@echo 'make demo   the main job, on a private Tor network on this machine; no account needed'
	@echo 'make test   formatting, lints, and every test: what CI runs'
	@echo 'make bench  the benchmarks, each beside its reference'
	@echo 'make chutney  the whole job on a network of the chutney in CHUTNEY_PATH'
	@echo 'make build  the programs, optimised, in target/release'

# What the machine must have besides the Rust toolchain. tor-geoipdb comes with tor on Debian.
need:
	@command -v $(CARGO) >/dev/null || { echo 'make: please install Rust 1.95 or later: https://rustup.rs' >&2; exit 1; }
	@tools/need tor=tor tor-gencert=tor setpriv=util-linux cc=build-essential

# For the Cloudflare function and its tests; Debian 12's own is too old for the Workers runtime.
node:
	@tools/need node=nodejs npm=npm
	@node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' || { echo "make: please install Node.js 20 or later (this is $$(node --version)): https://nodejs.org" >&2; exit 1; }

build: need
	$(CARGO) build --release --locked

demo: build
	target/release/lab demo

# For the tests of what installs, schedules and serves.
ops: node
	@tools/need shellcheck=shellcheck caddy=caddy systemd-analyze=systemd python3=python3 git=git unshare=util-linux nsenter=util-linux pgrep=procps faketime=faketime

test: need node ops
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --workspace --locked
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --locked --quiet
	cd deploy/cloudflare && npm ci --no-progress --no-audit --no-fund && npm test
	deploy/tests/ops/run
	python3 -B deploy/chutney/test_network.py

chutney: build
	deploy/chutney/dry_run

bench: build
	@tools/need rclone=rclone python3=python3
	$(CARGO) bench --workspace --locked
