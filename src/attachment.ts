// An attachment: one interface of one container in one network (CNI specification, "attachment").

/** The identity that everything is keyed by: leases, host end, locks. Never the pod's name, which is reused. */
export interface Attachment {
  /** `name` of the network configuration. */
  readonly network: string;
  /** CNI_CONTAINERID. */
  readonly containerId: string;
  /** CNI_IFNAME. */
  readonly ifName: string;
}

/** The identity as one word, for hashing and for people. No part can hold a "/", so it is unambiguous. */
export function attachmentKey({ network, containerId, ifName }: Attachment): string {
  return `${network}/${containerId}/${ifName}`;
}
