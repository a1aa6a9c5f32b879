#!/bin/sh
# Installs, upgrades and removes the Tor exit validator on Debian and Ubuntu. `--help` has the rest.
#
# Every step first looks whether there is anything to do, says what it does, and does it so that a run
# that is under way, a reader of the published files, and an interrupted installation see either the
# old file or the new one. What lies in directories of the unprivileged user is touched as that user,
# because whoever owns a directory can put a link where root would write.
set -eu

NAME=tor-exit-validator
PROGRAM=exit-validator
# The names that its verbs had as programs of their own: links to it.
LINKS="scanner aggregate upload settings"
# For `run_dns_validation --dry-run` alone.
OPTIONAL_PROGRAM=lab

usage() {
    cat <<'END'
Installs the Tor exit validator on Debian 12 or later and Ubuntu 22.04 or later.

Usage: deploy/install.sh [--binaries DIR] [--schedule systemd|cron|none] [--dry-run] [--root DIR]
       deploy/install.sh --uninstall [--purge] [--dry-run] [--root DIR]

  --binaries DIR   take the programs from DIR (exit-validator, and lab if it is there) instead of
                   building them here with cargo
  --schedule HOW   what starts a run every six hours: systemd (the default where it runs), cron, or
                   none. Without this, an upgrade keeps what there is
  --dry-run        say what would be done, and change nothing; need not be root
  --root DIR       lay everything out under DIR, as for an image or a package: no packages, no user,
                   no service started, owners left as they come; need not be root
  --uninstall      remove programs, schedule and user; keep configuration, data and logs
  --purge          with --uninstall: remove those too
  -h, --help       this

What goes where:
  /usr/local/lib/tor-exit-validator/      the program exit-validator, its links scanner, aggregate,
                                          upload and settings, and run_dns_validation
  /usr/local/bin/exit-validator           a link to the program
  /usr/local/bin/run_dns_validation       a link to the script that starts a run
  /etc/tor-exit-validator/config.env      the configuration: written once, then yours
  /etc/tor-exit-validator/config.env.example   every setting of the installed version
  /var/lib/tor-exit-validator/            state: analysis/, tor/, and public/, which is served
  /var/log/tor-exit-validator/            one log file a run
  /usr/local/lib/systemd/system/          tor-exit-validator.service and .timer, or
  /etc/cron.d/tor-exit-validator          the cron table

Run it again to upgrade, also while a run is under way. It installs tor, tor-geoipdb and
ca-certificates (and cron, where that is the schedule) with apt-get if they are missing.

Exit codes:
  0  done, or there was nothing to do
  1  a step failed: it is named; run it again when the cause is gone
  2  usage
  3  not root
  4  something that is needed is missing: it is named; nothing was changed
  5  --uninstall: a run is under way; nothing was removed but the schedule
  6  installed, but the configuration has errors: the next run would refuse it
END
}

say() { printf '%s\n' "$*"; }
warn() { printf 'install.sh: %s\n' "$*" >&2; }
fail() {
    code=$1
    shift
    warn "$*"
    exit "$code"
}

# Runs the rest of its arguments, or only says what they are for.
#   act "what is done" COMMAND ARGUMENT...
act() {
    what=$1
    shift
    CHANGES=$((CHANGES + 1))
    if [ -n "$DRY_RUN" ]; then
        say "would: $what"
        return 0
    fi
    say "$what"
    "$@" || fail 1 "could not: $what (see above); run this again when the cause is gone"
}

# ---- arguments -------------------------------------------------------------------------------

BINARIES=
SCHEDULE=
DRY_RUN=
ROOT=
UNINSTALL=
PURGE=
CHANGES=0
while [ $# -gt 0 ]; do
    option=$1
    value=
    case $option in
    --binaries=* | --schedule=* | --root=*)
        value=${option#*=}
        option=${option%%=*}
        [ -n "$value" ] || fail 2 "$option needs a value; --help tells more"
        ;;
    --binaries | --schedule | --root)
        if [ $# -lt 2 ] || [ -z "$2" ]; then fail 2 "$option needs a value; --help tells more"; fi
        value=$2
        shift
        ;;
    esac
    shift
    case $option in
    --binaries) BINARIES=$value ;;
    --schedule)
        case $value in
        systemd | cron | none) SCHEDULE=$value ;;
        *) fail 2 "--schedule is systemd, cron or none, not '$value'" ;;
        esac
        ;;
    --root) ROOT=$value ;;
    --dry-run) DRY_RUN=1 ;;
    --uninstall) UNINSTALL=1 ;;
    --purge) PURGE=1 ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) fail 2 "unknown argument '$option'; --help tells which there are" ;;
    esac
