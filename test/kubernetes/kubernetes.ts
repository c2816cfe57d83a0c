// npm run test:kubernetes: a cluster of three nodes on this machine, and all that slash32 is for on it, as a timeline.
// In scripts/lab.sh; the argument is the directory with Kubernetes' executables (scripts/build-kubernetes.sh).
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { interruptedStatus, onInterruption } from "../../scripts/demo/interruption.ts";
import { buildPod } from "../helpers/image.ts";
import { OtherVersion } from "../helpers/other-version.ts";
import { bringUp } from "./bring-up.ts";
import { checkChange } from "./change.ts";
import { Cluster } from "./cluster.ts";
import { complaints, statements } from "./evidence.ts";
import { OTHER, packImages } from "./images.ts";
import { Place } from "./place.ts";
import { checkRemoval } from "./removal.ts";
import { Timeline } from "./timeline.ts";
import { checkTraffic } from "./traffic.ts";

const [binaries = ""] = process.argv.slice(2);
const interruption = onInterruption();
const isWell = await run();
process.exit((await interruptedStatus(interruption)) ?? (isWell ? 0 : 1));

/** Whether all went well; if not, it has told what did not. Whatever was started has ended. */
async function run(): Promise<boolean> {
  await using undo = new AsyncDisposableStack();
  const place = undo.use(new Place());
  const init = buildPod(place.shared);
  const cluster = undo.use(await Cluster.prepare(place, binaries, init));
  const next = undo.use(await OtherVersion.make(OTHER.version));
  const images = packImages(place.shared, init, join(binaries, "busybox"), next.executable);
  const timeline = new Timeline(interruption);
  try {
    const before = await bringUp(cluster, images, timeline);
    await checkTraffic(cluster, timeline);
    await checkChange(cluster, timeline);
    await checkRemoval(cluster, before, timeline);
    console.log(
      `\nall well after ${timeline.elapsed}, with ${readFileSync(join(binaries, "version"), "utf8").trim()}`,
    );
    return true;
  } catch (error) {
    if (!interruption.aborted) await explain(error, cluster, place);
    return false;
  }
}

/** A step that failed has said why, in a line: this is for whoever wonders further. */
async function explain(error: unknown, { kubectl }: Cluster, place: Place): Promise<void> {
  place.keepsLogs = true;
  console.log(`\n${error instanceof Error ? error.stack : error}`);
  const lines = [...(await statements(kubectl)), ...complaints(place.logs)];
  console.log(`\n${lines.join("\n")}\n\nAll logs are in ${place.logs}`);
}
