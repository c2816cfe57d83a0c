// Explicit resource management (ECMAScript 2026), which the engine does not have yet: the symbol that `using` asks for,
// which the compiler has turned into code of its own, DisposableStack, and SuppressedError.

if (Symbol.dispose === undefined)
  Object.defineProperty(Symbol, "dispose", { value: Symbol("Symbol.dispose") });

/** An error, and the one that was on its way when it came. */
export class SuppressedError extends Error {
  override readonly name = "SuppressedError";
  readonly error: unknown;
  readonly suppressed: unknown;

  constructor(error: unknown, suppressed: unknown, message?: string) {
    super(message);
    this.error = error;
    this.suppressed = suppressed;
  }
}

export class DisposableStack {
  #disposals: (() => void)[] = [];
  #isDisposed = false;

  get disposed(): boolean {
    return this.#isDisposed;
  }

  use<T extends Disposable | null | undefined>(value: T): T {
    this.#refuseWhenDisposed();
    if (value) this.defer(() => value[Symbol.dispose]());
    return value;
  }

  adopt<T>(value: T, dispose: (value: T) => void): T {
    this.defer(() => dispose(value));
    return value;
  }

  defer(dispose: () => void): void {
    this.#refuseWhenDisposed();
    this.#disposals.push(dispose);
  }

  /** What it holds is the new stack's from now on. */
  move(): DisposableStack {
    this.#refuseWhenDisposed();
    const moved = new DisposableStack();
    moved.#disposals = this.#disposals;
    this.#disposals = [];
    this.#isDisposed = true;
    return moved;
  }

  /** The last first; all of them, also where some throw. */
  dispose(): void {
    this.#isDisposed = true;
    let failure: { readonly error: unknown } | undefined;
    for (let dispose = this.#disposals.pop(); dispose; dispose = this.#disposals.pop()) {
      try {
        dispose();
      } catch (error) {
        failure = { error: failure ? new SuppressedError(error, failure.error) : error };
      }
    }
    if (failure) throw failure.error;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #refuseWhenDisposed(): void {
    if (this.#isDisposed) throw new ReferenceError("Cannot use a stack that was disposed of");
  }
}
