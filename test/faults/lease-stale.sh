# Symptom: addresses run short, though there are few pods
# Asked: slash32 ipam check
# Says: lease of 10.20.1.2 and fd00:20::2 is held, but cali… is missing, should be released
# Mend: slash32 ipam release …podnet/container-0/eth0
ip link delete "$END"