done
[ -z "$PURGE" ] || [ -n "$UNINSTALL" ] || fail 2 "--purge goes with --uninstall"
[ -z "$UNINSTALL" ] || [ -z "$BINARIES$SCHEDULE" ] || fail 2 "--uninstall takes neither --binaries nor --schedule"

# The same files, modes and words, whatever the caller's environment.
umask 022
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

if [ -n "$ROOT" ]; then
    [ -d "$ROOT" ] || fail 2 "--root $ROOT is not a directory; make it first"
    ROOT=$(CDPATH='' cd -- "$ROOT" && pwd)
    [ "$ROOT" != / ] || ROOT=
fi
if [ -n "$BINARIES" ]; then
    [ -d "$BINARIES" ] || fail 2 "--binaries $BINARIES is not a directory"
    BINARIES=$(CDPATH='' cd -- "$BINARIES" && pwd)
fi
if [ "$(id -u)" != 0 ] && [ -z "$ROOT$DRY_RUN" ]; then
    fail 3 "must be run as root: sudo deploy/install.sh (with --dry-run it only says what it would do)"
fi

SOURCE=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
LIB=$ROOT/usr/local/lib/$NAME
BIN=$ROOT/usr/local/bin
CONF=$ROOT/etc/$NAME
STATE=$ROOT/var/lib/$NAME
LOGS=$ROOT/var/log/$NAME
UNITS=$ROOT/usr/local/lib/systemd/system
CRON=$ROOT/etc/cron.d/$NAME
WANTS=$ROOT/etc/systemd/system/timers.target.wants/$NAME.timer

