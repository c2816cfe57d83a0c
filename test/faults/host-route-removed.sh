# Symptom: nobody reaches one pod; it sends, and gets no answer
# Asked: slash32 check default/web-0
# Says: route 10.20.1.2/32 on the host is missing, should be dev cali… proto 32
# Mend: ip route add 10.20.1.2/32 dev cali… scope link proto 32
ip route delete 10.20.1.2
