# Symptom: no pod reaches anybody by IPv6
# Asked: slash32 doctor
# Says: net.ipv6.conf.all.forwarding is 0
# Mend: sysctl -w net.ipv6.conf.all.forwarding=1
sysctl -qw net.ipv6.conf.all.forwarding=0
