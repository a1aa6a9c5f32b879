// deploy/install.sh as root on this machine itself, as a mount namespace of the test's own sees it: the
// user, the owners, the service manager, the packages. Nothing of it is left afterwards.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import {
  CONF,
  CRON,
  checkout,
  isRoot,
  LIB,
  LOGS,
  machine,
  put,
  run,
  STATE,
  UNITS,
  USER,
} from "./support/checkout.js";

// What stands before the machine's own programs: a service manager that says what it was told, and
// enables by the real one's rules without its manager; apt-get likewise, and without effect.
const SYSTEMCTL = `#!/bin/sh
echo "systemctl $*" >>"$CALLS"
case "$1" in
is-active) grep -q "enable --quiet --now $3" "$CALLS" ;;
show) echo inactive ;;
enable | disable | is-enabled)
    verb=$1
    for unit; do :; done
    SYSTEMD_OFFLINE=1 exec /usr/bin/systemctl "$verb" --quiet "$unit" ;;
esac
`;
const APT_GET = `#!/bin/sh
echo "apt-get $*" >>"$CALLS"
[ ! -e "$CALLS.refuse" ] || { echo "E: Unable to locate package"; exit 100; }
`;

describe("on a machine of its own", { skip: !isRoot && "needs root" }, () => {
  /** @type {ReturnType<typeof checkout>} */
  let source;
  /** @type {Awaited<ReturnType<typeof machine>>} */
  let here;
  /** @type {NodeJS.ProcessEnv} */
  let env;
  /** @type {import("./support/checkout.js").Ended} */
  let accountsBefore;

  const accounts = () => {
    const seen = run("sh", ["-euc", "cat /etc/passwd /etc/group /etc/shadow; ls /usr/local/lib"]);
    assert.equal(seen.code, 0, seen.err);
    return seen;
  };

  before(() => {
    accountsBefore = accounts();
  });

  beforeEach(async () => {
    source = checkout();
    const fakes = join(source.home, "fakes");
    put(join(fakes, "systemctl"), SYSTEMCTL, 0o755);
    put(join(fakes, "apt-get"), APT_GET, 0o755);
    env = {
      PATH: `${fakes}:${process.env.PATH}`,
      CALLS: join(source.home, "calls"),
      INSTALL: join(source.path, "deploy/install.sh"),
      GIVEN: source.binaries,
    };
    put(String(env.CALLS), "");
    here = await machine(source.home);
  });

  afterEach(async () => {
    await here.close();
    source.remove();
  });

  after(() => {
    assert.deepEqual(accounts(), accountsBefore, "this machine is as it was");
  });

  /** @type {(script: string) => string} what it prints; it must end well */
  const sh = (script) => {
    // A command after `!` does not end a script under -e.
    const not = 'not() { if "$@"; then return 1; fi; }';
    const { code, out, err } = here.sh(`cd /\n${not}\n${script}`, env);
    assert.equal(code, 0, `${script}\n${out}${err}`);
    return out;
  };

  const INSTALL = '"$INSTALL" --binaries "$GIVEN"';

  test("user, owners and modes; the wrapper runs as that user; a second time nothing is done", () => {
    const out = sh(`${INSTALL} --schedule none`);
    assert.match(out, /1\. edit \/etc\/tor-exit-validator\/config\.env/);
    assert.match(out, /run_dns_validation --check/);
    const [, , , , , home, shell] = sh(`getent passwd ${USER}`).trim().split(":");
    assert.equal(home, `/${STATE}`);
    assert.equal(shell, "/usr/sbin/nologin");
    assert.ok(Number(sh(`id -u ${USER}`)) < 1000, "a system user");
    assert.equal(
      sh(`stat -c '%a %U:%G %n' /${CONF} /${CONF}/config.env /${STATE} /${STATE}/* /${LOGS} /${LIB} \
          /${LIB}/exit-validator /${STATE}/public/index.html`),
      [
        `750 root:${USER} /${CONF}`,
        `640 root:${USER} /${CONF}/config.env`,
        `755 ${USER}:${USER} /${STATE}`,
        `700 ${USER}:${USER} /${STATE}/analysis`,
        `755 ${USER}:${USER} /${STATE}/public`,
        `700 ${USER}:${USER} /${STATE}/tor`,
        `750 ${USER}:${USER} /${LOGS}`,
        `755 root:root /${LIB}`,
        `755 root:root /${LIB}/exit-validator`,
        `644 ${USER}:${USER} /${STATE}/public/index.html`,
        "",
      ].join("\n"),
    );
    // What the user may and may not.
    const as = `runuser -u ${USER} --`;
    assert.equal(sh(`${as} run_dns_validation /${LOGS}/probe`), `${USER}\n/\n`);
    sh(`${as} touch /${STATE}/analysis/a /${STATE}/tor/b /${STATE}/public/c.json`);
    sh(`${as} test -r /${CONF}/config.env`);
    sh(`! ${as} sh -c 'echo >>/${CONF}/config.env' 2>/dev/null`);
    sh(`! ${as} sh -c 'echo >>/${LIB}/scanner' 2>/dev/null`);
    sh(
      "! setpriv --reuid=65534 --regid=65534 --clear-groups cat /etc/tor-exit-validator/config.env",
    );
    const list = "find /etc /usr/local /var -printf '%p %i %m %u %C@\\n' | sort";
    const installed = sh(list);
    assert.match(sh(INSTALL), /Nothing to do/);
    assert.equal(sh(list), installed);
  });

  test("--dry-run on the machine changes nothing, also for who is not root", () => {
    const list = "find /etc /usr/local /var -printf '%p %i %m %u %C@\\n' | sort";
    const before = sh(list);
    assert.match(sh(`${INSTALL} --dry-run`), /would: system user tor-exit-validator/);
    const nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    assert.match(sh(`${nobody} ${INSTALL} --dry-run`), /nothing was changed/);
    assert.equal(sh(list), before);
    sh(`${INSTALL} --schedule cron`);
    // Who is not root does not see whether there is a configuration, and does not claim it.
    assert.match(sh(`${nobody} ${INSTALL} --dry-run`), /only root can see/);
    const refused = here.sh(`${nobody} ${INSTALL}`, env);
    assert.equal(refused.code, 3);
    assert.match(refused.err, /must be run as root/);
    assert.equal(here.sh(`${nobody} "$INSTALL" --uninstall`, env).code, 3);
  });

  test("systemd is told, and a timer that was switched off stays off", () => {
    sh("mkdir -p /run/systemd/system");
    assert.match(sh(INSTALL), /systemctl list-timers/);
    const told = () => sh('cat "$CALLS"; : >"$CALLS"');
    assert.match(
      told(),
      /daemon-reload\n(?:.*\n)*systemctl enable --quiet --now tor-exit-validator\.timer\n/,
    );
    const wants = "/etc/systemd/system/timers.target.wants/tor-exit-validator.timer";
    assert.equal(sh(`readlink ${wants}`), `/${UNITS}/tor-exit-validator.timer\n`);
    sh(`rm ${wants}`);
    put(
      join(source.path, "configs/systemd/tor-exit-validator.timer"),
      sh(`cat /${UNITS}/tor-exit-validator.timer; echo '# 2'`),
    );
    sh(INSTALL);
    assert.equal(told(), "systemctl daemon-reload\n");
    sh(`test ! -e ${wants}`);
    // Asked for by name, it is switched on again.
    sh(`${INSTALL} --schedule systemd`);
    sh(`test -h ${wants}`);
    told();
    sh(`${INSTALL} --schedule cron`);
    assert.match(
      told(),
      /disable --quiet --now tor-exit-validator\.timer\n(?:.*\n)*systemctl daemon-reload/,
    );
    sh(`test -f /${CRON}; test ! -h ${wants}; test ! -e /${UNITS}/tor-exit-validator.service`);
  });

  test("without systemd running, cron is the schedule, and it is installed with it", () => {
    // Tor and cron are not here: what is not executable is no program.
    const out = sh(`
      for program in /usr/bin/tor /usr/sbin/tor /usr/sbin/cron; do
        [ ! -e "$program" ] || mount --bind /dev/null "$program"
      done
      ${INSTALL}`);
    assert.match(
      sh('cat "$CALLS"'),
      /^apt-get update\napt-get install -y --no-install-recommends tor .*\bcron\n$/,
    );
    assert.match(out, /Debian's tor package also starts a tor of the system's own/);
    assert.match(out, /systemctl disable --now tor\.service/);
    assert.equal(sh(`stat -c '%a %U:%G' /${CRON}`), "644 root:root\n");
    assert.ok(!sh('cat "$CALLS"').includes("systemctl disable"), "the system's tor is left alone");
  });

  test("a schedule that this machine cannot keep is refused", () => {
    const ended = here.sh(
      `mount --bind /dev/null /usr/bin/systemctl; rm ${JSON.stringify(join(source.home, "fakes/systemctl"))}
      ${INSTALL} --schedule systemd`,
      env,
    );
    assert.equal(ended.code, 4);
    assert.match(ended.err, /there is no systemd here: --schedule cron, or none/);
    sh(`test ! -e /${LIB}`);
  });

  test("packages that cannot be had end it before anything is installed", () => {
    put(`${env.CALLS}.refuse`, "");
    const ended = here.sh(
      `for program in /usr/bin/tor /usr/sbin/tor; do
        [ ! -e "$program" ] || mount --bind /dev/null "$program"
      done
      ${INSTALL}`,
      env,
    );
    assert.equal(ended.code, 1);
    assert.match(ended.err, /E: Unable to locate package\n.*could not: install packages: tor/);
    sh(`test ! -e /${LIB}; not getent passwd ${USER}`);
  });

  test("an old tor is pointed out", () => {
    put(join(source.home, "fakes/tor"), '#!/bin/sh\necho "Tor version 0.4.6.10."\n', 0o755);
    const ended = here.sh(`${INSTALL} --schedule none`, env);
    assert.equal(ended.code, 0, ended.err);
    assert.match(ended.err, /this tor is 0\.4\.6\.10, which the Tor Project no longer maintains/);
  });

  test("--uninstall takes the user, keeps the data for root, and an installation gives it back", () => {
    sh(`${INSTALL} --schedule cron
      runuser -u ${USER} -- sh -c 'echo report >/${STATE}/public/latest.json'
      "$INSTALL" --uninstall`);
    sh(
      `not getent passwd ${USER}; not getent group ${USER}; test ! -e /${LIB}; test ! -e /${CRON}`,
    );
    const owners = `find /${CONF} /${STATE} /${LOGS} -printf '%U:%G\\n' | sort -u`;
    assert.equal(sh(owners), "0:0\n", "nobody's number is left on it");
    assert.equal(sh(`cat /${STATE}/public/latest.json`), "report\n");
    // Another system user has come meanwhile, so ours has another number.
    sh(`useradd --system newcomer; ${INSTALL}`);
    assert.equal(sh(`stat -c %U /${STATE}/public/latest.json`), `${USER}\n`);
    assert.equal(sh(`stat -c %U:%G /${CONF}/config.env`), `root:${USER}\n`);
    sh(`runuser -u ${USER} -- sh -c 'echo more >>/${STATE}/public/latest.json'`);
    const out = sh('"$INSTALL" --uninstall --purge');
    assert.match(out, /remove \/var\/lib\/tor-exit-validator with everything in it/);
    sh(`not getent passwd ${USER}; test ! -e /${STATE}; test ! -e /${CONF}; test ! -e /${LOGS}`);
    // Not below /var/tmp, where others keep what they like.
    const places = "/etc /usr/local /var";
    assert.equal(
      sh(`grep -rl --exclude='*-' --exclude-dir=tmp tor-exit-validator ${places} || :`),
      "",
    );
  });

  test("--uninstall waits for a run that is under way", () => {
    const out = sh(`${INSTALL} --schedule cron
      runuser -u ${USER} -- /${LIB}/scanner wait /${STATE}/go & run=$!
      until pgrep -u ${USER} >/dev/null; do sleep 0.05; done
      code=0; "$INSTALL" --uninstall --purge || code=$?
      echo "ended with $code"
      test ! -e /${CRON}
      test -x /${LIB}/scanner; test -d /${STATE}; getent passwd ${USER} >/dev/null
      touch /${STATE}/go; wait $run
      "$INSTALL" --uninstall --purge >/dev/null`);
    assert.match(out, /ended with 5/);
    assert.match(out, /scanner 1 to the end/);
  });

  test("a user gone bad cannot make root write elsewhere", () => {
    sh(`${INSTALL} --schedule none
      cd /${STATE}
      echo mine >/etc/victim
      runuser -u ${USER} -- sh -euc '
        rm -r public/assets analysis
        ln -s /etc public/assets
        ln -s /etc analysis
        ln -sf /etc/victim public/index.html'`);
    source.version("2");
    put(join(source.path, "public/assets/victim"), "2\n");
    put(join(source.path, "public/index.html"), "index.html 2\n");
    const ended = here.sh(INSTALL, env);
    assert.equal(ended.code, 1);
    assert.equal(sh("stat -c '%a %U' /etc"), "755 root\n");
    sh(`rm -f /${STATE}/analysis`);
    here.sh(INSTALL, env);
    assert.equal(sh("cat /etc/victim"), "mine\n");
    sh("test ! -e /etc/app.js");
  });

  test("without cargo, it says what is missing; with it, whoever owns the checkout builds", () => {
    // Wherever this machine has its cargo: below /usr/local is nothing here.
    const nothing = here.sh(
      `[ ! -d /root/.cargo ] || mount -t tmpfs none /root/.cargo
      for program in /usr/bin/cargo /usr/bin/cc; do
        [ ! -e "$program" ] || mount --bind /dev/null "$program"
      done
      PATH="\${PATH%%:*}:/usr/sbin:/usr/bin:/sbin:/bin" "$INSTALL"`,
      env,
    );
    assert.equal(nothing.code, 4);
    assert.match(
      nothing.err,
      /please install Rust \d\.\d+ or later: https:\/\/rustup\.rs; a C compiler: .*build-essential\. Or/,
    );
    put(join(source.home, "fakes/cc"), "#!/bin/sh\n", 0o755);
    put(
      join(source.home, "fakes/cargo"),
      `#!/bin/sh
[ "$1" != --version ] || { echo "cargo \${CARGO_VERSION:-1.99.0} (x)"; exit; }
echo "$(id -un): cargo $*" >>"$CALLS"
mkdir -p target && cp -r "$GIVEN" target/release
`,
      0o755,
    );
    sh(`useradd --system builder; chown -R builder "$(dirname "$INSTALL")/.."; chmod 666 "$CALLS"
      CARGO=${JSON.stringify(join(source.home, "fakes/cargo"))} "$INSTALL" --schedule none`);
    assert.equal(
      sh('cat "$CALLS"'),
      "builder: cargo build --release --locked -p exit-validator -p lab\n",
    );
    assert.equal(sh(`/${LIB}/scanner --version`), "scanner 1\n");
    const old = here.sh(
      `CARGO_VERSION=1.70.0 CARGO=${JSON.stringify(join(source.home, "fakes/cargo"))} "$INSTALL"`,
      env,
    );
    assert.equal(old.code, 4);
    assert.match(old.err, /Rust 1\.\d+ or later \(this is 1\.70\.0\)/);
  });
});
