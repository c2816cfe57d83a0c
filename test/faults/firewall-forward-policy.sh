# Symptom: no pod reaches anybody, though all routes are right
# Asked: slash32 doctor
# Says: the firewall drops packets from pods to uplink0, …: policy of inet guard forward
# Mend: nft 'insert rule inet guard forward iifname "cali*" accept; insert rule inet guard forward oifname "cali*" accept'
nft 'table inet guard {
    chain forward { type filter hook forward priority 0; policy drop; }
  }'
