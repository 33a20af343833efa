# Sourced. A box of its own for a scenario: a root made of busybox, in namespaces of its own, without any network.

# busybox's links and the directories any box has.
make_root() { # ROOT
    mkdir -p "$1"/bin "$1"/sbin "$1"/usr/bin "$1"/usr/sbin "$1"/etc "$1"/proc "$1"/sys "$1"/dev "$1"/tmp "$1"/var/run "$1"/var/log "$1"/root "$1"/run
    cp "$(command -v busybox)" "$1/bin/busybox"
    local name
    for name in $("$1/bin/busybox" --list); do
        [ -e "$1/bin/$name" ] || ln -s /bin/busybox "$1/bin/$name"
    done
    ln -sf /bin/busybox "$1/usr/bin/expr"
    ln -sf /bin/busybox "$1/usr/bin/readlink"
    chmod 777 "$1/tmp"
    printf 'root:x:0:0:root:/root:/bin/sh\n' >"$1/etc/passwd"
    printf 'root:x:0:\n' >"$1/etc/group"
    cp "$here/check.sh" "$1/check.sh"
}

# Runs a scenario as the init of such a box: when it ends, all it started is gone. Every DIR named afterwards is a
# file system of its own, as volumes are.
in_box() { # ROOT SCRIPT [DIR...]
    local root=$1 script=$2
    shift 2
    cp "$script" "$root/scenario.sh"
    timeout "${SECONDS_MOST:-180}" unshare --net --mount --pid --ipc --uts --fork --kill-child sh -euc '
        root=$1
        shift
        mount --make-rprivate /
        mount -t proc proc "$root/proc"
        # This one is the whole machine'"'"'s, whatever the namespace.
        echo core >"$root/core_pattern"
        mount --bind "$root/core_pattern" "$root/proc/sys/kernel/core_pattern"
        mount -t tmpfs -o mode=755 tmpfs "$root/dev"
        for node in null:3 zero:5 random:8 urandom:9; do
            mknod -m 666 "$root/dev/${node%%:*}" c 1 "${node#*:}"
        done
        for dir; do
            mkdir -p "$root/$dir"
            mount -t "${BOX_FS:-tmpfs}" -o mode=755 tmpfs "$root/$dir"
        done
        if [ -n "${BOX_DISK:-}" ]; then
            # A root that cannot be written, RAM beside it, and a disk that is not where it belongs yet.
            mkdir -p -m 700 "$BOX_DISK"
            mkdir -p "$root/disk" "$root/var/lib/qcloud-agent"
            mount --rbind "$root" "$root"
            mount -o remount,bind,ro "$root"
            for dir in run tmp var/run var/log; do mount -t tmpfs -o mode=755 tmpfs "$root/$dir"; done
            mount --bind "$BOX_DISK" "$root/disk"
            # A line that comes up when the scenario asks for it.
            { until [ -e "$root/dev/line-please" ]; do sleep 0.2; done
                ip link add line type veth peer name far && ip addr add 192.0.2.7/24 dev line &&
                    ip link set line up && ip link set far up; } &
        fi
        exec env -i PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root chroot "$root" "${BOX_SHELL:-/bin/sh}" /scenario.sh
    ' box "$root" "$@"
}
