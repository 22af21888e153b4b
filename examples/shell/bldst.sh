# shellcheck shell=bash disable=SC2034 # the variables are for the script that sources this
# bldst.sh - what a shell pipeline needs of the build state API, in bash and curl. Source it.
#
#   bldst_build                               attach to (or create) the build; sets BLDST_BUILD, BLDST_STATUS, BLDST_CURRENT
#   bldst_state CODE STATUS MESSAGE [META]    report a state; META is a JSON object
#   bldst_failure CODE TYPE RETRYABLE MESSAGE [DETAILS]
#   bldst_checkpoint NAME PATH STATE [META]   register a file from which the build can go on
#   bldst_image NAME PATH STATE [META]        register the final image
#   bldst_resume_point                        print where the build can go on (see there)
#   bldst_get PATH                            GET, the answer in BLDST_BODY
#   bldst_heart_start CODE, bldst_heart_stop  say that this worker is alive while it works on a state
#   bldst_find ID, bldst_join ATTEMPT         attach to the attempt that a resume has opened, in the job it started
#
# Needs: BLDST_API_URL, BLDST_API_KEY, BLDST_PROJECT, BLDST_PLATFORM, BLDST_OS_VERSION, BLDST_IMAGE_TYPE, BLDST_BUILD_NUMBER,
# and BLDST_SPOOL, a directory that survives this process. BLDST_WORKER says who reports: a worker with a name has promised to beat.
#
# A lost API never fails the build. Every report is first written to the spool, then sent in order, then removed; what could
# not be sent is sent before the next report, or by the next run. Each carries its Idempotency-Key, so a replay counts once.

BLDST_TRIES=${BLDST_TRIES:-3}
BLDST_BEAT=${BLDST_BEAT:-3} # seconds from one heartbeat to the next
BLDST_WORKER=${BLDST_WORKER:-}
BLDST_BUILD='' BLDST_STATUS='' BLDST_CURRENT='' BLDST_BODY='' BLDST_CODE=''
BLDST_ATTEMPT='' # the attempt this run's reports belong to; the API refuses those of an attempt that was replaced
BLDST_STALE=0    # 1: refused like that, so another runner has taken the build over
BLDST_DOWN=0     # 1: the last call found no API; the next ones try once only
BLDST_HEART=''   # the process that beats

bldst_warn() { printf 'bldst: %s\n' "$*" >&2; }

# --- JSON, as much as is needed ----------------------------------------------------------------------------------------------

