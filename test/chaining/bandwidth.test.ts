// bandwidth after slash32: a pod gets, and gives, no more than it may.

import { execa } from "execa";
import { expect, test } from "vitest";
import { said } from "../helpers/answering.ts";
import { TestHost, TestNetns } from "../helpers/lab.ts";
import { ListRunner } from "../helpers/list.ts";
import { NOTHING, remains } from "../helpers/outcome.ts";
import { netconf } from "../helpers/plugin.ts";
import { installed, remark } from "../helpers/remark.ts";

const MEGABIT = 1_000_000;
const INTO = 40 * MEGABIT;
const OUT_OF = 20 * MEGABIT;
const SECONDS = 4;

/** Bits per second that arrive, without the first second, in which the bucket is full. */
async function measured(pod: TestNetns, from: TestNetns, direction: "into" | "out of"): Promise<number> {
  const server = execa("nsenter", [`--net=${pod.path}`, "--", "iperf3", "-s", "-1", "--forceflush"], {
    reject: false,
  });
  await said(server.stdout, "Server listening");
  const reverse = direction === "into" ? [] : ["-R"];
  const options = ["-c", "10.20.1.2", "-J", "-t", `${SECONDS}`, "-O", "1", ...reverse];
  const { stdout } = await execa("nsenter", [`--net=${from.path}`, "--", "iperf3", ...options]);
  await server;
  return JSON.parse(stdout).end.sum_received.bits_per_second;
}

test("is within 10 % of the limit, either way, and a pod without has none", async ({ task }) => {
  using host = new TestHost();
  using pod = new TestNetns();
  using free = new TestNetns();
  const { cniVersion: _, name: __, ...plugin } = netconf(host);
  const plugins = [plugin, { type: "bandwidth", capabilities: { bandwidth: true } }];
  const runner = new ListRunner(host, { cniVersion: "1.0.0", name: "podnet", plugins });
  const burst = 256 * 1024;
  const bandwidth = { ingressRate: INTO, ingressBurst: burst, egressRate: OUT_OF, egressBurst: burst };
  const slow = { containerId: "slow", netns: pod, capabilities: { bandwidth } };

  const result = runner.add(slow);
  expect(result.ips).toEqual([{ address: "10.20.1.2/32", interface: 1 }]);
  expect(result.interfaces).toHaveLength(3); // it found the host end by its name, and added a device of its own
  runner.check(slow);
  const into = await measured(pod, host.router, "into");
  const outOf = await measured(pod, host.router, "out of");
  const words = (rate: number) => `${(rate / MEGABIT).toFixed(1)} Mbit/s`;
  remark(task.file, `${installed("containernetworking-plugins", "iptables")}`);
  remark(
    task.file,
    `into the pod ${words(into)} of ${words(INTO)}, out of it ${words(outOf)} of ${words(OUT_OF)}`,
  );
  expect(into / INTO).toBeGreaterThan(0.9);
  expect(into / INTO).toBeLessThan(1.1);
  expect(outOf / OUT_OF).toBeGreaterThan(0.9);
  expect(outOf / OUT_OF).toBeLessThan(1.1);

  runner.add({ containerId: "free", netns: free });
  runner.del({ containerId: "free", netns: free });
  runner.del(slow);
  expect(host.exec("ip", "-o", "link", "show", "type", "ifb").stdout).toBe("");
  expect(remains(host)).toEqual(NOTHING);
});
