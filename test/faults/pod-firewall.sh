# Symptom: a pod is pinged in vain, though all routes are right
# Asked: slash32 trace default/web-1 default/web-0
# Says: sandbox default/web-0: firewall: drops: ip own in: icmp type echo-request drop
# Mend: nsenter --net=… nft delete rule ip own in handle …
ip netns exec "$POD" nft '
  table ip own {
    chain in { type filter hook input priority 0; icmp type echo-request drop; }
  }'