# json_string TEXT: TEXT as a JSON string.
json_string() {
  local text
  text=$(printf '%s' "$1" | tr '\n\t' '\002\003' | tr -d '\001\004-\037')
  text=${text//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\002'/\\n}
  printf '"%s"' "${text//$'\003'/\\t}"
}

# json_flat: JSON on stdin to lines "path<TAB>value", like artifacts.0.checksum<TAB>9f86...; null is left out.
json_flat() {
  LC_ALL=C grep -oE '"([^"\\]|\\.)*"|[][{},:]|[^][{},:"[:space:]]+' | LC_ALL=C awk '
    function text(s,  at, code) {
      if (s !~ /^"/) return s
      s = substr(s, 2, length(s) - 2)
      while (match(s, /\\u00[2-7][0-9a-fA-F]/)) {
        at = RSTART; code = tolower(substr(s, at + 4, 2))
        code = 16 * substr(code, 1, 1) + index("0123456789abcdef", substr(code, 2, 1)) - 1
        s = substr(s, 1, at - 1) sprintf("%c", code) substr(s, at + 6)
      }
      gsub(/\\"/, "\"", s); gsub(/\\\//, "/", s); gsub(/\\\\/, "\\", s)
      return s
    }
    function path(  i, p) {
      for (i = 1; i <= depth; i++) p = p (i > 1 ? "." : "") (kind[i] == "{" ? key[i] : item[i])
      return p
    }
    /^[[{]$/ { depth++; kind[depth] = $0; item[depth] = 0; naming[depth] = 1; next }
    /^[]}]$/ { depth--; next }
    $0 == "," { if (kind[depth] == "[") item[depth]++; else naming[depth] = 1; next }
    $0 == ":" { naming[depth] = 0; next }
    kind[depth] == "{" && naming[depth] { key[depth] = text($0); next }
    $0 != "null" { print path() "\t" text($0) }'
}

# json_get PATH: the value at PATH of the JSON on stdin, empty when absent or null.
json_get() { json_flat | awk -F '\t' -v path="$1" '$1 == path { print $2 }'; }

# json_rows PREFIX FIELD...: one line per element of the array at PREFIX ("" = the whole document); fields separated by \037.
json_rows() {
  local prefix=$1
  shift
  json_flat | awk -F '\t' -v prefix="$prefix" -v names="$*" '
    index($1, prefix) == 1 {
      name = substr($1, length(prefix) + 1); i = name; sub(/\..*/, "", i)
      value[i, substr(name, length(i) + 2)] = $2
      if (i + 0 >= rows) rows = i + 1
    }
    END {
      count = split(names, field, " ")
      for (i = 0; i < rows; i++) {
        line = value[i, field[1]]
        for (f = 2; f <= count; f++) line = line "\037" value[i, field[f]]
        print line
      }
    }'
}

# --- HTTP --------------------------------------------------------------------------------------------------------------------

# The key goes to curl in a configuration it reads from a pipe: never among the arguments that ps shows.
bldst_curl_config() {
  local key=${BLDST_API_KEY//\\/\\\\}
  printf 'header = "X-API-Key: %s"\n' "${key//\"/\\\"}"
}

# bldst_call METHOD PATH [BODY [IDEMPOTENCY_KEY]]: 0 accepted, 1 refused, 2 the API is lost. Sets BLDST_CODE, BLDST_BODY.
bldst_call() {
  local method=$1 path=$2 body=${3-} key=${4-} try tries=$BLDST_TRIES answer
  local headers=${BLDST_SPOOL:-}/.headers # with an Idempotency-Key only
  local -a options=(--silent --connect-timeout 5 --max-time 30 --request "$method"
    --write-out '\n%{http_code}' --header 'Accept: application/json')
  [[ -z $body ]] || options+=(--header 'Content-Type: application/json' --data-binary @-)
  [[ -z $key ]] || options+=(--header "Idempotency-Key: $key" --dump-header "$headers")
  ((BLDST_DOWN)) && tries=1
  for ((try = 1; try <= tries; try++)); do
    ((try == 1)) || sleep $((try - 1))
    answer=$(printf '%s' "$body" | curl --config <(bldst_curl_config) "${options[@]}" "${BLDST_API_URL%/}$path") || true
    BLDST_CODE=${answer##*$'\n'}
    BLDST_BODY=${answer%$'\n'*}
    case $BLDST_CODE in
      2??)
        BLDST_DOWN=0
        return 0
        ;;
      429 | 5?? | 000 | '') ;;
      409) { [[ -n $key ]] && grep -qi '^retry-after:' "$headers"; } || return 1 ;; # with it: the same request is still being worked on
      *) return 1 ;;
    esac
  done
  BLDST_DOWN=1
  return 2
}

bldst_get() { bldst_call GET "$1"; }

# What the API said about a refusal.
bldst_detail() { printf 'HTTP %s %s' "$BLDST_CODE" "$BLDST_BODY"; }

# --- Reports -----------------------------------------------------------------------------------------------------------------

# bldst_report METHOD PATH BODY: never fails. Look at BLDST_STALE afterwards.
bldst_report() {
  local file key
  key=$(cat /proc/sys/kernel/random/uuid)
  file=$BLDST_SPOOL/$(date +%s%N).report
  printf '%s\n' "$1" "$2" "$key" "$3" >"$file.new"
  mv "$file.new" "$file"
  bldst_flush
}

# bldst_flush: send what the spool holds, oldest first.
bldst_flush() {
  local file method path key body rc
  [[ -n $BLDST_ATTEMPT || ! -f $BLDST_SPOOL/attempt ]] || BLDST_ATTEMPT=$(<"$BLDST_SPOOL/attempt")
  for file in "$BLDST_SPOOL"/*.report; do
    [[ -e $file ]] || return 0
    { read -r method && read -r path && read -r key && read -r body; } <"$file"
    case $path in
      */state | */failure) [[ -z $BLDST_ATTEMPT ]] || body="{\"attempt\":$BLDST_ATTEMPT,${body:1}" ;;
    esac
    rc=0
    bldst_call "$method" "$path" "$body" "$key" || rc=$?
    if ((rc == 2)) || [[ $BLDST_CODE == 40[13] ]]; then
      bldst_warn "warning: $method $path not delivered (${BLDST_CODE:-no answer}); kept in $BLDST_SPOOL, the build goes on"
      return 0
    elif ((rc == 1)); then
      bldst_refused "$method" "$path"
    else
      bldst_attempt
    fi
    rm -f "$file"
  done
}

# An answer that names an attempt tells to which one this run belongs from now on.
bldst_attempt() {
  local attempt
  attempt=$(json_get attempt <<<"$BLDST_BODY")
  [[ $attempt =~ ^[0-9]+$ ]] || return 0
  BLDST_ATTEMPT=$attempt
  printf '%s\n' "$attempt" >"$BLDST_SPOOL/attempt"
}

