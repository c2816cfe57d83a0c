/** `npm run test:chaos` runs everything; `npm test` leaves out what differs in numbers and not in kind. */
export const FULL = process.env.CHAOS === "full";
