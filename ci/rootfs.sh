#!/bin/sh
# ci/rootfs.sh BINARY FOLDER: creates the files of the image in FOLDER.
set -eu
binary=$1 root=$2
mkdir -p "$root/usr/local/bin" "$root/opt/memcached/bin" "$root/etc"
install -m 0755 "$binary" "$root/usr/local/bin/memserver"
ln -sfn /usr/local/bin/memserver "$root/opt/memcached/bin/memcached"
echo 'memcached:x:11211:11211:memcached:/:/nonexistent' >"$root/etc/passwd"
echo 'memcached:x:11211:' >"$root/etc/group"
chmod 0644 "$root/etc/passwd" "$root/etc/group"
