# Symptom: no pod reaches anybody; nft list ruleset is empty
# Asked: slash32 doctor
# Says: the firewall drops packets from pods to uplink0, …: policy of iptables-legacy filter FORWARD
# Mend: iptables-legacy -t filter -I FORWARD -i cali+ -j ACCEPT && iptables-legacy -t filter -I FORWARD -o cali+ -j ACCEPT
iptables-legacy -P FORWARD DROP
