# Symptom: packets for one pod leave the host
# Asked: slash32 check default/web-0
# Says: route 10.20.1.2/32 on the host is dev uplink0 proto 3, should be dev cali… proto 32
# Mend: ip route replace 10.20.1.2/32 dev cali… scope link proto 32
ip route replace 10.20.1.2 dev uplink0
