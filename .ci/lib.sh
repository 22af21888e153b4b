# shellcheck shell=bash
# What scripts share; they source it.

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

# dynamodbLib sets lib to the folder of the jars of DynamoDB Local, in the
# version of dynamodb.pom.xml, and reports whether they are there.
dynamodbLib() {
  pom=$(dirname "${BASH_SOURCE[0]}")/dynamodb.pom.xml
  lib=${BLDST_CACHE:-$HOME/.cache/bldst}/dynamodb-local-$(sed -n 's|.*<version>\([0-9.]*\.[0-9.]*\)</version>.*|\1|p' "$pom")
  [ -d "$lib" ]
}

# canFetchDynamodb reports whether the jars are there or Maven can fetch them.
canFetchDynamodb() {
  dynamodbLib || command -v mvn >/dev/null || { echo "mvn is missing: apt-get install maven (or put the jars of DynamoDB Local into $lib)" >&2; return 1; }
}

# fetchDynamodb fetches the jars by Maven, once, whole or not at all.
fetchDynamodb() {
  local new
  canFetchDynamodb || return 1
  [ ! -d "$lib" ] || return 0
  mkdir -p "$(dirname "$lib")"
  new=$(mktemp -d "$lib.XXXXXX")
  retry mvn -q -B -f "$pom" dependency:copy-dependencies -DoutputDirectory="$new" >&2 || { rm -rf "$new"; return 1; }
  mv -T "$new" "$lib" 2>/dev/null || rm -rf "$new" # another run may have been faster
}
