#!/busybox sh
# The first program of a guest, in the archive that initramfs.ts makes: gives it the host's files, read-only below a
# tmpfs that takes all changes, and the modules of its own kernel, and hands over to `start`.
fail() {
  echo "Cannot start the guest: $1"
  /busybox poweroff -f
}

/busybox mount -t devtmpfs devtmpfs /dev
/busybox mount -t proc proc /proc
while read -r module; do
  /busybox insmod "/modules/$module" || fail "its kernel refuses $module"
done </modules/order

# No other machine changes them meanwhile: what was read once may be kept (loose).
/busybox mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=524288 host /host || fail "no files"
/busybox mount -t tmpfs -o mode=0755 tmpfs /changes
/busybox mkdir /changes/upper /changes/work
/busybox mount -t overlay -o lowerdir=/host,upperdir=/changes/upper,workdir=/changes/work overlay /root ||
  fail "no overlay"

# At the usual place: the kernel itself starts modprobe when somebody asks for a veth.
/busybox mkdir -p /root/lib/modules
/busybox mount --bind "/root$(/busybox cat /modules/directory)" /root/lib/modules || fail "no modules"

/busybox mount --move /dev /root/dev
/busybox mount --move /proc /root/proc
# Not chroot: what the kernel starts would still see the archive.
exec /busybox switch_root /root /bin/bash -c "$(/busybox cat /start)"