WORK=
NEW=
cleanup() {
    [ -z "$NEW" ] || rm -f -- "$NEW"
    [ -z "$WORK" ] || rm -rf -- "$WORK"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
WORK=$(mktemp -d)

# ---- files and directories --------------------------------------------------------------------

have() { command -v "$1" >/dev/null 2>&1; }

# Whether a service manager is there to be told of units. Not when laying out under --root.
systemd_runs() { [ -z "$ROOT" ] && [ -d /run/systemd/system ] && have systemctl; }

# Whether a path has this mode and, on the machine itself, this owner.
#   is_as PATH MODE OWNER:GROUP
is_as() {
    if [ -n "$ROOT" ]; then
        [ "$(stat -c %a -- "$1" 2>/dev/null)" = "${2#0}" ]
    else
        [ "$(stat -c '%a %U:%G' -- "$1" 2>/dev/null)" = "${2#0} $3" ]
    fi
}

own() { [ -n "$ROOT" ] || chown -h -- "$2" "$1"; }

# Puts a file in place by a rename: whoever has the old one open, be it a program that runs or a
# shell that reads its script, keeps that.
write_file() {
    mkdir -p -- "$(dirname -- "$2")" || return 1
    # One name, so that what a killed installation left is written over by the next.
    NEW=$(dirname -- "$2")/.$(basename -- "$2").new
    cp -- "$1" "$NEW" && own "$NEW" "$4" && chmod "$3" -- "$NEW" && sync -- "$NEW" &&
        mv -fT -- "$NEW" "$2" || return 1
    NEW=
}

# place SOURCE DESTINATION MODE OWNER:GROUP
place() {
    if [ ! -h "$2" ] && [ -f "$2" ] && cmp -s -- "$1" "$2" && is_as "$2" "$3" "$4"; then
        return 1
    fi
    if [ -e "$2" ]; then how=replace; else how=install; fi
    act "$how $2 ($3 $4)" write_file "$1" "$2" "$3" "$4"
}

make_directory() {
    [ -d "$1" ] || mkdir -p -- "$1" || return 1
    own "$1" "$3" && chmod "$2" -- "$1"
}

# A directory whose parent is root's.
#   directory PATH MODE OWNER:GROUP
directory() {
    if [ -d "$1" ] && is_as "$1" "$2" "$3"; then return 0; fi
    if [ -e "$1" ] && [ ! -d "$1" ]; then fail 1 "$1 is in the way: it is not a directory"; fi
    act "directory $1 ($2 $3)" make_directory "$@"
}

# Runs a command as the unprivileged user.
as_user() {
    if [ -n "$ROOT" ]; then "$@"; else (cd / && exec runuser -u "$NAME" -- "$@"); fi
}

make_directory_as_user() {
    # shellcheck disable=SC2016  # expanded by that shell
    as_user sh -c 'cd / && { [ -d "$1" ] || mkdir -- "$1"; } && chmod "$2" -- "$1"' sh "$1" "$2"
}

# A directory within one of the user's.
directory_as_user() {
    if [ -d "$1" ] && [ "$(stat -L -c %a -- "$1")" = "${2#0}" ]; then return 0; fi
    act "directory $1 ($2 $NAME:$NAME)" make_directory_as_user "$1" "$2"
}

remove() {
    if [ -e "$1" ] || [ -h "$1" ]; then act "remove $1" rm -f -- "$1"; fi
}

# ---- programs ---------------------------------------------------------------------------------

# cargo as whoever owns the checkout: building as root would run build scripts as root and leave
# files that the owner cannot replace.
find_cargo() {
    OWNER=$(stat -c %U -- "$SOURCE")
    AS_OWNER=
    if [ "$(id -u)" = 0 ] && [ "$OWNER" != root ] && [ "$OWNER" != UNKNOWN ]; then
        AS_OWNER="runuser -u $OWNER --"
    fi
    owner_home=$(getent passwd "$OWNER" | cut -d: -f6)
    for one in "${CARGO:-}" "$owner_home/.cargo/bin/cargo" "$(command -v cargo || :)"; do
        if [ -n "$one" ] && [ -x "$one" ]; then
            CARGO_FOUND=$one
            return 0
        fi
    done
    return 1
}

build() {
    # shellcheck disable=SC2086  # AS_OWNER is a list of words
    (cd -- "$SOURCE" && $AS_OWNER env HOME="$owner_home" PATH="$(dirname -- "$CARGO_FOUND"):$PATH" \
        "$CARGO_FOUND" build --release --locked -p exit-validator -p lab)
}

# Finds or builds the programs, before anything is changed.
get_programs() {
    for file in deploy/run_dns_validation config.env.example configs/systemd/$NAME.service \
        configs/systemd/$NAME.timer configs/cron.d/$NAME; do
        [ -f "$SOURCE/$file" ] || fail 4 "$SOURCE/$file is missing: run this from a whole checkout"
    done
    if [ -z "$BINARIES" ]; then
        wants=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$SOURCE/Cargo.toml")
        missing=
        if find_cargo; then
            # shellcheck disable=SC2086  # AS_OWNER is a list of words
            has=$(cd -- "$SOURCE" && $AS_OWNER env HOME="$owner_home" "$CARGO_FOUND" --version 2>/dev/null |
                sed -n 's/^cargo \([0-9.]*\).*/\1/p')
            if [ "$(printf '%s\n%s\n' "$wants" "$has" | sort -V | head -n 1)" != "$wants" ]; then
                missing=" Rust $wants or later (this is ${has:-none that works}): https://rustup.rs;"
            fi
        else
            missing=" Rust $wants or later: https://rustup.rs;"
        fi
        have cc || missing="$missing a C compiler: apt-get install build-essential;"
        [ -z "$missing" ] ||
            fail 4 "to build the programs, please install${missing%;}. Or build elsewhere and give --binaries DIR"
        act "build the programs in $SOURCE (as $OWNER; this takes minutes)" build
        BINARIES=$SOURCE/target/release
        [ -z "$DRY_RUN" ] || [ -d "$BINARIES" ] || BINARIES=
    fi
    # Nothing is replaced by what does not run here: for another architecture, or a newer libc.
    if [ -z "$BINARIES" ]; then return 0; fi
    if [ ! -f "$BINARIES/$PROGRAM" ] || [ ! -x "$BINARIES/$PROGRAM" ]; then
        if [ -n "$DRY_RUN" ] && [ "$BINARIES" = "$SOURCE/target/release" ]; then return 0; fi
        fail 4 "$BINARIES has no program '$PROGRAM'"
    fi
    "$BINARIES/$PROGRAM" --version >"$WORK/out" 2>&1 </dev/null ||
        fail 4 "$BINARIES/$PROGRAM does not run on this machine: $(head -n 1 "$WORK/out")"
}

# A link by a rename too: what an earlier version has under its name is a program.
write_link() {
    NEW=$(dirname -- "$2")/.$(basename -- "$2").new
    ln -sfn -- "$1" "$NEW" && mv -fT -- "$NEW" "$2" || return 1
    NEW=
}

#   place_link TARGET LINK
place_link() {
    if [ "$(readlink -- "$2" || :)" = "$1" ]; then return 0; fi
    act "link $2 to $1" write_link "$1" "$2"
}

# A link of ours where other programs are too.
#   place_in_bin NAME
place_in_bin() {
    if [ -e "$BIN/$1" ] && [ ! -h "$BIN/$1" ]; then fail 1 "$BIN/$1 is in the way: it is not a link of ours"; fi
    place_link "../lib/$NAME/$1" "$BIN/$1"
}

install_programs() {
    directory "$BIN" "$(mode_of "$BIN")" "$(owner_of "$BIN")"
    directory "$LIB" 0755 root:root
    for program in $PROGRAM $OPTIONAL_PROGRAM; do
        if [ -n "$BINARIES" ] && [ -f "$BINARIES/$program" ]; then
            place "$BINARIES/$program" "$LIB/$program" 0755 root:root || :
        elif [ -n "$DRY_RUN" ]; then
            say "would: install $LIB/$program"
        elif [ "$program" = "$OPTIONAL_PROGRAM" ]; then
            say "no lab in $BINARIES: run_dns_validation --dry-run will not work"
            remove "$LIB/lab"
        fi
    done
    # After the program: each works from its first moment on.
    for name in $LINKS; do place_link "$PROGRAM" "$LIB/$name"; done
    # The wrapper last: what it may call is there.
    place "$SOURCE/deploy/run_dns_validation" "$LIB/run_dns_validation" 0755 root:root || :
    place_in_bin "$PROGRAM"
    place_in_bin run_dns_validation
}

# What is there stays as it is: Debian's /usr/local is often root:staff 2775.
mode_of() { stat -c %a -- "$1" 2>/dev/null || echo 0755; }
owner_of() { stat -c %U:%G -- "$1" 2>/dev/null || echo root:root; }

# ---- packages and the user --------------------------------------------------------------------

# What the schedule and the programs need that is not here.
missing_packages() {
    PACKAGES=
    [ -z "$ROOT" ] || return 0
    have tor || PACKAGES="$PACKAGES tor"
    [ -e /usr/share/tor/geoip ] || PACKAGES="$PACKAGES tor-geoipdb"
    [ -e /etc/ssl/certs/ca-certificates.crt ] || PACKAGES="$PACKAGES ca-certificates"
    if [ "$SCHEDULE" = cron ] && ! have cron && ! have crond; then PACKAGES="$PACKAGES cron"; fi
    PACKAGES=${PACKAGES# }
    if [ -n "$PACKAGES" ] && ! have apt-get; then
        fail 4 "please install with this system's package manager: $PACKAGES (this script knows apt-get alone)"
    fi
}

apt_install() {
    # shellcheck disable=SC2086  # a list of words
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends $PACKAGES; } >"$WORK/apt" 2>&1 </dev/null; then
        cat -- "$WORK/apt" >&2
        return 1
    fi
}

install_packages() {
    missing_packages
    if [ -n "$PACKAGES" ]; then
        act "install packages: $PACKAGES" apt_install
        case " $PACKAGES " in
        *' tor '*)
            say "note: Debian's tor package also starts a tor of the system's own. It is not used here, and"
            say "      left as it is; to stop it: systemctl disable --now tor.service"
            ;;
        esac
    fi
    if [ -z "$ROOT" ] && have tor; then
        version=$(tor --version 2>/dev/null | sed -n 's/^Tor version \([0-9.]*[0-9]\).*/\1/p')
        if [ "$(printf '0.4.8\n%s\n' "$version" | sort -V | head -n 1)" != 0.4.8 ]; then
            warn "note: this tor is ${version:-of an unknown version}, which the Tor Project no longer maintains, and which"
            warn "      the network may come to refuse. Theirs: https://support.torproject.org/apt/"
        fi
    fi
}

