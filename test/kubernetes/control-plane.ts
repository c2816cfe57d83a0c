// The machine of the control plane: etcd, API server, controller manager and scheduler.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Certificate, TestAuthority } from "../helpers/certificates.ts";
import { Enclosure } from "../helpers/enclosure.ts";
import { kubeconfig } from "./kubeconfig.ts";
import { Kubectl } from "./kubectl.ts";
import { restarting } from "./machine.ts";
import type { Place } from "./place.ts";

export const POD_CIDR = "10.244.0.0/16";
export const SERVICE_CIDR = "10.96.0.0/16";
const ADDRESS = "172.30.0.100";
/** Services get the first address of their range as the API server's. */
const SERVER_NAMES = [`IP:${ADDRESS}`, "IP:10.96.0.1", "DNS:kubernetes.default.svc"];
const SERVER = `https://${ADDRESS}:6443`;

export class ControlPlane implements AsyncDisposable {
  readonly kubectl: Kubectl;
  readonly authority = new TestAuthority();
  readonly #enclosure: Enclosure;
  readonly #directory: string;
  readonly #logs: string;
  readonly #binaries: string;

  private constructor(enclosure: Enclosure, { directory, logs }: Place, binaries: string) {
    this.#enclosure = enclosure;
    this.#directory = join(directory, "control-plane");
    this.#logs = logs;
    this.#binaries = binaries;
    mkdirSync(this.#directory);
    const admin = this.#kubeconfigFile("admin", "/O=system:masters/CN=admin");
    this.kubectl = new Kubectl(enclosure, join(binaries, "kubectl"), admin);
  }

  /** `binaries` is where Kubernetes' executables are, `init` the first process of the machine. */
  static async open(place: Place, binaries: string, init: string): Promise<ControlPlane> {
    const enclosure = await Enclosure.open(place.addMachine("control-plane", ADDRESS), init);
    return new ControlPlane(enclosure, place, binaries);
  }

  /** What somebody asks the API server with, known as `subject`: the content of a file. */
  kubeconfig(subject: string): string {
    return kubeconfig(SERVER, this.authority, this.authority.sign({ subject }));
  }

  /** Starts all of it; none of it is ready when this returns. */
  start(): void {
    this.#start("etcd", this.#etcd());
    // With it the tokens of service accounts are signed.
    const tokens = this.authority.sign({ subject: "/CN=tokens" });
    this.#start("kube-apiserver", this.#apiserver(tokens));
    this.#start("kube-controller-manager", this.#controllerManager(tokens));
    this.#start("kube-scheduler", this.#scheduler());
  }

  #etcd(): Options {
    const [clients, peers] = ["http://127.0.0.1:2379", "http://127.0.0.1:2380"];
    return {
      "data-dir": join(this.#directory, "etcd"),
      "listen-client-urls": clients,
      "advertise-client-urls": clients,
      "listen-peer-urls": peers,
      "initial-advertise-peer-urls": peers,
      "initial-cluster": `default=${peers}`,
      "unsafe-no-fsync": true,
      "log-level": "warn",
    };
  }

  #apiserver(tokens: Certificate): Options {
    const { authority } = this;
    const own = authority.sign({ subject: "/CN=kube-apiserver", names: SERVER_NAMES });
    const client = authority.sign({ subject: "/O=system:masters/CN=kube-apiserver" });
    return {
      "etcd-servers": "http://127.0.0.1:2379",
      "advertise-address": ADDRESS,
      "insecure-port": 0,
      "tls-cert-file": own.certificate,
      "tls-private-key-file": own.key,
      "client-ca-file": authority.caFile,
      "authorization-mode": "Node,RBAC",
      "enable-admission-plugins": "NodeRestriction",
      "service-account-issuer": SERVER,
      "service-account-key-file": tokens.certificate,
      "service-account-signing-key-file": tokens.key,
      "service-cluster-ip-range": SERVICE_CIDR,
      "kubelet-client-certificate": client.certificate,
      "kubelet-client-key": client.key,
      "kubelet-preferred-address-types": "InternalIP",
      "allow-privileged": true,
    };
  }

  #controllerManager(tokens: Certificate): Options {
    return {
      kubeconfig: this.#kubeconfigFile("controller-manager", "/CN=system:kube-controller-manager"),
      "allocate-node-cidrs": true,
      "cluster-cidr": POD_CIDR,
      "service-account-private-key-file": tokens.key,
      "root-ca-file": this.authority.caFile,
      "use-service-account-credentials": true,
      ...this.#alone(),
    };
  }

  #scheduler(): Options {
    return {
      kubeconfig: this.#kubeconfigFile("scheduler", "/CN=system:kube-scheduler"),
      ...this.#alone(),
    };
  }

  /** There is one of each, and nobody asks it. */
  #alone(): Options {
    return { "leader-elect": false, port: 0, "cert-dir": this.#directory };
  }

  #kubeconfigFile(name: string, subject: string): string {
    const path = join(this.#directory, `${name}.conf`);
    writeFileSync(path, this.kubeconfig(subject));
    return path;
  }

  #start(program: string, options: Options): void {
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    const command = restarting(join(this.#binaries, program), ...args);
    this.#enclosure.start(join(this.#logs, `${program}.log`), ...command);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#enclosure[Symbol.asyncDispose]();
    this.authority[Symbol.dispose]();
  }
}

type Options = Readonly<Record<string, string | number | boolean>>;
