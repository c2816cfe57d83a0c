# Symptom: the first packet of a pod takes up to a second
# Asked: slash32 check default/web-0
# Says: setting net/ipv4/neigh/cali…/proxy_delay on the host is 80, should be 0
# Mend: echo 0 > /proc/sys/net/ipv4/neigh/cali…/proxy_delay
sysctl -qw "net.ipv4.neigh.$END.proxy_delay=80"
