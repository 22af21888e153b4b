#!/usr/bin/env bash
# recipe.sh check|tree|tools|configure|tests|image: one part of the making of a disk image. It knows nothing of states, builds or
# interruptions; build.sh calls it.
#
# FOLDER (default .) is where it works: every part unpacks FOLDER/tree.tar, changes the tree and packs it again, so that a part can be
# run once more whatever became of it; FOLDER/image.raw is what comes out. PACE=seconds holds every part back, for demonstrations.
set -Eeuo pipefail
umask 022
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

WORK=$(realpath -m "${FOLDER:-.}")
ROOT=$WORK/root
OUT=$WORK/image.raw
IMAGE_NAME=${IMAGE_NAME:-example-image}
EPOCH=1704067200        # every time stamp in the image
OFFSET=$((1024 * 1024)) # where its partition begins

say() { printf '%s\n' "$*"; }
note() { printf 'recipe.sh: %s\n' "$*" >&2; }
die() {
  note "$*"
  exit 1
}

# pack writes tree.tar, whose bytes depend on the tree alone. It gets its name when it is whole and on disk.
pack() {
  tar -C "$ROOT" --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$EPOCH" -cf "$WORK/tree.tar.part" .
  sync "$WORK/tree.tar.part"
  mv "$WORK/tree.tar.part" "$WORK/tree.tar"
}

unpack() {
  if [[ -d $ROOT ]]; then chmod -R u+rwX "$ROOT"; fi
  rm -rf "$ROOT"
  mkdir -p "$ROOT"
  tar -C "$ROOT" --no-same-owner -xpf "$WORK/tree.tar"
}

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

check() {
  local free
  free=$(df --output=avail -m "$WORK" | tail -n 1)
  ((free >= 500)) || die "$WORK has $free MB free, 500 are needed"
  has_static_busybox || note "no static busybox here (Debian package busybox-static): the host's own tools are used"
  say "     $(uname -m), bash ${BASH_VERSION%%(*}, $(tar --version | head -n 1), ${free// /} MB free"
}

tree() {
  local directory link applet
  rm -rf "$ROOT"
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
PRETTY_NAME="bldst example image"
IMAGE_ID=$IMAGE_NAME
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

tools() {
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

configure() {
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
tests() {
  local file library errors=0 count=0 path mode
  wrong() {
    note "test: $*"
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

  # Nothing inside may be written to: the tests are not part of the image.
  if unshare -r chroot "$ROOT" /bin/sh -c : 2>/dev/null; then
    # shellcheck disable=SC2016 # for the shell inside
    unshare -r chroot "$ROOT" /bin/sh -c 'for p in bash tar gzip; do "$p" --version || exit; done; test -x /sbin/init' >/dev/null ||
      wrong "programs do not run inside the tree"
    say "     $count programs have their libraries, and run inside the tree"
  else
    say "     $count programs have their libraries (not run: no user namespaces here)"
  fi
  ((errors == 0))
}

# The image depends on the tree alone, so that an interrupted and an uninterrupted build give the same one.
image() {
  local part=$WORK/part.ext4 size uuid sum
  size=$(($(du -sm --apparent-size "$ROOT" | cut -f1) * 5 / 4 + 48))
  sum=$(sha256sum <<<"$IMAGE_NAME")
  uuid=${sum:0:8}-${sum:8:4}-4${sum:13:3}-8${sum:17:3}-${sum:20:12}

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


require_tools() {
  local tool package missing=0
  while read -r tool package; do
    type -P "$tool" >/dev/null && continue
    note "missing tool: $tool (Debian package $package)"
    missing=1
  done <<'END'
awk mawk
cmp diffutils
debugfs e2fsprogs
e2fsck e2fsprogs
find findutils
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


part=${1:-}
case $part in
  check)
    require_tools
    check
    ;;
  tree)
    tree
    pack
    ;;
  tools | configure)
    unpack
    "$part"
    pack
    ;;
  tests | image)
    unpack
    "$part"
    ;;
  *) die "usage: recipe.sh check|tree|tools|configure|tests|image" ;;
esac
for ((i = 0; i < ${PACE:-0}; i++)); do sleep 1; done
