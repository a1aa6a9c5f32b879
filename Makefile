# The commands of this repository. `make` alone lists them.

CARGO ?= cargo

# What is kept for compiling single pieces again takes more disk than everything else. For work on the
# code call cargo itself, which keeps it.
export CARGO_INCREMENTAL ?= 0

.PHONY: help demo test test-programs test-function test-dashboard test-deploy bare deny serve pages bench build schemas chutney need node ops dns promtool chromium firefox

# Its parts share what npm puts into place, and the machine.
.NOTPARALLEL:

help:
	@echo 'make demo   the main job, on a private Tor network on this machine; no account needed'
	@echo 'make test   formatting, lints, and every test: what CI runs'
	@echo 'make bare   demo and test on a bare machine: a minimal Debian root (SUITE=trixie: the next Debian)'
	@echo 'make deny   licences, sources and advisories of everything that is linked in (needs cargo-deny)'
	@echo 'make serve  the dashboard on this machine, over the reports of DATA, public/, the demo, or three simulated weeks'
	@echo 'make pages  the dashboard in few files that browsers keep, in dashboard/build'
	@echo 'make bench  the benchmarks, each beside its reference'
	@echo 'make chutney  the whole job on a network of the chutney in CHUTNEY_PATH'
	@echo 'make schemas  writes the JSON Schemas of docs/formats again, from the types of record'
	@echo 'make build  the program exit-validator, optimised, in target/release'

# What the machine must have besides the Rust toolchain.
need:
	@command -v $(CARGO) >/dev/null || { echo 'make: please install Rust 1.95 or later: https://rustup.rs' >&2; exit 1; }
	@tools/need tor=tor tor-gencert=tor setpriv=util-linux cc=build-essential

# For the Cloudflare function and its tests; Debian 12's own is too old for the Workers runtime.
node:
	@tools/need node=nodejs npm=npm
	@node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' || { echo "make: please install Node.js 20 or later (this is $$(node --version)): https://nodejs.org" >&2; exit 1; }

# The names of old are links to the one program.
build: need
	$(CARGO) build --release --locked
	@for name in scanner aggregate upload settings; do ln -sfn exit-validator target/release/$$name; done

# Only what it runs, and not optimised: the first sight of a result comes soon, and what is compiled
# here serves the tests as well.
# Without the resolvers of others, the lab says so and runs without their exits.
demo: need
	@$(MAKE) --no-print-directory dns || true
	$(CARGO) build --locked --no-default-features -p exit-validator -p lab
	target/debug/lab demo

# The first of these that has a report; without any, three weeks of the simulated world, so that there is
# something to look at.
WORLD := .demo/world/public
DATA ?= $(firstword $(patsubst %/latest.json,%,$(wildcard public/latest.json .demo/public/latest.json)) $(WORLD))
serve: $(if $(filter $(WORLD),$(DATA)),$(WORLD)/latest.json)
	@tools/need node=nodejs
	node dashboard/serve.js --data '$(DATA)'

# Whole or not at all: the name appears when it is done. The pages say what it is by the file SIMULATED. As
# many relays as the public network has; optimised, as that is seven times as fast.
$(WORLD)/latest.json:
	@rm -rf .demo/world .demo/world.new
	$(CARGO) build --release --locked --no-default-features -p lab
	@mkdir -p .demo
	target/release/lab world --runs 90 --quiet .demo/world.new
	@touch .demo/world.new/public/SIMULATED
	@mv .demo/world.new .demo/world

# The dashboard in few files that browsers keep, for whoever serves it far away: dashboard/build.
pages: node
	cd dashboard && npm ci --no-progress --no-audit --no-fund && node build.js build

# For the tests of what installs, schedules, serves and sends.
ops: node
	@tools/need shellcheck=shellcheck systemd-analyze=systemd python3=python3 git=git unshare=util-linux nsenter=util-linux setpriv=util-linux pgrep=procps faketime=faketime /usr/share/tor/geoip=tor-geoipdb
	@tools/unpack caddy=caddy alertmanager=prometheus-alertmanager \
		python=python3-aiosmtpd,python3-attr,python3-public,python3-dnspython,python3-feedparser,python3-sgmllib3k

# Resolvers for the lab's exits and for the tests of our name server, what asks that one, and what keeps dnstap.
dns:
	@tools/unpack unbound=unbound+ named=bind9+ dig=bind9-dnsutils+ fstrm_capture=fstrm-bin+

# For the tests of the metrics, alerts and Grafana's dashboard.
promtool:
	@tools/unpack promtool=prometheus

# For the dashboard's tests. Where the package only fetches a snap, the second line says what to do.
chromium: node
	@node dashboard/lib/chromium.js >/dev/null 2>&1 || tools/need chromium=chromium
	@node dashboard/lib/chromium.js >/dev/null
	@tools/unpack fonts-dejavu=fonts-dejavu-core fonts-liberation=fonts-liberation fonts-roboto=fonts-roboto-unhinted

# The same in Firefox, of which Tor Browser is made. Debian's is unpacked beside those libraries of its release
# that a machine may have older.
firefox: node
	@node dashboard/lib/firefox.js >/dev/null 2>&1 || tools/unpack firefox=firefox-esr,$$(apt-cache depends firefox-esr 2>/dev/null | sed -n 's/^ *Depends: \(libvpx[0-9]*\|libnss3\|libnspr4\)$$/\1/p' | sort -u | paste -sd, -)
	@node dashboard/lib/firefox.js >/dev/null

# The tests of the programs wait for tor half of the time: those of everything else run beside them, and are
# shown after them. What both need is there before.
test: need ops dns promtool chromium firefox
	@log=$$(mktemp) && { $(MAKE) test-function test-dashboard test-deploy >"$$log" 2>&1 & others=$$!; \
	trap 'kill $$others; wait $$others; rm -f "$$log"; exit 130' INT TERM HUP; \
	status=0; $(MAKE) test-programs || status=$$?; wait $$others || status=$$?; \
	cat "$$log"; rm -f "$$log"; exit $$status; }

# The programs and their crates, the wrapper included. A snapshot that differs fails, whatever the
# environment says.
test-programs: export INSTA_UPDATE = auto
test-programs: export INSTA_FORCE_PASS = 0
test-programs: need ops dns promtool
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features record/schema --locked -- -D warnings
	$(CARGO) test --workspace --locked --no-fail-fast
	$(CARGO) test --locked -p record --features schema --test schemas
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --locked --quiet

# Writes docs/formats/*.schema.json as the types of `record` give them.
schemas:
	UPDATE_EXPECTED=1 $(CARGO) test --locked -p record --features schema --test schemas

test-function: node
	cd deploy/cloudflare && npm ci --no-progress --no-audit --no-fund && npm test

test-dashboard: chromium firefox
	cd dashboard && npm ci --no-progress --no-audit --no-fund && npm test

# What installs, schedules and serves. It uses the function's packages.
test-deploy: ops
	cd deploy/cloudflare && npm ci --no-progress --no-audit --no-fund
	deploy/tests/ops/run
	python3 -B deploy/chutney/test_network.py

SUITE ?= bookworm
bare:
	tools/bare --suite $(SUITE)

# Not a part of `make test`: the list of advisories has to be fetched.
deny:
	cargo deny --workspace --all-features check

chutney: build
	deploy/chutney/dry_run

bench: build node chromium
	@tools/need rclone=rclone python3=python3
	@tools/unpack nsd=nsd+ dnsperf=dnsperf+
	$(CARGO) bench --workspace --locked
	cd dashboard && npm ci --no-progress --no-audit --no-fund && npm run bench
