# Symptom: pods wait, and hear "Destination Host Unreachable"
# Asked: slash32 trace default/web-0 198.51.100.1
# Says: host: next hop 192.0.2.254: FAILED: it does not answer
# Mend: ping -c 1 192.0.2.254
ip neigh replace 192.0.2.254 dev uplink0 nud failed
