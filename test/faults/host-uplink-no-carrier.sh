# Symptom: no pod reaches the world
# Asked: slash32 trace default/web-0 198.51.100.1
# Says: host: uplink0: up, no carrier
# By hand: see to the cable, or to its other end
ip -n "$ROUTER" link set downlink0 down
