/** `ctl image update`: the one thing that moves images.lock. Asks registries, or a host's engine for an image that no registry has. */
import { join } from "node:path";
import { FleetError } from "@muster/protocol/errors";
import { HostName } from "@muster/protocol/names";
import type { ImagePin } from "@muster/protocol/resources/container";
import { writeChanged } from "../fleet/disk.ts";
import { loginFor } from "../images/credentials.ts";
import { digestOf } from "../images/registry.ts";
import { changeLine, imagesMeant, updated } from "../images/update.ts";
import { loadFleet } from "../inventory/fleet.ts";
import { IMAGES_FILE, printImages } from "../inventory/images.ts";
import { problemText } from "../inventory/problem.ts";
import { countText } from "../output/words.ts";
import { defineCommand, EXIT } from "../program/command.ts";
import type { Context } from "../program/context.ts";
import { readWord } from "../program/word.ts";
import { askHosts } from "../roster/ask.ts";
import { requireFolder } from "../roster/roster.ts";

/** A registry that is asked more at once answers with 429. */
const AT_ONCE = 8;
/** As many names go into one question to a host. */
const NAMES_AT_ONCE = 64;

type Found = ReadonlyMap<string, ImagePin | FleetError>;

const update = defineCommand({
  name: "update",
  summary: "pin what the tags stand for now",
  args: "[names...]",
  options: {
    on: { flag: "--on <host>", help: "as this host's Docker has it: for images that no registry has" },
  },
  example: `ctl image update                  every image of the folder
ctl image update grafana          the image of container/grafana
ctl image update lab/web:1 --on core1`,
  async run(context, { args, options }) {
    const { output } = context;
    const { root } = await requireFolder(context);
    const { fleet, problems } = await loadFleet(root, { pins: "not needed" });
    if (problems.length > 0) throw new FleetError("INVENTORY", problems.map(problemText).join("\n"));
    const images = imagesMeant(args, fleet.images);
    const host = options.on === undefined ? null : readWord(HostName, options.on, "--on");
    const progress = output.progress(`asking for ${countText(images.length, "image")}`);
    const asked = await (host === null
      ? askRegistries(context, images)
      : askHost(context, images, host)
    ).finally(() => progress.done());
    const good = new Map<string, ImagePin>();
    const failed = new Map<string, FleetError>();
    for (const [image, answer] of asked)
      if (answer instanceof FleetError) failed.set(image, answer);
      else good.set(image, answer);
    const next = updated(fleet.pins, fleet.images, good, args.length === 0);
    await writeChanged(join(root, IMAGES_FILE), printImages(next.pins), 0o644);
    for (const change of next.changes) output.line(`${IMAGES_FILE}  ${changeLine(change)}`);
    for (const image of next.dropped) output.line(`${IMAGES_FILE}  ${image}  dropped: nothing uses it`);
    for (const [image, error] of failed)
      output.line(`${output.colour.red(image)}  ${error.message}${hintFor(error, host)}`);
    if (images.length === 0) output.line("no container of the folder names an image");
    output.json({
      changes: next.changes,
      dropped: next.dropped,
      failed: Object.fromEntries([...failed].map(([image, error]) => [image, error.toReply()])),
    });
    if (failed.size === 0) return EXIT.done;
    return good.size > 0 ? EXIT.partly : Math.max(...[...failed.values()].map(({ exit }) => exit));
  },
});

const hintFor = ({ code }: FleetError, host: string | null) =>
  host === null && (code === "NOT_FOUND" || code === "REGISTRY_UNREACHABLE")
    ? "      one that only a host has: --on HOST"
    : "";

async function askRegistries(context: Context, images: readonly string[]): Promise<Found> {
  const found = new Map<string, ImagePin | FleetError>();
  const queue = [...images];
  const work = async (): Promise<void> => {
    for (let image = queue.shift(); image !== undefined; image = queue.shift()) {
      try {
        found.set(image, { digest: await digestOf(image, { login: loginFor }, context.signal) });
      } catch (error) {
        if (!(error instanceof FleetError) || error.code === "CANCELLED") throw error;
        found.set(image, error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, images.length) }, work));
  // In the folder's order, however they came.
  return new Map([...found].sort(([one], [other]) => images.indexOf(one) - images.indexOf(other)));
}

/** Errors: TIMEOUT when the host is silent, and its own. */
async function askHost(context: Context, images: readonly string[], host: string): Promise<Found> {
  const found = new Map<string, ImagePin | FleetError>();
  for (let at = 0; at < images.length; at += NAMES_AT_ONCE) {
    const asked = await askHosts(context, host, "images", { images: images.slice(at, at + NAMES_AT_ONCE) });
    const [failure] = asked.failed;
    if (failure !== undefined) throw failure.error;
    const [answer] = asked.answered;
    if (answer === undefined) throw new FleetError("TIMEOUT", `${host} is silent, or not enrolled`);
    for (const { image, id } of answer.reply.images)
      found.set(image, id === null ? new FleetError("NOT_FOUND", `${host} has no image ${image}`) : { id });
  }
  return found;
}

export const image = defineCommand({
  name: "image",
  example: `ctl image update grafana && ctl apply core1 --only container/grafana`,
  subcommands: [update],
});
