/** The Container Runtime Interface, as the kubelet speaks it: gRPC over a Unix socket. */

import { join } from "node:path";
import {
  credentials,
  type GrpcObject,
  loadPackageDefinition,
  type ServiceClientConstructor,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const PROTOCOL = join(import.meta.dirname, "../fixtures/runtimes/cri.proto");

/** A machine that is busy makes everything slow; a call that takes longer hangs. */
const TIMEOUT_MS = 120_000;

export type PodSandboxConfig = {
  readonly metadata: { readonly name: string; readonly uid: string; readonly namespace: string };
  readonly hostname?: string;
  readonly dnsConfig?: {
    readonly servers?: readonly string[];
    readonly searches?: readonly string[];
    readonly options?: readonly string[];
  };
  readonly portMappings?: readonly PortMapping[];
  readonly linux: { readonly cgroupParent: string };
};

export type PortMapping = {
  readonly protocol?: "TCP" | "UDP";
  readonly containerPort: number;
  readonly hostPort: number;
  readonly hostIp?: string;
};

export type PodSandboxState = "SANDBOX_READY" | "SANDBOX_NOTREADY";

type Sandbox = { readonly podSandboxId: string };

type SandboxStatus = {
  readonly status: { readonly state: PodSandboxState; readonly network: { readonly ip: string } };
  /** "info" is JSON, when it was asked for. */
  readonly info: Readonly<Record<string, string>>;
};

/** Each rejects with the runtime's own words. */
export type Cri = {
  Version(request: object): Promise<{ runtimeName: string; runtimeVersion: string }>;
  Status(
    request: object,
  ): Promise<{ status: { conditions: { type: string; status: boolean; message: string }[] } }>;
  RunPodSandbox(request: { config: PodSandboxConfig; runtimeHandler: string }): Promise<Sandbox>;
  PodSandboxStatus(request: Sandbox & { verbose?: boolean }): Promise<SandboxStatus>;
  ListPodSandbox(request: object): Promise<{ items: { id: string; state: PodSandboxState }[] }>;
  StopPodSandbox(request: Sandbox): Promise<object>;
  RemovePodSandbox(request: Sandbox): Promise<object>;
  close(): void;
};

type Call = (
  request: object,
  options: { deadline: number },
  done: (error: Error | null, response: unknown) => void,
) => void;

/** Connects at the first call. Close it in the end. */
export function connectCri(socket: string): Cri {
  const definition = loadSync(PROTOCOL, { enums: String, defaults: true });
  const { v1 } = loadPackageDefinition(definition).runtime as GrpcObject;
  const { RuntimeService } = v1 as { RuntimeService: ServiceClientConstructor } & GrpcObject;
  // Without the name, a path would be sent as the name of the server, which containerd refuses.
  const options = { "grpc.default_authority": "localhost" };
  const client = new RuntimeService(`unix://${socket}`, credentials.createInsecure(), options);
  const method = (name: string) => (request: object) =>
    new Promise((resolve, reject) => {
      const call = client[name] as Call;
      const done = (error: Error | null, response: unknown) => (error ? reject(error) : resolve(response));
      call.call(client, request, { deadline: Date.now() + TIMEOUT_MS }, done);
    });
  const methods = Object.keys(RuntimeService.service).map((name) => [name, method(name)]);
  return { ...Object.fromEntries(methods), close: () => client.close() } as Cri;
}
