# Symptom: a pod sends, and no answer comes back
# Asked: slash32 check default/web-0
# Says: neighbour 10.20.1.2 on cali… on the host is …, should be 02:00:00:00:00:02 permanent
# Mend: slash32 check default/web-0 --repair
ip -n "$POD" link set eth0 address 02:00:00:00:00:02
