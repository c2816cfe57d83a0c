# Symptom: a pod reaches nobody by IPv6, and IPv4 works
# Asked: slash32 check default/web-0
# Says: setting net/ipv6/conf/cali…/disable_ipv6 on the host is 1, should be 0
# Mend: slash32 check default/web-0 --repair
sysctl -qw "net.ipv6.conf.$END.disable_ipv6=1"
