# Symptom: a pod answers nobody, though its interface is up
# Asked: slash32 check default/web-0
# Says: address 10.20.1.2/32 on eth0 is missing, should be present
# Mend: slash32 check default/web-0 --repair
ip -n "$POD" address delete 10.20.1.2/32 dev eth0
