# Symptom: a pod receives small answers, and no large ones
# Asked: slash32 check default/web-0
# Says: host end cali… is MTU 1400, should be MTU 1500
# Mend: ip link set cali… mtu 1500
ip link set "$END" mtu 1400
