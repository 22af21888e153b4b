#!/usr/bin/env bash
# build.sh [FOLDER] - builds a disk image in numbered states, and can be killed at any moment: started again with the same
# build number it asks the API where it was, verifies the newest checkpoint, restores it and goes on. README.md has the rest.
#
#   BLDST_BUILD_NUMBER=demo-1 BLDST_API_KEY=... ./build.sh /tmp/demo
#
# As the job that a CI starts for a resume: RESUME_MODE=true BUILD_ID=... RESUME_FROM_STATE=... [ATTEMPT=...] ./build.sh /tmp/demo
set -Eeuo pipefail
umask 022
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=examples/shell/bldst.sh
. "$HERE/bldst.sh"

BLDST_API_URL=${BLDST_API_URL:-http://localhost:8080}
BLDST_API_KEY=${BLDST_API_KEY:-}
BLDST_PROJECT=${BLDST_PROJECT:-default}
BLDST_PLATFORM=${BLDST_PLATFORM:-openstack}
BLDST_OS_VERSION=${BLDST_OS_VERSION:-rhel-9.3}
BLDST_IMAGE_TYPE=${BLDST_IMAGE_TYPE:-base}
BLDST_BUILD_NUMBER=${BLDST_BUILD_NUMBER:-shell-$(date -u +%Y%m%d-%H%M%S)}
BLDST_WORKER=${BLDST_WORKER:-$(uname -n)-$$}
RESUME_MODE=${RESUME_MODE:-false}
PACE=${PACE:-0} # seconds every state is held back, for demonstrations

FOLDER=$(realpath -m "${1:-.}")
places() { # once the number of the build is known
  WORK=$(realpath -m "${WORK:-$FOLDER/work}")/$BLDST_BUILD_NUMBER
  OUT=$(realpath -m "${OUT:-$FOLDER/$BLDST_BUILD_NUMBER.raw}")
  ROOT=$WORK/root
  CHECKPOINTS=$WORK/checkpoints
  BLDST_SPOOL=$WORK/spool
}
EPOCH=1704067200       # every time stamp in the image
OFFSET=$((1024 * 1024)) # where its partition begins

STATES=(5 20 40 60 80 95)
declare -A NAME=([5]='preparation' [20]='root file tree' [40]='tools installed' [60]='configuration' [80]='tests'
  [95]='disk image' [100]='completed')
declare -A LEAVES_TREE=([20]=1 [40]=1 [60]=1) # after these the tree is packed: the expensive ones, whose work is in the tree

say() { printf '%s\n' "$*"; }
note() { printf 'build.sh: %s\n' "$*" >&2; }
die() {
  WHY=$*
  note "$*"
  exit 1
}

# --- The recipe: one function per state --------------------------------------------------------------------------------------

# put PATH MODE: stdin to a file of the tree.
put() {
  mkdir -p "$ROOT/$(dirname "$1")"
  rm -f "$ROOT/$1"
  cat >"$ROOT/$1"
  chmod "$2" "$ROOT/$1"
}

is_elf() { [[ -f $1 && ! -L $1 && $(head -c 4 "$1" | tr -d '\0') == $'\177ELF' ]]; }

# libraries FILE: the shared libraries FILE is loaded with, one path a line; nothing for a static one.
libraries() { { ldd "$1" 2>/dev/null || true; } | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }'; }

# install_program NAME: the host's program of that name, with the libraries it needs, at the same place.
install_program() {
  local file library
  file=$(type -P "$1")
  rm -f "$ROOT/usr/bin/$1"
  cp -L "$file" "$ROOT/usr/bin/$1"
  chmod 755 "$ROOT/usr/bin/$1"
  while read -r library; do
    [[ -e $ROOT$library ]] || { mkdir -p "$ROOT$(dirname "$library")" && cp -L "$library" "$ROOT$library" && chmod 755 "$ROOT$library"; }
  done < <(libraries "$file")
}

has_static_busybox() { type -P busybox >/dev/null && [[ -z $(libraries "$(type -P busybox)") ]]; }

state_5() {
  local free
  free=$(df --output=avail -m "$WORK" | tail -n 1)
  ((free >= 500)) || die "$WORK has $free MB free, 500 are needed"
  has_static_busybox || note "no static busybox here (Debian package busybox-static): the host's own tools are used"
  say "     $(uname -m), bash ${BASH_VERSION%%(*}, $(tar --version | head -n 1), ${free// /} MB free"
}

state_20() {
  local directory link applet
  for directory in boot dev etc/init.d home media mnt opt proc root run srv sys tmp usr/{bin,sbin,lib,lib64,share,local} \
    var/{cache,lib,log,spool,tmp}; do
    mkdir -p "$ROOT/$directory"
  done
  for link in bin sbin lib lib64; do ln -s "usr/$link" "$ROOT/$link"; done
  chmod 1777 "$ROOT/tmp" "$ROOT/var/tmp"

  if has_static_busybox; then
    cp -L "$(command -v busybox)" "$ROOT/usr/bin/busybox"
    while read -r applet; do
      ln -s busybox "$ROOT/usr/bin/$applet"
    done < <(busybox --list | grep -vxE 'busybox|init') # init is ours
  else
    for applet in sh cat chmod cp dd df echo env false hostname id ln ls mkdir mount mv ps rm sleep stty sync touch tr true umount uname; do
      if type -P "$applet" >/dev/null; then install_program "$applet"; fi
    done
  fi

  put etc/passwd 644 <<'END'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
nobody:x:65534:65534:nobody:/:/bin/false
END
  put etc/group 644 <<'END'
root:x:0:
daemon:x:1:
tty:x:5:
shadow:x:42:
nogroup:x:65534:
END
  put etc/os-release 644 <<END
NAME="bldst example"
ID=bldst-example
PRETTY_NAME="bldst example image ($BLDST_IMAGE_TYPE for $BLDST_PLATFORM)"
VARIANT_ID=$BLDST_IMAGE_TYPE
IMAGE_ID=$BLDST_PLATFORM-$BLDST_OS_VERSION-$BLDST_IMAGE_TYPE
END
  put usr/sbin/init 755 <<'END'
#!/bin/sh
# The first process: mounts what is needed, runs the start scripts, then keeps a shell on the console.
export PATH=/usr/sbin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
for script in /etc/init.d/[0-9]*; do
  if [ -x "$script" ]; then "$script"; fi
done
while :; do
  /bin/sh -l
  sleep 1
done
END
}

state_40() {
  local program package
  for program in bash tar gzip curl openssl ssh-keygen find grep sed awk xargs diff sha256sum sort stat mke2fs e2fsck debugfs sfdisk; do
    if type -P "$program" >/dev/null; then install_program "$program"; fi
  done
  if [[ -f /etc/ssl/certs/ca-certificates.crt ]]; then put etc/ssl/certs/ca-certificates.crt 644 </etc/ssl/certs/ca-certificates.crt; fi

  # What is inside, from which package, and under which licence.
  find "$ROOT/usr" -type f -printf '/%P\n' | sort >"$WORK/files" # a package may name them with or without /usr
  { sed 'p; s,^,/usr,' "$WORK/files" | xargs dpkg-query -S 2>/dev/null || true; } | sed 's,: /usr/,: /,' >"$WORK/packages"
  (cd "$ROOT" && sed 's,^,usr,' "$WORK/files" | xargs sha256sum) |
    awk -v OFS='\t' -v packages="$WORK/packages" '
      BEGIN { while ((getline line <packages) > 0) { split(line, part, ": "); sub(/[:,].*/, "", part[1]); owner[part[2]] = part[1] } }
      { path = substr($2, 4); if (path == "/sbin/init") delete owner[path] # that one is ours
        print $1, "/" $2, path in owner ? owner[path] : "-" }' | put usr/share/image/contents.tsv 644
  while read -r package; do
    if [[ -f /usr/share/doc/$package/copyright ]]; then put "usr/share/doc/$package/copyright" 644 <"/usr/share/doc/$package/copyright"; fi
  done < <(cut -f3 "$ROOT/usr/share/image/contents.tsv" | sort -u)
  if [[ -d /usr/share/common-licenses ]]; then
    cp -rL /usr/share/common-licenses "$ROOT/usr/share/licenses"
    find "$ROOT/usr/share/licenses" "$ROOT/usr/share/doc" -type f -exec gzip -9nf {} +
  fi
}

state_60() {
  put etc/hostname 644 <<<'image'
  put etc/hosts 644 <<<$'127.0.0.1\tlocalhost image'
  put etc/fstab 644 <<'END'
LABEL=root  /     ext4   defaults,errors=remount-ro        0 1
tmpfs       /tmp  tmpfs  nosuid,nodev,mode=1777,size=64m   0 0
END
  put etc/network/interfaces 644 <<'END'
auto lo eth0
iface lo inet loopback
iface eth0 inet dhcp
END
  put etc/machine-id 644 </dev/null # filled in at first boot, like the host keys: an image must hold neither

  printf 'builder:x:1000:1000:builder:/home/builder:/bin/sh\n' >>"$ROOT/etc/passwd"
  printf 'builder:x:1000:\n' >>"$ROOT/etc/group"
  mkdir -p "$ROOT/home/builder"
  cut -d: -f1 "$ROOT/etc/passwd" | sed 's/$/:!:19723:0:99999:7:::/' | put etc/shadow 640

  put etc/motd 644 <<'END'
This image was built in numbered states; what it holds is listed in /usr/share/image/contents.tsv
END
  put etc/ssh/sshd_config 600 <<'END'
PermitRootLogin no
PasswordAuthentication no
KbdInteractiveAuthentication no
X11Forwarding no
MaxAuthTries 3
END
  put etc/sysctl.d/90-hardening.conf 644 <<'END'
kernel.dmesg_restrict = 1
kernel.kptr_restrict = 2
net.ipv4.conf.all.rp_filter = 1
net.ipv4.conf.all.accept_redirects = 0
END
  put etc/init.d/10-system 755 <<'END'
#!/bin/sh
hostname "$(cat /etc/hostname)"
mount -o remount,rw / 2>/dev/null
END
  put etc/init.d/20-first-boot 755 <<'END'
#!/bin/sh
if [ ! -s /etc/machine-id ]; then tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id; fi
if [ -x /usr/bin/ssh-keygen ] && [ ! -f /etc/ssh/ssh_host_ed25519_key ]; then
  ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
fi
END
  chmod 700 "$ROOT/root" "$ROOT/home/builder"
  find "$ROOT" -type f -perm /6000 -exec chmod ug-s {} +
  find "$ROOT" -type f -perm /0022 -exec chmod go-w {} +
}

# Without root and without entering the tree; where user namespaces work, the programs are also run inside it.
state_80() {
  local file library errors=0 count=0 path mode
  wrong() {
    note "test: $*"
    WHY="tests failed, the last: $*"
    errors=$((errors + 1))
  }
  while read -r file; do
    if is_elf "$file"; then
      count=$((count + 1))
      while read -r library; do
        [[ -e $ROOT$library ]] || wrong "${file#"$ROOT"} needs $library, which is not in the tree"
      done < <(libraries "$file")
    elif [[ $(head -c 9 "$file" | tr -d '\0') == '#!/bin/sh' ]]; then
      sh -n "$file" || wrong "${file#"$ROOT"} is not a valid script"
    fi
  done < <(find "$ROOT/etc" "$ROOT/usr" -type f)
  ((count > 0)) || wrong "no program in the tree"
  while read -r path mode; do
    [[ $(stat -c %a "$ROOT/$path" 2>/dev/null) == "$mode" ]] || wrong "/$path is missing or its mode is not $mode"
  done <<'END'
etc/passwd 644
etc/shadow 640
etc/fstab 644
etc/os-release 644
etc/ssh/sshd_config 600
etc/init.d/10-system 755
usr/sbin/init 755
root 700
tmp 1777
usr/share/image/contents.tsv 644
END
  file=$(find "$ROOT" -xtype l -not -path "$ROOT/etc/*" | head -n 1)
  [[ -z $file ]] || wrong "$file points nowhere"
  file=$(find "$ROOT" -type f -perm /6022 | head -n 1)
  [[ -z $file ]] || wrong "$file is setuid or writable by others"
  file=$(find "$ROOT/etc/ssh" -name 'ssh_host_*' | head -n 1)
  [[ -z $file ]] || wrong "$file: a host key must not be in an image"

  if unshare -r chroot "$ROOT" /bin/sh -c : 2>/dev/null; then
    # shellcheck disable=SC2016 # for the shell inside
    unshare -r chroot "$ROOT" /bin/sh -c 'for p in bash tar gzip; do "$p" --version >/dev/null || exit; done; test -x /sbin/init' ||
      wrong "programs do not run inside the tree"
    say "     $count programs have their libraries, and run inside the tree"
  else
    say "     $count programs have their libraries (not run: no user namespaces here)"
  fi
  ((errors == 0))
}

# Always made from the checkpoint, so that an interrupted and an uninterrupted build give the same image.
state_95() {
  local part=$WORK/part.ext4 size uuid
  restore "$CHECKPOINT"
  size=$(($(du -sm --apparent-size "$ROOT" | cut -f1) * 5 / 4 + 48))
  uuid=${FINGERPRINT[60]:0:8}-${FINGERPRINT[60]:8:4}-4${FINGERPRINT[60]:13:3}-8${FINGERPRINT[60]:17:3}-${FINGERPRINT[60]:20:12}

  rm -f "$part" "$OUT.new"
  mkdir -p "$(dirname "$OUT")"
  truncate -s "${size}M" "$part"
  E2FSPROGS_FAKE_TIME=$EPOCH mke2fs -q -t ext4 -L root -U "$uuid" -E "hash_seed=$uuid,root_owner=0:0,lazy_itable_init=0" \
    -d "$ROOT" "$part"
  # Owners, times and device nodes: what a build without root cannot have in its tree.
  {
    find "$ROOT" -mindepth 1 -printf '/%P\n' | sort | awk -v epoch="$EPOCH" '
      { uid = gid = 0 }
      $0 == "/etc/shadow" { gid = 42 }
      /^\/home\/builder/ { uid = gid = 1000 }
      { print "sif \"" $0 "\" uid " uid; print "sif \"" $0 "\" gid " gid
        split("atime ctime mtime crtime", field, " ")
        for (i = 1; i <= 4; i++) { print "sif \"" $0 "\" " field[i] " @" epoch; print "sif \"" $0 "\" " field[i] "_extra 0" } }'
    printf '%s\n' 'cd /dev' 'mknod console c 5 1' 'mknod null c 1 3' 'sif console mode 020600' 'sif null mode 020666'
    for node in / /lost+found /dev/console /dev/null; do
      for field in atime ctime mtime crtime; do printf 'sif %s %s @%s\n' "$node" "$field" "$EPOCH"; done
    done
    for field in atime ctime mtime crtime; do printf 'sif / %s_extra 0\n' "$field"; done
  } >"$WORK/debugfs.commands"
  E2FSPROGS_FAKE_TIME=$EPOCH debugfs -w -f "$WORK/debugfs.commands" "$part" >"$WORK/debugfs.log" 2>&1
  e2fsck -fn "$part" >"$WORK/e2fsck.log" 2>&1

  truncate -s "$((OFFSET + size * 1024 * 1024 + OFFSET))" "$OUT.new" # the tail is for the second copy of the partition table
  sfdisk --quiet "$OUT.new" <<END
label: gpt
label-id: $uuid
start=$((OFFSET / 512)), size=$((size * 2048)), type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid=$uuid, name=root
END
  dd if="$part" of="$OUT.new" bs=1M seek=1 conv=notrunc,sparse status=none
  verify_image "$OUT.new"
  rm -f "$part"
  mv "$OUT.new" "$OUT"
}

# verify_image FILE: the file system is sound, and files read back from the image are those of the tree.
verify_image() {
  local path
  e2fsck -fn "$1?offset=$OFFSET" >"$WORK/e2fsck.log" 2>&1
  for path in etc/os-release etc/shadow usr/bin/bash usr/share/image/contents.tsv; do
    debugfs -R "cat /$path" "$1?offset=$OFFSET" 2>/dev/null | cmp - "$ROOT/$path"
  done
}

# --- Checkpoints -------------------------------------------------------------------------------------------------------------

CHECKPOINT='' CHECKPOINT_SUM='' # the packed tree that $ROOT is, and its checksum

# pack CODE: the tree into a file whose bytes depend on the tree alone. It gets its name when it is complete and on disk.
pack() {
  local file
  file=$CHECKPOINTS/$(printf '%03d' "$1").tar.gz
  tar -C "$ROOT" --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$EPOCH" -cf - . | gzip -9n >"$file.new"
  sync "$file.new"
  mv "$file.new" "$file"
  CHECKPOINT=$file
  CHECKPOINT_SUM=$(sha256sum <"$file" | cut -c1-64)
}

# restore FILE: what was in the tree is thrown away; it may be half-written. No file: an empty tree.
restore() {
  if [[ -d $ROOT ]]; then chmod -R u+rwX "$ROOT"; fi
  rm -rf "$ROOT"
  mkdir -p "$ROOT"
  if [[ -n $1 ]]; then tar -C "$ROOT" --no-same-owner -xpzf "$1"; fi
}

# choose_checkpoint: the newest checkpoint that is exactly what the API recorded, of a state before the one that is to be resumed;
# sets RESTORED to its state.
choose_checkpoint() {
  local code name path sum fingerprint actual
  while IFS=$'\037' read -r code name path sum fingerprint; do
    ((code < FROM)) || continue
    if [[ ! -f $path ]]; then
      note "checkpoint $name refused: $path is missing"
    elif [[ $fingerprint != "${FINGERPRINT[$code]:-}" ]]; then
      note "checkpoint $name refused: the recipe of state $code or of one before it has changed"
    else
      actual=$(sha256sum <"$path" | cut -c1-64)
      if [[ $actual == "$sum" ]]; then
        say "checkpoint $name verified, sha256 $sum"
        RESTORED=$code CHECKPOINT=$path CHECKPOINT_SUM=$sum
        return 0
      fi
      note "checkpoint $name refused: altered, sha256 is $actual, recorded was ${sum:-nothing}"
    fi
    note "looking for one before it"
  done
  note "no checkpoint can be used; starting from the beginning"
}

# --- The run -----------------------------------------------------------------------------------------------------------------

require_tools() {
  local tool package missing=0
  while read -r tool package; do
    type -P "$tool" >/dev/null && continue
    note "missing tool: $tool (Debian package $package)"
    missing=1
  done <<'END'
awk mawk
cmp diffutils
curl curl
debugfs e2fsprogs
e2fsck e2fsprogs
find findutils
flock util-linux
grep grep
gzip gzip
ldd libc-bin
mke2fs e2fsprogs
sed sed
sfdisk fdisk
sha256sum coreutils
tar tar
END
  ((missing == 0)) || exit 1
}

# The fingerprint of a state: its recipe, that of every state before it, and what they are given. A checkpoint of another
# recipe is not restored, so a corrected script reruns the corrected state and all after it.
declare -A FINGERPRINT=()
fingerprint_states() {
  local code chain
  chain=$(declare -f put install_program libraries has_static_busybox | cat - <(say "$BLDST_PLATFORM $BLDST_OS_VERSION $BLDST_IMAGE_TYPE") | sha256sum)
  for code in "${STATES[@]}"; do
    chain=$({ say "$chain" && declare -f "state_$code"; } | sha256sum)
    FINGERPRINT[$code]=${chain:0:64}
  done
}

CODE='' FAILED_AT='' FAILED_COMMAND='' SIGNAL='' WHY=''

# The end of every run. A state that did not finish is reported, unless the API told us that another runner has it now.
at_exit() {
  local rc=$? type=script_error retryable=false message
  trap - ERR EXIT
  trap '' USR1
  set +e
  bldst_heart_stop
  case $(bldst_stop_reason) in
    stale) note "another runner has taken build $BLDST_BUILD_NUMBER over; stopping" && return 0 ;;
    ended) note "build $BLDST_BUILD_NUMBER has ended; stopping" && return 0 ;;
    cancelled)
      note "build $BLDST_BUILD_NUMBER is to be cancelled; stopping"
      bldst_state "$CODE" cancelled "stopped in state $CODE (${NAME[$CODE]}), as was asked for"
      return 0
      ;;
  esac
  ((rc != 0)) && [[ -n $CODE ]] && ((BLDST_STALE == 0)) || return 0
  message="state $CODE (${NAME[$CODE]}) failed with exit code $rc: ${WHY:-line $FAILED_AT, $FAILED_COMMAND}"
  if [[ -n $SIGNAL ]]; then
    type=interrupted retryable=true message="state $CODE (${NAME[$CODE]}) was interrupted by SIG$SIGNAL"
  elif ((rc > 128)); then
    retryable=true # a signal killed the command: out of memory, or the machine going down
  elif ((CODE == 80)); then
    type=validation_error
  fi
  note "$message"
  bldst_failure "$CODE" "$type" "$retryable" "$message" \
    "$(printf '{"exit_code":%d,"command":%s,"line":"%s"}' "$rc" "$(json_string "$FAILED_COMMAND")" "$FAILED_AT")"
}