make_user() {
    [ -z "$ROOT" ] || return 0
    getent group "$NAME" >/dev/null || act "system group $NAME" groupadd --system "$NAME"
    getent passwd "$NAME" >/dev/null ||
        act "system user $NAME (no login, home $STATE)" useradd --system --gid "$NAME" \
            --home-dir "$STATE" --no-create-home --shell /usr/sbin/nologin \
            --comment "Tor exit validator" "$NAME"
}

take_back() { chown -hR -- "$NAME:$NAME" "$1"; }

make_directories() {
    for one in "$STATE" "$LOGS"; do
        # Kept by --uninstall, and root's since then; the user's number may be another now.
        if [ -z "$ROOT" ] && [ -d "$one" ] && [ "$(stat -c %U -- "$one")" != "$NAME" ]; then
            act "give $one and what is in it to $NAME" take_back "$one"
        fi
    done
    directory "$CONF" 0750 "root:$NAME"
    directory "$STATE" 0755 "$NAME:$NAME"
    directory "$LOGS" 0750 "$NAME:$NAME"
    directory_as_user "$STATE/analysis" 0700
    directory_as_user "$STATE/tor" 0700
    directory_as_user "$STATE/public" 0755
}

# ---- configuration ----------------------------------------------------------------------------

# The example with the two settings that say where an installation keeps its files: in the place
# of the example's own line for each, or at the end.
first_configuration() {
    awk -v state="/var/lib/$NAME" -v logs="/var/log/$NAME" '
        function ours(name, value) {
            if ($0 ~ "^#? ?" name "=" && !(name in done)) { $0 = name "=" value; done[name] = 1 }
        }
        { ours("STATE_DIR", state); ours("LOG_DIR", logs); print }
        END {
            if (!("STATE_DIR" in done)) print "STATE_DIR=" state
            if (!("LOG_DIR" in done)) print "LOG_DIR=" logs
        }' "$SOURCE/config.env.example" >"$WORK/config.env"
}

