#!/bin/sh
# cleanroom.sh [DIRECTORY]: the two commands of the README where nothing has been prepared. Makes a bare Debian 12 root with
# the host's apt sources, clones the committed state into it, runs `make run` and `make test` there, and compares the
# machine, and the root itself, with what they were before. Needs root, mmdebstrap and the network of the host; 4 GiB.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d /var/tmp/berth-cleanroom-XXXXXX)}
root=$work/root
mkdir -p "$work"

say() { echo "== cleanroom: $*"; }

if [ "${CLEANROOM:-}" != inside ]; then
  [ "$(id -u)" = 0 ] || { echo "cleanroom.sh: needs root" >&2; exit 1; }
  say "a bare root in $root"
  sources=$(ls /etc/apt/sources.list.d/debian.sources 2>/dev/null || echo /etc/apt/sources.list)
  mmdebstrap --quiet --variant=minbase --include=make,git,ca-certificates bookworm "$root" "$sources"
  for file in /etc/apt/apt.conf.d/*proxy*; do
    [ ! -e "$file" ] || cp "$file" "$root/etc/apt/apt.conf.d/"
  done
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  git clone --quiet --no-hardlinks "$top" "$root/src"
  ignore="--ignore ^/run/(systemd|udev|sudo|user|utmp) --ignore ^mnt:"
  # shellcheck disable=SC2086  # a list of options
  PYTHONDONTWRITEBYTECODE=1 python3 "$top/tests/support/leaks.py" snapshot "$work/before.json" $ignore
  status=0
  CLEANROOM=inside unshare --mount --pid --fork --kill-child --propagation private "$0" "$work" || status=$?
  # shellcheck disable=SC2086
  PYTHONDONTWRITEBYTECODE=1 python3 "$top/tests/support/leaks.py" compare "$work/before.json" $ignore || status=1
  [ "$status" != 0 ] || rm -rf --one-file-system "$work"
  [ "$status" = 0 ] && say "both commands passed and left nothing" || say "FAILED; see $work"
  exit "$status"
fi

mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
in_root() { chroot "$root" env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  LC_ALL=C.UTF-8 ${http_proxy:+http_proxy=$http_proxy} ${https_proxy:+https_proxy=$https_proxy} "$@"; }
files() { find "$root" -xdev -path "$root/src" -prune -o -path "$root/var/cache" -prune -o -path "$root/var/log" -prune -o \
  -path "$root/root/.cache" -prune -o -print | sort; }

say "make deps"
in_root make -C /src deps >"$work/deps.log" 2>&1 || { tail -n 40 "$work/deps.log"; exit 1; }
files >"$work/files.before"
say "make run"
in_root make -C /src run >"$work/run.log" 2>&1 || { tail -n 60 "$work/run.log"; exit 1; }
tail -n 2 "$work/run.log"
if [ "${CLEANROOM_ONLY:-}" != run ]; then
  say "make test"
  in_root make -C /src test >"$work/test.log" 2>&1 || { tail -n 60 "$work/test.log"; exit 1; }
  tail -n 1 "$work/test.log"
fi
files >"$work/files.after"
diff "$work/files.before" "$work/files.after" || { echo "files came or went outside the clone" >&2; exit 1; }
