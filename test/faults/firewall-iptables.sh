# Symptom: pods reach each other, and nobody beyond the host
# Asked: slash32 doctor
# Says: the firewall drops packets from pods to uplink0: ip filter FORWARD: oifname "uplink0" counter drop
# Mend: nft delete rule ip filter FORWARD handle …
iptables-nft -A FORWARD -o uplink0 -j DROP
