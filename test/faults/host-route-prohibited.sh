# Symptom: a network is refused to pods alone
# Asked: slash32 trace default/web-0 198.51.100.1
# Says: host: route to 198.51.100.1: prohibit 198.51.100.0/24
# Mend: ip route delete prohibit 198.51.100.0/24
ip route add prohibit 198.51.100.0/24
