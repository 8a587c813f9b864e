#!/usr/bin/env bash
# Checks what the machine needs before any long work: Java for Spark, a compiler unless Horovod is
# compiled already, and Python's venv unless uv is installed. Installs what is missing, or prints the
# command if it may not.
set -euo pipefail
source setup/versions.sh

java_release() {
    "${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p'
}

has_java() { [[ $(java_release) =~ ^(17|21)$ ]]; }

has_compiler() { horovod_wheel >/dev/null || { command -v "${CXX:-c++}" && command -v make; } >/dev/null; }

has_venv() { setup/uv.sh --found >/dev/null || python3 -c 'import ensurepip' 2>/dev/null; }

needs() {
    has_java || echo "Java 17 or 21"
    has_compiler || echo "a C++ compiler and make"
    has_venv || echo "Python 3 with venv"
}

knows() { apt-cache show "$1" >/dev/null 2>&1; }

# Prints the missing Debian packages. Newer releases have no Java 17, older ones no 21.
packages() {
    if ! has_java; then
        if knows openjdk-21-jre-headless && ! knows openjdk-17-jre-headless; then
            echo openjdk-21-jre-headless
        else
            echo openjdk-17-jre-headless
        fi
    fi
    has_compiler || echo g++ make
    has_venv || echo python3-venv
}

missing=$(needs | paste -sd, | sed 's/,/, /g')
[[ -n $missing ]] || exit 0

if ! has_java && [[ -n ${JAVA_HOME:-} ]]; then
    stop "JAVA_HOME is not a Java 17 or 21: \`unset JAVA_HOME\`, then run \`make setup\`"
fi
command -v apt-get >/dev/null ||
    stop "missing: $missing. Install it with this system's package manager, then run \`make setup\`"

as_root=()
if [[ $(id -u) != 0 ]]; then
    sudo -n true 2>/dev/null ||
        stop "missing: $missing. Run \`sudo apt-get update && \
sudo apt-get install -y --no-install-recommends $(packages | paste -sd' ') && make setup\`"
    as_root=(sudo -n)
fi

say "installing $missing"
as_root+=(env DEBIAN_FRONTEND=noninteractive)
"${as_root[@]}" apt-get update -qq </dev/null >/dev/null
# shellcheck disable=SC2046
"${as_root[@]}" apt-get install -y -qq --no-install-recommends $(packages) </dev/null >/dev/null

has_java || stop "another Java comes first on PATH: set JAVA_HOME to the one of \
\`update-java-alternatives --list\` that is 17 or 21, then run \`make setup\`"
