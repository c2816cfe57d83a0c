# Symptom: one pod is unreachable, without a word
# Asked: slash32 check default/web-0
# Says: route 10.20.1.2/32 on the host is blackhole proto 3, should be dev cali… proto 32
# Mend: ip route replace 10.20.1.2/32 dev cali… scope link proto 32
ip route replace blackhole 10.20.1.2