bldst_refused() {
  case "$BLDST_CODE $(json_get code <<<"$BLDST_BODY") $2" in
    '409 stale_attempt '*) BLDST_STALE=1 ;;
    409*/artifacts) return 0 ;; # the name carries the checksum: the same bytes are registered already
  esac
  bldst_warn "warning: $1 $2 was refused: $(bldst_detail)"
}

# bldst_build: 0 attached, 1 refused, 2 API lost (creation is spooled; the build number serves as the id).
bldst_build() {
  local body rc=0
  mkdir -p "$BLDST_SPOOL"
  rm -f "$BLDST_SPOOL/stop"
  BLDST_BUILD=$BLDST_BUILD_NUMBER
  bldst_flush # what an earlier run could not deliver comes first
  BLDST_STALE=0
  body=$(printf '{"build_number":%s,"project_id":%s,"platform_id":%s,"os_version_id":%s,"image_type_id":%s,"created_by":%s}' \
    "$(json_string "$BLDST_BUILD_NUMBER")" "$(json_string "$BLDST_PROJECT")" "$(json_string "$BLDST_PLATFORM")" \
    "$(json_string "$BLDST_OS_VERSION")" "$(json_string "$BLDST_IMAGE_TYPE")" "$(json_string "shell@$(uname -n)")")
  bldst_call POST '/builds?attach=true' "$body" || rc=$?
  if ((rc == 2)); then
    bldst_report POST '/builds?attach=true' "$body"
    return 2
  fi
  ((rc == 0)) || return 1
  bldst_attempt
  BLDST_BUILD=$(json_get id <<<"$BLDST_BODY")
  BLDST_STATUS=$(json_get status <<<"$BLDST_BODY")
  BLDST_CURRENT=$(json_get current_state <<<"$BLDST_BODY")
}

# bldst_find ID: 0 found, 1 refused, 2 API lost. Sets what bldst_build sets, and BLDST_BUILD_NUMBER and BLDST_OPEN, the attempt
# that is open now. Needs no spool.
bldst_find() {
  bldst_get "/builds/$1" || return
  BLDST_BUILD=$(json_get id <<<"$BLDST_BODY")
  BLDST_BUILD_NUMBER=$(json_get build_number <<<"$BLDST_BODY")
  BLDST_STATUS=$(json_get status <<<"$BLDST_BODY")
  BLDST_CURRENT=$(json_get current_state <<<"$BLDST_BODY")
  BLDST_OPEN=$(json_get attempt <<<"$BLDST_BODY")
}

# bldst_join ATTEMPT: this run's reports belong to that attempt of the build bldst_find has found.
bldst_join() {
  mkdir -p "$BLDST_SPOOL"
  rm -f "$BLDST_SPOOL/stop"
  bldst_flush # of the attempt before: it is for the API to say whether that still counts
  BLDST_STALE=0 BLDST_ATTEMPT=$1
  printf '%s\n' "$1" >"$BLDST_SPOOL/attempt"
}

# The worker as a field of a report, when there is one.
bldst_worker() { [[ -z $BLDST_WORKER ]] || printf '"worker":%s,' "$(json_string "$BLDST_WORKER")"; }

bldst_state() {
  bldst_report POST "/builds/$BLDST_BUILD/state" "$(printf '{%s"state_code":%d,"status":%s,"message":%s,"metadata":%s}' \
    "$(bldst_worker)" "$1" "$(json_string "$2")" "$(json_string "$3")" "${4:-"{}"}")"
}

bldst_failure() {
  bldst_report POST "/builds/$BLDST_BUILD/failure" "$(printf \
    '{%s"state_code":%d,"failure_type":%s,"is_retryable":%s,"error_message":%s,"component":"shell","error_details":%s}' \
    "$(bldst_worker)" "$1" "$(json_string "$2")" "$3" "$(json_string "$4")" "${5:-"{}"}")"
}

# --- Heartbeats --------------------------------------------------------------------------------------------------------------

# bldst_heart_start CODE: beat in the background while this script works on state CODE, until bldst_heart_stop or until this
# script is gone, however it went. When the API wants the worker to stop, this script gets SIGUSR1 and what it is running SIGTERM;
# bldst_stop_reason then says why. Without BLDST_WORKER nothing was promised, and nothing beats.
bldst_heart_start() {
  bldst_heart_stop
  [[ -n $BLDST_WORKER ]] || return 0
  bldst_heart "$1" "$$" </dev/null >/dev/null 2>&1 &
  BLDST_HEART=$!
}

bldst_heart_stop() {
  [[ -n $BLDST_HEART ]] || return 0
  kill "$BLDST_HEART" 2>/dev/null || true
  wait "$BLDST_HEART" 2>/dev/null || true
  BLDST_HEART=''
}

