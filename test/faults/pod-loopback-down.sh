# Symptom: a program in a pod does not reach itself at 127.0.0.1
# Asked: slash32 check default/web-0
# Says: interface lo in the sandbox is down, should be up
# Mend: nsenter --net=… ip link set lo up
ip -n "$POD" link set lo down
