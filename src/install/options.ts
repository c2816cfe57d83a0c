// What both commands are told alike: where the node is.
import { DEFAULT_STATE_DIR } from "../cni/netconf.ts";
import { absolutePath } from "../directories.ts";
import { Places } from "./places.ts";

export const BIN_DIR = "/opt/cni/bin";
const CONF_DIR = "/etc/cni/net.d";

export const PLACE_OPTIONS = {
  root: { type: "string" },
  "cni-bin-dir": { type: "string" },
  "cni-conf-dir": { type: "string" },
  "state-dir": { type: "string" },
} as const;

export const PLACE_HELP = `  --root DIR            the node's root, as in a pod that mounts / at DIR (default /); the directories below are its own
  --cni-bin-dir DIR     the runtime's plugins (default ${BIN_DIR})
  --cni-conf-dir DIR    the runtime's configuration (default ${CONF_DIR})
  --state-dir DIR       leases and node.json (default ${DEFAULT_STATE_DIR})`;

type PlaceValues = Readonly<Partial<Record<keyof typeof PLACE_OPTIONS, string | undefined>>>;

/** `stateDir` where nothing is said of it. */
export function readPlaces(values: PlaceValues, stateDir = DEFAULT_STATE_DIR): Places {
  return new Places(absolutePath(values.root ?? "/"), {
    binDir: absolutePath(values["cni-bin-dir"] ?? BIN_DIR, "/"),
    confDir: absolutePath(values["cni-conf-dir"] ?? CONF_DIR, "/"),
    stateDir: absolutePath(values["state-dir"] ?? stateDir, "/"),
  });
}