interrupted() {
  SIGNAL=$1
  exit "$2"
}

check_fence() { ((BLDST_STALE == 0)) || die "another runner has taken build $BLDST_BUILD_NUMBER over; stopping"; }

now() { date +%s%3N; }

run_state() {
  local code=$1 start seconds
  CODE=$code
  say "run  $code ${NAME[$code]}"
  bldst_state "$code" in_progress "${NAME[$code]}"
  check_fence
  bldst_heart_start "$code" 9>&-
  start=$(now)
  "state_$code"
  for ((i = 0; i < PACE; i++)); do sleep 1; done
  if [[ -n ${LEAVES_TREE[$code]:-} ]]; then
    pack "$code"
    bldst_checkpoint "checkpoint-$(printf '%03d' "$code")" "$CHECKPOINT" "$code" "{\"fingerprint\":\"${FINGERPRINT[$code]}\"}"
  fi
  if ((code == 95)); then bldst_image image "$OUT" "$code" "{\"checkpoint\":\"$CHECKPOINT_SUM\"}"; fi
  bldst_heart_stop
  seconds=$(awk -v ms=$(($(now) - start)) 'BEGIN { printf "%.1f", ms / 1000 }')
  bldst_state "$code" completed "${NAME[$code]}" "{\"seconds\":$seconds,\"checkpoint\":\"$CHECKPOINT_SUM\"}"
  check_fence
  say "done $code ${NAME[$code]}, $seconds s${LEAVES_TREE[$code]:+, checkpoint sha256 ${CHECKPOINT_SUM:0:12}}"
}