install_configuration() {
    if [ -n "$DRY_RUN" ] && [ -d "$CONF" ] && [ ! -x "$CONF" ]; then
        say "(what is in $CONF only root can see; a configuration that is there is kept)"
        return 0
    fi
    FIRST=
    if [ ! -e "$CONF/config.env" ] && [ ! -h "$CONF/config.env" ]; then
        FIRST=1
        first_configuration
        place "$WORK/config.env" "$CONF/config.env" 0640 "root:$NAME"
    elif [ ! -h "$CONF/config.env" ] && ! is_as "$CONF/config.env" 0640 "root:$NAME"; then
        # It may hold the stores' keys.
        act "close $CONF/config.env (0640 root:$NAME)" close_configuration
    fi
    place "$SOURCE/config.env.example" "$CONF/config.env.example" 0644 root:root || :
}

close_configuration() { own "$CONF/config.env" "root:$NAME" && chmod 0640 -- "$CONF/config.env"; }

# ---- the dashboard's pages --------------------------------------------------------------------

# The pages in the checkout: what is neither data (which a run of the checkout's own leaves there),
# nor hidden, nor named so that `upload` would not take it.
page_list() {
    [ -d "$SOURCE/public" ] || return 0
    (cd -- "$SOURCE/public" && find . -type f) | sed 's,^\./,,' |
        grep -E '^[A-Za-z0-9._+=/-]+$' | grep -Ev '(^|/)\.' |
        grep -Ev '^(latest|figures|files|trends|incidents|onionoo-dns)\.json$|^metrics\.prom$|^feed\.atom$|^summary\.html$|^(badges|compat|feeds)/|^dns_health_|^upload-check\.txt$|^_(headers|redirects|routes\.json|worker\.js)$' |
        # Pages after what they refer to.
        awk '/\.html$/ { html[++n] = $0; next } { print } END { for (i = 1; i <= n; i++) print html[i] }'
}

