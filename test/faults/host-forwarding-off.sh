# Symptom: no pod reaches anybody beyond the host
# Asked: slash32 doctor
# Says: net.ipv4.ip_forward is 0
# Mend: sysctl -w net.ipv4.ip_forward=1
sysctl -qw net.ipv4.ip_forward=0
