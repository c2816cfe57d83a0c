# Symptom: pods send, and answers are dropped
# Asked: slash32 trace default/web-0 198.51.100.1
# Says: host: firewall: drops: inet guard forward: ct state established,related ip daddr 10.20.1.2 drop
# Mend: nft delete rule inet guard forward handle …
nft 'table inet guard {
    chain forward {
      type filter hook forward priority 0;
      ct state established,related ip daddr 10.20.1.2 drop;
    }
  }'
