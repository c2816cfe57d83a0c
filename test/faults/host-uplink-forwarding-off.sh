# Symptom: pods send into the world, and no answer reaches them
# Asked: slash32 doctor
# Says: net.ipv4.conf.uplink0.forwarding is 0
# Mend: sysctl -w net.ipv4.conf.uplink0.forwarding=1
sysctl -qw net.ipv4.conf.uplink0.forwarding=0
