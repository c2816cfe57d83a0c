# Symptom: a pod asks for its IPv6 gateway, and nobody answers
# Asked: slash32 trace default/web-0 fd00:20::3
# Says: host: gateway fe80::ecee:eeff:feee:eeee: mute: cali… does not have it
# Mend: ip -6 address replace fe80::ecee:eeff:feee:eeee/64 dev cali… nodad
ip -6 address flush dev "$END"
