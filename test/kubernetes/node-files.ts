// What is configured on a node, as an administrator would write it; but for what a machine in a machine lacks.
import { ANY_KERNEL, ONLY_WHAT_IS_NEEDED } from "../helpers/containerd.ts";
import { IMAGE } from "../helpers/image.ts";
import { POD_CIDR } from "./control-plane.ts";

export const CONTAINERD_SOCKET = "/run/containerd/containerd.sock";
/** Where everything of these files is on a node. */
export const CONFIGURATION = "/etc/kubernetes";

/** Paths are the usual ones. */
export function containerdConfiguration(): string {
  return `version = 2
${ONLY_WHAT_IS_NEEDED}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${IMAGE}"
${ANY_KERNEL}
`;
}

export function kubeletConfiguration(): string {
  return JSON.stringify({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: `${CONFIGURATION}/authority.crt` },
    },
    authorization: { mode: "Webhook" },
    nodeStatusUpdateFrequency: "5s",
    syncFrequency: "10s",
    resolvConf: "",
    failSwapOn: false,
    // Several nodes share the machine's disk and memory, whose kernel may lack a controller.
    cgroupDriver: "cgroupfs",
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    localStorageCapacityIsolation: false,
    featureGates: { LocalStorageCapacityIsolation: false },
    evictionHard: { "memory.available": "100Mi" },
    imageGCHighThresholdPercent: 100,
  });
}

export function proxyConfiguration(): string {
  return JSON.stringify({
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    clientConnection: { kubeconfig: `${CONFIGURATION}/kube-proxy.conf` },
    mode: "iptables",
    clusterCIDR: POD_CIDR,
    // The kernel has one table of connections, and it is the machine's.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
  });
}
