// `npm run demo`: the two-host lab, live, with the real bin/slash32. Runs in scripts/lab.sh, leaves nothing behind.
import { catchExchange } from "./arp.ts";
import { Claims } from "./claims.ts";
import { DRAWING } from "./drawing.ts";
import { GATEWAY_ADDRESS, HOST_MAC } from "./facts.ts";
import { interruptedStatus, onInterruption } from "./interruption.ts";
import { host0, host1, hosts, Lab, type Pod, pod0, pod1, pod2, pods } from "./lab.ts";
import { addCommand, checkCommand, delCommand, failingCheckCommand, leasesCommand, PATH } from "./runtime.ts";
import { Shell } from "./shell.ts";
import { chapter, note, output, print } from "./terminal.ts";

/** What the scenes share. */
interface Stage {
  readonly shell: Shell;
  readonly claims: Claims;
}

process.exit(await demo());

/** Returns the exit status: 0 if every claim held, 1 if not, 128 and its number for a signal. */
async function demo(): Promise<number> {
  const interruption = onInterruption();
  const claims = new Claims();
  const started = performance.now();
  try {
    using lab = new Lab();
    await story({ shell: new Shell(lab.directory, { PATH }, interruption), claims });
  } catch (error) {
    const status = await interruptedStatus(interruption);
    if (status !== undefined) return status;
    output((error as Error).message);
    claims.hold("the demo comes to its end", "an error, shown above", false);
  }
  claims.summary((performance.now() - started) / 1000);
  return claims.allHeld ? 0 : 1;
}

async function story(stage: Stage): Promise<void> {
  print("slash32 gives every pod a single address and nothing else: a /32, a veth and a route.\n");
  print(DRAWING);
  await buildHosts(stage);
  const hostEnd = await attachPods(stage);
  await askForGateway(stage, hostEnd);
  await lookIntoPod(stage);
  await lookAtHost(stage, hostEnd);
  await pingPods(stage);
  await checkPods(stage);
  await breakAndRestore(stage);
  await detachPods(stage);
}

async function buildHosts({ shell }: Stage): Promise<void> {
  chapter("Two hosts on one link");
  for (const { name } of hosts) await shell.type(`ip netns add ${name}`);
  await shell.type("ip link add ens192 netns host0 type veth peer name ens192 netns host1");
  for (const { name, address } of hosts) {
    await shell.type(`ip -n ${name} address add ${address}/24 dev ens192`);
    await shell.type(`ip -n ${name} link set ens192 up`);
  }
  note("Each host knows the other's pods by one static route. Larger networks leave that to BGP.");
  await shell.type(`ip -n host0 route add ${host1.podRange} via ${host1.address}`);
  await shell.type(`ip -n host1 route add ${host0.podRange} via ${host0.address}`);
  note("Nobody is at 192.168.1.1 here: that there is a default route is what makes proxy ARP answer.");
  for (const { name } of hosts) await shell.type(`ip -n ${name} route add default via 192.168.1.1`);
  await shell.type(`ip netns exec host0 ping -c 1 -W 3 ${host1.address}`);
}

/** Returns the name of pod0's host end. */
async function attachPods({ shell, claims }: Stage): Promise<string> {
  chapter("ADD: three pods, attached as a container runtime does it");
  await shell.type("cat host0.json");
  await shell.type("ip netns add pod0");
  const { interfaces, ips }: AddResult = await typeAdd(shell, addCommand(pod0));
  const addresses = [ips?.[0]?.address];
  for (const pod of [pod1, pod2]) {
    await shell.type(`ip netns add ${pod.name}`);
    addresses.push((await typeAdd(shell, addCommand(pod, "-c '{ips}'"))).ips?.[0]?.address);
  }
  const expected = pods.map(({ address }) => `${address}/32`);
  claims.hold("ADD gives each pod an address", addresses.join(" "), `${addresses}` === `${expected}`);
  return interfaces?.[0]?.name ?? "none";
}

/** As much of a CNI result as is looked at; an error object has none of it. */
interface AddResult {
  readonly interfaces?: readonly { readonly name: string }[];
  readonly ips?: readonly { readonly address: string }[];
}

async function typeAdd(shell: Shell, command: string): Promise<AddResult> {
  return JSON.parse((await shell.type(command)).stdout);
}

async function askForGateway({ shell, claims }: Stage, hostEnd: string): Promise<void> {
  chapter(`Who answers for ${GATEWAY_ADDRESS}?`);
  note(`${hostEnd} is the host end of pod0's veth. The first packet makes the pod ask for its gateway.`);
  const { answer, outcome } = await catchExchange(shell, pod0, hostEnd, pingCommand(pod0, pod1));
  claims.hold(`the host answers ARP for ${GATEWAY_ADDRESS}`, `is-at ${answer}`, answer === HOST_MAC);
  holdPing(claims, "pod to pod on one host", outcome.stdout, 63);
}

