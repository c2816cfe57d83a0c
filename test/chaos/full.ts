/** `npm run chaos` runs everything; `npm test` leaves out what differs in numbers and not in kind. */
export const FULL = process.env.CHAOS === "full";

/** Of everything that is drawn by lot; another one finds other things. */
export const SEED = Number(process.env.CHAOS_SEED ?? 32);
