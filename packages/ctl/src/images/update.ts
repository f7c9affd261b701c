/** What `ctl image update` changes in images.lock: which images are meant, and what stands there afterwards. Pure. */
import { FleetError } from "@muster/protocol/errors";
import type { ImagePin } from "@muster/protocol/resources/container";
import { type ImagePins, splitImage, type UsedImage } from "../inventory/images.ts";
import { suggest } from "../inventory/problem.ts";

/** The images of the folder that the words mean: an image with its tag, one without (all its tags), or a container's name. Errors: USAGE. */
export function imagesMeant(words: readonly string[], used: ReadonlyMap<string, UsedImage>): string[] {
  if (words.length === 0) return [...used.keys()];
  const found = words.map((word) => {
    const name = word.replace(/^container\//, "");
    const images = [...used.values()].filter(
      ({ image, containers }) =>
        image === word || splitImage(image).repository === word || containers.has(name),
    );
    if (images.length > 0) return images.map(({ image }) => image);
    const known = [...used.values()].flatMap(({ image, containers }) => [image, ...containers]);
    throw new FleetError("USAGE", `no container of the folder is or uses \`${word}\`${suggest(word, known)}`);
  });
  return [...new Set(found.flat())];
}

export type ImageChange = {
  readonly image: string;
  /** What the lock had for it, or for the tag that the folder named before. */
  readonly before: { readonly image: string; readonly pin: ImagePin } | null;
  readonly after: ImagePin;
};

/** The lock afterwards. Lines of the same repositories that the folder does not use any more go; with `all` every such line. */
export function updated(
  pins: ImagePins,
  used: ReadonlyMap<string, UsedImage>,
  found: ReadonlyMap<string, ImagePin>,
  all: boolean,
): { pins: ImagePins; changes: ImageChange[]; dropped: string[] } {
  const next = new Map(pins);
  const changes: ImageChange[] = [];
  const touched = new Set([...found.keys()].map((image) => splitImage(image).repository));
  const unused = [...pins.keys()].filter(
    (image) => !used.has(image) && (all || touched.has(splitImage(image).repository)),
  );
  for (const [image, after] of found) {
    const { repository } = splitImage(image);
    const earlier = pins.has(image)
      ? image
      : unused.find((each) => splitImage(each).repository === repository);
    const pin = earlier === undefined ? undefined : pins.get(earlier);
    changes.push({
      image,
      before: earlier === undefined || pin === undefined ? null : { image: earlier, pin },
      after,
    });
    next.set(image, after);
  }
  for (const image of unused) next.delete(image);
  const replaced = new Set(changes.flatMap(({ before }) => (before === null ? [] : [before.image])));
  return { pins: next, changes, dropped: unused.filter((image) => !replaced.has(image)) };
}

/** `grafana/grafana  12.1.0@1a4f → 12.1.1@9f02`. */
export function changeLine({ image, before, after }: ImageChange): string {
  const { repository } = splitImage(image);
  const now = shortly(image, after);
  const then = before === null ? "new" : shortly(before.image, before.pin);
  return then === now ? `${repository}  ${now}, as it was` : `${repository}  ${then} → ${now}`;
}

function shortly(image: string, pin: ImagePin): string {
  const hash = "digest" in pin ? pin.digest : pin.id;
  return `${splitImage(image).tag}@${hash.slice("sha256:".length, "sha256:".length + 4)}`;
}
