// SHA-1 (RFC 3174), for names that are derived from others. Nothing here is a secret.

const BLOCK_BYTES = 64;

/** The digest of a text's UTF-8, as 40 hexadecimal digits. */
export function sha1(text: string): string {
  const message = padded(new TextEncoder().encode(text));
  const sums = new Int32Array([0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0]);
  const words = new Int32Array(80);
  for (let at = 0; at < message.byteLength; at += BLOCK_BYTES) {
    for (let t = 0; t < 16; t++) words[t] = message.getInt32(at + 4 * t);
    addBlock(words, sums);
  }
  return Array.from(sums, (sum) => (sum >>> 0).toString(16).padStart(8, "0")).join("");
}

/** Section 4: a one bit, zeros, and the length in bits. */
function padded(bytes: Uint8Array): DataView {
  const whole = new Uint8Array(Math.ceil((bytes.length + 9) / BLOCK_BYTES) * BLOCK_BYTES);
  whole.set(bytes);
  whole[bytes.length] = 0x80;
  const view = new DataView(whole.buffer);
  view.setBigUint64(whole.length - 8, BigInt(bytes.length) * 8n);
  return view;
}

/** Section 6.1. Every verb waits for it, and nothing compiles it: it is written for an interpreter. */
function addBlock(words: Int32Array, sums: Int32Array): void {
  let [a, b, c, d, e] = sums as unknown as [number, number, number, number, number];
  for (let t = 0; t < 80; t++) {
    if (t >= 16) {
      const mixed =
        (words[t - 3] as number) ^
        (words[t - 8] as number) ^
        (words[t - 14] as number) ^
        (words[t - 16] as number);
      words[t] = (mixed << 1) | (mixed >>> 31);
    }
    // Section 5: the function and the constant of each twenty rounds.
    let f: number;
    if (t < 20) f = ((b & c) | (~b & d)) + 0x5a827999;
    else if (t < 40) f = (b ^ c ^ d) + 0x6ed9eba1;
    else if (t < 60) f = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    else f = (b ^ c ^ d) + 0xca62c1d6;
    const sum = (((a << 5) | (a >>> 27)) + f + e + (words[t] as number)) | 0;
    e = d;
    d = c;
    c = (b << 30) | (b >>> 2);
    b = a;
    a = sum;
  }
  for (const [i, sum] of [a, b, c, d, e].entries()) sums[i] = (sums[i] as number) + sum;
}
