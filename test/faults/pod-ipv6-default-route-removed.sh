# Symptom: a pod reaches nobody by IPv6
# Asked: slash32 check default/web-0
# Says: route default in the sandbox is missing, should be via fe80::ecee:eeff:feee:eeee dev eth0
# Mend: nsenter --net=… ip -6 route add default via fe80::ecee:eeff:feee:eeee dev eth0
ip -n "$POD" -6 route delete default