# stale: another attempt is open. ended: so is the whole build. cancelled: report that. Empty: nobody asked for a stop.
bldst_stop_reason() { if [[ -f $BLDST_SPOOL/stop ]]; then cat "$BLDST_SPOOL/stop"; fi; }

bldst_heart() { # CODE SCRIPT
  local stat reason child
  local -a children=()
  BLDST_TRIES=1
  while :; do
    read -r stat <"/proc/$BASHPID/stat" && stat=${stat##*) }
    [[ $stat == [A-Z]" $2 "* ]] || return 0 # our parent is not the script any more: it is gone
    reason=$(bldst_beat "$1")
    [[ -z $reason ]] || break
    sleep "$BLDST_BEAT"
  done
  printf '%s\n' "$reason" >"$BLDST_SPOOL/stop"
  kill -USR1 "$2"
  read -r -a children <"/proc/$2/task/$2/children" || true
  for child in "${children[@]}"; do
    [[ $child == "$BASHPID" ]] || kill "$child" || true
  done
}

# bldst_beat CODE: one heartbeat; prints why the worker has to stop, if it has to. A lost API is no reason.
bldst_beat() {
  local rc=0
  bldst_call POST "/builds/$BLDST_BUILD/heartbeat" "$(printf '{"attempt":%d,%s"state_code":%d}' "$BLDST_ATTEMPT" "$(bldst_worker)" "$1")" || rc=$?
  case $rc,$(json_get cancel_requested <<<"$BLDST_BODY"),$(json_get code <<<"$BLDST_BODY") in
    0,true,*) printf 'cancelled' ;;
    1,*,stale_attempt) printf 'stale' ;;
    1,*,refused) printf 'ended' ;;
  esac
}

# --- Checkpoints and images --------------------------------------------------------------------------------------------------

# A checkpoint lives for BLDST_KEEP_DAYS days; the API never offers it for a resume after that.
bldst_checkpoint() {
  local expires
  expires=$(date -u -d "+${BLDST_KEEP_DAYS:-7} days" +%Y-%m-%dT%H:%M:%SZ)
  bldst_artifact "$1" "$2" "$3" "${4:-"{}"}" "\"artifact_type\":\"root_tree\",\"is_resumable\":true,\"expires_at\":\"$expires\""
}

bldst_image() { bldst_artifact "$1" "$2" "$3" "${4:-"{}"}" '"artifact_type":"disk_image","is_resumable":false,"is_final":true'; }

bldst_artifact() {
  local sum
  sum=$(sha256sum <"$2")
  bldst_report POST "/builds/$BLDST_BUILD/artifacts" "$(printf \
    '{"artifact_name":%s,"artifact_path":%s,"state_code":%d,"storage_backend":"local","size_bytes":%d,%s,%s,"metadata":%s}' \
    "$(json_string "$1-${sum:0:12}")" "$(json_string "file://$2")" "$3" "$(stat -c %s "$2")" \
    "\"checksum\":\"${sum%% *}\",\"checksum_algorithm\":\"sha256\"" "$5" "$4")"
}

# bldst_resume_point: first line the last successful state (empty: none); then the checkpoints up to it, newest first:
# state, name, path, checksum (bare hex), fingerprint, separated by \037. 2 when the API is lost.
bldst_resume_point() {
  local last
  bldst_get "/builds/$BLDST_BUILD/resume-context" || return
  last=$(json_get last_successful_state <<<"$BLDST_BODY")
  printf '%s\n' "$last"
  json_rows artifacts. state_code created_at artifact_type artifact_name artifact_path checksum metadata.fingerprint <<<"$BLDST_BODY" |
    sort -t $'\037' -k1,1nr -k2,2r |
    awk -F '\037' -v OFS='\037' -v last="${last:-0}" '$1 + 0 <= last + 0 && $3 == "root_tree" {
      sub(/^file:\/\//, "", $5); sub(/^sha256:/, "", $6); print $1, $4, $5, $6, $7 }'
}

# bldst_done: the newest "completed" report of every state: state, seconds, checkpoint it worked on, separated by \037.
bldst_done() {
  bldst_get "/builds/$BLDST_BUILD/states?limit=1000" || return
  json_rows '' created_at state_code status metadata.seconds metadata.checkpoint <<<"$BLDST_BODY" | sort -s -t $'\037' -k1,1 |
    awk -F '\037' -v OFS='\037' '$3 == "completed" { seconds[$2] = $4 + 0; checkpoint[$2] = $5 }
      END { for (s in seconds) print s, seconds[s], checkpoint[s] }' | sort -n
}
