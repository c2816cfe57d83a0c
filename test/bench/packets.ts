// What a packet pays: TCP between two pods on one host, through our wiring and through veths with routes made by
// hand, in turn.
import { dlopen, ptr } from "bun:ffi";
import { closeSync } from "node:fs";
import { execaSync } from "execa";
import type { TestHost, TestNetns } from "../helpers/lab.ts";
import { inside } from "./launch.ts";
import { inTurn, type Place } from "./place.ts";

/** Two pods of one host; the second listens. */
export interface Pair {
  readonly netns: readonly [client: string, server: string];
  readonly address: string;
}

/** One figure per round. */
export interface PacketSeries {
  /** TCP throughput, Gbit/s. */
  readonly throughput: number[];
  /** Requests answered per second, one byte each way, one at a time. */
  readonly transactions: number[];
}

const SECONDS = 1;
const TRANSACTIONS = 2_000;
/** A round of throughput takes a second, one of transactions 50 ms. */
const DIALOGUES_PER_ROUND = 10;
const PORT = 5300;
const GATEWAY = "10.21.255.254";

/** Two pods made by the plugin. */
export function wiredPair(place: Place): Pair {
  const targets = place.targets(2);
  const [, address = ""] = targets.map((target) => {
    const { ips } = JSON.parse(place.run("ADD", target).stdout) as { ips: { address: string }[] };
    return ips[0]?.address.split("/")[0] as string;
  });
  return { netns: targets.map(({ netns }) => netns) as [string, string], address };
}

/** Two pods as one would make them with ip(8): a veth each, a route each way. */
export function barePair(host: TestHost, sandboxes: readonly [TestNetns, TestNetns]): Pair {
  host.setSysctl("net.ipv4.ip_forward", 1);
  for (const [at, sandbox] of sandboxes.entries()) {
    const address = `10.21.0.${at + 2}`;
    host.ipBatch(
      `link add bare${at} type veth peer name eth0 netns ${sandbox.name}`,
      `address add ${GATEWAY}/32 dev bare${at}`,
      `link set bare${at} up`,
      `route add ${address} dev bare${at}`,
    );
    sandbox.ipBatch(
      "link set lo up",
      `address add ${address}/32 dev eth0`,
      "link set eth0 up",
      `route add ${GATEWAY} dev eth0 scope link`,
      `route add default via ${GATEWAY} dev eth0`,
    );
  }
  return { netns: sandboxes.map(({ path }) => path) as [string, string], address: "10.21.0.3" };
}

/** Rounds of one pair after the other; results in the order of the pairs. */
export async function measurePackets(pairs: readonly Pair[], rounds: number): Promise<PacketSeries[]> {
  using stack = new DisposableStack();
  const lines = pairs.map((pair) => ({
    dialogue: stack.use(new Dialogue(pair)),
    listener: stack.use(new Listener(pair)),
    series: { throughput: [] as number[], transactions: [] as number[] },
  }));
  for (const { dialogue, listener } of lines) {
    await listener.ready();
    listener.gigabitsPerSecond();
    dialogue.transactionsPerSecond();
  }
  for (let round = 0; round < rounds; round += 1) {
    for (let at = 0; at < DIALOGUES_PER_ROUND; at += 1) {
      for (const { dialogue, series } of inTurn(lines, at)) {
        series.transactions.push(dialogue.transactionsPerSecond());
      }
    }
    for (const { listener, series } of inTurn(lines, round))
      series.throughput.push(listener.gigabitsPerSecond());
  }
  return lines.map(({ series }) => series);
}

/** Before a server that is busy is asked again. */
const BUSY_PAUSE_MS = 100;

/** iperf3's server in a pod, until it is disposed of. */
class Listener implements Disposable {
  readonly #pair: Pair;
  readonly #server: Bun.Subprocess<"ignore", "pipe", "ignore">;

  constructor(pair: Pair) {
    const { netns } = pair;
    const command = ["nsenter", `--net=${netns[1]}`, "iperf3", "--server", "--forceflush"];
    this.#pair = pair;
    this.#server = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
  }

  /** It says so once it listens. */
  async ready(): Promise<void> {
    const decoder = new TextDecoder();
    let said = "";
    for await (const bytes of this.#server.stdout) {
      said += decoder.decode(bytes);
      if (said.includes("listening")) return;
    }
    throw new Error(`Cannot start iperf3: ${said}`);
  }

  gigabitsPerSecond(): number {
    const { netns, address } = this.#pair;
    const options = ["--client", address, "--time", String(SECONDS), "--json"];
    for (;;) {
      const { stdout } = execaSync("nsenter", [`--net=${netns[0]}`, "iperf3", ...options]);
      const { end, error } = JSON.parse(stdout);
      if (error === undefined) return end.sum_received.bits_per_second / 1e9;
      // On a busy machine the server may not have finished with the last round's client.
      if (!error.includes("busy")) throw new Error(`Cannot measure throughput: ${error}`);
      Bun.sleepSync(BUSY_PAUSE_MS);
    }
  }

  [Symbol.dispose](): void {
    this.#server.kill();
  }
}

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1; // include/uapi/linux/tcp.h

const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  listen: { args: ["i32", "i32"], returns: "i32" },
  accept4: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  send: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
});

/**
 * Both ends of one connection in one thread, which asks and answers in turn: what is measured is the packets' way
 * through the kernel, and not how soon a scheduler wakes somebody up.
 */
class Dialogue implements Disposable {
  readonly #client: number;
  readonly #server: number;
  readonly #byte = new Uint8Array(1);

  constructor({ netns: [client, server], address }: Pair) {
    const listener = inside(server, tcpSocket);
    const name = socketAddress(address, PORT);
    checked("bind", libc.bind(listener, ptr(name), name.length));
    checked("listen", libc.listen(listener, 1));
    this.#client = inside(client, tcpSocket);
    checked("connect", libc.connect(this.#client, ptr(name), name.length));
    this.#server = checked("accept", libc.accept4(listener, null, null, SOCK_CLOEXEC));
    for (const fd of [this.#client, this.#server]) withoutDelay(fd);
    closeSync(listener);
  }

  transactionsPerSecond(): number {
    const started = Bun.nanoseconds();
    for (let at = 0; at < TRANSACTIONS; at += 1) {
      this.#pass(this.#client, this.#server);
      this.#pass(this.#server, this.#client);
    }
    return TRANSACTIONS / ((Bun.nanoseconds() - started) / 1e9);
  }

  #pass(from: number, to: number): void {
    checked("send", Number(libc.send(from, ptr(this.#byte), 1, 0)));
    checked("recv", Number(libc.recv(to, ptr(this.#byte), 1, 0)));
  }

  [Symbol.dispose](): void {
    closeSync(this.#client);
    closeSync(this.#server);
  }
}

function tcpSocket(): number {
  return checked("socket", libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

/** Each byte is sent at once. */
function withoutDelay(fd: number): void {
  const one = new Int32Array([1]);
  checked("setsockopt", libc.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, ptr(one), one.byteLength));
}

/** struct sockaddr_in */
function socketAddress(address: string, port: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  bytes.set(address.split(".").map(Number), 4);
  return bytes;
}

function checked(call: string, value: number): number {
  if (value < 0) throw new Error(`Cannot ${call} for the dialogue`);
  return value;
}
