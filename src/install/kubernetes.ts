// The node as Kubernetes knows it, asked for as a pod asks: by its service account, and for what installing needs alone.
import { parseAddress } from "../address.ts";
import { readText } from "../files.ts";
import { get, type HttpAnswer, HttpError } from "../https/https.ts";
import { formatServer, type Server } from "../https/tcp.ts";
import { TlsError } from "../https/tls.ts";
import { SystemError, sleep } from "../libc.ts";

/** What Kubernetes mounts into every pod. */
const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
/** What the API server's certificate is made out to, beside its addresses. */
const SERVER_NAME = "kubernetes.default.svc";
const PAUSE_MS = 1000;
/** An answer takes milliseconds: after so long another server may be asked. */
const LONGEST_ANSWER_MS = 10_000;
/** A word every so often for whoever watches. */
const QUIET_MS = 10_000;

export interface NodeLookup {
  /** How long all of it may take. */
  readonly timeoutMs: number;
  /** A line for whoever waits. */
  readonly progress: (line: string) => void;
}

/** Of a Node object. */
export interface KubernetesNode {
  /** `spec.podCIDRs` */
  readonly podCidrs: readonly string[];
  /** `status.nodeInfo.containerRuntimeVersion`, such as "containerd://1.7.13" */
  readonly runtime: string | undefined;
}

/** What came of asking once: what was asked for, or why to ask again. */
type Outcome = KubernetesNode | { readonly pending: string };

/**
 * The node in NODE_NAME, with one pod CIDR at least. Waits for the API server to be reached and for the CIDRs to be assigned.
 * Throws at once what waiting does not mend, and else when the time is over.
 */
export function nodeInKubernetes(
  { timeoutMs, progress }: NodeLookup,
  environment: Readonly<Record<string, string | undefined>>,
): KubernetesNode {
  const name = variable(environment, "NODE_NAME", "spec.nodeName, by a fieldRef");
  const server = serverIn(environment);
  const started = performance.now();
  let spoken = Number.NEGATIVE_INFINITY;
  let last = "";
  for (;;) {
    const outcome = ask(server, name, started + timeoutMs);
    if ("podCidrs" in outcome) return outcome;
    const waited = performance.now() - started;
    if (waited + PAUSE_MS >= timeoutMs) {
      throw new Error(
        `Cannot learn the pod CIDRs of node ${JSON.stringify(name)} in ${timeoutMs / 1000} s: ${outcome.pending}`,
      );
    }
    if (outcome.pending !== last || waited - spoken >= QUIET_MS) {
      progress(`waiting (${Math.floor(waited / 1000)} s of ${timeoutMs / 1000} s): ${outcome.pending}`);
      [last, spoken] = [outcome.pending, waited];
    }
    sleep(PAUSE_MS);
  }
}

function serverIn(environment: Readonly<Record<string, string | undefined>>): Server {
  const host = variable(environment, "KUBERNETES_SERVICE_HOST", "the API server's address");
  const portText = variable(environment, "KUBERNETES_SERVICE_PORT", "the API server's port");
  const port = Number(portText);
  const address = parseAddress(host);
  if (address === undefined) {
    throw new Error(
      `Cannot use KUBERNETES_SERVICE_HOST=${JSON.stringify(host)}: expected an address; ` +
        "set it to one in the DaemonSet's env",
    );
  }
  if (!(Number.isInteger(port) && port > 0 && port < 65_536)) {
    throw new Error(
      `Cannot use KUBERNETES_SERVICE_PORT=${JSON.stringify(portText)}: expected a port, such as "443"`,
    );
  }
  return { address, port };
}

function variable(
  environment: Readonly<Record<string, string | undefined>>,
  name: string,
  meaning: string,
): string {
  const value = environment[name];
  if (value) return value;
  throw new Error(`Cannot ask Kubernetes without ${name} in the environment: expected ${meaning}`);
}

function ask(server: Server, name: string, deadline: number): Outcome {
  const token = readText(`${SERVICE_ACCOUNT}/token`).trim(); // anew each time: it is replaced every hour
  let answer: HttpAnswer;
  try {
    answer = get(server, {
      path: `/api/v1/nodes/${encodeURIComponent(name)}`,
      token,
      caFile: `${SERVICE_ACCOUNT}/ca.crt`,
      name: SERVER_NAME,
      deadline: Math.min(deadline, performance.now() + LONGEST_ANSWER_MS),
    });
  } catch (error) {
    const reason = `Cannot ask https://${formatServer(server)}: ${(error as Error).message}`;
    if (isPassing(error)) return { pending: reason };
    throw new Error(reason, { cause: error });
  }
  return read(answer, name);
}

/** An API server that is not reached yet may be reached in a moment; one that is not trusted will not be. */
function isPassing(error: unknown): boolean {
  if (error instanceof TlsError) return error.code !== "untrusted";
  return error instanceof SystemError || error instanceof HttpError;
}

/** What a status says that waiting does not mend. */
const REFUSALS: Readonly<Record<number, string>> = {
  401: "the service account's token is not accepted",
  403: 'the service account may not look at nodes: allow it to "get" "nodes"',
  404: "there is no such node: NODE_NAME has to be the pod's spec.nodeName",
};

function read({ status, reason, body }: HttpAnswer, name: string): Outcome {
  const node = `node ${JSON.stringify(name)}`;
  const refusal = REFUSALS[status];
  if (refusal) throw new Error(`Cannot read ${node}: ${status} ${reason}: ${refusal}`);
  if (status !== 200) return { pending: `Cannot read ${node}: ${status} ${reason}` };
  const found = nodeIn(body);
  if (found === undefined) return { pending: `Cannot read ${node}: the answer is no JSON object` };
  return found.podCidrs.length > 0 ? found : { pending: `${node} has no spec.podCIDRs yet` };
}

interface NodeObject {
  readonly spec?: { readonly podCIDRs?: unknown; readonly podCIDR?: unknown };
  readonly status?: { readonly nodeInfo?: { readonly containerRuntimeVersion?: unknown } };
}

/**
 * `podCIDR` is the first of them, and all that Kubernetes before 1.16 has. `undefined` for what no API server answers,
 * but a load balancer before it may.
 */
function nodeIn(body: string): KubernetesNode | undefined {
  let node: NodeObject | null;
  try {
    node = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (typeof node !== "object" || node === null) return undefined;
  const { podCIDRs, podCIDR } = node.spec ?? {};
  const list = Array.isArray(podCIDRs) && podCIDRs.length > 0 ? podCIDRs : [podCIDR];
  const podCidrs = list.filter((cidr) => typeof cidr === "string" && cidr !== "");
  const runtime = node.status?.nodeInfo?.containerRuntimeVersion;
  return { podCidrs, runtime: typeof runtime === "string" ? runtime : undefined };
}
