# Symptom: one pod reaches the host, and nobody else
# Asked: slash32 check default/web-0
# Says: setting net/ipv4/conf/cali…/forwarding on the host is 0, should be 1
# Mend: echo 1 > /proc/sys/net/ipv4/conf/cali…/forwarding
sysctl -qw "net.ipv4.conf.$END.forwarding=0"
