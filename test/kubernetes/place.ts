// Where the cluster is: directories of its own, and the network that joins its machines.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, TestNetns } from "../helpers/lab.ts";

/** In scripts/lab.sh all of /run is a tmpfs that no other process sees. */
const DIRECTORY = "/run/slash32-kubernetes";
/** Whom the machines take for their way into the world. */
const ROUTER = "172.30.0.254";

export class Place implements Disposable {
  /** For what may go with the lane. */
  readonly directory = DIRECTORY;
  /** In it: what all machines may read. */
  readonly shared = join(DIRECTORY, "shared");
  /** On a disk, for whoever wants to know why the lane has failed. */
  readonly logs = mkdtempSync(join(tmpdir(), "slash32-kubernetes-"));
  /** Set where logs are to stay. */
  keepsLogs = false;
  readonly #fabric: TestNetns;
  #ports = 0;

  constructor() {
    const links = readdirSync("/sys/class/net").filter((name) => name !== "lo");
    if (links.length > 0)
      throw new Error(
        `Cannot run here: the network has ${links.join(", ")}; npm run test:kubernetes makes its own`,
      );
    mkdirSync(this.shared, { recursive: true });
    this.#fabric = new TestNetns("fabric");
    this.#fabric.ipBatch(
      ...["link set lo up", "link add bridge0 type bridge", "link set bridge0 up"],
      `address add ${ROUTER}/24 dev bridge0`,
    );
  }

  /** A machine's network: `lo`, and `eth0` with an address and a default route. It forwards nothing yet. */
  addMachine(name: string, address: string): TestNetns {
    const machine = new TestNetns(name);
    this.#ports += 1;
    const port = `port${this.#ports}`;
    machine.setSysctl("net.ipv4.ip_forward", 0);
    connect(machine, this.#fabric, { names: ["eth0", port], addresses: [[`${address}/24`], []] });
    this.#fabric.ipBatch(`link set ${port} master bridge0`);
    machine.ipBatch("link set lo up", `route add default via ${ROUTER}`);
    return machine;
  }

  [Symbol.dispose](): void {
    this.#fabric[Symbol.dispose]();
    rmSync(this.directory, { recursive: true, force: true });
    if (!this.keepsLogs) rmSync(this.logs, { recursive: true, force: true });
  }
}
