# Symptom: pods send by one interface, and the answers that come in by another are dropped
# Asked: slash32 trace --probe default/web-0 198.51.100.1
# Says: host: rp_filter: strict: drops 198.51.100.1
# Mend: sysctl -w net/ipv4/conf/uplink0/rp_filter=2
ip link add second0 type veth peer name second1 netns "$ROUTER"
ip address add 192.0.3.1/24 dev second0
ip link set second0 up
ip -n "$ROUTER" address add 192.0.3.254/24 dev second1
ip -n "$ROUTER" link set second1 up
ip route add 198.51.100.0/24 via 192.0.3.254
ping -q -c 1 192.0.2.254 > /dev/null # the router has learnt the way back
sysctl -qw net.ipv4.conf.uplink0.rp_filter=1
