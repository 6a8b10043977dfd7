# Builds images without a registry; to be sourced after lib.sh.
# shellcheck shell=bash

# The vfs driver needs no mount privileges; the state is separate from the machine's own.
store=(--root "$scratch/store" --runroot "$scratch/run" --storage-driver vfs)
podman() { command podman "${store[@]}" --cgroup-manager cgroupfs --runtime runc "$@"; }
buildah() { command buildah "${store[@]}" "$@"; }

builder=docker.io/library/rust:1.95-bookworm

# Creates a replacement for the builder image: it has the same name and contains only mount points
# for this machine's own tools, so that the Containerfile is executed unchanged.
make_builder() {
    local folder=$scratch/builder link
    mkdir -p "$folder"/{usr,etc,tmp,root,proc,dev,sys,var/tmp} "$folder$rustup" "$folder$cargo"
    for link in bin sbin lib lib64; do
        [ ! -L "/$link" ] || cp -a "/$link" "$folder/$link"
    done
    cat >"$folder/Containerfile" <<END
FROM scratch
COPY . /
ENV PATH=$cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV RUSTUP_HOME=$rustup CARGO_HOME=$cargo CARGO_NET_OFFLINE=true
END
    buildah bud --isolation chroot --quiet --tag "$builder" "$folder"
}

# The commit, if nothing was changed since.
revision() {
    git -C "$root" diff --quiet HEAD 2>/dev/null && git -C "$root" rev-parse HEAD || echo changed
}

# keep_binary TAG: puts the image's binary where `ci/supply.sh` finds it, to compare it with its own.
keep_binary() {
    mkdir -p "$tools/image"
    cp "$(podman image mount "$1")/usr/local/bin/memserver" "$tools/image/memserver"
    podman image unmount "$1" >/dev/null
    revision >"$tools/image/revision"
}

# build_image TAG: builds the Containerfile of this checkout.
build_image() {
    rustup=${RUSTUP_HOME:-$HOME/.rustup} cargo=${CARGO_HOME:-$HOME/.cargo}
    [ -d "$rustup" ] || skip "there is no toolchain in $rustup to build the image with"
    make_builder
    (cd "$root" && cargo fetch --locked)
    buildah bud --isolation chroot --network host --tag "$1" \
        --volume /usr:/usr:ro --volume /etc:/etc:ro \
        --volume "$rustup:$rustup:ro" --volume "$cargo:$cargo" \
        --build-arg "REVISION=$(revision)" \
        --build-arg "CREATED=$(git -C "$root" log -1 --format=%cI 2>/dev/null)" \
        --file "$root/Containerfile" "$root"
}

# make_busybox TAG: builds a small image with a shell, for clients and build stages.
make_busybox() {
    local folder=$scratch/busybox library
    mkdir -p "$folder/bin" "$folder/tmp" "$folder/etc"
    cp "$(command -v busybox)" "$folder/bin/busybox"
    ldd "$(command -v busybox)" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$folder$(dirname "$library")"
        cp -L "$library" "$folder$library"
    done
    for applet in sh nc grep chown mkdir cat echo ls id; do
        ln -s busybox "$folder/bin/$applet"
    done
    printf 'FROM scratch\nCOPY . /\nENV PATH=/bin\nCMD ["sh"]\n' >"$folder/Containerfile"
    buildah bud --isolation chroot --quiet --tag "$1" "$folder"
}
