# Symptom: a new pod waits for its gateway, and reaches nobody
# Asked: slash32 check default/web-0
# Says: setting net/ipv4/conf/cali…/proxy_arp on the host is 0, should be 1
# Mend: echo 1 > /proc/sys/net/ipv4/conf/cali…/proxy_arp
sysctl -qw "net.ipv4.conf.$END.proxy_arp=0"
