// How Bun makes an executable of the bundle: for the build, and for the benchmark's traced copy.

/** Arguments of `bun` that compile the bundle `entry` to the executable `outfile`. */
export function compileOptions(entry: string, outfile: string): string[] {
  return [
    ...["build", entry, "--outfile", outfile],
    ...["--compile", "--target", "bun", "--format", "esm", "--minify", "--bytecode"],
    // A bundle that is imported when it is needed stays one of its own.
    "--splitting",
    // A verb is over before compiled code has paid for its compilation: 2 to 3 ms of CPU less at each ADD.
    ...["--compile-jit-policy", "1000"],
    // What happens to lie in the working directory of a container runtime is not our configuration.
    ...["--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"],
    ...["--no-compile-autoload-tsconfig", "--no-compile-autoload-package-json"],
  ];
}
