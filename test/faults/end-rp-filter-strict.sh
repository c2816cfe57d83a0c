# Symptom: the host drops what a pod sends, without a word
# Asked: slash32 trace default/web-0 198.51.100.1
# Says: host: rp_filter: strict: drops 10.20.1.2
# Mend: ip route replace 10.20.1.2/32 dev cali… scope link proto 32
sysctl -qw "net.ipv4.conf.$END.rp_filter=1"
ip route replace 10.20.1.2 dev uplink0 proto 32
