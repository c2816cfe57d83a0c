// Words for a shell: what slash32 prints as a command can be pasted as root, whatever names a runtime came up with.

/** The text as one word of a POSIX shell: as it is where nothing in it means anything, else in single quotes. */
export function word(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