changed_pages() {
    while IFS= read -r page; do
        if [ -h "$STATE/public/$page" ] || [ ! -f "$STATE/public/$page" ] ||
            ! cmp -s -- "$SOURCE/public/$page" "$STATE/public/$page"; then
            printf '%s\n' "$page"
        fi
    done
}

write_pages() {
    # Read here, because the user may not be able to read the checkout; written as the user.
    # shellcheck disable=SC2016  # expanded by that shell
    tar -C "$SOURCE/public" --owner=0 --group=0 --mode=u=rw,go=r -cf - -T "$WORK/pages.changed" |
        as_user sh -euc '
            cd -- "$1"
            umask 022
            rm -rf .pages.new
            mkdir .pages.new
            trap "rm -rf .pages.new" EXIT
            tar -xf - -C .pages.new --no-same-owner
            shift
            printf "%s\n" "$1" | while IFS= read -r page; do
                mkdir -p -- "$(dirname -- "$page")"
                mv -fT -- ".pages.new/$page" "$page"
            done' sh "$STATE/public" "$(cat -- "$WORK/pages.changed")"
}

remove_pages() {
    # shellcheck disable=SC2016  # expanded by that shell
    as_user sh -euc '
        cd -- "$1"
        printf "%s\n" "$2" | while IFS= read -r page; do
            rm -f -- "$page"
            rmdir -p --ignore-fail-on-non-empty -- "$(dirname -- "$page")" 2>/dev/null || :
        done' sh "$STATE/public" "$(cat -- "$WORK/pages.gone")"
}

install_pages() {
    page_list >"$WORK/pages"
    if [ ! -s "$WORK/pages" ]; then
        say "no pages in $SOURCE/public: the dashboard is left as it is"
        return 0
    fi
    changed_pages <"$WORK/pages" >"$WORK/pages.changed"
    if [ -s "$WORK/pages.changed" ]; then
        act "dashboard: $(wc -l <"$WORK/pages.changed") of $(wc -l <"$WORK/pages") files into $STATE/public" write_pages
    fi
    if [ -f "$LIB/pages" ]; then
        sort "$WORK/pages" >"$WORK/pages.sorted"
        sort "$LIB/pages" | comm -23 - "$WORK/pages.sorted" >"$WORK/pages.gone"
        if [ -s "$WORK/pages.gone" ]; then
            act "dashboard: remove $(wc -l <"$WORK/pages.gone") files of the former version" remove_pages
        fi
    fi
    place "$WORK/pages" "$LIB/pages" 0644 root:root || :
}

# ---- the schedule -----------------------------------------------------------------------------

# Says how the schedule was chosen: asked (by --schedule), kept (from before) or first.
choose_schedule() {
    if [ -n "$SCHEDULE" ]; then
        CHOSEN=asked
        return 0
    fi
    CHOSEN=kept
    if [ -f "$LIB/schedule" ]; then SCHEDULE=$(cat -- "$LIB/schedule"); fi
    case $SCHEDULE in
    systemd | cron | none) return 0 ;;
    esac
    CHOSEN=first
    if [ -n "$ROOT" ] || [ -d /run/systemd/system ]; then SCHEDULE=systemd; else SCHEDULE=cron; fi
}

enable_in_root() {
    mkdir -p -- "$(dirname -- "$WANTS")" && ln -sfn -- "/usr/local/lib/systemd/system/$NAME.timer" "$WANTS"
}

