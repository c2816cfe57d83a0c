# Symptom: what is meant for a pod ends at the host
# Asked: slash32 check default/web-0
# Says: route 10.20.1.2/32 on the host is the host's own address, should be dev cali… proto 32
# By hand: take 10.20.1.2 from the host's interface, or delete the pod
ip address add 10.20.1.2/32 dev uplink0