# where_was_it: asks the API; sets RESTORED, CHECKPOINT, SECONDS_OF, TREE_OF.
declare -A SECONDS_OF=() TREE_OF=()
RESTORED=0
FROM=101 # the first state that must run again; of a resume that was ordered
where_was_it() {
  local points last code seconds tree
  points=$(bldst_resume_point) || {
    note "no answer about the resume point; starting from the beginning"
    return 0
  }
  last=${points%%$'\n'*}
  while IFS=$'\037' read -r code seconds tree; do
    SECONDS_OF[$code]=$seconds TREE_OF[$code]=$tree
  done < <(bldst_done || true)
  if [[ $RESUME_MODE != true && $BLDST_STATUS == in_progress && $BLDST_CURRENT != "$last" ]]; then
    note "state $BLDST_CURRENT was left without a report: its runner is gone"
    bldst_failure "$BLDST_CURRENT" runner_lost true "the runner of state $BLDST_CURRENT ended without a report"
  fi
  say "last successful state: ${last:-none}"
  if [[ $points == *$'\n'* ]]; then choose_checkpoint <<<"${points#*$'\n'}"; fi
}

# report_completed: the build is finished already; is its image still what was recorded?
report_completed() {
  local path sum
  bldst_get "/builds/$BLDST_BUILD/artifacts?is_final=true" || die "no answer about the image: $(bldst_detail)"
  IFS=$'\037' read -r path sum < <(json_rows '' artifact_path checksum <<<"$BLDST_BODY" | tail -n 1) || true
  path=${path#file://}
  [[ -f $path ]] || die "build $BLDST_BUILD_NUMBER is completed, but its image $path is missing here; use another build number"
  [[ $(sha256sum <"$path") == "${sum#sha256:}"* ]] || die "build $BLDST_BUILD_NUMBER is completed, but its image $path was altered"
  say "build $BLDST_BUILD_NUMBER is completed already"
  say "image: $path, sha256 ${sum#sha256:}, verified"
}

# join_resume: the API has opened the attempt this run belongs to; what must not happen is that it works on another one.
join_resume() {
  [[ ${BUILD_ID:-} =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ && ${RESUME_FROM_STATE:-} =~ ^[0-9]+$ ]] ||
    die "RESUME_MODE needs BUILD_ID and RESUME_FROM_STATE"
  bldst_find "$BUILD_ID" || die "build $BUILD_ID was not found: $(bldst_detail)"
  [[ -z ${ATTEMPT:-} || $ATTEMPT == "$BLDST_OPEN" ]] || die "attempt $ATTEMPT was replaced by attempt $BLDST_OPEN; nothing to do"
  [[ $BLDST_STATUS == in_progress ]] || die "build $BLDST_BUILD_NUMBER is $BLDST_STATUS; nothing to do"
  FROM=$RESUME_FROM_STATE
}

main() {
  local code skipped=0 saved=0.0 rerun=0 rc=0 patience=0
  require_tools
  [[ $RESUME_MODE != true ]] || join_resume
  places
  [[ $BLDST_BUILD_NUMBER =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || die "BLDST_BUILD_NUMBER: letters, digits, dot, dash and underscore only"
  [[ -n $BLDST_API_KEY ]] || die "BLDST_API_KEY is not set"
  [[ $PACE =~ ^[0-9]+$ ]] || die "PACE: whole seconds"
  mkdir -p "$CHECKPOINTS" "$BLDST_SPOOL"
  exec 9>"$WORK/lock"
  if [[ $RESUME_MODE == true ]]; then patience=60; fi # the runner that was replaced hears of it at its next heartbeat
  flock -w "$patience" 9 || die "build $BLDST_BUILD_NUMBER is running already in $WORK"
  rm -f "$CHECKPOINTS"/*.new "$OUT.new"
  fingerprint_states

  say "build $BLDST_BUILD_NUMBER, $BLDST_PLATFORM $BLDST_OS_VERSION $BLDST_IMAGE_TYPE, API $BLDST_API_URL"
  if [[ $RESUME_MODE == true ]]; then
    say "resume of attempt $BLDST_OPEN from state $FROM, worker $BLDST_WORKER"
    bldst_join "$BLDST_OPEN"
  else
    bldst_build || rc=$?
  fi
  ((rc != 1)) || die "the API refused the build: $(bldst_detail)"
  case $rc$BLDST_STATUS in
    2*) note "the API cannot be asked where this build was; starting from the beginning" ;;
    0completed) report_completed && return ;;
    0cancelled) die "build $BLDST_BUILD_NUMBER is cancelled; use another build number" ;;
    0pending) ;;
    *) where_was_it ;;
  esac

  trap at_exit EXIT
  trap 'FAILED_AT=$LINENO FAILED_COMMAND=$BASH_COMMAND' ERR
  trap 'interrupted TERM 143' TERM
  trap 'interrupted INT 130' INT
  trap 'exit 1' USR1 # the heartbeat was told to stop

  restore "$CHECKPOINT"
  for code in "${STATES[@]}"; do
    # Done is what the restored tree contains, and what was completed on exactly that tree without leaving anything in it.
    if ((code <= RESTORED)) || { ((rerun == 0 && code == 80 && code < FROM)) && [[ -n $CHECKPOINT_SUM && ${TREE_OF[80]:-} == "$CHECKPOINT_SUM" ]]; }; then
      say "skip $code ${NAME[$code]}, ${SECONDS_OF[$code]:-0} s"
      skipped=$((skipped + 1))
      saved=$(awk -v a="$saved" -v b="${SECONDS_OF[$code]:-0}" 'BEGIN { printf "%.1f", a + b }')
    else
      rerun=1
      run_state "$code"
    fi
  done

  CODE=100
  local sum size
  sum=$(sha256sum <"$OUT" | cut -c1-64)
  size=$(stat -c %s "$OUT")
  (cd "$(dirname "$OUT")" && printf '%s  %s\n' "$sum" "$(basename "$OUT")" >"$OUT.sha256")
  bldst_state 100 completed "image of $size bytes, sha256 $sum" \
    "{\"states_skipped\":$skipped,\"seconds_saved\":$saved,\"image_sha256\":\"$sum\"}"
  check_fence
  CODE=''
  rm -rf "$ROOT"
  say "done 100 completed"
  say "states skipped: $skipped"
  say "seconds saved: $saved"
  say "image: $OUT"
  say "size: $size bytes, $(du -h "$OUT" | cut -f1) on disk"
  say "tree sha256: $CHECKPOINT_SUM"
  say "image sha256: $sum"
}

main "$@"
