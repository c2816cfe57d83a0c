# Symptom: small requests work, large ones hang
# Asked: slash32 check default/web-0
# Says: sandbox end eth0 is MTU 1400, should be MTU 1500
# Mend: nsenter --net=… ip link set eth0 mtu 1500
ip -n "$POD" link set eth0 mtu 1400
