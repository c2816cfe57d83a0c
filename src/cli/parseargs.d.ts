// @pkgjs/parseargs is the function of node:util by the people who wrote that one.
declare module "@pkgjs/parseargs" {
  export { parseArgs } from "node:util";
}
