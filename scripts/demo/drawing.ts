// The stage as the audience sees it before it is built: the hosts and pods of lab.ts.

export const DRAWING = `\
┌ host0 ──────────────────────────────────┐     ┌ host1 ────────────────────────┐
│  ┌ pod0 ───────────┐ ┌ pod1 ──────────┐ │     │  ┌ pod2 ───────────┐          │
│  │  10.20.1.2/32   │ │  10.20.1.3/32  │ │     │  │  10.20.2.2/32   │          │
│  │      eth0       │ │      eth0      │ │     │  │      eth0       │          │
│  └───────┬─────────┘ └──────┬─────────┘ │     │  └───────┬─────────┘          │
│          │ veth             │ veth      │     │          │ veth               │
│        cali…              cali…         │     │        cali…                  │
│        ee:ee:ee:ee:ee:ee, no address,   │     │        ee:ee:ee:ee:ee:ee      │
│        proxy ARP for 169.254.1.1        │     │                               │
│                                         │     │                               │
│  10.20.1.2 dev cali… proto 32           │     │  10.20.2.2 dev cali… proto 32 │
│  10.20.1.3 dev cali… proto 32           │     │  10.20.1.0/24 via             │
│  10.20.2.0/24 via 192.168.1.16          │     │               192.168.1.32    │
│                                         │     │                               │
└───────── ens192 192.168.1.32 ───────────┘     └───── ens192 192.168.1.16 ─────┘
              └────────────────────────────────────────────┘`;
