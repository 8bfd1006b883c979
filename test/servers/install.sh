#!/bin/sh
# Installs servers, or other packages, for the tests on Debian or Ubuntu, as root, and starts none: `install.sh [package]...`.
set -eu
packages=${*:-redis-server postgresql mariadb-server}

# Several test processes may find at once that something is missing: the first one installs.
exec 9<"$0"
flock 9

missing=
for package in $packages; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

policy=/usr/sbin/policy-rc.d
ours=
sources=
trap 'rm -rf $ours $sources' EXIT
trap 'exit 1' HUP INT TERM
if [ ! -e "$policy" ]; then
  ours=$policy
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get -qq update

# Debian 12 has Valkey in its backports, which every mirror has beside the updates. They are a source for this run alone: a
# copy of the machine's, with lists of its own. By their priority nothing comes from them that is elsewhere.
options=
case "$missing" in
*valkey*)
  release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  if ! apt-cache show valkey-server >/dev/null 2>&1; then
    sources=$(mktemp -d)
    chmod 755 "$sources"
    mkdir -p "$sources/parts" "$sources/lists/partial"
    cp /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources "$sources/parts" 2>/dev/null || true
    cat /etc/apt/sources.list >"$sources/parts/main.list" 2>/dev/null || true
    sed -i "s/\b$release-updates\b/$release-backports/" "$sources"/parts/*
    options="-o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$sources/parts -o Dir::State::lists=$sources/lists \
      -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache="
    # shellcheck disable=SC2086 # several words
    apt-get -qq $options update
  fi
  ;;
esac

# shellcheck disable=SC2086 # several words
apt-get -qq -y --no-install-recommends $options \
  -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-unsafe-io \
  install $missing
