# Symptom: uploads of pods hang, and small requests work
# Asked: slash32 doctor
# Says: MTU 1500 on default/web-0, default/web-1; a new pod would get 1400
# By hand: kubectl delete pod --namespace default web-0 # and so the others
ip link set uplink0 mtu 1400
