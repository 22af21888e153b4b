# shellcheck shell=bash
# What the scripts of this folder share; they source it.

step() { printf '\n=== %s (%ss)\n' "$*" "$SECONDS"; }

# retry COMMAND...: what did not answer may answer later.
retry() {
  local i
  for i in 1 2 3 4; do
    "$@" && return
    echo "retry: '$*' failed, try $i of 4" >&2
    [ "$i" = 4 ] || sleep $((i * i * 5))
  done
  return 1
}

debian() { DEBIAN_FRONTEND=noninteractive retry apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" >/dev/null; }

# need COMMAND PACKAGE installs a Debian package for a command that is missing.
need() {
  command -v "$1" >/dev/null 2>&1 && return
  if [ -z "${updated:-}" ]; then
    debian update
    updated=1
  fi
  debian install -y --no-install-recommends "$2"
}
