# Symptom: after a reboot no addresses are left, though no pod runs
# Asked: slash32 doctor --state-dir "$DISK"
# Says: … is not on a tmpfs
# By hand: mkdir -p … && mount -t tmpfs -o mode=0700,size=64m tmpfs … # while there are no pods
true # where the directory is, is the fault