async function lookIntoPod({ shell, claims }: Stage): Promise<void> {
  chapter("What a pod has");
  const addresses = matches(await shown(shell, "ip -n pod0 -4 address show dev eth0"), /inet (\S+)/g);
  const routes = lines(await shown(shell, "ip -n pod0 route"));
  const neighbours = lines(await shown(shell, "ip -n pod0 -4 neighbour"));

  const onlyOwn = `${addresses}` === `${pod0.address}/32`;
  claims.hold("a pod has a single address", addresses.join(" "), onlyOwn);
  const wanted = [`default via ${GATEWAY_ADDRESS} dev eth0`, `${GATEWAY_ADDRESS} dev eth0 scope link`];
  claims.hold("a pod has two routes", `via ${GATEWAY_ADDRESS}`, `${routes}` === `${wanted}`);
  const [neighbour = "none"] = neighbours;
  const isLearnt = neighbour.includes(HOST_MAC) && !neighbour.includes("PERMANENT");
  claims.hold("a pod has one neighbour, learnt by ARP", GATEWAY_ADDRESS, neighbours.length === 1 && isLearnt);
}

async function lookAtHost({ shell, claims }: Stage, hostEnd: string): Promise<void> {
  chapter("What a host has");
  const link = await shown(shell, `ip -n host0 address show dev ${hostEnd}`);
  const proxyArp = await shown(shell, `ip netns exec host0 cat /proc/sys/net/ipv4/conf/${hostEnd}/proxy_arp`);
  await shell.type("ip -n host0 route");
  const ours = matches(await shown(shell, "ip -n host0 route show proto 32"), /^(\S+)/gm);
  await shell.type("ip -n host0 -4 neighbour");

  const [mac = "none"] = matches(link, /link\/ether (\S+)/g);
  claims.hold("a host end has the MAC of all host ends", mac, mac === HOST_MAC);
  const addresses = matches(link, /inet (\S+)/g);
  claims.hold("a host end has no address", addresses.join(" ") || "none", addresses.length === 0);
  claims.hold("a host end does proxy ARP", `proxy_arp=${proxyArp}`, proxyArp === "1");
  const expected = `${[pod0.address, pod1.address]}`;
  claims.hold("a host has one /32 route for each pod", ours.join(" "), `${ours}` === expected);
}

async function pingPods({ shell, claims }: Stage): Promise<void> {
  chapter("Pod to pod");
  note("Every host on the way takes one off the TTL of 64: pods are routed, never bridged.");
  const near = await shell.type(pingCommand(pod1, pod0), { mayFail: true });
  holdPing(claims, "pod to pod on one host, the other way", near.stdout, 63);
  const far = await shell.type(pingCommand(pod0, pod2), { mayFail: true });
  holdPing(claims, "pod to pod across hosts", far.stdout, 62);
}

async function checkPods({ shell, claims }: Stage): Promise<void> {
  chapter("CHECK: is everything still as ADD made it?");
  const statuses: number[] = [];
  for (const pod of pods) statuses.push((await shell.type(checkCommand(pod), { mayFail: true })).exitCode);
  note("No output and exit status 0: nothing is amiss.");
  claims.hold(
    "CHECK passes",
    `exit statuses ${statuses.join(" ")}`,
    statuses.every((status) => status === 0),
  );
}

async function breakAndRestore({ shell, claims }: Stage): Promise<void> {
  chapter("CHECK finds a route that somebody removed, and tells how to restore it");
  await shell.type(`ip -n host0 route delete ${pod0.address}`);
  const [code, message = ""] = lines(await shown(shell, failingCheckCommand(pod0)));
  const isTold = message.includes(`route ${pod0.address}/32 on the host is missing`);
  claims.hold("CHECK finds a route that is gone", `code ${code}`, isTold);

  note("The message ends with the command that restores it, to be typed on the host:");
  await shell.type(`ip netns exec host0 ${message.split("; ").at(-1)}`);
  const { exitCode } = await shell.type(checkCommand(pod0), { mayFail: true });
  claims.hold("its command restores it, CHECK passes", `exit status ${exitCode}`, exitCode === 0);
}

async function detachPods({ shell, claims }: Stage): Promise<void> {
  chapter("DEL: nothing is left");
  await shell.type(leasesCommand(host0));
  for (const pod of pods) await shell.type(delCommand(pod));
  const leases: string[] = [];
  for (const host of hosts) leases.push(await shown(shell, leasesCommand(host)));
  claims.hold(
    "DEL gives every address back",
    `leases ${leases.join(" ")}`,
    leases.every((text) => text === "[]"),
  );

  const left: string[] = [];
  for (const { name } of [...hosts, ...pods])
    left.push(...matches(await shown(shell, `ip -n ${name} -brief link`), /^(\w+)@/gm));
  const others = left.filter((name) => name !== "ens192");
  claims.hold("DEL leaves no link", others.join(" ") || "only lo and ens192", others.length === 0);
  const routes = lines(await shown(shell, "ip -n host0 route show proto 32"));
  claims.hold("DEL leaves no route", routes.join(" ") || "none of proto 32", routes.length === 0);
}

function pingCommand(from: Pod, to: Pod): string {
  return `ip netns exec ${from.name} ping -c 1 -W 3 ${to.address}`;
}

function holdPing(claims: Claims, way: string, printed: string, ttl: number): void {
  const [seen = "no answer"] = matches(printed, /(ttl=\d+)/g);
  claims.hold(way, seen, seen === `ttl=${ttl}`);
}

async function shown(shell: Shell, command: string): Promise<string> {
  return (await shell.type(command)).stdout;
}

function lines(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
}

function matches(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), ([, found]) => found as string);
}