schedule_systemd() {
    unschedule_cron
    new_units=
    [ -e "$UNITS/$NAME.timer" ] || new_units=1
    changed_units=
    for unit in service timer; do
        if place "$SOURCE/configs/systemd/$NAME.$unit" "$UNITS/$NAME.$unit" 0644 root:root; then changed_units=1; fi
    done
    if [ -n "$ROOT" ]; then
        [ -h "$WANTS" ] || act "enable $NAME.timer by a link" enable_in_root
        return 0
    fi
    if [ -n "$changed_units" ] && systemd_runs; then act "tell systemd of its units" systemctl daemon-reload; fi
    # A timer that somebody has switched off stays off through upgrades.
    [ -n "$new_units" ] || [ "$CHOSEN" != kept ] || return 0
    if ! systemd_runs; then
        systemctl is-enabled --quiet "$NAME.timer" 2>/dev/null ||
            act "enable $NAME.timer (systemd does not run here: it begins with the next start)" \
                systemctl enable --quiet "$NAME.timer"
    elif ! systemctl is-enabled --quiet "$NAME.timer" 2>/dev/null ||
        ! systemctl is-active --quiet "$NAME.timer" 2>/dev/null; then
        act "start $NAME.timer, now and with the machine" systemctl enable --quiet --now "$NAME.timer"
    fi
}

schedule_cron() {
    unschedule_systemd
    # A table that somebody has edited is kept; cron does not read names with a dot.
    if [ -f "$CRON" ] && [ -f "$LIB/cron" ] && ! cmp -s -- "$CRON" "$LIB/cron" &&
        ! cmp -s -- "$CRON" "$SOURCE/configs/cron.d/$NAME"; then
        if place "$SOURCE/configs/cron.d/$NAME" "$CRON.new" 0644 root:root; then
            say "note: $CRON was edited and is kept; the new one is beside it as $(basename -- "$CRON").new"
        fi
        return 0
    fi
    place "$SOURCE/configs/cron.d/$NAME" "$CRON" 0644 root:root || :
    place "$SOURCE/configs/cron.d/$NAME" "$LIB/cron" 0644 root:root || :
    remove "$CRON.new"
}

# Stops the timer, and not a run that is under way: where the schedule changes, it may finish.
unschedule_systemd() {
    if [ -e "$UNITS/$NAME.timer" ]; then
        if systemd_runs; then
            act "stop $NAME.timer" systemctl disable --quiet --now "$NAME.timer"
        elif [ -z "$ROOT" ] && have systemctl; then
            act "disable $NAME.timer" systemctl disable --quiet "$NAME.timer"
        fi
    fi
    remove "$WANTS"
    gone=
    for unit in timer service; do
        [ ! -e "$UNITS/$NAME.$unit" ] || gone=1
        remove "$UNITS/$NAME.$unit"
    done
    if [ -n "$gone" ] && systemd_runs; then act "tell systemd of its units" systemctl daemon-reload; fi
}

unschedule_cron() {
    remove "$CRON"
    remove "$CRON.new"
    remove "$LIB/cron"
}

schedule() {
    case $SCHEDULE in
    systemd) schedule_systemd ;;
    cron) schedule_cron ;;
    none)
        unschedule_cron
        unschedule_systemd
        ;;
    esac
    printf '%s\n' "$SCHEDULE" >"$WORK/schedule"
    place "$WORK/schedule" "$LIB/schedule" 0644 root:root || :
}

# ---- install ----------------------------------------------------------------------------------

check_configuration() {
    if [ -n "$DRY_RUN" ] || [ ! -r "$CONF/config.env" ]; then return 0; fi
    if ! as_user "$LIB/$PROGRAM" config check "$CONF/config.env" >"$WORK/out" 2>&1 </dev/null; then
        cat -- "$WORK/out" >&2
        fail 6 "installed, but $CONF/config.env has errors (above): the next run would refuse it. $CONF/config.env.example has every setting of this version"
    fi
}

next_steps() {
    if [ "$CHANGES" = 0 ]; then
        say "Nothing to do: this version is installed."
    elif [ -n "$DRY_RUN" ]; then
        say "$CHANGES steps; nothing was changed."
    elif [ -n "$ROOT" ]; then
        say "Laid out in $ROOT. Owners there: $CONF/config.env root:$NAME, $STATE and $LOGS $NAME:$NAME."
    else
        say "Installed."
    fi
    [ -z "$DRY_RUN$ROOT" ] || return 0
    if [ -n "$FIRST" ]; then
        say ""
        say "Next:"
        say "  1. edit $CONF/config.env: which stores the reports go to, their keys, and your own zone"
        say "  2. try it:  runuser -u $NAME -- run_dns_validation --check"
    fi
    case $SCHEDULE in
    systemd)
        say "Runs come every six hours, shortly after 00:15, 06:15, 12:15 and 18:15 UTC: systemctl list-timers $NAME.timer"
        say "To start one now: systemctl start --no-block $NAME.service"
        ;;
    cron) say "Runs come every six hours, at 00:15, 06:15, 12:15 and 18:15, by $CRON" ;;
    none) say "Nothing starts a run by itself: runuser -u $NAME -- run_dns_validation" ;;
    esac
    say "Each leaves a log in $LOGS; docs/operations.md tells the rest."
}

