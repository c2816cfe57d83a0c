#!/busybox sh
# The first program of a guest, and its only one beside /slash32: lets that make a pod, looks whether it is reached, and
# has it taken away. Prints what was tried; "Tried" at the end if all came out as it should.
/busybox mkdir -p /bin /dev /proc /sys /run
/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
insmod /veth.ko
ip link set lo up
ip address add 192.0.2.1/32 dev lo # to ask from

unshare -n sleep 1000 &
export CNI_CONTAINERID=trial CNI_NETNS=/proc/$!/ns/net CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin
until [ "$(readlink $CNI_NETNS)" != "$(readlink /proc/1/ns/net)" ]; do sleep 0.1; done
configuration='{"cniVersion":"1.1.0","name":"trial","type":"slash32",
"ipam":{"type":"slash32","ranges":[[{"subnet":"10.20.1.0/24"}],[{"subnet":"fd00:20::/64"}]]}'

# try WHAT PATTERN COMMAND [ARGUMENT...]: what it prints has to match.
try() {
  what=$1 pattern=$2
  shift 2
  "$@" >/run/printed 2>&1
  # One line, also of nothing.
  if ! { tr '\n' ' ' </run/printed; echo; } | grep -q -e "$pattern"; then
    echo "Cannot try $what: expected $pattern, it printed:"
    cat /run/printed
    poweroff -f
  fi
  echo "$what"
}
# As a runtime calls it: verb VERB [MORE]
verb() { echo "$configuration$2}" | CNI_COMMAND=$1 /slash32; }

try "Linux $(uname -r)" aarch64 uname -m
try ADD '"address":"10.20.1.2/32".*"address":"fd00:20::2/128"' verb ADD
result=$(cat /run/printed)
try ping ' 0% packet loss' ping -c 1 -W 5 10.20.1.2
try 'ping of IPv6' ' 0% packet loss' ping -6 -c 1 -W 5 fd00:20::2
try CHECK '^$' verb CHECK ",\"prevResult\":$result"
try 'check --all' '1 of 1 as ADD left it' /slash32 check --all
try doctor ' pods  *4 fine' /slash32 doctor
try DEL '^$' verb DEL

# Another plugin for addresses is another program to start.
mkdir -p /opt/cni/bin
cat >/opt/cni/bin/fixed <<'END'
#!/bin/sh
[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion":"1.1.0","ips":[{"address":"10.20.1.9/24"}]}'
END
chmod +x /opt/cni/bin/fixed
configuration='{"cniVersion":"1.1.0","name":"trial","type":"slash32","ipam":{"type":"fixed"}'
try 'ADD with another IPAM plugin' '"address":"10.20.1.9/32"' verb ADD
try DEL '^$' verb DEL

# Files, and the locks between processes.
mkdir -p /etc/cni/net.d
try install ' list .* written: network podnet' /slash32 install --pod-cidr 10.20.1.0/24
try uninstall 'There is nothing else of slash32 on this node' /slash32 uninstall
try 'what is left' '^$' ip route
echo Tried
poweroff -f
