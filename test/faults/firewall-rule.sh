# Symptom: one pod does not reach another, and no third one is concerned
# Asked: slash32 trace default/web-0 default/web-1
# Says: host: firewall: drops: inet guard forward: ip daddr 10.20.1.3 drop
# Mend: nft delete rule inet guard forward handle …
nft 'table inet guard {
    chain forward { type filter hook forward priority 0; ip daddr 10.20.1.3 drop; }
  }'
