# Symptom: a pod reaches the world, but no pod beside it
# Asked: slash32 check default/web-0
# Says: address 10.20.1.2/32 on eth0 is 10.20.1.2/24, should be 10.20.1.2/32
# Mend: nsenter --net=… sh -c 'ip address add 10.20.1.2/32 dev eth0 && ip address delete 10.20.1.2/24 dev eth0'
ip -n "$POD" address add 10.20.1.2/24 dev eth0
ip -n "$POD" address delete 10.20.1.2/32 dev eth0
