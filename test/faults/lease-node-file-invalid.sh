# Symptom: no pod starts: InvalidNodeFile
# Asked: slash32 doctor
# Says: InvalidNodeFile: Cannot use …/node.json: mtu is "large", expected …
# Mend: echo '{"podCIDRs":["10.20.1.0/24"]}' > …/node.json # with the node's own CIDR
echo '{ "mtu": "large" }' > "$STATE/node.json"
