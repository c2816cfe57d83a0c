# Symptom: no pod starts: permission denied
# Asked: slash32 doctor
# Says: …/slash32 is not executable
# Mend: chmod 0755 …/slash32
cp --remove-destination "$(readlink "$BIN/slash32")" "$BIN/slash32"
chmod 0644 "$BIN/slash32"