install() {
    choose_schedule
    if [ -z "$ROOT" ] && [ "$SCHEDULE" = systemd ] && ! have systemctl; then
        fail 4 "there is no systemd here: --schedule cron, or none"
    fi
    missing_packages
    get_programs
    install_packages
    make_user
    make_directories
    install_programs
    install_configuration
    install_pages
    schedule
    check_configuration
    next_steps
}

# ---- uninstall --------------------------------------------------------------------------------

run_under_way() {
    getent passwd "$NAME" >/dev/null || return 1
    number=$(id -u "$NAME")
    stat -c %u /proc/[0-9]* 2>/dev/null | grep -qx "$number"
}

# Nobody's number is left on what is kept: a user made later could get it.
give_to_root() { chown -hR -- root:root "$1"; }

purge_directory() {
    if [ ! -e "$1" ] && [ ! -h "$1" ]; then return 0; fi
    size=$(du -sh -- "$1" 2>/dev/null | cut -f1)
    act "remove $1 with everything in it: $2, ${size:-of unknown size}" rm -rf --one-file-system -- "$1"
}

uninstall() {
    # Ends a run that systemd started, properly; for cron's, this waits for a person.
    if systemd_runs && systemctl is-active --quiet "$NAME.service" 2>/dev/null; then
        act "stop the run that is under way" systemctl stop "$NAME.service"
    elif systemd_runs && [ "$(systemctl show -p ActiveState --value "$NAME.service" 2>/dev/null)" = activating ]; then
        # A oneshot service is activating for as long as it runs.
        act "stop the run that is under way" systemctl stop "$NAME.service"
    fi
    unschedule_systemd
    unschedule_cron
    if [ -z "$ROOT" ] && [ -z "$DRY_RUN" ] && run_under_way; then
        fail 5 "$NAME has processes: a run is under way. Wait for its end or stop it, then run this again"
    fi
    for name in run_dns_validation "$PROGRAM"; do
        if [ "$(readlink -- "$BIN/$name" || :)" = "../lib/$NAME/$name" ]; then remove "$BIN/$name"; fi
    done
    if [ -d "$LIB" ]; then act "remove $LIB with the programs" rm -rf -- "$LIB"; fi
    if [ -n "$PURGE" ]; then
        purge_directory "$CONF" "configuration and keys"
        purge_directory "$STATE" "results, history, published reports"
        purge_directory "$LOGS" "logs"
        for unit in service timer; do
            purge_directory "$ROOT/etc/systemd/system/$NAME.$unit.d" "own settings of the $unit"
        done
        remove "$ROOT/var/lib/systemd/timers/stamp-$NAME.timer"
    fi
    if [ -z "$ROOT" ] && getent passwd "$NAME" >/dev/null; then
        for one in "$CONF" "$STATE" "$LOGS"; do
            if [ -z "$PURGE" ] && [ -d "$one" ]; then act "give $one to root" give_to_root "$one"; fi
        done
        act "remove the user $NAME" userdel "$NAME"
    fi
    if [ -z "$ROOT" ] && [ -z "$DRY_RUN" ] && getent group "$NAME" >/dev/null; then
        act "remove the group $NAME" groupdel "$NAME"
    fi
    if [ "$CHANGES" = 0 ]; then
        say "Nothing to do: it is not installed."
    elif [ -n "$DRY_RUN" ]; then
        say "$CHANGES steps; nothing was changed."
    else
        say "Removed."
    fi
    if [ -z "$PURGE" ]; then
        for one in "$CONF" "$STATE" "$LOGS"; do
            if [ -d "$one" ]; then say "kept: $one (--uninstall --purge removes it)"; fi
        done
    fi
}

if [ -n "$UNINSTALL" ]; then uninstall; else install; fi
