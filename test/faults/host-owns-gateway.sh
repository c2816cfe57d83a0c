# Symptom: pods talk to the host where they mean their gateway
# Asked: slash32 doctor
# Says: uplink0 has the address 169.254.1.1
# Mend: ip address delete 169.254.1.1 dev uplink0
ip address add 169.254.1.1/32 dev uplink0
