# shellcheck shell=bash
# Sourced by `run`, `test` and others: finds or installs what a build needs, and says where it goes.
# Works on Debian, Ubuntu and macOS; on anything else it names what is missing and stops.

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$0: $*"
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        fail "run as root or install by hand: $*"
    fi
}

# Installs Debian packages that are missing.
install_debian() {
    say "installing: $*"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# A C compiler and linker: some dependencies have C parts, and Rust links with `cc`.
need_c_compiler() {
    if have cc; then
        return
    fi
    if have apt-get; then
        install_debian gcc libc6-dev
    elif [ "$(uname -s)" = Darwin ]; then
        xcode-select --install || true
        fail "the command line tools are being installed: confirm the dialogue, then run this again"
    else
        fail "no C compiler: install gcc or clang"
    fi
}

# need_command COMMAND DEBIAN_PACKAGE
need_command() {
    if have "$1"; then
        return
    fi
    have apt-get || fail "$1 is missing: install it"
    install_debian "$2" ca-certificates
}

# Rust of at least the version in Cargo.toml. An existing toolchain is used; otherwise rustup
# installs one into the home directory.
need_rust() {
    local wanted
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    if ! have cargo && [ -f "$HOME/.cargo/env" ]; then
        # shellcheck disable=SC1091
        . "$HOME/.cargo/env"
    fi
    if ! have cargo; then
        need_command curl curl
        say "installing Rust with rustup into $HOME/.cargo"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal ||
            fail "cannot reach rustup: install Rust $wanted or newer (https://rustup.rs)"
        # shellcheck disable=SC1091
        . "$HOME/.cargo/env"
    fi
    local found
    found=$(rustc --version | cut -d ' ' -f 2)
    if ! at_least "$found" "$wanted"; then
        have rustup || fail "Rust $found is too old: $wanted or newer is needed"
        say "updating Rust $found, $wanted or newer is needed"
        rustup toolchain install stable --profile minimal
        export RUSTUP_TOOLCHAIN=stable
        found=$(rustc --version | cut -d ' ' -f 2)
        at_least "$found" "$wanted" || fail "Rust $found is too old: $wanted or newer is needed"
    fi
}

# need_cargo_tool FOLDER NAME VERSION: a program that cargo builds, into a folder of its own.
need_cargo_tool() {
    local folder=$1 name=$2 version=$3
    if ! grep -qs "^\"$name $version " "$folder/.crates.toml"; then
        say "building $name $version into $folder"
        cargo install --quiet --locked --root "$folder" "$name" --version "$version"
    fi
}

# at_least FOUND WANTED: compares versions by major and minor number.
at_least() {
    local found_major found_minor wanted_major wanted_minor
    IFS=. read -r found_major found_minor _ <<<"$1"
    IFS=. read -r wanted_major wanted_minor _ <<<"$2"
    [ "$found_major" -gt "$wanted_major" ] ||
        { [ "$found_major" -eq "$wanted_major" ] && [ "$found_minor" -ge "$wanted_minor" ]; }
}

# What the build is called in `--version`.
set_revision() {
    if [ -z "${INFLUXDB3_REVISION:-}" ] && have git; then
        INFLUXDB3_REVISION=$(git rev-parse --short HEAD 2>/dev/null || true)
        [ -n "$INFLUXDB3_REVISION" ] && export INFLUXDB3_REVISION
    fi
    return 0
}

# Python that can make environments of its own.
need_venv() {
    need_command python3 python3
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        have apt-get || fail "Python has no module venv: install it"
        install_debian python3-venv
    fi
}

# need_emulators FOLDER: the object stores that the tests talk to, in a folder of their own: moto
# plays S3 and Google Cloud Storage, Azurite plays Azure. Besides, the programs that read Parquet
# files there. Installed once; nothing outside of the folder changes.
need_emulators() {
    local folder=$1 versions='moto==5.2.5 azurite@3.37.0 pyarrow==26.0.1 duckdb==2.0.0 pandas==3.1.1'
    if [ "$(cat "$folder/versions" 2>/dev/null)" = "$versions" ]; then
        return
    fi
    need_venv
    need_command npm npm
    say "installing emulators of object stores into $folder"
    rm -rf "$folder"
    mkdir -p "$folder"
    python3 -m venv "$folder/python"
    "$folder/python/bin/pip" install --quiet 'moto[server]==5.2.5' \
        pyarrow==26.0.1 duckdb==2.0.0 pandas==3.1.1
    npm install --silent --no-audit --no-fund --prefix "$folder/npm" azurite@3.37.0
    printf '%s\n' "$versions" >"$folder/versions"
}

# InfluxDB of version 1, whose answers the tests compare with ours, and its command line. Only Debian
# and its relatives have the packages; elsewhere these tests say that they are skipped.
need_version_1() {
    if [ -x /usr/bin/influxd ] && [ -x /usr/bin/influx ]; then
        return
    fi
    if ! have apt-get; then
        say "no packages of InfluxDB 1 here: the tests that compare with it are skipped"
        return
    fi
    # The tests start a server of their own; the service of the package is not wanted.
    install_debian influxdb influxdb-client
    if have systemctl && [ -d /run/systemd/system ]; then
        as_root systemctl disable --now influxdb || true
    fi
}

# need_clients FOLDER: the client libraries that the tests use, in a folder of their own. Installed
# once; nothing outside of the folder changes.
need_clients() {
    local folder=$1
    local python=(influxdb3-python==0.21.0 influxdb-client==1.50.0 influxdb==5.3.2
        adbc-driver-flightsql==1.13.0 adbc-driver-manager==1.13.0 pyarrow==26.0.1 pandas==3.1.1)
    local node=(@influxdata/influxdb3-client@2.1.0 influx@5.12.0)
    local versions="${python[*]} ${node[*]}"
    if [ "$(cat "$folder/versions" 2>/dev/null)" = "$versions" ]; then
        return
    fi
    need_venv
    need_command npm npm
    say "installing client libraries into $folder"
    rm -rf "$folder"
    mkdir -p "$folder/npm"
    python3 -m venv "$folder/python"
    "$folder/python/bin/pip" install --quiet "${python[@]}"
    npm install --silent --no-audit --no-fund --prefix "$folder/npm" "${node[@]}"
    printf '%s\n' "$versions" >"$folder/versions"
}
