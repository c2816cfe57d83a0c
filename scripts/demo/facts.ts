// What the article promises of every pod, spelled here once more: a demo that asked src/ would believe anything.

export const HOST_MAC = "ee:ee:ee:ee:ee:ee";
export const GATEWAY_ADDRESS = "169.254.1.1";
