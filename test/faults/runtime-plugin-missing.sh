# Symptom: no pod starts: failed to find plugin "portmap"
# Asked: slash32 doctor
# Says: …/portmap is missing
# Mend: apt-get install containernetworking-plugins && install -m 0755 /usr/lib/cni/portmap …/portmap
sed -i 's#"plugins": \[#&{ "type": "portmap" },#' "$CONFLIST"
