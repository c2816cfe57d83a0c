# Symptom: two pods answer to one address by turns
# Asked: slash32 ipam check
# Says: host route to 10.20.1.2 is dev cali… proto 32, should be dev cali… proto 32
# Mend: slash32 ipam repair
ip -n "$POD2" address add 10.20.1.2/32 dev eth0
ip route replace 10.20.1.2 dev "$END2" proto 32
