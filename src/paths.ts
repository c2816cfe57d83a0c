// Paths as text: what is asked of them without asking the kernel.

/** Parts put together, without ".", ".." and doubled slashes where they can be told away. "" where there is nothing. */
export function join(...parts: readonly string[]): string {
  const path = parts.filter((part) => part !== "").join("/");
  const isAbsolute = path.startsWith("/");
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "" || name === ".") continue;
    if (name !== "..") names.push(name);
    else if (names.length > 0 && names.at(-1) !== "..") names.pop();
    else if (!isAbsolute) names.push(name);
  }
  return `${isAbsolute ? "/" : ""}${names.join("/")}` || ".";
}

/** The last name in it; "" for "/". */
export function basename(path: string): string {
  return path.replace(/\/+$/, "").replace(/^.*\//s, "");
}

/** What it is in: all before the last name; "/" for "/", "." for a name alone. */
export function dirname(path: string): string {
  const trimmed = path.replace(/(?<=.)\/+$/s, "");
  const at = trimmed.lastIndexOf("/");
  if (at < 0) return ".";
  return trimmed.slice(0, at).replace(/(?<=.)\/+$/s, "") || "/";
}
